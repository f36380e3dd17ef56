"""The operations of equations: each with its text for all backends, its value, its gradient and its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class EquationRange(NamedTuple):
    """The values that a result can have.

    Attributes:
        low: The least, or -inf.
        high: The greatest, or inf.
        whole: Whether it is always a whole number.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False


class Spelling(NamedTuple):
    """The text of an operation for each backend, with ``{0}``, ``{1}``, … for its operands.

    Attributes:
        numba: In a CPU kernel, which defines ``zero``, ``one``, ``two``.
        triton: In a CUDA kernel.
        python: Of plain numbers, in a file of Python.
        onnx: The name of the operator; empty if ONNX has none.
        torch: The name of the function of torch; empty if :mod:`sewdsl.snn.kernels.reference` has one for numbers among
            tensors too.
    """

    numba: str
    triton: str
    python: str
    onnx: str
    torch: str = ""


def _infix(sign: str, onnx: str) -> Spelling:
    """Return the spelling of a sign between operands."""
    text = f"{{0}} {sign} {{1}}"
    return Spelling(text, text, text, onnx)


def _function(name: str) -> Spelling:
    """Return the spelling of a function that has one name everywhere."""
    return Spelling(f"{name}({{0}})", f"tl.{name}({{0}})", f"math.{name}({{0}})", name.capitalize(), name)


class Operation(NamedTuple):
    """An operation on numbers, element by element.

    Attributes:
        spelling: Its text for each backend.
        number: Its value for numbers.
        pull: The gradients of its operands, from its result, its gradient and the operands, in terms of the same
            operations; None for an operand that gets none.
        values: The range of its result from those of its operands.
    """

    spelling: Spelling
    number: Callable[..., float]
    pull: Callable[..., tuple[Any, ...]]
    values: Callable[..., EquationRange]

    @property
    def arity(self) -> int:
        """How many operands it takes."""
        return self.pull.__code__.co_argcount - 2


def _picked(condition: Any, one: Any, other: Any) -> Any:
    return condition.tape.put("where", condition, one, other)


def _sum(a: EquationRange, b: EquationRange) -> EquationRange:
    return EquationRange(a.low + b.low, a.high + b.high, a.whole and b.whole)


def _negated(a: EquationRange) -> EquationRange:
    return EquationRange(-a.high, -a.low, a.whole)


def _anything(*_: EquationRange) -> EquationRange:
    return EquationRange()


def _between(low: float, high: float, *, whole: bool = False) -> Callable[..., EquationRange]:
    return lambda *_: EquationRange(low, high, whole)


def _round(x: float) -> float:
    return x if math.isinf(x) or math.isnan(x) else float(round(x))


_LEAST_EXPONENT = -700
"""Below it, the exponential of the opposite is no number any more."""


OPERATIONS: dict[str, Operation] = {
    "add": Operation(_infix("+", "Add"), lambda a, b: a + b, lambda _y, g, _a, _b: (g, g), _sum),
    "sub": Operation(
        _infix("-", "Sub"),
        lambda a, b: a - b,
        lambda _y, g, _a, _b: (g, -g),
        lambda a, b: _sum(a, _negated(b)),
    ),
    "mul": Operation(
        _infix("*", "Mul"),
        lambda a, b: a * b,
        lambda _y, g, a, b: (g * b, g * a),
        lambda a, b: EquationRange(
            min(ends := [x * y if x and y else 0.0 for x in a[:2] for y in b[:2]]),
            max(ends),
            a.whole and b.whole,
        ),
    ),
    "div": Operation(
        _infix("/", "Div"),
        lambda a, b: a / b,
        lambda y, g, _a, b: (g / b, -(g * y) / b),
        _anything,
    ),
    "neg": Operation(Spelling("-{0}", "-{0}", "-{0}", "Neg"), lambda a: -a, lambda _y, g, _a: (-g,), _negated),
    "abs": Operation(
        Spelling("abs({0})", "tl.abs({0})", "abs({0})", "Abs", "abs"),
        abs,
        lambda _y, g, a: (_picked(a > 0, g, _picked(a < 0, -g, 0)),),
        lambda a: EquationRange(max(0.0, a.low, -a.high), max(-a.low, a.high), a.whole),
    ),
    "less": Operation(
        Spelling("(one if {0} < {1} else zero)", "tl.where({0} < {1}, 1.0, 0.0)", "float({0} < {1})", "Less"),
        lambda a, b: float(a < b),
        lambda _y, _g, _a, _b: (None, None),
        _between(0, 1, whole=True),
    ),
    "most": Operation(
        Spelling("(one if {0} <= {1} else zero)", "tl.where({0} <= {1}, 1.0, 0.0)", "float({0} <= {1})", "LessOrEqual"),
        lambda a, b: float(a <= b),
        lambda _y, _g, _a, _b: (None, None),
        _between(0, 1, whole=True),
    ),
    "where": Operation(
        Spelling("({1} if {0} != zero else {2})", "tl.where({0} != 0.0, {1}, {2})", "({1} if {0} else {2})", ""),
        lambda c, a, b: a if c else b,
        lambda _y, g, c, _a, _b: (None, _picked(c, g, 0), _picked(c, 0, g)),
        lambda _c, a, b: EquationRange(min(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
    ),
    "min": Operation(
        Spelling("({0} if {0} <= {1} else {1})", "tl.where({0} <= {1}, {0}, {1})", "min({0}, {1})", "Min"),
        min,
        lambda _y, g, a, b: (_picked(a <= b, g, 0), _picked(a <= b, 0, g)),
        lambda a, b: EquationRange(min(a.low, b.low), min(a.high, b.high), a.whole and b.whole),
    ),
    "max": Operation(
        Spelling("({0} if {0} >= {1} else {1})", "tl.where({0} >= {1}, {0}, {1})", "max({0}, {1})", "Max"),
        max,
        lambda _y, g, a, b: (_picked(a >= b, g, 0), _picked(a >= b, 0, g)),
        lambda a, b: EquationRange(max(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
    ),
    "clip": Operation(
        Spelling(
            "({1} if {0} < {1} else {2} if {0} > {2} else {0})",
            "tl.where({0} < {1}, {1}, tl.where({0} > {2}, {2}, {0}))",
            "min(max({0}, {1}), {2})",
            "Clip",
            "clamp",
        ),
        lambda a, low, high: low if a < low else min(a, high),
        lambda _y, g, a, low, high: (_picked(a >= low, _picked(a <= high, g, 0), 0), None, None),
        lambda a, low, high: EquationRange(
            min(max(a.low, low.low), high.high),
            min(max(a.high, low.low), high.high),
            a.whole and low.whole and high.whole,
        ),
    ),
    "round": Operation(
        Spelling("rint({0})", "(({0} + 12582912.0) - 12582912.0)", "float(round({0}))", "Round"),
        _round,
        lambda _y, g, _a: (g,),
        lambda a: EquationRange(_round(a.low), _round(a.high), whole=True),
    ),
    "relu": Operation(
        Spelling(
            "({0} if not {0} <= zero else zero)", "tl.where({0} <= 0.0, 0.0, {0})", "max({0}, 0.0)", "Relu", "relu"
        ),
        lambda a: a if a > 0 else 0.0,
        lambda _y, g, a: (_picked(a > 0, g, 0),),
        lambda a: EquationRange(max(a.low, 0.0), max(a.high, 0.0), a.whole),
    ),
    "exp": Operation(_function("exp"), math.exp, lambda y, g, _a: (g * y,), _anything),
    "log": Operation(_function("log"), math.log, lambda _y, g, a: (g / a,), _anything),
    "sqrt": Operation(_function("sqrt"), math.sqrt, lambda y, g, _a: (g / (2 * y),), _anything),
    "sin": Operation(_function("sin"), math.sin, lambda _y, g, a: (g * a.tape.put("cos", a),), _between(-1, 1)),
    "cos": Operation(_function("cos"), math.cos, lambda _y, g, a: (-g * a.tape.put("sin", a),), _between(-1, 1)),
    "sigmoid": Operation(
        Spelling(
            "(one / (one + exp(-({0}))))",
            "(1.0 / (1.0 + tl.exp(-({0}))))",
            "(1 / (1 + math.exp(-({0}))))",
            "Sigmoid",
            "sigmoid",
        ),
        lambda a: 1 / (1 + math.exp(-a)) if a > _LEAST_EXPONENT else math.exp(a),
        lambda y, g, _a: (g * (y * (1 - y)),),
        _between(0, 1),
    ),
    "tanh": Operation(
        Spelling(
            "(one - two / (exp({0} + {0}) + one))",
            "(1.0 - 2.0 / (tl.exp({0} + {0}) + 1.0))",
            "math.tanh({0})",
            "Tanh",
            "tanh",
        ),
        math.tanh,
        lambda y, g, _a: (g * (1 - y * y),),
        _between(-1, 1),
    ),
    "detach": Operation(Spelling("{0}", "{0}", "{0}", ""), lambda a: a, lambda _y, _g, _a: (None,), lambda a: a),
    "fire": Operation(
        Spelling(
            "((one if {0} >= zero else zero) + ({0} - {0}))",
            "(tl.where({0} >= 0.0, 1.0, 0.0) + ({0} - {0}))",
            "float({0} >= 0)",
            "",
        ),
        lambda a: float(a >= 0),
        lambda _y, g, a: (g * a.tape.slope(a),),
        _between(0, 1, whole=True),
    ),
}
"""Every operation by its name.

At ties, the gradient of ``min``, ``max``, ``relu`` and ``abs`` goes one way, and that of ``clip`` passes; ``round`` is
to the nearest even number, with gradient 1. ``less``, ``most`` and ``where`` are comparisons, 1 or 0. ``fire`` is 1
where its operand is not below 0, and NaN where it is not finite; its gradient is the slope of a surrogate.
"""

COMPARISONS = frozenset({"less", "most"})
"""Operations that are written as signs."""
SIGNS = frozenset({"add", "sub", "mul", "div", "neg", *COMPARISONS})
"""Operations that a text writes as signs; all others are functions."""
