"""Scope and call path of the elaborator."""

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
    """Scope of a sequence."""

    join: Join
    """Meaning of ``g``."""
    neuron: Activation | None = None
    """Meaning of ``SN``. None means the nearest preceding activation."""
    stated: Activation | None = None
    """Neuron set by the header or by an enclosing call."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """Parameter values of the enclosing block."""
    scope: int = 0
    """Number shared by frames of one walk with equal parameters."""
    path: tuple[PathStep, ...] = ()
    """Steps from the body to the sequence."""
    prefix: str = ""
    """Keys of the steps of the path, each followed by a dot."""
    calls: tuple[str, ...] = ()
    """Names of the enclosing blocks, outermost first."""
    site: Span | None = None
    """Call in the user's source, if the sequence is in a shipped block."""
    names: Mapping[str, NamedValue] = field(default_factory=dict)
    """Named values that sequences can start with."""
    ordinals: Counter[str] = field(default_factory=Counter)
    """Number of uses of each key in this sequence so far."""
    taken: set[str] = field(default_factory=set)
    """Names of nodes and steps in this sequence."""

    def inside(self, step: PathStep) -> CallFrame:
        """Return the frame of a nested sequence."""
        path, prefix = (*self.path, step), f"{self.prefix}{step.key}."
        return CallFrame(
            self.join, self.neuron, self.stated, self.parameters, self.scope, path, prefix, self.calls, self.site,
            self.names,
        )  # fmt: skip

    def with_names(self, names: Mapping[str, NamedValue]) -> CallFrame:
        """Return a copy with other named values. Their names are reserved in this sequence."""
        return replace(self, names=names, taken=self.taken.union(value_keys(names).values()))

    def name(self, key: str) -> str:
        """Return a new unique name in this sequence: ``conv2`` for the second convolution."""
        while True:
            self.ordinals[key] += 1
            name = f"{key}{self.ordinals[key]}"
            if name not in self.taken:  # The first call of a block 'conv1' and the 11th 'conv' would both be conv11.
                self.taken.add(name)
                return name

    def call(self, key: str, operands: Sequence[str]) -> tuple[str, list[PathStep]]:
        """Return the name of a block call, and the steps to its operands."""
        while True:
            name = self.name(key)
            keys = [f"{name}_{operand}" for operand in operands]
            if not self.taken.intersection(keys):
                self.taken.update(keys)
                return name, [PathStep("value", *pair) for pair in zip(operands, keys, strict=True)]

    def operands(self, names: Sequence[str], *, loop: bool = False) -> list[PathStep]:
        """Return the steps to the operands of a merge, or to the body and the feedback of a loop."""
        while True:
            self.ordinals[names[0]] += 1
            ordinal = self.ordinals[names[0]]
            # The first merge has no number, so that the usual keys are ``branch`` and ``shortcut``.
            free = value_keys(names)
            keys = [f"{name}{'_' * name[-1].isdigit()}{ordinal}" if ordinal > 1 else free[name] for name in names]
            if not self.taken.intersection(keys):
                self.taken.update(keys)
                return [
                    PathStep("branch" if index == 0 else "shortcut", name, key)
                    if tuple(names) == JOIN_OPERANDS
                    else PathStep("loop" if loop else "operand", name, key, index + 1, len(names))
                    for index, (name, key) in enumerate(zip(names, keys, strict=True))
                ]

    def node_name(self, key: str) -> str:
        """Return the unique name of a new node: ``repeat1.3.sew_block1.branch.conv2``."""
        return self.prefix + self.name(key)

    def where(self, text: str) -> tuple[str, ...]:
        """Return the path to a text for diagnostics."""
        return ("body", *(step.where for step in self.path), text)
