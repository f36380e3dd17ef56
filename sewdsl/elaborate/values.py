"""Values in parentheses and settings, from the tree to Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.formulas import FormulaError, evaluate_formula
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.kind import Kind
from sewdsl.ops import catalogue, find
from sewdsl.syntax.tree import Call, Interpolation, Number, Quantity, Size, Text, Value

_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}


class ValueProblem(Exception):  # noqa: N818 -- not an error of the program
    """Raised where a value has no meaning; the diagnostic is already reported."""


def python_value(
    value: Value, diagnostics: Diagnostics, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
) -> Any:
    """A number, string, tuple of lengths, None, bool, kind, or else the word itself.

    Args:
        value: As written.
        diagnostics: Where to report.
        path: The way to it.
        parameters: Of the enclosing block, for ``$(…)``.

    Raises:
        ValueProblem: it has none; reported.
    """
    match value:
        case Number():
            return value.value
        case Size(dims=dims):
            return dims
        case Text(text=text) | Quantity(text=text):
            return text
        case Call():
            return _word(value, diagnostics, path, parameters)
        case Interpolation(formula=formula):
            try:
                return evaluate_formula(formula, parameters or {}, diagnostics, path)
            except FormulaError as error:
                raise ValueProblem from error


def _word(call: Call, diagnostics: Diagnostics, path: tuple[str, ...], parameters: Mapping[str, int] | None) -> Any:
    """What a name stands for: on, off, none, a kind, or itself."""
    word = "".join(call.span.text.split()) if call.name.plain is None else call.name.plain
    if not call.called and not call.arguments and word in _WORDS:
        return _WORDS[word]
    if find(word):
        return instantiate_kind(call, diagnostics, path, parameters)
    if not call.called:
        return word
    names = [name for name in catalogue() if name != "input"]
    span = call.name.span
    diagnostics.report("unknown-name", f"unknown name '{word}'", span, path=path, **advice(word, names, span))
    raise ValueProblem


def instantiate_kind(
    call: Call, diagnostics: Diagnostics, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
) -> Kind:
    """The kind that a call such as ``LIF(tau=2.0)`` names, with its arguments.

    Raises:
        ValueProblem: the name or an argument is wrong; reported.
    """
    kind = catalogue()[call.name.plain or ""]
    given = named_arguments(call, diagnostics, path, parameters)
    made = validate_arguments(kind, f"'{kind.kind}'", given, call.span, diagnostics, path)
    if made is None:
        raise ValueProblem
    return made


def named_arguments(
    call: Call, diagnostics: Diagnostics, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
) -> dict[str, GivenArgument]:
    """The ``name=value`` arguments of a call; others are reported.

    Raises:
        ValueProblem: a value has no meaning; reported.
    """
    given: dict[str, GivenArgument] = {}
    for argument in call.arguments:
        if argument.name is None:
            diagnostics.report(
                "invalid-argument",
                f"'{argument.span.text}' has no name",
                argument.span,
                help=_how_to_name(call),
                path=path,
            )
            raise ValueProblem
        if argument.name in given:
            diagnostics.report(
                "duplicate-argument", f"'{argument.name}' is given twice", argument.span, path=path, help="keep one"
            )
            continue
        given[argument.name] = GivenArgument(python_value(argument.value, diagnostics, path, parameters), argument.span)
    return given


def _how_to_name(call: Call) -> str:
    """An example with a real argument, where the kind has one that needs a name."""
    text = call.name.plain or ""
    head = text.rstrip("0123456789.") if find(text) is None else text
    kind = find(head)
    named = [name for name in kind.model_fields if name not in kind.letters().values()] if kind else []
    if named:
        return f"write name=value, e.g. {text}({named[0]}=…)"
    return f"'{head}' takes no arguments in parentheses; remove what stands there"
