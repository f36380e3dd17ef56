"""Sharing of weights: keys of the nodes in calls of parts, and the first call as owner of their modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate.block_calls import block_title
from sewdsl.ir.node import MODULE_ATTRIBUTES, Node, PathStep, innermost_part
from sewdsl.ir.signal import Signal
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.tree import BlockDefinition

Path = tuple[PathStep, ...]
Spans = Mapping[Path, Span]
"""Spans of calls of parts, by the path to the sequence of the part."""


def share_weights(nodes: Sequence[Node], spans: Spans) -> Reported[tuple[Node, ...]]:
    """Name the nodes of parts after the part, and let the nodes of later calls use the modules of the first one.

    The keys of the first call are ``Eye.conv1``, those of the second ``Eye2.conv1``. Calls for which the weights of the
    first call do not fit are reported.
    """
    calls = _calls(nodes)
    if not calls:
        return Reported(tuple(nodes))
    steps = _renamed(nodes, calls)
    named = [_named(node, steps) for node in nodes]
    diagnostics: list[Diagnostic] = []
    first: dict[str, Path] = {}
    for path, indices in calls.items():
        owner = first.setdefault(path[-1].label, path)
        if owner is path:
            continue
        owners = {_inner_name(nodes[index]): index for index in calls[owner]}
        users = {_inner_name(nodes[index]): index for index in indices}
        diagnostic = _mismatch(nodes, owners, users, (owner, path), spans)
        if diagnostic is not None:
            diagnostics.append(diagnostic)
            continue
        for name, index in users.items():
            named[index] = replace(named[index], weights=owners[name])
    return Reported(tuple(named), tuple(diagnostics))


def _calls(nodes: Iterable[Node]) -> dict[Path, list[int]]:
    """Return the nodes of each call of a part without those of calls inside it, by the path to the call."""
    calls: dict[Path, list[int]] = {}
    for index, node in enumerate(nodes):
        depth = innermost_part(node.path)
        for outer in range(1, depth + 1):
            if node.path[outer - 1].kind == "part":
                calls.setdefault(node.path[:outer], [])
        if depth:
            calls[node.path[:depth]].append(index)
    return calls


def _renamed(nodes: Iterable[Node], calls: Iterable[Path]) -> dict[Path, PathStep]:
    """Return the last step of the path to each call with its new key: ``Eye``, ``Eye2``, ``Eye3``."""
    taken = {node.name.partition(".")[0] for node in nodes if not innermost_part(node.path)} | MODULE_ATTRIBUTES
    steps: dict[Path, PathStep] = {}
    numbers: dict[str, Iterator[int]] = {}
    # First calls choose first, so that their keys have no number.
    first = {path[-1].label: path for path in reversed([*calls])}
    for path in sorted(calls, key=lambda path: first[path[-1].label] is not path):
        label = path[-1].label
        names = (label if ordinal == 1 else f"{label}{ordinal}" for ordinal in numbers.setdefault(label, count(1)))
        key = next(name for name in names if name not in taken)
        taken.add(key)
        steps[path] = replace(path[-1], key=key)
    return steps


def _named(node: Node, steps: Mapping[Path, PathStep]) -> Node:
    """Return a node with the new keys of the parts in its path and its name."""
    depth = innermost_part(node.path)
    if not depth:
        return node
    path = tuple(steps.get(node.path[: end + 1], step) for end, step in enumerate(node.path))
    keys = [step.key for step in path[depth - 1 :]]
    return replace(node, path=path, name=".".join([*keys, node.name.rpartition(".")[2]]))


def _inner_name(node: Node) -> str:
    """Return the name of a node inside the call of its part."""
    keys = (step.key for step in node.path[innermost_part(node.path) :])
    return ".".join([*keys, node.name.rpartition(".")[2]])


def _mismatch(
    nodes: Sequence[Node], owners: Mapping[str, int], users: Mapping[str, int], calls: tuple[Path, Path], spans: Spans
) -> Diagnostic | None:
    """Return the diagnostic of a call for which the weights of the first call do not fit, or None."""
    first, call = calls
    title, line, span = call[-1].label, spans[first].line, spans[call]
    where = ("body", *(step.where for step in call[:-1]), title)
    for name, index in users.items():
        one, other = nodes[owners[name]] if name in owners else None, nodes[index]
        if one is None or one.op != other.op:
            break
        here, there = (tuple(nodes[i].output for i in node.sources) for node in (other, one))
        if other.op.weights_key(*here) != one.op.weights_key(*there):
            (had, has), verb = _differing(here, there)
            message = f"'{title}' has weights for {had} (line {line}), here {has} {verb}"
            label, hint = (
                f"at {other.op.label} of '{title}'",
                "define it as a block, or make the inputs of all calls equal",
            )
            return Diagnostic("part-mismatch", message, span, label, hint, path=where)
    else:
        if owners.keys() == users.keys():
            return None
    message = f"the layers of '{title}' differ from those of its first call (line {line})"
    hint = "define it as a block, or make the inputs of all calls equal"
    return Diagnostic("part-mismatch", message, span, help=hint, path=where)


def _differing(here: Sequence[Signal], there: Sequence[Signal]) -> tuple[tuple[str, str], str]:
    """Return the texts of the first inputs that differ, and the verb for the second one."""
    pairs = [*zip(there, here, strict=True)]
    differing = next((pair for pair in pairs if pair[0].shape != pair[1].shape), None)
    # Weights of tokens depend on the number of values.
    one, other = differing or next(pair for pair in pairs if pair[0].values != pair[1].values)
    if differing is None:
        had, has = (f"values from {signal.values.lower} to {signal.values.upper}" for signal in (one, other))
        return (had, has), "flow in"
    if one.channels != other.channels and len(one.shape) == len(other.shape):
        had, has = (f"{n} channel{'s' * (n != 1)}" for n in (one.channels, other.channels))
        return (had, has), "flows in" if other.channels == 1 else "flow in"
    return (f"[{one.size}]", f"[{other.size}]"), "flows in"


def check_used(nodes: Iterable[Node], parts: Iterable[BlockDefinition]) -> Iterator[Diagnostic]:
    """Warn about parts that are called once or never."""
    calls = Counter(path[-1].label for path in _calls(nodes))
    for part in parts:
        title = block_title(part)
        times = calls[title]
        if times > 1:
            continue
        message = f"the part '{title}' is {'called once' if times else 'never called'}"
        keyword = part.span.part(0, len(part.keyword))
        fixes = (Fix("write it as a block", (Edit(keyword, "block"),), safe=False),)
        label = "no other call has its weights" if times else ""
        hint = "write it as a block"
        yield Diagnostic("unused-part", message, part.name.span, label, hint, fixes=fixes, severity=Severity.WARNING)
