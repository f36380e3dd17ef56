"""Ops of calls of parts in networks for texts, in which each call is one node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from sewdsl.ir.op import Layer, Merge, Op
from sewdsl.ir.signal import Signal

if TYPE_CHECKING:
    from sewdsl.snn.runtime import Runtime


class _NotComputed(Op):
    """Op of a network that only determines a text."""

    title: str

    def infer(self, *_inputs: Signal) -> NoReturn:
        raise TypeError(f"{self.title} is a name in a text")

    def build(self, _runtime: type[Runtime], *_inputs: Signal) -> NoReturn:
        raise TypeError(f"{self.title} is a name in a text")


class PartOperand(_NotComputed, Layer):
    """Operand inside a part, other than the first one."""


class CalledPart(PartOperand):
    """Call of a part with one input."""


class CalledMerge(_NotComputed, Merge):
    """Call of a part with several operands."""


PartOperand.kind = PartOperand.key = CalledMerge.kind = CalledMerge.key = "part"


def is_call(op: Op) -> bool:
    """Return whether an op is a call of a part."""
    return isinstance(op, CalledPart | CalledMerge)
