"""Checks of a complete network in addition to the rules: overrides, figures, ``allow`` lines, classes and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sewdsl.checks.expectation import compute_quantity, is_measured
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import SECTIONS, Assembly
from sewdsl.elaborate.overrides import CLASSES, Override
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ir.printed_values import format_bytes
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON
from sewdsl.syntax.suggestions import advice
from sewdsl.syntax.tree import Allow, Body

MAX_BODY = 160
"""Maximum length of a body that is repeated in a help text, in characters."""
MAX_NAMES = 3
"""Maximum number of neurons named in a message."""

Recompile = Callable[[Sequence[Override]], Network | None]
"""Function that compiles the same source with other overrides and returns its network, if any."""


def check_reach(
    network: Network, named: Sequence[int], changes: Sequence[Override], body: Body | None, recompile: Recompile
) -> Iterator[Diagnostic]:
    """Report ``neuron`` overrides of only some neurons, and overrides without effect.

    Args:
        named: Indices of explicitly named neurons.
        recompile: Compiles the source with some of the overrides.
    """
    # A body may name its neurons, as the strings in papers do. If the 'neuron' line of the file names the same neuron,
    # the override could apply to either, and the network would be an unintended mixture.
    neurons, other_changes = _split_overrides("neuron", changes)
    neuron = network.settings.neuron
    neuron_ops = _ops(network, Activation)
    if neurons and (not neuron_ops or any(op != neuron for op in neuron_ops)):
        before = recompile(other_changes)
        unreached = [] if before is None else _unreached(network, before, named, changes)
        if unreached:
            yield _describe_unreached(unreached, len(neuron_ops), neurons, body)
        elif before is not None and _has_no_effect(
            neuron, before.settings.neuron, neuron_ops, _ops(before, Activation)
        ):
            yield _describe_unused(neurons, OWN_NEURON, neuron_ops)
    joins, other_changes = _split_overrides("join", changes)
    if joins and network.settings.join not in _ops(network, Join):
        before = recompile(other_changes)
        join_ops = _ops(network, Join)
        if before is not None and _has_no_effect(
            network.settings.join, before.settings.join, join_ops, _ops(before, Join)
        ):
            yield _describe_unused(joins, OWN_JOIN, join_ops)


def _split_overrides(key: str, changes: Sequence[Override]) -> tuple[list[Override], list[Override]]:
    """Return the overrides of a setting or of its arguments, and the other overrides."""
    selected = [change for change in changes if change.key.split(".")[0] == key]
    return selected, [change for change in changes if change not in selected]


def _unreached(network: Network, before: Network, named: Sequence[int], changes: Sequence[Override]) -> list[Node]:
    """Return the neurons that the file itself names explicitly, and that an override does not replace."""
    # Nodes are compared by index, which requires equal structures.
    if before.settings.neuron is None or len(before) != len(network):
        return []
    override_spans = [change.place for change in changes]
    nodes = [network.nodes[i] for i in named if before.nodes[i].op == before.settings.neuron]
    neuron = network.settings.neuron
    return [
        node for node in nodes if node.op != neuron and not any(_inside(node.span, span) for span in override_spans)
    ]


def _has_no_effect(value: Op | None, old_value: Op | None, ops: list[Op], old_ops: list[Op]) -> bool:
    """Return whether a changed setting leaves all ops unchanged and none of the ops has the new value."""
    return value != old_value and ops == old_ops and value not in ops


def _ops(network: Network, family: type[Op]) -> list[Op]:
    return [node.op for node in network if isinstance(node.op, family)]


def _describe_unreached(
    unreached: Sequence[Node], count: int, neurons: Sequence[Override], body: Body | None
) -> Diagnostic:
    names = [node.name for node in unreached[:MAX_NAMES]]
    more = f" and {len(unreached) - MAX_NAMES} more" if len(unreached) > MAX_NAMES else ""
    reached = f"{count - len(unreached)} of {count} neurons"
    return unreached[0].diagnostic(
        "neuron-not-reached",
        Severity.ERROR,
        f"{_override_text(neurons)} replaces only {reached}: "
        f"the source names {_kinds(unreached)} explicitly for {', '.join(names)}{more}",
        label=f"stays {unreached[0].op.kind}",
        help=_unreached_help(unreached, body),
    )


def _unreached_help(unreached: Sequence[Node], body: Body | None) -> str:
    """Return the help for neurons that an override does not reach, with the changed body if it is short."""
    if not all(node.span.text.startswith(node.op.kind) for node in unreached):
        return f"replace {_kinds(unreached)} by {OWN_NEURON}, and call blocks that use {OWN_NEURON}"
    span = None if body is None else body.expression.span
    if span is not None and all(_inside(node.span, span) for node in unreached):
        text = span.text
        # From the end, so that earlier offsets stay valid.
        for start, end in sorted({(node.span.start, node.span.end) for node in unreached}, reverse=True):
            text = text[: start - span.start] + OWN_NEURON + text[end - span.start :]
        text = " ".join(text.split())
        if len(text) <= MAX_BODY:
            return f"use {OWN_NEURON} in the body: --set 'body={text}'"
    return f"replace {_kinds(unreached)} by {OWN_NEURON}, if necessary in a copy of the file"


def _describe_unused(changes: Sequence[Override], name: str, ops: Sequence[Op]) -> Diagnostic:
    kinds = ", ".join(dict.fromkeys(op.kind for op in ops))
    alternative = f", or use {name} in a body or block"
    label = f"the network uses {kinds}" if ops else ""
    return _without_effect(changes, f"the network does not use '{name}'", label, alternative)


def _without_effect(changes: Sequence[Override], why: str, label: str = "", alternative: str = "") -> Diagnostic:
    return Diagnostic(
        "override-without-effect",
        f"{_override_text(changes)} has no effect: {why}",
        changes[0].place,
        label=label,
        help=f"remove it{alternative}",
        severity=Severity.WARNING,
    )


def _override_text(changes: Sequence[Override]) -> str:
    """Return the overrides as the user wrote them, as options or in a study."""
    return " ".join(c.typed if c.within is None else f"{c.key}={c.text.strip()}" for c in changes)


def _kinds(nodes: Sequence[Node]) -> str:
    return ", ".join(dict.fromkeys(node.op.kind for node in nodes))


def _inside(span: Span, other: Span) -> bool:
    return span.source == other.source and other.start <= span.start and span.end <= other.end


def check_variants(changes: Sequence[Override], variants: Sequence[Sequence[Override]]) -> Iterator[Diagnostic]:
    """Report overrides without effect on any variant of a study."""
    for change in changes:
        if variants and all(any(_replaces(other, change) for other in variant) for variant in variants):
            key = next(other.key for other in variants[0] if _replaces(other, change))
            yield _without_effect([change], f"every variant of the study sets '{key}'")


def _replaces(other: Override, change: Override) -> bool:
    return change.key == other.key or change.key.startswith(f"{other.key}.")


def apply_allow_lines(
    reported: Sequence[Diagnostic], allowed: Sequence[Allow], *, whole: bool
) -> Reported[tuple[Allow, ...]]:
    """Return the diagnostics without allowed warnings and notes, and report invalid and unused ``allow`` lines.

    Args:
        reported: All diagnostics. Errors are kept.
        whole: Whether the network was checked completely. Otherwise an ``allow`` line without effect is not reported.

    Returns:
        The ``allow`` lines with an effect.
    """
    lines = {line.code.text for line in allowed}
    remaining = [d for d in reported if d.severity is Severity.ERROR or d.code not in lines]
    allowable = {d.code for d in reported if d.severity is not Severity.ERROR}
    used = tuple(line for line in allowed if line.code.text in allowable)
    return Reported(used, (*remaining, *_check_lines(remaining, allowable, allowed, whole=whole)))


def _check_lines(
    remaining: Sequence[Diagnostic], allowable: set[str], allowed: Sequence[Allow], *, whole: bool
) -> Iterator[Diagnostic]:
    """Report duplicate ``allow`` lines, and lines without reason or effect."""
    lines, errors = {line.code.text for line in allowed}, {d.code for d in remaining}
    seen: set[str] = set()
    for line in allowed:
        code = line.code.text
        if code in seen:
            message = f"duplicate 'allow {code}'"
            yield Diagnostic("duplicate-setting", message, line.span, help="remove one of them")
        seen.add(code)
        if not line.reason.text.strip():
            message, hint = f"'allow {code}' requires a reason", 'add a reason in quotes, e.g. "as in Fig. 6"'
            yield Diagnostic("invalid-argument", message, line.reason.span, help=hint)
        elif whole and code not in allowable:
            hint_and_fixes = advice(code, sorted(allowable - lines), line.code.span, "remove the line")
            if code in errors:
                hint_and_fixes = {"help": "errors cannot be allowed; fix the error", "fixes": ()}
            message = f"'allow {code}' has no effect: no such warning is reported"
            yield Diagnostic("unused-allow", message, line.span, **hint_and_fixes, severity=Severity.WARNING)


STALE_FIGURE_CODES = ("expectation-failed", "claim-differs")
"""Codes of diagnostics about figures that differ from those of the network."""


def failed_expectations(reported: Iterable[Diagnostic]) -> set[Span]:
    """Return the spans of figures with another value than in the network."""
    return {diagnostic.span for diagnostic in reported if diagnostic.code in STALE_FIGURE_CODES}


def claims_of_another_network(network: Network, changes: Sequence[Override]) -> set[Span]:
    """Return the spans of measured claims, if the overrides define a network other than the measured one."""
    # Overrides of the recipe or the study do not change the network.
    changed = any(change.key.split(".")[0] not in SECTIONS for change in changes)
    return {figure.span for figure in network.expectations if is_measured(network, figure)} if changed else set()


def downgrade_to_notes(
    reported: Iterable[Diagnostic], lines: set[Span], network: Network, changes: Sequence[Override]
) -> Iterator[Diagnostic]:
    """Replace diagnostics about figures by notes if the overrides invalidate the figures."""
    yield from (
        diagnostic
        for diagnostic in reported
        if not (diagnostic.span in lines and diagnostic.code in STALE_FIGURE_CODES)
    )
    options = [change.typed for change in changes if change.key.split(".")[0] not in SECTIONS]
    for figure in network.expectations:
        if figure.span in lines and is_measured(network, figure):
            claim = f"{figure.quantity} {figure.value} is claimed for the unchanged file"
            message = f"{claim}, not with {' '.join(options)}"
            yield Diagnostic("figure-overridden", message, figure.span, severity=Severity.NOTE)
        elif figure.span in lines:
            value = compute_quantity(network, figure.quantity)
            value_text = f"{value:,}" if isinstance(value, int) else value
            yield Diagnostic(
                "figure-overridden",
                f"{figure.quantity} {figure.value} holds for the unchanged file; "
                f"got {value_text} with {' '.join(options)}",
                figure.span,
                label=f"computed: {value_text}",
                severity=Severity.NOTE,
            )


def check_classes(network: Network, changes: Sequence[Override]) -> Iterator[Diagnostic]:
    """Report a number of classes unequal to the outputs, if other nodes follow the last linear layer."""
    for change in changes:
        output = network.nodes[network.output].output
        if change.key == CLASSES and str(output.elements) != change.text.strip():
            message = f"expected {change.text} classes, but the network has {output.elements} outputs"
            hint = "change 'body'"
            yield Diagnostic("unknown-setting", message, change.place, help=hint)


def check_memory(network: Network, assembly: Assembly) -> Iterator[Diagnostic]:
    """Report a training step over the memory budget of the recipe, even with recomputation."""
    section, recipe = assembly.sections.get("train"), network.recipe
    if section is None or recipe is None or recipe.budget is None:
        return
    # scipy is imported only if the recipe has a budget.
    from sewdsl.passes import memory_shortage

    minimum = memory_shortage(network)
    if minimum is None:
        return
    span = next((setting.span for setting in section.settings if setting.key.text == "memory"), section.span)
    step = f"a training step with batch size {recipe.batch}"
    message = f"{step} needs at least {format_bytes(minimum)}, over the memory budget of {recipe.memory}"
    hint = "increase 'memory', or decrease 'batch' and increase 'accumulate'"
    yield Diagnostic("memory-too-small", message, span, help=hint)
