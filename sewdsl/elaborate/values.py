"""Values in parentheses and settings, and integer arithmetic in ``$(…)``: from the syntax tree to Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.suggestions import advice, listed
from sewdsl.ir.kind import Kind
from sewdsl.ops import catalogue, find
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Arithmetic, Call, Formula, Interpolation, Number, Parameter, Quantity, Size, Text, Value

MAX_FORMULA_VALUE = 999_999_999


class FormulaError(Exception):
    """Raised where a formula has no value; the diagnostic is already reported."""


def evaluate_formula(
    formula: Formula, parameters: Mapping[str, int], diagnostics: Reporter, path: tuple[str, ...] = ()
) -> int:
    """The value of a formula for a block's parameters.

    Args:
        formula: What is in ``$(…)``.
        parameters: The values of the enclosing block's parameters; none outside of blocks.
        diagnostics: Where to report.
        path: The way to the formula.

    Raises:
        FormulaError: a name is not a parameter, a division is not exact, or the value is not in 0..999,999,999.
            The diagnostic is in ``diagnostics``.
    """
    value = _Evaluation(parameters, diagnostics, path).value(formula)
    if not 0 <= value <= MAX_FORMULA_VALUE:
        diagnostics.report(
            "invalid-formula",
            f"'{formula.span.text}' is {value}, which is not in 0..{MAX_FORMULA_VALUE:,}",
            formula.span,
            help="sizes and counts are whole numbers from 0 up",
            path=path,
        )
        raise FormulaError
    return value


@dataclass(frozen=True)
class _Evaluation:
    parameters: Mapping[str, int]
    diagnostics: Reporter
    path: tuple[str, ...]

    def value(self, formula: Formula) -> int:
        match formula:
            case Number():
                return self._integer(formula)
            case Parameter(name=name):
                if name in self.parameters:
                    return self.parameters[name]
                raise self._unknown(formula)
            case Arithmetic():
                return self._apply(formula, self.value(formula.left), self.value(formula.right))

    def _unknown(self, parameter: Parameter) -> FormulaError:
        name, known = parameter.name, f"its parameters: {listed(self.parameters)}"
        if not self.parameters:
            known = "a formula uses the parameters of a block: 'block NAME(c) = …'"
        message = (
            f"'{name}' is not a parameter of this block" if self.parameters else f"there is no parameter '{name}' here"
        )
        near = advice(name, self.parameters, parameter.span, known)
        self.diagnostics.report("unknown-parameter", message, parameter.span, path=self.path, **near)
        return FormulaError()

    def _integer(self, number: Number) -> int:
        if isinstance(number.value, int):
            return number.value
        message = f"'{number.text}' is not a whole number"
        raise self._complain("invalid-formula", message, number.span, "formulas are integer arithmetic")

    def _apply(self, formula: Arithmetic, left: int, right: int) -> int:
        match formula.operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                if right and left % right == 0:
                    return left // right
                hint = "divide only what is a multiple of the divisor"
                message = f"{left} / {right} is not a whole number"
                raise self._complain("invalid-formula", message, formula.span, hint)

    def _complain(self, code: str, message: str, span: Span, hint: str) -> FormulaError:
        self.diagnostics.report(code, message, span, help=hint, path=self.path)
        return FormulaError()


_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}


class ValueProblem(Exception):  # noqa: N818 -- not an error of the program
    """Raised where a value has no meaning; the diagnostic is already reported."""


def python_value(
    value: Value, diagnostics: Reporter, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
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


def _word(call: Call, diagnostics: Reporter, path: tuple[str, ...], parameters: Mapping[str, int] | None) -> Any:
    """What a name means: on, off, none, a kind, or itself."""
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
    call: Call, diagnostics: Reporter, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
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
    call: Call, diagnostics: Reporter, path: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
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
    return f"'{head}' takes no arguments in parentheses; remove them"
