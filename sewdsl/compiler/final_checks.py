"""Checks of a whole network beyond the rules: overrides, claimed figures, ``allow`` lines, classes and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sewdsl.checks.expectation import compute_quantity, is_measured
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import SECTIONS, Assembly
from sewdsl.elaborate.overrides import CLASSES, Override
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ir.printed_values import format_bytes
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON
from sewdsl.syntax.tree import Allow, Body

MAX_BODY = 160
"""Characters of a body that a help repeats."""
MAX_NAMES = 3
"""Neurons that a message names."""

Recompile = Callable[[Sequence[Override]], Network | None]
"""The network of the same text with other overrides; None where there is none."""


def check_reach(
    network: Network, named: Sequence[int], changes: Sequence[Override], body: Body | None, recompile: Recompile
) -> Iterator[Diagnostic]:
    """Complain of a ``neuron`` that reaches only some of the file's, and of a ``neuron`` or ``join`` without effect.

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
    """Return the overrides of a setting or of what is in it, and the others."""
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
    """Return whether another setting has left all ops as they were, and none of them is what it says."""
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
    """Say that nothing in the network is what the overrides give a meaning to."""
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
    """Return the overrides as the user gave them: as options, or in a study."""
    return " ".join(c.typed if c.within is None else f"{c.key}={c.text.strip()}" for c in changes)


def _kinds(nodes: Sequence[Node]) -> str:
    return ", ".join(dict.fromkeys(node.op.kind for node in nodes))


def _inside(span: Span, other: Span) -> bool:
    return span.source == other.source and other.start <= span.start and span.end <= other.end


def check_variants(changes: Sequence[Override], variants: Sequence[Sequence[Override]]) -> Iterator[Diagnostic]:
    """Complain of overrides that every variant of a study replaces by its own.

    Args:
        changes: What was put over the file.
        variants: What each variant puts over that.
    """
    for change in changes:
        if variants and all(any(_replaces(other, change) for other in variant) for variant in variants):
            head = next(other.key for other in variants[0] if _replaces(other, change))
            yield _without_effect([change], f"every variant of the study sets '{head}' itself")


def _replaces(other: Override, change: Override) -> bool:
    """Return whether nothing is left of an override after another one."""
    return change.key == other.key or change.key.startswith(f"{other.key}.")


def apply_allow_lines(
    said: Sequence[Diagnostic], allowed: Sequence[Allow], *, whole: bool
) -> Reported[tuple[Allow, ...]]:
    """What was said without the warnings and notes that are allowed, but with complaints of lines that allow nothing.

    Args:
        said: All that was said; errors stay.
        whole: Whether all was said that could be: only then is it known that a line allows nothing.

    Returns:
        The lines that took something back.
    """
    lines = {line.code.text for line in allowed}
    kept = [d for d in said if d.severity is Severity.ERROR or d.code not in lines]
    allowable = {d.code for d in said if d.severity is not Severity.ERROR}
    used = tuple(line for line in allowed if line.code.text in allowable)
    return Reported(used, (*kept, *_check_lines(kept, allowable, allowed, whole=whole)))


def _check_lines(
    kept: Sequence[Diagnostic], allowable: set[str], allowed: Sequence[Allow], *, whole: bool
) -> Iterator[Diagnostic]:
    """Complain of lines that are written twice, give no reason, or allow nothing."""
    lines, errors = {line.code.text for line in allowed}, {d.code for d in kept}
    seen: set[str] = set()
    for line in allowed:
        code = line.code.text
        if code in seen:
            message = f"'allow {code}' is written twice"
            yield Diagnostic("duplicate-setting", Severity.ERROR, message, line.span, help="keep one")
        seen.add(code)
        if not line.reason.text.strip():
            message, hint = f"'allow {code}' gives no reason", 'say why in quotes, e.g. "as in Fig. 6"'
            yield Diagnostic("invalid-argument", Severity.ERROR, message, line.reason.span, help=hint)
        elif whole and code not in allowable:
            near = advice(code, sorted(allowable - lines), line.code.span, "take the line out")
            if code in errors:
                near = {"help": "an error cannot be allowed; fix it", "fixes": ()}
            message = f"no warning '{code}' is given here"
            yield Diagnostic("unused-allow", Severity.WARNING, message, line.span, **near)


STALE_FIGURE_CODES = ("expectation-failed", "claim-differs")
"""What is said of a figure that is not the network's."""


def failed_expectations(said: Iterable[Diagnostic]) -> set[Span]:
    """Return the lines whose figures are not those of the network."""
    return {one.span for one in said if one.code in STALE_FIGURE_CODES}


def claims_of_another_network(network: Network, changes: Sequence[Override]) -> set[Span]:
    """The lines about what has to be measured, if the changes make another network than the one that was measured."""
    changed = any(change.key.split(".")[0] not in SECTIONS for change in changes)
    return {one.span for one in network.expectations if is_measured(network, one)} if changed else set()


def downgrade_to_notes(
    said: Iterable[Diagnostic], lines: set[Span], network: Network, changes: Sequence[Override]
) -> Iterator[Diagnostic]:
    """What was said, with notes in place of complaints about figures that hold without the overrides.

    Args:
        lines: Those of figures that hold for the file as written, and not with the changes.
    """
    yield from (one for one in said if not (one.span in lines and one.code in STALE_FIGURE_CODES))
    put = [change.typed for change in changes if change.key.split(".")[0] not in SECTIONS]
    for figure in network.expectations:
        if figure.span in lines and is_measured(network, figure):
            message = f"{figure.quantity}: {figure.value} is claimed of the file as written, not with {' '.join(put)}"
            yield Diagnostic("figure-overridden", Severity.NOTE, message, figure.span)
        elif figure.span in lines:
            value = compute_quantity(network, figure.quantity)
            shown = f"{value:,}" if isinstance(value, int) else value
            yield Diagnostic(
                "figure-overridden",
                Severity.NOTE,
                f"{figure.quantity}: {figure.value} holds for the file as written; with {' '.join(put)} it is {shown}",
                figure.span,
                label=f"computed: {shown}",
            )


def check_classes(network: Network, changes: Sequence[Override]) -> Iterator[Diagnostic]:
    """Complain of a number of classes that is not what the network gives, since more follows its last linear layer."""
    for change in changes:
        output = network.nodes[network.output].output
        if change.key == CLASSES and str(output.elements) != change.text.strip():
            message = f"expected {change.text} classes, got {output.elements} values from the last linear layer on"
            hint = "write another 'body'"
            yield Diagnostic("unknown-setting", Severity.ERROR, message, change.place, help=hint)


def check_memory(network: Network, assembly: Assembly) -> Iterator[Diagnostic]:
    """Complain of a training step that cannot be made to fit into the memory that the recipe allows."""
    section, recipe = assembly.sections.get("train"), network.recipe
    if section is None or recipe is None or recipe.budget is None:
        return
    from sewdsl.passes import memory_shortage

    least = memory_shortage(network)
    if least is None:
        return
    span = next((setting.span for setting in section.settings if setting.key.text == "memory"), section.span)
    batch = f"{recipe.batch} sample{'s' if recipe.batch > 1 else ''}"
    message = f"a training step on {batch} takes {format_bytes(least)} at the least, more than {recipe.memory}"
    hint = "allow more, or make 'batch' smaller and 'accumulate' larger"
    yield Diagnostic("memory-too-small", Severity.ERROR, message, span, help=hint)
