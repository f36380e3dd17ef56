"""What a block's definition must be, whoever calls it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ops import catalogue
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.tree import BlockDefinition, BlockParameter, Number, Parameter

INPUT_CHANNELS_DEFAULT = "in"
"""The default that represents the channels of the block's input."""
RESERVED_NAMES = (IDENTITY, OWN_NEURON, OWN_JOIN, INPUT_CHANNELS_DEFAULT)


def check_definitions(blocks: Iterable[BlockDefinition]) -> Iterator[Diagnostic]:
    """Complains of names that mean something else already, and parameters that no call could give."""
    for block in blocks:
        name = block.name.plain or ""
        if name in RESERVED_NAMES or name in catalogue():
            hint = "choose another name, such as one of two words"
            message = f"'{name}' is a name of the language"
            yield Diagnostic("duplicate-block", Severity.ERROR, message, block.name.span, help=hint)
        seen: set[str] = set()
        for parameter in block.parameters:
            yield from _check_parameter(parameter, seen)
            seen.add(parameter.name)


def check_shadowed_blocks(
    blocks: Mapping[str, BlockDefinition], library: Mapping[str, BlockDefinition]
) -> Iterator[Diagnostic]:
    """Warns of blocks that replace shipped ones, and differ from them.

    Args:
        blocks: Those of the file and of what it uses, by name without white space.
        library: The shipped ones.
    """
    for name, block in blocks.items():
        if name in library and _meaning(block) != _meaning(library[name]):
            yield Diagnostic(
                "shadowed-block",
                Severity.WARNING,
                f"'{block.name.span.text}' replaces the shipped block of this name",
                block.name.span,
                label="defined otherwise here",
                help="choose another name, or say 'allow shadowed-block \"why\"'",
            )


def default_number(parameter: BlockParameter) -> float | None:
    """The default of a parameter where that is a number; None where it is anything else, or is none."""
    return parameter.default.value if isinstance(parameter.default, Number) else None


def _meaning(block: BlockDefinition) -> tuple[object, ...]:
    return block.parameters, block.operands, block.lets, block.expression


def _check_parameter(parameter: BlockParameter, seen: set[str]) -> Iterator[Diagnostic]:
    name, default, span = parameter.name, parameter.default, parameter.span
    if name in seen:
        message = f"parameter '{name}' occurs twice"
        yield Diagnostic("duplicate-argument", Severity.ERROR, message, span, help="keep one")
    elif name in RESERVED_NAMES:
        message, hint = f"'{name}' cannot be a parameter: it has a meaning already", "choose another letter or word"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, span, help=hint)
    if not (default is None or default_number(parameter) is not None or default == Parameter(INPUT_CHANNELS_DEFAULT)):
        message = f"the default of '{name}' must be a number or '{INPUT_CHANNELS_DEFAULT}'"
        label = f"got {default.span.text}"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, default.span, label=label)
