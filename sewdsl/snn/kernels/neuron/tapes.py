"""Tracing of surrogates and joins onto tapes, and their texts for operators.

A text has the instructions of :func:`sewdsl.equations.tape.write_instructions`, separated by ``; ``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from math import e, inf, log
from typing import Any, NamedTuple, NoReturn, Self, TypeGuard, final

import torch

from sewdsl.equations.operations import COMPARISONS
from sewdsl.equations.step import pull_back
from sewdsl.equations.tape import Slope, Tape, TapeEntry, TapeOperators, needed, read_instructions, write_instructions
from sewdsl.snn.protocols import JoinSpec, SurrogateSpec

MAX_UNROLLED_POWER = 8
"""Largest integer power that is multiplied out."""
ARITHMETIC_ONLY = frozenset({"add", "sub", "div", "neg"})
"""Operations that PyTorch rejects or computes differently if all operands are boolean."""
INEXACT = frozenset({"exp", "sqrt"})
"""Operations not allowed in the join of a kernel, since their last bits may differ from PyTorch."""


class NotTraceableError(TypeError):
    """Operation that a tape cannot represent."""


@final
class TracedSymbol(TapeOperators):
    """Placeholder for a value while a formula is traced. Results of comparisons are masks, 0 or 1."""

    def __init__(self, entry: TapeEntry, *, mask: bool = False) -> None:
        self.entry, self.mask = entry, mask

    @classmethod
    def of(cls, value: object, tape: Tape) -> Self:
        """Return a symbol for a number, or the symbol itself."""
        if isinstance(value, cls):
            return value
        if isinstance(value, bool | int | float) and -inf < value < inf:
            return cls(tape.number(value))
        raise NotTraceableError(f"cannot trace {value!r}")

    def put(self, operation: str, *operands: object) -> Self:
        """Append an operation to the tape, and return its result."""
        tape = self.entry.tape
        symbols = [self.of(operand, tape) for operand in operands]
        # E.g. PyTorch rejects the difference of two boolean tensors.
        if operation in ARITHMETIC_ONLY and all(symbol.mask for symbol in symbols):
            raise NotTraceableError
        result = tape.put(operation, *(symbol.entry for symbol in symbols))
        return type(self)(result, mask=operation in COMPARISONS)

    def __pos__(self) -> Self:
        return self

    def __hash__(self) -> NoReturn:
        raise NotTraceableError

    def __eq__(self, other: object) -> NoReturn:
        """Reject tests for equality: no surrogate depends on exact equality of two numbers."""
        raise NotTraceableError

    def __ne__(self, other: object) -> NoReturn:
        raise NotTraceableError

    def __bool__(self) -> NoReturn:
        """Reject branches, which a tape cannot represent."""
        raise NotTraceableError

    def __and__(self, other: object) -> Self:
        if not (self.mask and isinstance(other, TracedSymbol) and other.mask):
            raise NotTraceableError
        return type(self)(self.put("mul", self, other).entry, mask=True)

    def __or__(self, other: Any) -> Self:
        either: Self = ~(~self & ~other)
        return either

    def __invert__(self) -> Self:
        if not self.mask:
            raise NotTraceableError
        return type(self)((1.0 - self).entry, mask=True)

    def __pow__(self, exponent: object) -> Self:
        """Return integer and half-integer powers, multiplied out as in PyTorch."""
        if isinstance(exponent, bool) or not isinstance(exponent, int | float):
            raise NotTraceableError
        if exponent < 0:
            return 1.0 / self**-exponent
        if exponent == 0.5:  # noqa: PLR2004 -- square root
            return self.put("sqrt", self)
        if exponent != int(exponent) or exponent > MAX_UNROLLED_POWER:
            raise NotTraceableError
        result = self if exponent else self.of(1.0, self.entry.tape)
        for _ in range(int(exponent) - 1):
            result = result * self
        return result

    def __rpow__(self, number: Any) -> Self:
        """Return number**self as an exponential."""
        if not number > 0:
            raise NotTraceableError
        return self.put("exp", self if number == e else self * log(number))


def trace_surrogate(surrogate: SurrogateSpec) -> str | None:
    """Return the text of a surrogate's derivative, or None if it cannot be traced.

    Traceable are ``+ - * /``, ``abs``, comparisons and ``& | ~`` of comparisons, integer and half-integer powers, and
    powers with a positive base.
    """
    return _cached_surrogate(surrogate) if _is_cacheable(surrogate) else _surrogate_text(surrogate)


def trace_join(spec: JoinSpec, *, branch: bool) -> str | None:
    """Return the text of a join, or None if it cannot be traced or has no gradient.

    Args:
        branch: Whether the spikes are the branch. Otherwise, they are the identity.
    """
    return _cached_join(spec, branch) if _is_cacheable(spec) else _join_text(spec, branch)


def _is_cacheable(spec: object) -> TypeGuard[Hashable]:
    """Return whether the text of a formula may be cached."""
    # Equal objects of shipped classes have equal formulas. A user's class may change its formula, or define an equality
    # across classes. torch.compile warns about cached functions.
    return not torch.compiler.is_compiling() and type(spec).__module__.startswith("sewdsl.ops.")


def _surrogate_text(surrogate: Any) -> str | None:
    tape = Tape()
    try:
        return tape_text(TracedSymbol.of(surrogate.derivative(TracedSymbol(tape.leaf("u"))), tape).entry)
    except Exception:  # noqa: BLE001 -- user code may raise anything on a symbol
        return None


def _join_text(spec: Any, branch: bool) -> str | None:  # noqa: FBT001 -- positional for the cache key
    tape = Tape()
    s, z = TracedSymbol(tape.leaf("s")), TracedSymbol(tape.leaf("z"))
    try:
        joined: Any = spec.combine(branch=s if branch else z, identity=z if branch else s)
        text = tape_text(joined.entry)
        traced = not joined.mask and not any(entry.operation in INEXACT for entry in needed([joined.entry]))
        return text if traced and _differentiate(text) else None
    except Exception:  # noqa: BLE001 -- user code may raise anything on a symbol
        return None


_cached_surrogate = lru_cache(maxsize=1024)(_surrogate_text)
_cached_join = lru_cache(maxsize=1024)(_join_text)


def tape_text(root: TapeEntry) -> str:
    """Return the instructions that compute a result."""
    entries = needed([root])
    names = {entry: entry.operation for entry in entries if not entry.operands and entry.number is None}
    return "; ".join(write_instructions(entries, names)) or f"set {names[root]}"


def read_tape(tape: Tape, text: str, leaves: Mapping[str, TapeEntry] | None = None) -> TapeEntry:
    """Append the instructions of a text to a tape, and return the last result.

    Args:
        leaves: Results by name, or None for leaves of the tape.
    """
    return read_instructions(tape, text.split("; "), dict(leaves or {name: tape.leaf(name) for name in "usz"}))


@lru_cache(maxsize=256)
def surrogate_slope(text: str) -> Slope:
    """Return the derivative of a surrogate as a function of results on a tape."""
    return lambda u: read_tape(u.tape, text, {"u": u})


class JoinSlopes(NamedTuple):
    """Partial derivatives of a join, on one tape with the leaves ``s`` and ``z``."""

    spikes: TapeEntry
    """Derivative with respect to the spikes."""
    other: TapeEntry
    """Derivative with respect to the other operand."""
    reads_other: bool
    """Whether a derivative depends on the other operand."""


def _differentiate(text: str) -> JoinSlopes | None:
    """Return the derivatives of a join, or None if one of them is identically 0."""
    tape = Tape()
    s, z = tape.leaf("s"), tape.leaf("z")
    # The gradient 1 of the output leaves the partial derivatives.
    pulled = pull_back([(read_tape(tape, text), tape.number(1.0))])
    spikes, other = pulled.get(s), pulled.get(z)
    if spikes is None or other is None or 0 in {spikes.number, other.number}:
        return None
    return JoinSlopes(spikes, other, z in needed([spikes, other]))


join_slopes = lru_cache(maxsize=1024)(_differentiate)
