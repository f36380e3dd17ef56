"""Integer arithmetic inside ``$(…)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.suggestions import advice, listed
from sewdsl.source import Span
from sewdsl.syntax.tree import Arithmetic, Formula, Number, Parameter

MAX_FORMULA_VALUE = 999_999_999


class FormulaError(Exception):
    """Raised where a formula has no value; the diagnostic is already reported."""


def evaluate_formula(
    formula: Formula, parameters: Mapping[str, int], diagnostics: Diagnostics, path: tuple[str, ...] = ()
) -> int:
    """The value of a formula for a block's parameters.

    Args:
        formula: What stands in ``$(…)``.
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
    diagnostics: Diagnostics
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
            known = "a formula stands for the parameters of a block: 'block NAME(c) = …'"
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
