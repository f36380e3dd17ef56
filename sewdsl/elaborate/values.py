"""Values in parentheses and settings, from the tree to Python."""

from __future__ import annotations

from typing import Any

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.arguments import Given, validate
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.kind import Kind
from sewdsl.ops import catalogue, find
from sewdsl.syntax.tree import Call, Number, Quantity, Size, Text, Value

_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}


class ValueProblem(Exception):  # noqa: N818 -- not an error of the program
    """Raised where a value has no meaning; the diagnostic is already reported."""


def python_value(value: Value, diagnostics: Diagnostics, path: tuple[str, ...] = ()) -> Any:
    """A number, string, tuple of lengths, None, bool, kind, or else the word itself.

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
            word = "".join(value.span.text.split()) if value.name.plain is None else value.name.plain
            if not value.called and not value.arguments and word in _WORDS:
                return _WORDS[word]
            if find(word):
                return instance(value, diagnostics, path)
            if not value.called:
                return word
            names = [name for name in catalogue() if name != "input"]
            diagnostics.report(
                "unknown-name",
                f"unknown name '{word}'",
                value.name.span,
                help=did_you_mean(word, names),
                path=path,
            )
        case _:
            diagnostics.report(
                "invalid-argument", "'$(…)' has no meaning here", value.span, help="it stands for a block's parameter"
            )
    raise ValueProblem


def instance(call: Call, diagnostics: Diagnostics, path: tuple[str, ...] = ()) -> Kind:
    """The kind that a call such as ``LIF(tau=2.0)`` names, with its arguments.

    Raises:
        ValueProblem: the name or an argument is wrong; reported.
    """
    kind = catalogue()[call.name.plain or ""]
    made = validate(kind, f"'{kind.kind}'", named_arguments(call, diagnostics, path), call.span, diagnostics, path)
    if made is None:
        raise ValueProblem
    return made


def named_arguments(call: Call, diagnostics: Diagnostics, path: tuple[str, ...] = ()) -> dict[str, Given]:
    """The ``name=value`` arguments of a call; others are reported.

    Raises:
        ValueProblem: a value has no meaning; reported.
    """
    given: dict[str, Given] = {}
    for argument in call.arguments:
        if argument.name is None:
            diagnostics.report(
                "invalid-argument",
                f"'{argument.span.text}' has no name",
                argument.span,
                help=f"write name=value, e.g. {call.name.plain}(tau=2.0)",
                path=path,
            )
            raise ValueProblem
        if argument.name in given:
            diagnostics.report(
                "duplicate-argument", f"'{argument.name}' is given twice", argument.span, path=path, help="keep one"
            )
            continue
        given[argument.name] = Given(python_value(argument.value, diagnostics, path), argument.span)
    return given
