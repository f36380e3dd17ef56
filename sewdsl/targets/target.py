"""Records of targets: what they compute, by which source, and whether a network fits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass

MAX_NAMED = 3
"""Number of layers named in a message."""


Row: TypeAlias = Mapping[str, str | int]
"""Resources of a layer, by column."""


class Citation(NamedTuple):
    """Public document, or file of a library with its version."""

    title: str
    address: str


class Misfit(NamedTuple):
    """Limit of a target that a layer exceeds."""

    node: Node
    message: str
    help: str


class Fit(NamedTuple):
    """Limits that a network exceeds, the resources of each layer, and unknown properties as in a target.

    Attributes:
        options: Options of ``sewdsl export`` without which the network does not fit.
    """

    misfits: tuple[Misfit, ...]
    rows: tuple[Row, ...]
    unknown: tuple[str, ...]
    options: str = ""


@dataclass(frozen=True)
class Target:
    """Chip, microcontroller or compiler of another project.

    Attributes:
        unknown: Properties that the network alone does not determine.
    """

    name: str
    title: str
    sources: tuple[Citation, ...]
    unknown: tuple[str, ...]

    @property
    @abstractmethod
    def limits(self) -> tuple[str, ...]:
        """Limits as text."""

    @abstractmethod
    def check(self, network: Network) -> Fit:
        """Compare a network with the limits."""


def at_most(node: Node, count: int, limit: int, what: str, help_: str) -> Iterator[Misfit]:
    """Yield a misfit if a count exceeds its limit."""
    if count > limit:
        yield Misfit(node, f"expected at most {limit:,} {what}, got {count:,}", help_)


def diagnose(target: Target, misfits: Iterable[Misfit]) -> Iterator[Diagnostic]:
    """Yield one error for all layers with the same message."""
    groups: dict[tuple[str, str], list[Node]] = {}
    for node, message, help_ in misfits:
        groups.setdefault((message, help_), []).append(node)
    for (message, help_), nodes in groups.items():
        names, others = [node.name for node in nodes[:MAX_NAMED]], len(nodes) - MAX_NAMED
        subject = ", ".join(names) + (f" and {others:,} more" if others > 0 else "")
        text = f"{target.name}: {subject}: {message}"
        yield nodes[0].diagnostic("target-limit", Severity.ERROR, text, help=help_)
