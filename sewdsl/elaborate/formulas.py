"""Integer arithmetic inside ``$(…)``."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.syntax.tree import Arithmetic, Formula, Number, Parameter

LARGEST = 999_999_999


class FormulaError(Exception):
    """Raised where a formula has no value; the diagnostic is already reported."""


def evaluate(formula: Formula, parameters: Mapping[str, int], diagnostics: Diagnostics) -> int:
    """The value of a formula for a block's parameters.

    Raises:
        FormulaError: a name is not a parameter, a division is not exact, or the value is not in 0..999,999,999.
            The diagnostic is in ``diagnostics``.
    """
    value = _value(formula, parameters, diagnostics)
    if not 0 <= value <= LARGEST:
        diagnostics.report(
            "invalid-formula",
            f"'{formula.span.text}' is {value}, which is not in 0..{LARGEST:,}",
            formula.span,
            help="sizes and counts are whole numbers from 0 up",
        )
        raise FormulaError
    return value


def _value(formula: Formula, parameters: Mapping[str, int], diagnostics: Diagnostics) -> int:
    match formula:
        case Number():
            return _integer(formula, diagnostics)
        case Parameter(name=name):
            if name in parameters:
                return parameters[name]
            known = ", ".join(parameters) or "none"
            diagnostics.report(
                "unknown-parameter",
                f"'{name}' is not a parameter of this block",
                formula.span,
                help=did_you_mean(name, parameters) or f"its parameters: {known}",
            )
            raise FormulaError
        case Arithmetic():
            left, right = (_value(side, parameters, diagnostics) for side in (formula.left, formula.right))
            return _apply(formula, left, right, diagnostics)


def _integer(number: Number, diagnostics: Diagnostics) -> int:
    value = number.value
    if isinstance(value, int):
        return value
    diagnostics.report(
        "invalid-formula",
        f"'{number.text}' is not a whole number",
        number.span,
        help="formulas are integer arithmetic",
    )
    raise FormulaError


def _apply(formula: Arithmetic, left: int, right: int, diagnostics: Diagnostics) -> int:
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
            diagnostics.report(
                "invalid-formula",
                f"{left} / {right} is not a whole number",
                formula.span,
                help="divide only what is a multiple of the divisor",
            )
            raise FormulaError
