"""Where the elaborator is: what names mean here, and the way here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from sewdsl.elaborate.named_values import NamedValue, value_keys
from sewdsl.ir.node import PathStep
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Join
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Span


@dataclass(frozen=True)
class CallFrame:
    """The surroundings of a sequence.

    Attributes:
        scope: A number that frames with the same parameters of the same walk share.
        neuron: What ``SN`` means here; None: the activation nearest before.
        stated: What the header or an enclosing call says that ``SN`` means.
        prefix: The keys of the steps of the path, each followed by a dot.
        site: Inside a block of the shipped library, the call in the user's text.
        names: The named values that sequences may begin with.
        ordinals: How often each key was used in this sequence so far.
        taken: The names given in this sequence.
    """

    join: Join
    neuron: Activation | None = None
    stated: Activation | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    scope: int = 0
    path: tuple[PathStep, ...] = ()
    prefix: str = ""
    calls: tuple[str, ...] = ()
    site: Span | None = None
    names: Mapping[str, NamedValue] = field(default_factory=dict)
    ordinals: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)

    def inside(self, step: PathStep) -> CallFrame:
        """The frame of a sequence one step further in."""
        path, prefix = (*self.path, step), f"{self.prefix}{step.key}."
        return CallFrame(
            self.join, self.neuron, self.stated, self.parameters, self.scope, path, prefix, self.calls, self.site,
            self.names,
        )  # fmt: skip

    def with_names(self, names: Mapping[str, NamedValue]) -> CallFrame:
        """The same frame with other named values, whose names no node of this sequence gets."""
        return replace(self, names=names, taken=self.taken.union(value_keys(names).values()))

    def name(self, key: str) -> str:
        """A name of this sequence that no other has: ``conv2``, the second convolution."""
        while True:
            self.ordinals[key] += 1
            name = f"{key}{self.ordinals[key]}"
            if name not in self.taken:  # a block called 'conv1' and the 11th 'conv' would meet at conv11
                self.taken.add(name)
                return name

    def call(self, key: str, operands: Sequence[str]) -> tuple[str, list[PathStep]]:
        """The name of a call of a block with this key, and the steps to its operands, which begin with that."""
        while True:
            name = self.name(key)
            keys = [f"{name}_{operand}" for operand in operands]
            if not self.taken.intersection(keys):
                self.taken.update(keys)
                return name, [PathStep("value", *pair) for pair in zip(operands, keys, strict=True)]

    def operands(self, names: Sequence[str], *, loop: bool = False) -> list[PathStep]:
        """The steps into the operands of a merge; the first merge of a sequence with such operands has no number.

        Args:
            loop: Whether they are the body and the feedback of a loop.
        """
        while True:
            self.ordinals[names[0]] += 1
            number = self.ordinals[names[0]]
            keys = [f"{name}{'_' * name[-1].isdigit()}{number}" if number > 1 else name for name in names]
            if not self.taken.intersection(keys):
                self.taken.update(keys)
                return [
                    PathStep("branch" if place == 0 else "shortcut", name, key)
                    if tuple(names) == JOIN_OPERANDS
                    else PathStep("loop" if loop else "operand", name, key, place + 1, len(names))
                    for place, (name, key) in enumerate(zip(names, keys, strict=True))
                ]

    def node_name(self, key: str) -> str:
        """The unique name of a new node with this key: ``repeat1.3.sew_block1.branch.conv2``."""
        return self.prefix + self.name(key)

    def where(self, text: str) -> tuple[str, ...]:
        """The way to a text, as diagnostics print it."""
        return ("body", *(step.where for step in self.path), text)
