"""Lines with rules of initial weights: ``init kaiming zero`` for the file, ``init res.* orthogonal`` for a part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sewdsl.analysis.named_parts import fold_parts, match_nodes
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.train_section import unknown_part
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.network import Network
from sewdsl.ir.op import ShapeMismatch, WeightedLayer
from sewdsl.ops import catalogue
from sewdsl.reporter import InvalidText, Reported, Reporter
from sewdsl.syntax.suggestions import advice, listed
from sewdsl.syntax.tree import Call, Setting, Text, Value

INIT, ZERO = "init", "zero"
"""Key of the lines, and the word for residual blocks that start as an identity."""
MAX_PARTS = 100
"""Maximum number of lines for parts."""


def rule_names() -> list[str]:
    """Return the names of the rules."""
    return [name for name, kind in catalogue().items() if issubclass(kind, InitRule)]


def init_part(values: Sequence[Value]) -> str | None:
    """Return the name or pattern of the part that a line is for, or None for a line of the whole file."""
    words = [value.name.plain if isinstance(value, Call) else None for value in values]
    # With 'zero', a misspelled rule is more likely than a part of this name.
    if len(values) < len(("NAME", "RULE")) or words[0] in {*rule_names(), ZERO} or ZERO in words:
        return None
    return part_text(values[0])


def part_text(value: Value) -> str:
    """Return the name or pattern of a part, without quotes."""
    return value.text if isinstance(value, Text) else value.span.text


def read_part_init(settings: Mapping[str, Setting]) -> Reported[tuple[tuple[str, InitRule], ...]]:
    """Return the parts with their rules, and the errors in rules."""
    lines = (setting.values for setting in settings.values() if setting.key.text == INIT)
    parts = [(part, values) for values in lines if (part := init_part(values)) is not None]
    if len(parts) > MAX_PARTS:
        # Each pattern is compared with the name of each layer.
        message = f"{len(parts):,} rules of initial weights for groups of layers exceed the limit of {MAX_PARTS}"
        span, hint = parts[MAX_PARTS][1][0].span, "use patterns that match several layers"
        return Reported((), (Diagnostic("invalid-argument", message, span, help=hint),))
    rules = [(part, read_rule(values[1:])) for part, values in parts]
    diagnostics = tuple(diagnostic for _, read in rules for diagnostic in read.diagnostics)
    return Reported(tuple((part, read.value) for part, read in rules if read.value is not None), diagnostics)


def read_rule(values: Sequence[Value]) -> Reported[InitRule | None]:
    """Return the rule that values state, or None with an error."""
    reporter = Reporter()
    try:
        rule = ValueReader(reporter).read(values[0])
    except InvalidText:
        return Reported(None, tuple(reporter.diagnostics))
    if isinstance(rule, InitRule) and len(values) == 1:
        return Reported(rule, tuple(reporter.diagnostics))
    span = values[0].span.to(values[-1].span)
    near = advice(str(rule), rule_names(), span, f"expected one of: {listed(rule_names())}")
    message, label = "the initial weights of a layer or group must be one rule", f"got '{span.text}'"
    return Reported(None, (Diagnostic("invalid-argument", message, span, label=label, **near),))


def check_init(network: Network, settings: Mapping[str, Setting]) -> Iterator[Diagnostic]:
    """Report rules of parts that match nothing or have no effect, and rules that do not suit the shape of a weight."""
    lines = (line for line in settings.values() if line.key.text == INIT)
    spans = {part: line.values[0].span for line in lines if (part := init_part(line.values)) is not None}
    # Another call of a part has no weights of its own.
    owners = enumerate(network.nodes)
    layers = {i: node.op for i, node in owners if isinstance(node.op, WeightedLayer) and node.weights is None}
    for part, rule in network.settings.part_init:
        nodes, span = match_nodes(network, part), spans.get(part, network.nodes[0].span)
        if not nodes:
            yield unknown_part(network, part, span, {*layers})
        elif not any(layers[index].takes(rule) for index in nodes & layers.keys()):
            parts = listed(fold_parts(network, nodes, nodes))
            message = f"'init {part}' has no effect: no weights for the rule '{rule.kind}' in {parts}"
            yield Diagnostic("invalid-argument", message, span, help="remove it")
    for index in sorted(layers):
        node = network.nodes[index]
        op = network.op_with_init(node)
        try:
            if isinstance(op, WeightedLayer):
                op.check_init(*network.inputs(node))
        except ShapeMismatch as misfit:
            yield node.diagnostic(misfit.code, Severity.ERROR, str(misfit), help=misfit.help)
