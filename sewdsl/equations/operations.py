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
        numba: In a CPU kernel, which defines ``zero``, ``one``, ``two``, ``exp`` and ``rint``, and has ``math``.
        triton: In a CUDA kernel.
        python: Of plain numbers, in a file of Python.
        onnx: The name of the operator; empty if ONNX has none.
        torch: The name of the function of torch; empty if :mod:`sewdsl.snn.kernels.neuron.reference` has one for
            numbers among tensors too.
    """

    numba: str
    triton: str
    python: str
    onnx: str
    torch: str = ""


class Operation(NamedTuple):
    """An operation on numbers, element by element: all that sewdsl knows of it.

    Attributes:
        spelling: Its text for each backend.
        number: Its value for numbers; of signs but comparisons, for tensors too.
        pull: The gradients of its operands, from its result, its gradient and the operands, in terms of the same
            operations; None for an operand that gets none.
        values: The range of its result from those of its operands.
        about: What editors say of it: its call and its meaning. Empty if a text writes it as a sign.
        sign: The sign that a text writes it as.
        smooth: Whether it is a method of tensors of which the factors of linear neurons can be made.
    """

    spelling: Spelling
    number: Callable[..., float]
    pull: Callable[..., tuple[Any, ...]]
    values: Callable[..., EquationRange]
    about: str = ""
    sign: str = ""
    smooth: bool = False

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


def _infix(sign: str, onnx: str, number: Callable[..., float], pull: Any, values: Any) -> Operation:
    """Return the operation of a sign between two operands."""
    text = f"{{0}} {sign} {{1}}"
    return Operation(Spelling(text, text, text, onnx), number, pull, values, sign=sign)


def _comparison(sign: str, onnx: str, number: Callable[..., float]) -> Operation:
    """Return a comparison, 1 or 0."""
    truth = f"{{0}} {sign} {{1}}"
    spelling = Spelling(f"(one if {truth} else zero)", f"tl.where({truth}, 1.0, 0.0)", f"float({truth})", onnx)
    return Operation(spelling, number, lambda _y, _g, _a, _b: (None, None), _between(0, 1, whole=True), sign=sign)


def _function(  # noqa: PLR0913 -- all that it is
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
    """Return a smooth function of one number, which has its name everywhere but where another text is given."""
    spelling = Spelling(
        numba or f"math.{name}({{0}})",
        triton or f"tl.{name}({{0}})",
        python or f"math.{name}({{0}})",
        name.capitalize(),
        name,
    )
    return Operation(spelling, number, pull, values, f"`{name}(a)`: {about}", smooth=True)


_LEAST_EXPONENT = -700
"""Below it, the exponential of the opposite is no number any more."""


OPERATIONS: dict[str, Operation] = {
    "add": _infix("+", "Add", lambda a, b: a + b, lambda _y, g, _a, _b: (g, g), _sum),
    "sub": _infix("-", "Sub", lambda a, b: a - b, lambda _y, g, _a, _b: (g, -g), lambda a, b: _sum(a, _negated(b))),
    "mul": _infix(
        "*",
        "Mul",
        lambda a, b: a * b,
        lambda _y, g, a, b: (g * b, g * a),
        lambda a, b: EquationRange(
            min(ends := [x * y if x and y else 0.0 for x in a[:2] for y in b[:2]]),
            max(ends),
            a.whole and b.whole,
        ),
    ),
    "div": _infix("/", "Div", lambda a, b: a / b, lambda y, g, _a, b: (g / b, -(g * y) / b), _anything),
    "neg": Operation(
        Spelling("-{0}", "-{0}", "-{0}", "Neg"), lambda a: -a, lambda _y, g, _a: (-g,), _negated, sign="-"
    ),
    "abs": Operation(
        Spelling("abs({0})", "tl.abs({0})", "abs({0})", "Abs", "abs"),
        abs,
        lambda _y, g, a: (_picked(a > 0, g, _picked(a < 0, -g, 0)),),
        lambda a: EquationRange(max(0.0, a.low, -a.high), max(-a.low, a.high), a.whole),
        "`abs(a)`: without its sign.",
    ),
    "less": _comparison("<", "Less", lambda a, b: float(a < b)),
    "most": _comparison("<=", "LessOrEqual", lambda a, b: float(a <= b)),
    "where": Operation(
        Spelling("({1} if {0} != zero else {2})", "tl.where({0} != 0.0, {1}, {2})", "({1} if {0} else {2})", ""),
        lambda c, a, b: a if c else b,
        lambda _y, g, c, _a, _b: (None, _picked(c, g, 0), _picked(c, 0, g)),
        lambda _c, a, b: EquationRange(min(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
        "`where(a < b, y, n)`: y where the comparison holds, else n.",
    ),
    "min": Operation(
        Spelling("({0} if {0} <= {1} else {1})", "tl.where({0} <= {1}, {0}, {1})", "min({0}, {1})", "Min"),
        min,
        lambda _y, g, a, b: (_picked(a <= b, g, 0), _picked(a <= b, 0, g)),
        lambda a, b: EquationRange(min(a.low, b.low), min(a.high, b.high), a.whole and b.whole),
        "`min(a, b)`: the smaller.",
    ),
    "max": Operation(
        Spelling("({0} if {0} >= {1} else {1})", "tl.where({0} >= {1}, {0}, {1})", "max({0}, {1})", "Max"),
        max,
        lambda _y, g, a, b: (_picked(a >= b, g, 0), _picked(a >= b, 0, g)),
        lambda a, b: EquationRange(max(a.low, b.low), max(a.high, b.high), a.whole and b.whole),
        "`max(a, b)`: the greater.",
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
        "`clip(a, low, high)`: a in these bounds, which follow from the parameters.",
    ),
    "round": Operation(
        Spelling("rint({0})", "(({0} + 12582912.0) - 12582912.0)", "float(round({0}))", "Round"),
        _round,
        lambda _y, g, _a: (g,),
        lambda a: EquationRange(_round(a.low), _round(a.high), whole=True),
        "`round(a)`: the nearest whole number, with gradient 1.",
    ),
    "relu": Operation(
        Spelling(
            "({0} if not {0} <= zero else zero)", "tl.where({0} <= 0.0, 0.0, {0})", "max({0}, 0.0)", "Relu", "relu"
        ),
        lambda a: a if a > 0 else 0.0,
        lambda _y, g, a: (_picked(a > 0, g, 0),),
        lambda a: EquationRange(max(a.low, 0.0), max(a.high, 0.0), a.whole),
        "`relu(a)`: a where it is above 0, else 0.",
    ),
    "exp": _function("exp", "e to the power of a.", math.exp, lambda y, g, _a: (g * y,), _anything, numba="exp({0})"),
    "log": _function("log", "the natural logarithm.", math.log, lambda _y, g, a: (g / a,), _anything),
    "sqrt": _function("sqrt", "the square root.", math.sqrt, lambda y, g, _a: (g / (2 * y),), _anything),
    "sin": _function("sin", "the sine.", math.sin, lambda _y, g, a: (g * a.tape.put("cos", a),), _between(-1, 1)),
    "cos": _function("cos", "the cosine.", math.cos, lambda _y, g, a: (-g * a.tape.put("sin", a),), _between(-1, 1)),
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
        "the hyperbolic tangent.",
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
        "`detach(a)`: a, as a constant to the gradient.",
    ),
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
        "`fire(u)`: 1 where u >= 0, else 0; its gradient is that of the surrogate.",
    ),
}
"""Every operation by its name.

At ties, the gradient of ``min``, ``max``, ``relu`` and ``abs`` goes one way, and that of ``clip`` passes; ``round`` is
to the nearest even number, with gradient 1. ``less``, ``most`` and ``where`` are comparisons, 1 or 0. ``fire`` is 1
where its operand is not below 0, and NaN where it is not finite; its gradient is the slope of a surrogate.
"""

COMPARISONS = frozenset({"less", "most"})
"""Operations of which a condition can be made."""
SIGNS = frozenset(name for name, item in OPERATIONS.items() if item.sign)
"""Operations that a text writes as signs; all others are functions."""
