"""Where the elaborator stands: what names mean here, and the way here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sewdsl.ir.network import Step
from sewdsl.ir.op import Activation, Join
from sewdsl.source import Span


@dataclass(frozen=True)
class Frame:
    """The surroundings of a sequence.

    Attributes:
        parameters: Values of the enclosing block's parameters.
        neuron: What ``SN`` means; None: the activation nearest before.
        join: What ``g`` means.
        path: The way here.
        calls: Names of the blocks being expanded.
        site: Inside a block of the shipped library, the call in the user's text.
        ordinals: How often each key was used in this sequence so far.
    """

    join: Join
    neuron: Activation | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    path: tuple[Step, ...] = ()
    calls: tuple[str, ...] = ()
    site: Span | None = None
    ordinals: Counter[str] = field(default_factory=Counter)

    def inside(self, step: Step) -> Frame:
        """The frame of a sequence one step further in."""
        return replace(self, path=(*self.path, step), ordinals=Counter())

    def number(self, key: str) -> int:
        """Counts a key; how many there are now."""
        self.ordinals[key] += 1
        return self.ordinals[key]

    def node_name(self, key: str) -> str:
        """The unique name of a new node with this key: ``repeat1.3.sew_block1.branch.conv2``."""
        return ".".join([*(step.key for step in self.path), f"{key}{self.number(key)}"])

    def where(self, text: str) -> tuple[str, ...]:
        """The way to a text, as diagnostics print it."""
        return ("body", *map(str, self.path), text)
