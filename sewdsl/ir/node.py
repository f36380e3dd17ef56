"""Nodes of a network, and their paths through repeats, blocks and operands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, Self

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.graph import Graph
from sewdsl.ir.op import Op
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.source import BUILTIN, Span

# A literal list, because importing torch takes seconds. A test compares the list with the modules.
MODULE_ATTRIBUTES = frozenset({
    "T_destination", "add_module", "backend", "reset", "step_mode", "store_v_seq", "supported_backends",
    "apply", "at", "bfloat16", "buffers", "call_super_init", "children", "compile", "cpu",
    "cuda", "double", "doubts_layout", "dump_patches", "eval", "event_listener", "example", "extra_repr", "float",
    "forward",
    "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "layers", "load_state_dict",
    "modules", "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "network", "parameters",
    "path", "program", "read_inputs", "register_backward_hook", "register_buffer", "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "run", "set_extra_state", "set_submodule", "share_memory",
    "state_dict", "stream", "to", "to_empty", "train", "training", "type", "xpu", "zero_grad",
})  # fmt: skip
"""Attributes of the modules of a network, of PyTorch or sewdsl, which no part can be named after."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of the path to a node."""

    kind: Literal["repeat", "block", "part", "branch", "shortcut", "operand", "loop", "value"]
    """``repeat`` (a copy of a repeated sequence), ``block`` or ``part`` (a call), ``branch`` or ``shortcut`` (of a join
    of two operands), ``operand`` (of any other merge), ``loop`` (its body or its feedback), ``value`` (a named value:
    of ``let``, or an operand of a call)."""
    label: str
    """``SEW Block`` for a block, the name of an operand or a value, otherwise the kind."""
    key: str
    """Part of the ``state_dict`` key: ``repeat1.3``, ``sew_block1``, ``branch``. Names of nodes in a part do not
    contain the keys before it."""
    copy: int = 0
    """Number of the copy of a repeat, or of the operand of a merge or loop, from 1."""
    copies: int = 0
    arguments: str = ""
    """Values of the parameters of a block, e.g. ``c128s2``."""
    line: int = field(default=0, compare=False)
    """Line of the call of a user-defined block, or 0 for other steps. Ignored in comparisons."""

    def __str__(self) -> str:
        return f"copy {self.copy} of {self.copies}" if self.kind == "repeat" else self.label

    @property
    def calls(self) -> bool:
        """True for a call of a block or a part."""
        return self.kind in {"block", "part"}

    @property
    def where(self) -> str:
        """Text of the step in diagnostics: ``My Block (line 9)`` for a user-defined block."""
        return f"{self} (line {self.line})" if self.line else str(self)


def enclosing_parts(name: str) -> Iterator[str]:
    """Yield the parts around a layer, the outermost first, and the layer itself: ``a``, ``a.b``, ``a.b.conv1``."""
    steps = name.split(".")
    for depth in range(1, len(steps) + 1):
        yield ".".join(steps[:depth])


def innermost_part(path: Sequence[PathStep]) -> int:
    """Return the number of steps of a path up to its innermost call of a part, or 0 outside of parts."""
    return next((depth for depth in range(len(path), 0, -1) if path[depth - 1].kind == "part"), 0)


# Shared with drafts of imported networks, which have edges before they have ops.
class Wired:
    """Edges of a node or of a node under construction: ``inputs``, ``delayed`` and ``weights``, see :class:`Node`."""

    __slots__ = ()

    if TYPE_CHECKING:
        inputs: tuple[int, ...]
        delayed: int | None
        weights: int | None

    @property
    def feeds_back(self) -> bool:
        """True for a delay in a loop, which has a delayed source instead of inputs."""
        return self.delayed is not None

    @property
    def sources(self) -> tuple[int, ...]:
        """Indices of the nodes that are read, including the delayed source."""
        return self.inputs if self.delayed is None else (self.delayed,)

    def moved(self, places: Mapping[int, int] | Sequence[int]) -> Self:
        """Return a copy with new indices, by old index, of its sources and of the owner of its weights."""
        delayed, weights = (None if each is None else places[each] for each in (self.delayed, self.weights))
        inputs = tuple([places[i] for i in self.inputs])
        # dataclasses.replace keeps subclasses and their additional fields.
        return replace(self, inputs=inputs, delayed=delayed, weights=weights)  # type: ignore[type-var]


def graph_of(nodes: Sequence[Wired]) -> Graph:
    """Return the graph of the nodes."""
    back_edges = {index: node.delayed for index, node in enumerate(nodes) if node.delayed is not None}
    return Graph([node.inputs for node in nodes], back_edges)


@dataclass(frozen=True, slots=True)
class Node(Wired):
    """One operation of a network."""

    name: str
    """Unique and stable name, which is the prefix of its parameters in the ``state_dict``:
    ``repeat1.3.sew_block1.branch.conv2``."""
    op: Op
    inputs: tuple[int, ...]
    """Indices of the input nodes, all smaller than the index of the node. For a join, (branch, identity)."""
    output: Signal
    path: tuple[PathStep, ...] = ()
    """Path through repeats, blocks and joins."""
    span: Span = field(default=BUILTIN, compare=False, repr=False)
    """Span in the source. For a node inside a block of the shipped library, the span of the call."""
    delayed: int | None = None
    """Index of the delayed source, for a delay in a loop. Such a delay has no inputs, and its source is usually a later
    node."""
    weights: int | None = None
    """Index of the node whose module this node uses, in the first call of a part. None: a module of its own."""

    @property
    def stores_nothing(self) -> bool:
        """True if the value of one time-step shares the memory of the source."""
        return self.op.view or self.feeds_back

    def is_in(self, pattern: str) -> bool:
        """Return whether the name of the node, or the name of a part around it, matches a pattern.

        Args:
            pattern: A name, in which ``*`` matches any characters including dots, ``?`` one character, and ``[…]`` one
                of several.
        """
        return any(fnmatchcase(name, pattern) for name in enclosing_parts(self.name))

    @property
    def where(self) -> tuple[str, ...]:
        """Path as printed in diagnostics: ``("body", "copy 3 of 7", "SEW Block", "MPk2s2p0")``."""
        return ("body", *(step.where for step in self.path), self.op.label)

    def diagnostic(self, code: str, severity: Severity, message: str, label: str = "", help: str = "") -> Diagnostic:
        """Return a diagnostic at the node."""
        return Diagnostic(code, message, self.span, label, help, self.where, severity=severity)
