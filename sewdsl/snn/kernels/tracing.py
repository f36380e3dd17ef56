"""A surrogate's derivative, written down as it computes.

A surrogate states its derivative in plain arithmetic. Handed a symbol in place of a number, that arithmetic leaves a
*tape* behind: a text that any kernel can be generated from, and that says the same in every process::

    mul 3.141592653589793 u; mul t0 t0; add 1.0 t1; div 1.0 t2

is the arc tangent's. Each instruction names what it does and with what: ``u`` (H - v_threshold), a number, or ``t0``,
``t1``, … for the result of the first, second, … instruction. The last result is the slope.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import e, inf, log
from typing import Any, NoReturn, final

from sewdsl.snn.specification import SurrogateSpec

MAX_UNROLLED_POWER = 8
"""The highest whole power that is multiplied out."""

ARITHMETIC_ONLY = {"add", "sub", "div", "neg"}
"""What means another thing, or nothing, where all operands are comparisons."""


def trace_surrogate(surrogate: SurrogateSpec) -> str | None:
    """The tape of a surrogate's derivative; None where it does more than plain arithmetic.

    Plain arithmetic is ``+ - * /``, ``abs``, comparisons and ``& | ~`` of comparisons, whole and half powers, and a
    positive number to the power of anything.
    """
    tape: list[str] = []
    try:
        slope = surrogate.derivative(TracedSymbol(tape, "u"))
        if not isinstance(slope, TracedSymbol):
            slope = TracedSymbol(tape, _number(slope))
    except Exception:  # noqa: BLE001 -- whatever code of others raises when it meets a symbol, it cannot be traced
        return None
    if slope.name != f"t{len(tape) - 1}":
        slope.write("set", slope)
    return "; ".join(tape)


class NotTraceableError(TypeError):
    """Something that a tape cannot say."""


def _number(value: object) -> str:
    if isinstance(value, bool | int | float) and -inf < value < inf:
        return repr(float(value))
    message = f"cannot trace {value!r}"
    raise NotTraceableError(message)


@final
class TracedSymbol:
    """Stands for a number while a formula is written down.

    Attributes:
        name: What the tape calls it.
        mask: Whether it is the result of a comparison, 0 or 1.
    """

    def __init__(self, tape: list[str], name: str, *, mask: bool = False) -> None:
        self._tape, self.name, self.mask = tape, name, mask

    def write(self, instruction: str, *operands: object, mask: bool = False) -> TracedSymbol:
        """Puts an instruction on the tape and returns its result."""
        if instruction in ARITHMETIC_ONLY and all(
            isinstance(operand, TracedSymbol) and operand.mask for operand in operands
        ):
            raise NotTraceableError
        names = [operand.name if isinstance(operand, TracedSymbol) else _number(operand) for operand in operands]
        self._tape.append(" ".join([instruction, *names]))
        return TracedSymbol(self._tape, f"t{len(self._tape) - 1}", mask=mask)

    def __add__(self, other: object) -> TracedSymbol:
        return self.write("add", self, other)

    def __radd__(self, other: object) -> TracedSymbol:
        return self.write("add", other, self)

    def __sub__(self, other: object) -> TracedSymbol:
        return self.write("sub", self, other)

    def __rsub__(self, other: object) -> TracedSymbol:
        return self.write("sub", other, self)

    def __mul__(self, other: object) -> TracedSymbol:
        return self.write("mul", self, other)

    def __rmul__(self, other: object) -> TracedSymbol:
        return self.write("mul", other, self)

    def __truediv__(self, other: object) -> TracedSymbol:
        return self.write("div", self, other)

    def __rtruediv__(self, other: object) -> TracedSymbol:
        return self.write("div", other, self)

    def __neg__(self) -> TracedSymbol:
        return self.write("neg", self)

    def __pos__(self) -> TracedSymbol:
        return self

    def __abs__(self) -> TracedSymbol:
        return self.write("abs", self)

    def __lt__(self, other: object) -> TracedSymbol:
        return self.write("less", self, other, mask=True)

    def __le__(self, other: object) -> TracedSymbol:
        return self.write("most", self, other, mask=True)

    def __gt__(self, other: object) -> TracedSymbol:
        return self.write("less", other, self, mask=True)

    def __ge__(self, other: object) -> TracedSymbol:
        return self.write("most", other, self, mask=True)

    def __hash__(self) -> NoReturn:
        raise NotTraceableError

    def __eq__(self, other: object) -> NoReturn:
        """No surrogate depends on whether two numbers are the same to the last digit."""
        raise NotTraceableError

    def __ne__(self, other: object) -> NoReturn:
        raise NotTraceableError

    def __bool__(self) -> NoReturn:
        """A tape has no branches."""
        raise NotTraceableError

    def __and__(self, other: object) -> TracedSymbol:
        return self.write("mul", *_masks(self, other), mask=True)

    def __or__(self, other: object) -> TracedSymbol:
        one, another = _masks(self, other)
        return ~(~one & ~another)

    def __invert__(self) -> TracedSymbol:
        _masks(self, self)
        return self.write("sub", 1.0, self, mask=True)

    def __pow__(self, exponent: object) -> TracedSymbol:
        """Whole and half powers, multiplied out as torch does."""
        if isinstance(exponent, bool | TracedSymbol) or not isinstance(exponent, int | float):
            raise NotTraceableError
        if exponent < 0:
            return 1.0 / self**-exponent
        if exponent == 0.5:  # noqa: PLR2004 -- a square root
            return self.write("sqrt", self)
        if exponent != int(exponent) or exponent > MAX_UNROLLED_POWER:
            raise NotTraceableError
        result = self if exponent else self.write("set", 1.0)
        for _ in range(int(exponent) - 1):
            result = result * self
        return result

    def __rpow__(self, number: Any) -> TracedSymbol:
        """An exponential."""
        if not number > 0:
            raise NotTraceableError
        return self.write("exp", self if number == e else self * log(number))


def _masks(*operands: object) -> tuple[TracedSymbol, ...]:
    """The operands of a logical operation, which must be comparisons."""
    masks = tuple(operand for operand in operands if isinstance(operand, TracedSymbol) and operand.mask)
    if len(masks) < len(operands):
        raise NotTraceableError
    return masks


def tape_to_lines(tape: str, instructions: Mapping[str, str], number: str, result: str = "t") -> list[str]:
    """A tape as lines of a program.

    Args:
        tape: What to write.
        instructions: A pattern with ``{0}`` and ``{1}`` for each instruction.
        number: A pattern with ``{}`` for numbers.
        result: What results are called: this and their number.
    """
    lines = []
    for index, entry in enumerate(tape.split("; ")):
        instruction, *operands = entry.split()
        names = [name if name[0].isalpha() else number.format(name) for name in operands]
        names = [result + name[1:] if name[0] == "t" else name for name in names]
        lines.append(f"{result}{index} = {instructions[instruction].format(*names)}")
    return lines
