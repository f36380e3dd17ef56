"""A join, written down as it computes, and its derivatives.

The tape is one of :mod:`tracing`, of two numbers: ``s``, the spikes of the neurons that the join runs together with,
and ``z``, its other operand. ``sub 1.0 s; mul t0 z`` is (1 - A) · S where the neurons are the branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sewdsl.snn.kernels.tracing import NotTraceableError, TracedSymbol
from sewdsl.snn.specification import JoinSpec

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
    """Goes along a tape with the derivative of each number beside it."""
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
    needed, todo = set[int](), [len(tape) - 1]
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


def _sign(x: Number) -> Number:
    return (x > 0) * 1.0 - (x < 0) * 1.0


Rule = Callable[[TracedSymbol, Sequence[Number], Sequence[Number]], Number]

RULES: dict[str, Rule] = {
    "set": lambda _y, _x, d: d[0],
    "add": lambda _y, _x, d: _plus(d[0], d[1]),
    "sub": lambda _y, _x, d: _plus(d[0], _times(-1.0, d[1])),
    "mul": lambda _y, x, d: _plus(_times(d[0], x[1]), _times(x[0], d[1])),
    "div": lambda y, x, d: _times(_plus(d[0], _times(-1.0, _times(y, d[1]))), 1.0 / x[1]),
    "neg": lambda _y, _x, d: _times(-1.0, d[0]),
    "abs": lambda _y, x, d: _times(_sign(x[0]), d[0]),
    "less": lambda _y, _x, _d: 0.0,
    "most": lambda _y, _x, _d: 0.0,
}
"""The derivative of an instruction, from its result, its operands and their derivatives."""
