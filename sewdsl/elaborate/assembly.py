"""The statements of a file and of what it uses, by what they set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.blocks import title
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.syntax.tree import BlockDefinition, Body, Claim, Document, Expect, Section, Setting, Use

HEADER = ("network", "input", "steps", "encode", "neuron", "join", "init", "readout")
"""Keys of a file's header."""

SECTIONS = ("train",)


@dataclass
class Assembly:
    """What the statements say; later ones win over those of used files, never over those of the same file.

    Attributes:
        settings: The header by key.
        blocks: Definitions by name without white space.
        sections: ``train``, by name.
        body: The expression.
        figures: ``expect`` and ``claim`` lines.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    blocks: dict[str, BlockDefinition] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    body: Body | None = None
    figures: list[Expect | Claim] = field(default_factory=list)


def assemble(document: Document, diagnostics: Diagnostics, use: Callable[[Use], Assembly | None]) -> Assembly:
    """Collects the statements of a document.

    Args:
        document: The tree of the file.
        diagnostics: Where to report what stands twice or means nothing.
        use: Gives the assembly of a used file, or None where it cannot be had (reported).
    """
    result = Assembly()
    for statement in document.statements:
        if isinstance(statement, Use) and (used := use(statement)) is not None:
            result.settings.update({key: value for key, value in used.settings.items() if key != "network"})
            result.blocks.update(used.blocks)
            result.sections.update(used.sections)
    own = Assembly()
    for statement in document.statements:
        _collect(statement, own, diagnostics)
    result.settings.update(own.settings)
    result.blocks.update(own.blocks)
    for name, section in own.sections.items():
        result.sections[name] = _over(result.sections.get(name), section)
    result.body, result.figures = own.body, own.figures
    return result


def _collect(statement: object, own: Assembly, diagnostics: Diagnostics) -> None:
    match statement:
        case Setting(key=key):
            if key.text not in HEADER:
                diagnostics.report(
                    "unknown-setting",
                    f"unknown setting '{key.text}'",
                    key.span,
                    help=did_you_mean(key.text, HEADER) or f"settings: {', '.join(HEADER)}",
                )
            elif key.text in own.settings:
                _twice(statement, f"'{key.text}'", own.settings[key.text], diagnostics)
            else:
                own.settings[key.text] = statement
        case BlockDefinition():
            key_ = statement.name.plain or ""
            if key_ in own.blocks:
                where = own.blocks[key_].span
                diagnostics.report(
                    "duplicate-block",
                    f"block '{title(statement)}' is defined twice",
                    statement.name.span,
                    help=f"the first stands in line {where.line}",
                )
            else:
                own.blocks[key_] = statement
        case Section(name=name):
            if name.text not in SECTIONS:
                diagnostics.report(
                    "unknown-setting", f"unknown section '{name.text}'", name.span, help=f"sections: {', '.join(SECTIONS)}"
                )
            elif name.text in own.sections:
                _twice(statement, f"section '{name.text}'", own.sections[name.text], diagnostics)
            else:
                own.sections[name.text] = statement
        case Body():
            if own.body is not None:
                _twice(statement, "'body'", own.body, diagnostics)
            else:
                own.body = statement
        case Expect() | Claim():
            own.figures.append(statement)
        case _:
            pass


def _twice(statement: Setting | Section | Body, what: str, first: Setting | Section | Body, diagnostics: Diagnostics) -> None:
    diagnostics.report(
        "duplicate-setting", f"{what} is set twice", statement.span, help=f"the first stands in line {first.span.line}"
    )


def _over(used: Section | None, own: Section) -> Section:
    """A file's own section over that of a used file, key by key."""
    if used is None:
        return own
    keys = {setting.key.text for setting in own.settings}
    kept = tuple(setting for setting in used.settings if setting.key.text not in keys)
    return replace(own, on=own.on or used.on, settings=(*kept, *own.settings))
