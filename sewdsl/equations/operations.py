"""Operations of equations, with their code for each backend, value, gradient and range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class EquationRange(NamedTuple):
    """Range of values of a result."""

    low: float = -math.inf
    """Lower bound, or -inf."""
    high: float = math.inf
    """Upper bound, or inf."""
    whole: bool = False
    """Whether the result is always an integer."""


class Spelling(NamedTuple):
    """Code of an operation for each backend, with ``{0}``, ``{1}``, … for its operands."""

    numba: str
    """Code for a CPU kernel, which defines ``zero``, ``one``, ``two``, ``exp``, ``rint``, ``floor`` and ``ceil``, and
    imports ``math``."""
    triton: str
    """Code for a CUDA kernel."""
    python: str
    """Code for plain numbers in a Python file."""
    onnx: str
    """Name of the ONNX operator, or empty if ONNX has no such operation."""
    torch: str = ""
    """Name of the PyTorch function. Empty if :mod:`sewdsl.snn.kernels.neuron.reference` defines one that also accepts
    numbers."""


class Operation(NamedTuple):
    """Elementwise operation."""

    spelling: Spelling
    """Code for each backend."""
    number: Callable[..., float]
    """Function of numbers. For operators except comparisons, also of tensors."""
    pull: Callable[..., tuple[Any, ...]]
    """Function of the result, its gradient and the operands that returns the gradients of the operands, or None for
    operands without a gradient. It only uses these operations."""
    values: Callable[..., EquationRange]
    """Function from the ranges of the operands to the range of the result."""
    about: str = ""
    """Call and description for editors. Empty for operators."""
    sign: str = ""
    """Operator in the source, e.g. ``+``. Empty for functions."""
    smooth: bool = False
    """Whether the operation is a tensor method that can compute the factors of linear neurons."""

    @property
    def arity(self) -> int:
        """Number of operands."""
        return self.pull.__code__.co_argcount - 2  # without the result and its gradient


def _where(condition: Any, one: Any, other: Any) -> Any:
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


def _step_function(name: str, about: str) -> Operation:
    """Return a rounding of numbers whose gradient is 0."""

    def number(x: float) -> float:
        return float(getattr(math, name)(x)) if math.isfinite(x) else x

    python = f"float(math.{name}({{0}}))"
    return Operation(
        Spelling(f"{name}({{0}})", f"tl.{name}({{0}})", python, name.capitalize(), name),
        number,
        lambda _y, _g, _a: (None,),
        lambda a: EquationRange(number(a.low), number(a.high), whole=True),
        f"`{name}(a)`: {about}, with gradient 0.",
    )


def _infix(sign: str, onnx: str, number: Callable[..., float], pull: Any, values: Any) -> Operation:
    text = f"{{0}} {sign} {{1}}"
    return Operation(Spelling(text, text, text, onnx), number, pull, values, sign=sign)


def _comparison(sign: str, onnx: str, number: Callable[..., float]) -> Operation:
    """Return a comparison with result 1 or 0."""
    truth = f"{{0}} {sign} {{1}}"
    spelling = Spelling(f"(one if {truth} else zero)", f"tl.where({truth}, 1.0, 0.0)", f"float({truth})", onnx)
    return Operation(spelling, number, lambda _y, _g, _a, _b: (None, None), _between(0, 1, whole=True), sign=sign)


def _function(  # noqa: PLR0913 -- fields of an operation
    name: str,
    about: str,
    number: Callable[..., float],
    pull: Any,
    values: Callable[..., EquationRange],
    *,
    numba: str = "",
    triton: str = "",
    python: str = "",
) -> Operation:
    """Return a smooth unary function. All backends call it by its name unless their code is given."""
    spelling = Spelling(
        numba or f"math.{name}({{0}})",
        triton or f"tl.{name}({{0}})",
        python or f"math.{name}({{0}})",
        name.capitalize(),
        name,
    )
    return Operation(spelling, number, pull, values, f"`{name}(a)`: {about}", smooth=True)


_LEAST_EXPONENT = -700
"""Smallest exponent x for which exp(-x) is computed. Float64 overflows at about -709."""


OPERATIONS: dict[str, Operation] = {
    "add": _infix("+", "Add", lambda a, b: a + b, lambda _y, g, _a, _b: (g, g), _sum),
    "sub": _infix("-", "Sub", lambda a, b: a - b, lambda _y, g, _a, _b: (g, -g), lambda a, b: _sum(a, _negated(b))),
    "mul": _infix(
        "*",
        "Mul",
        lambda a, b: a * b,
        lambda _y, g, a, b: (g * b, g * a),
        lambda a, b: EquationRange(
            min(ends := [x * y if x and y else 0.0 for x in a[:2] for y in b[:2]]), max(ends), a.whole and b.whole
        ),
    ),
    "div": _infix("/", "Div", lambda a, b: a / b, lambda y, g, _a, b: (g / b, -(g * y) / b), _anything),
    "neg": Operation(
        Spelling("-{0}", "-{0}", "-{0}", "Neg"), lambda a: -a, lambda _y, g, _a: (-g,), _negated, sign="-"
    ),
    "abs": Operation(
        Spelling("abs({0})", "tl.abs({0})", "abs({0})", "Abs", "abs"),
        abs,
        lambda _y, g, a: (_where(a > 0, g, _where(a < 0, -g, 0)),),
        lambda a: EquationRange(max(0.0, a.low, -a.high), max(-a.low, a.high), a.whole),
        "`abs(a)`: absolute value.",
    ),
    "less": _comparison("<", "Less", lambda a, b: float(a < b)),
    "most": _comparison("<=", "LessOrEqual", lambda a, b: float(a <= b)),
    "where": Operation(
        Spelling("({1} if {0} != zero else {2})", "tl.where({0} != 0.0, {1}, {2})", "({1} if {0} else {2})", ""),
        lambda c, a, b: a if c else b,
        lambda _y, g, c, _a, _b: (None, _where(c, g, 0), _where(c, 0, g)),
        lambda _c, a, b: EquationRange(min(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
        "`where(a < b, y, n)`: y if the comparison holds, else n.",
    ),
    "min": Operation(
        Spelling("({0} if {0} <= {1} else {1})", "tl.where({0} <= {1}, {0}, {1})", "min({0}, {1})", "Min"),
        min,
        lambda _y, g, a, b: (_where(a <= b, g, 0), _where(a <= b, 0, g)),
        lambda a, b: EquationRange(min(a.low, b.low), min(a.high, b.high), a.whole and b.whole),
        "`min(a, b)`: minimum.",
    ),
    "max": Operation(
        Spelling("({0} if {0} >= {1} else {1})", "tl.where({0} >= {1}, {0}, {1})", "max({0}, {1})", "Max"),
        max,
        lambda _y, g, a, b: (_where(a >= b, g, 0), _where(a >= b, 0, g)),
        lambda a, b: EquationRange(max(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
        "`max(a, b)`: maximum.",
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
        lambda _y, g, a, low, high: (_where(a >= low, _where(a <= high, g, 0), 0), None, None),
        lambda a, low, high: EquationRange(
            min(max(a.low, low.low), high.high),
            min(max(a.high, low.low), high.high),
            a.whole and low.whole and high.whole,
        ),
        "`clip(a, low, high)`: a limited to these bounds, which depend only on parameters.",
    ),
    # In Triton, adding 1.5 * 2**23 rounds a float32 to an integer, half to even.
    "round": Operation(
        Spelling("rint({0})", "(({0} + 12582912.0) - 12582912.0)", "float(round({0}))", "Round"),
        _round,
        lambda _y, g, _a: (g,),
        lambda a: EquationRange(_round(a.low), _round(a.high), whole=True),
        "`round(a)`: nearest integer, with gradient 1.",
    ),
    "floor": _step_function("floor", "largest integer that is not above a"),
    "ceil": _step_function("ceil", "smallest integer that is not below a"),
    "relu": Operation(
        Spelling(
            "({0} if not {0} <= zero else zero)", "tl.where({0} <= 0.0, 0.0, {0})", "max({0}, 0.0)", "Relu", "relu"
        ),
        lambda a: a if a > 0 else 0.0,
        lambda _y, g, a: (_where(a > 0, g, 0),),
        lambda a: EquationRange(max(a.low, 0.0), max(a.high, 0.0), a.whole),
        "`relu(a)`: a if it is positive, else 0.",
    ),
    "exp": _function("exp", "exponential function.", math.exp, lambda y, g, _a: (g * y,), _anything, numba="exp({0})"),
    "log": _function("log", "natural logarithm.", math.log, lambda _y, g, a: (g / a,), _anything),
    "sqrt": _function("sqrt", "square root.", math.sqrt, lambda y, g, _a: (g / (2 * y),), _anything),
    "sin": _function("sin", "sine.", math.sin, lambda _y, g, a: (g * a.tape.put("cos", a),), _between(-1, 1)),
    "cos": _function("cos", "cosine.", math.cos, lambda _y, g, a: (-g * a.tape.put("sin", a),), _between(-1, 1)),
    "sigmoid": _function(
        "sigmoid",
        "1 / (1 + exp(-a)).",
        lambda a: 1 / (1 + math.exp(-a)) if a > _LEAST_EXPONENT else math.exp(a),
        lambda y, g, _a: (g * (y * (1 - y)),),
        _between(0, 1),
        numba="(one / (one + exp(-({0}))))",
        triton="(1.0 / (1.0 + tl.exp(-({0}))))",
        python="(1 / (1 + math.exp(-({0}))))",
    ),
    "tanh": _function(
        "tanh",
        "hyperbolic tangent.",
        math.tanh,
        lambda y, g, _a: (g * (1 - y * y),),
        _between(-1, 1),
        numba="(one - two / (exp({0} + {0}) + one))",
        triton="(1.0 - 2.0 / (tl.exp({0} + {0}) + 1.0))",
    ),
    "detach": Operation(
        Spelling("{0}", "{0}", "{0}", ""),
        lambda a: a,
        lambda _y, _g, _a: (None,),
        lambda a: a,
        "`detach(a)`: a without a gradient.",
    ),
    # The sum of a vector is computed by a loop over its numbers. This is the sum of a single number.
    "sum": Operation(
        Spelling("{0}", "{0}", "{0}", "Identity"),
        lambda a: a,
        lambda _y, g, _a: (g,),
        lambda a: a,
        "`sum(a)`: sum of the numbers of a vector.",
    ),
    # u - u is 0, or NaN if u is not finite.
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
        "`fire(u)`: 1 if u >= 0, else 0, with the gradient of the surrogate.",
    ),
}
"""Operations by name.

At ties, ``min`` and ``max`` pass the gradient to one operand, ``relu`` and ``abs`` have gradient 0, and ``clip`` passes
the gradient. ``round`` rounds half to even. ``fire`` is NaN if its operand is not finite.
"""

COMPARISONS = frozenset({"less", "most"})
"""Operations whose result is a condition."""
SIGNS = frozenset(name for name, item in OPERATIONS.items() if item.sign)
"""Operations with an infix or prefix operator. All others are functions."""
