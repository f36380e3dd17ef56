"""Whether ``neuron`` and ``join``, put over a text, reach what the user means by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.overrides import Override
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Op
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON
from sewdsl.syntax.tree import Body

MAX_BODY = 160
"""Characters of a body that a help repeats."""
MAX_NAMES = 3
"""Neurons that a message names."""

Recompile = Callable[[Sequence[Override]], Network | None]
"""The network of the same text with other overrides; None where there is none."""


def check_reach(
    network: Network, named: Sequence[int], changes: Sequence[Override], body: Body | None, recompile: Recompile
) -> Iterator[Diagnostic]:
    """Complains of a ``neuron`` that reaches only some of the file's, and of a ``neuron`` or ``join`` without effect.

    A body may name its neurons, as strings in papers do. Where the file's ``neuron`` line says the same, nothing tells
    which of the two the option is for, and with another neuron the network would be an unwanted mixture.

    Args:
        network: The whole network, with the overrides.
        named: Indices of neurons that the text names.
        body: The expression, with the overrides.
        recompile: Compiles the text with some of the overrides.
    """
    neurons, others = _parted("neuron", changes)
    wanted = network.settings.neuron
    ours = _ops(network, Activation)
    if neurons and (not ours or any(op != wanted for op in ours)):
        before = recompile(others)
        left = [] if before is None else _left(network, before, named, changes)
        if left:
            yield _describe_left(left, len(ours), neurons, body)
        elif before is not None and _idle(wanted, before.settings.neuron, ours, _ops(before, Activation)):
            yield _describe_idle(neurons, OWN_NEURON, ours)
    joins, others = _parted("join", changes)
    if joins and network.settings.join not in _ops(network, Join):
        before = recompile(others)
        ours = _ops(network, Join)
        if before is not None and _idle(network.settings.join, before.settings.join, ours, _ops(before, Join)):
            yield _describe_idle(joins, OWN_JOIN, ours)


def _parted(key: str, changes: Sequence[Override]) -> tuple[list[Override], list[Override]]:
    """The overrides of a setting or of what is in it, and the others."""
    ours = [change for change in changes if change.key.split(".")[0] == key]
    return ours, [change for change in changes if change not in ours]


def _left(network: Network, before: Network, named: Sequence[int], changes: Sequence[Override]) -> list[Node]:
    """Neurons that were the file's own and are not the new one, since the text names them; not what a change names."""
    if before.settings.neuron is None or len(before) != len(network):
        return []
    places = [change.place for change in changes]
    nodes = [network.nodes[i] for i in named if before.nodes[i].op == before.settings.neuron]
    wanted = network.settings.neuron
    return [node for node in nodes if node.op != wanted and not any(_inside(node.span, place) for place in places)]


def _idle(wanted: Op | None, written: Op | None, ours: list[Op], theirs: list[Op]) -> bool:
    """Whether another setting has left all ops as they were, and none of them is what it says."""
    return wanted != written and ours == theirs and wanted not in ours


def _ops(network: Network, family: type[Op]) -> list[Op]:
    return [node.op for node in network if isinstance(node.op, family)]


def _describe_left(left: Sequence[Node], count: int, neurons: Sequence[Override], body: Body | None) -> Diagnostic:
    names = [node.name for node in left[:MAX_NAMES]]
    more = f" and {len(left) - MAX_NAMES} more" if len(left) > MAX_NAMES else ""
    reached = f"{count - len(left)} of {count} neurons"
    return Diagnostic(
        "neuron-not-reached",
        Severity.ERROR,
        f"{_typed(neurons)} reaches {reached}: the text names {', '.join(names)}{more} itself",
        left[0].span,
        label=f"stays {left[0].op.kind}",
        help=_advice(left, body),
        path=left[0].where,
    )


def _advice(left: Sequence[Node], body: Body | None) -> str:
    """How the option comes to reach them: with the body repeated, if it is short and names all of them itself."""
    if not all(node.span.text.startswith(node.op.kind) for node in left):
        return f"write {OWN_NEURON} in place of {_kinds(left)}, and call blocks that say {OWN_NEURON}"
    span = None if body is None else body.expression.span
    if span is not None and all(_inside(node.span, span) for node in left):
        text = span.text
        for start, end in sorted({(node.span.start, node.span.end) for node in left}, reverse=True):
            text = text[: start - span.start] + OWN_NEURON + text[end - span.start :]
        text = " ".join(text.split())
        if len(text) <= MAX_BODY:
            return f"write {OWN_NEURON} in the body: --set 'body={text}'"
    return f"write {OWN_NEURON} in place of {_kinds(left)}, in a copy of the file if it is not yours"


def _describe_idle(changes: Sequence[Override], meant: str, ops: Sequence[Op]) -> Diagnostic:
    """Says that nothing in the network is what the overrides give a meaning to."""
    kinds = ", ".join(dict.fromkeys(op.kind for op in ops))
    advice = f", or give a body or a block that says {meant}"
    label = f"it says {kinds}" if ops else ""
    return _without_effect(changes, f"nothing in the network is '{meant}'", label, advice)


def _without_effect(changes: Sequence[Override], why: str, label: str = "", advice: str = "") -> Diagnostic:
    return Diagnostic(
        "override-without-effect",
        Severity.WARNING,
        f"{_typed(changes)} changes nothing: {why}",
        changes[0].place,
        label=label,
        help=f"leave it out{advice}",
    )


def _typed(changes: Sequence[Override]) -> str:
    """The overrides as the user gave them: as options, or in a study."""
    return " ".join(c.typed if c.within is None else f"{c.key}={c.text.strip()}" for c in changes)


def _kinds(nodes: Sequence[Node]) -> str:
    return ", ".join(dict.fromkeys(node.op.kind for node in nodes))


def _inside(span: Span, other: Span) -> bool:
    return span.source == other.source and other.start <= span.start and span.end <= other.end


def check_variants(changes: Sequence[Override], variants: Sequence[Sequence[Override]]) -> Iterator[Diagnostic]:
    """Complains of overrides that every variant of a study replaces by its own.

    Args:
        changes: What was put over the file.
        variants: What each variant puts over that.
    """
    for change in changes:
        if variants and all(any(_replaces(other, change) for other in variant) for variant in variants):
            head = next(other.key for other in variants[0] if _replaces(other, change))
            yield _without_effect([change], f"every variant of the study sets '{head}' itself")


def _replaces(other: Override, change: Override) -> bool:
    """Whether nothing is left of an override after another one."""
    return change.key == other.key or change.key.startswith(f"{other.key}.")
