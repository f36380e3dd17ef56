"""Surrogate derivatives and joins as tapes: straight-line text that kernels are generated from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import e, inf, log
from typing import Any, NamedTuple, NoReturn, final

from sewdsl.snn.protocols import JoinSpec, SurrogateSpec

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


Number = TracedSymbol | float
ONE = "set 1.0"
"""The derivative of what is passed on as it is."""


class JoinDerivatives(NamedTuple):
    """Tapes of the two derivatives of a join.

    Attributes:
        spikes: By the spikes.
        other: By the other operand.
    """

    spikes: str
    other: str

    @property
    def read_other(self) -> bool:
        """Whether they depend on the other operand."""
        return any("z" in entry.split() for tape in self for entry in tape.split("; "))


def trace_join(spec: JoinSpec, *, branch: bool) -> str | None:
    """The tape of a join; None where it does more than plain arithmetic, or has no gradient that a tape can say.

    Args:
        spec: What it computes.
        branch: Whether the spikes are the branch; else they are the identity.
    """
    tape: list[str] = []
    s, z = TracedSymbol(tape, "s"), TracedSymbol(tape, "z")
    try:
        value = spec.combine(branch=s if branch else z, identity=z if branch else s)  # type: ignore[arg-type]
        text = _ending(tape, value)
    except Exception:  # noqa: BLE001 -- whatever code of others raises when it meets a symbol, it cannot be traced
        return None
    return text if differentiate_join(text) else None


@lru_cache(maxsize=1024)
def differentiate_join(tape: str) -> JoinDerivatives | None:
    """The derivatives of a join's tape; None where one is not known, or nothing but zero."""
    entries = tape.split("; ")
    try:
        found = [_derivative(entries, by) for by in "sz"]
    except KeyError:
        return None
    return None if "set 0.0" in found else JoinDerivatives(*found)


def _ending(tape: list[str], result: object) -> str:
    """The tape of what a formula gave: a number that is no comparison, and the last one."""
    if not isinstance(result, TracedSymbol) or result.mask:
        raise NotTraceableError
    if result.name != f"t{len(tape) - 1}":
        result.write("set", result)
    return "; ".join(tape)


def _derivative(entries: Sequence[str], by: str) -> str:
    """Goes along a tape with the derivative of each number next to it."""
    tape: list[str] = []
    values: dict[str, Number] = {name: TracedSymbol(tape, name) for name in "sz"}
    slopes: dict[str, Number] = {name: float(name == by) for name in "sz"}
    for index, entry in enumerate(entries):
        instruction, *names = entry.split()
        operands = [values[name] if name in values else float(name) for name in names]
        value = values[f"t{index}"] = TracedSymbol(tape, "").write(instruction, *operands)
        slopes[f"t{index}"] = RULES[instruction](value, operands, [slopes.get(name, 0.0) for name in names])
    slope = slopes[f"t{len(entries) - 1}"]
    if not isinstance(slope, TracedSymbol):
        return f"set {slope!r}"
    slope.write("set", slope)
    return _pruned(tape)


def _pruned(tape: Sequence[str]) -> str:
    """What the last instruction of a tape needs."""
    needed: set[int] = set()  # torch's compiler runs this too, and knows no set[int]()
    todo = [len(tape) - 1]
    while todo:
        needed.add(index := todo.pop())
        todo += [int(name[1:]) for name in tape[index].split()[1:] if name[0] == "t"]
    names = {f"t{old}": f"t{new}" for new, old in enumerate(sorted(needed))}
    return "; ".join(" ".join(names.get(word, word) for word in tape[old].split()) for old in sorted(needed))


def _plus(a: Number, b: Number) -> Number:
    if not isinstance(a, TracedSymbol) and a == 0:
        return b
    return a if not isinstance(b, TracedSymbol) and b == 0 else a + b


def _times(a: Number, b: Number) -> Number:
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, TracedSymbol) and one in {0, 1}:
            return other if one else 0.0
    return a * b


Rule = Callable[[TracedSymbol, Sequence[Number], Sequence[Number]], Number]

RULES: dict[str, Rule] = {
    "set": lambda _y, _x, d: d[0],
    "add": lambda _y, _x, d: _plus(d[0], d[1]),
    "sub": lambda _y, _x, d: _plus(d[0], _times(-1.0, d[1])),
    "mul": lambda _y, x, d: _plus(_times(d[0], x[1]), _times(x[0], d[1])),
    "div": lambda y, x, d: _times(_plus(d[0], _times(-1.0, _times(y, d[1]))), 1.0 / x[1]),
    "neg": lambda _y, _x, d: _times(-1.0, d[0]),
    "abs": lambda _y, x, d: _times((x[0] > 0) * 1.0 - (x[0] < 0) * 1.0, d[0]),
    "less": lambda _y, _x, _d: 0.0,
    "most": lambda _y, _x, _d: 0.0,
}
"""The derivative of an instruction, from its result, its operands and their derivatives."""
