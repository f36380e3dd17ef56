"""Elaboration: syntax tree to network. Resolves names and arguments, expands blocks, unrolls repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import OUTPUTS, Assembly
from sewdsl.elaborate.block_calls import block_key
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.definitions import check_shadowed_blocks, default_number
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, NodeCounter, Walker
from sewdsl.elaborate.header import HeaderReader
from sewdsl.elaborate.init_lines import check_init
from sewdsl.elaborate.named_values import NamedValue, check_block_names, check_names
from sewdsl.elaborate.neuron_kinds import check_blocks_and_neurons, read_neurons
from sewdsl.elaborate.node_builder import Expansion, NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.shared_parts import check_used, share_weights
from sewdsl.elaborate.text_files import SiblingBlocks
from sewdsl.elaborate.train_section import check_parts, read_train_section
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.node import graph_of
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Budget
from sewdsl.ops.input import Input
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.suggestions import advice
from sewdsl.syntax.tree import BlockDefinition, Call, Claim, Document, Expect, Let, Number, Setting, Size, Value
from sewdsl.syntax.tree import Sequence as Expression

CALL_DEPENDENT_CODES = frozenset(
    {"invalid-formula", "missing-neuron", "zero-count", "nesting-too-deep", "repeat-too-large"}
)
"""Codes that depend on the arguments of a block call. They are not reported for blocks without calls."""
PLACEHOLDER_VALUE = 16
"""Value of parameters in the check of blocks without calls. A power of 2, so that most divisions are exact."""


@dataclass(frozen=True)
class Context:
    """Surroundings of a source."""

    name: str
    """Default name of the network."""
    library: Mapping[str, BlockDefinition]
    """Shipped blocks by name."""
    siblings: SiblingBlocks | None = None
    """Other files in the folder of the file. None for a layer string."""


@dataclass(frozen=True)
class Elaboration:
    """Result of an elaboration."""

    network: Network | None
    """Network, or None without a body or an input shape."""
    whole: bool
    """Whether the network has no errors. Otherwise it ends at the first error and only supports further checks."""
    visits: tuple[Expansion, ...] = ()
    """Expansions of the items of the source."""
    named: tuple[int, ...] = ()
    """Indices of neurons that the source names explicitly instead of by ``SN``."""


def elaborate(assembly: Assembly, document: Document, context: Context, reporter: Reporter) -> Elaboration:
    """Elaborate an assembly into a network.

    A file of definitions and settings, without ``network``, ``input`` and ``body``, is a library, which is valid.

    Args:
        reporter: Reporter with the previous diagnostics of the source and its limits.
    """
    return _Elaborator(assembly, document, context, reporter).elaborate()


class _Elaborator:
    """Shared state of one elaboration."""

    def __init__(self, assembly: Assembly, document: Document, context: Context, reporter: Reporter) -> None:
        self.assembly, self.document, self.context, self.reporter = assembly, document, context, reporter
        neurons = reporter.take(read_neurons(assembly.neurons))
        reporter.extend(check_blocks_and_neurons(assembly.blocks, assembly.neurons))
        self.header = HeaderReader(assembly, reporter, neurons)
        self.settings = self.header.settings()
        self.builder = NodeBuilder(self.settings.steps if self.settings else 1)
        self.vocabulary = Vocabulary(
            assembly.blocks, context.library, assembly.unread, context.siblings, assembly.whole, neurons
        )
        self.budget = Budget.of(reporter.limits)

    def elaborate(self) -> Elaboration:
        """Return the network with its expansions."""
        assembly, builder, settings = self.assembly, self.builder, self.settings
        self.reporter.extend(check_shadowed_blocks(assembly.blocks, self.context.library))
        unused = self._check_names()
        train = assembly.sections.get("train")
        self._check_outputs()
        if assembly.expression is None:
            self._check_no_body()
            self._check_uncalled(assembly.own)
            if train is not None:
                self.reporter.take(read_train_section(train, library=True))
            self._report_unused(unused)
            return Elaboration(None, whole=False)
        outputs = self._walk(assembly.expression, settings)
        complete = outputs is not None
        # A source of unknown names only is probably not a network: a missing input is irrelevant.
        unknown_only = not builder.understood and any(each.code == "unknown-name" for each in self.reporter.diagnostics)
        keys = {setting.key.text for setting in assembly.settings.values()}
        if not unknown_only and "input" not in keys | assembly.unread:
            hint = "add 'input CxHxW' to the file, or --input CxHxW, e.g. --input 2x128x128"
            span = assembly.expression.span
            self.reporter.report("missing-input", "missing input shape", span, help=hint)
        nodes = builder.settled() if complete and builder.closed else tuple(builder.nodes)
        if complete:
            nodes = self.reporter.take(share_weights(nodes, builder.part_calls))
        is_complete = complete and not self.reporter.errors
        self._check_uncalled(name for name in assembly.own if name not in builder.called)
        self._report_unused(unused)
        recipe = self.reporter.take(read_train_section(train)) if train is not None else None
        if settings is None or not builder.nodes or not builder.closed:
            return Elaboration(None, whole=False)
        if is_complete:
            own = (self.vocabulary.blocks[name] for name in assembly.own)
            self.reporter.extend(check_used(nodes, (block for block in own if block.shared)))
        name, figures = self.header.name(self.context.name), tuple(map(_expectation, assembly.figures))
        output = max(outputs or (len(nodes) - 1,))
        calls = assembly.outputs if outputs and assembly.body is None else ()
        named = tuple((call.name.plain or "", index) for call, index in zip(calls, outputs or (), strict=False))
        network = Network(name, nodes, output, settings, recipe, figures, named)
        if is_complete:
            self.reporter.extend(check_init(network, assembly.settings))
        if is_complete and train is not None:
            self.reporter.extend(check_parts(network, train))
        return Elaboration(network, is_complete, tuple(builder.visits), tuple(builder.named))

    def _check_uncalled(self, names: Iterable[str]) -> None:
        """Report errors in blocks without calls that do not depend on the arguments of a call."""
        expanded: set[str] = set()  # Walk each block once, even if several others call it.
        for name in names:
            expanded.add(name)
            definition, reporter = self.vocabulary.blocks[name], Reporter(self.reporter.limits)
            defaults = ((parameter.name, default_number(parameter)) for parameter in definition.parameters)
            parameters = {
                parameter: default if isinstance(default, float) else PLACEHOLDER_VALUE
                for parameter, default in defaults
            }
            neuron = self.header.neuron()
            operands = {word.text: NamedValue(word.span, computed=True) for word in definition.operands}
            frame = CallFrame(self.header.join(), neuron, neuron, parameters, calls=(name,), names=operands)
            walker = Walker(NodeBuilder(), CallResolver(self.vocabulary, neuron, reporter), self.budget, expanded)
            with suppress(ExpansionLimitExceeded):
                walker.scope(definition.lets, definition.expression, None, frame)
            self.reporter.extend(each for each in reporter.sorted if each.code not in CALL_DEPENDENT_CODES)
            if self.budget.spent:
                break

    def _check_names(self) -> list[Diagnostic]:
        """Report invalid names of values, and return warnings about unused ones."""
        assembly = self.assembly
        diagnostics = [*check_block_names(assembly.blocks.values(), self.vocabulary)]
        words = self.header.input_words
        diagnostics += check_names((), assembly.lets, assembly.expression, self.vocabulary, words)
        self.reporter.extend(each for each in diagnostics if each.severity is Severity.ERROR)
        return [each for each in diagnostics if each.severity is not Severity.ERROR]

    def _report_unused(self, unused: Iterable[Diagnostic]) -> None:
        """Report unused names if there are no errors."""
        # The part with the error may be the one that reads them.
        if not (self.reporter.errors or self.assembly.unread):
            self.reporter.extend(unused)

    def _check_outputs(self) -> None:
        """Report invalid names in ``outputs``, and ``outputs`` next to ``body``."""
        assembly = self.assembly
        setting = assembly.settings.get(OUTPUTS)
        if setting is None:
            return
        known = [let.name.text for let in assembly.lets]
        if assembly.body is not None:
            message, hint = "'outputs' and 'body' cannot be combined", "name the body, e.g."
            hint = f"{hint} 'let last = …', and write 'outputs {' '.join(known[:2])} last'"
            self.reporter.report("outputs-and-body", message, setting.span, help=hint)
        if len(setting.values) == 1:
            message = "'outputs' requires at least two values"
            hint = f"use 'body {setting.values[0].span.text}' for a single output"
            self.reporter.report("invalid-argument", message, setting.span, help=hint)
        seen: set[str] = set()
        for value in setting.values:
            # Names with syntax errors in their definitions are not reported again.
            name = value.name.plain if isinstance(value, Call) and not value.called else None
            if name is None or (name not in known and name not in assembly.unread):
                message = f"unknown value '{value.span.text}'"
                near = advice(value.span.text, known, value.span, f"known values: {', '.join(known) or 'none'}")
                self.reporter.report("unknown-name", message, value.span, **near)
            elif name in seen:
                self.reporter.report("duplicate-name", f"duplicate output '{name}'", value.span, help="remove it here")
            seen.add(name or "")

    def _check_read(self, outputs: Sequence[int]) -> None:
        """Report layers with an unused output, because the next item starts with a named value."""
        nodes = self.builder.nodes
        for index in graph_of(nodes).unread(outputs):
            message = f"the output of {nodes[index].name} is unused"
            hint = "remove it, or start an operand or repeat after it with 'id'"
            if isinstance(nodes[index].op, Input):
                message = f"the input '{nodes[index].name}' is unused"
                hint = "start a sequence with it, or remove the line"
            self.reporter.report("unread-value", message, nodes[index].span, help=hint, path=nodes[index].where)

    def _check_loops(self, outputs: Sequence[int]) -> None:
        """Report layers in loops that require the whole sequence, and delays of later values without a loop."""
        nodes = self.builder.nodes
        graph = graph_of(nodes)
        for index in sorted(graph.lead_to(outputs) & graph.open_delays):
            message = "DELAY reads a value that is defined later and is not part of a loop"
            hint = "move the definition above this line"
            self.reporter.report("misplaced-name", message, nodes[index].span, help=hint, path=nodes[index].where)
        for index in sorted(graph.looped):
            node = nodes[index]
            if node.op.reads == "sequence":
                message = f"{node.op.kind} cannot be used in a loop: it requires all time-steps at once"
                hint = "move it out of the loop"
                self.reporter.report("sequence-in-loop", message, node.span, help=hint, path=node.where)

    def _check_no_body(self) -> None:
        """Report a missing body, unless the file is a library: definitions, and settings for other files."""
        assembly = self.assembly
        of_network = (
            statement
            for statement in self.document.statements
            if isinstance(statement, Let | Expect | Claim)
            or (isinstance(statement, Setting) and statement.key.text in {"network", "input"})
        )
        first = next(of_network, None)
        empty = not (assembly.settings or assembly.blocks or assembly.neurons or assembly.sections)
        # An error may be in the line of the body, so nothing is reported then.
        if self.reporter.errors or not (empty or first):
            return
        message, hint = ("'body' is missing" if first else "the file contains no network"), "add 'body …'"
        if first is not None:
            hint += f", or remove '{first.span.text.split()[0]}' if the file is a library for other files"
        self.reporter.report("missing-body", message, self.document.span, help=hint)

    def _walk(self, expression: Expression, settings: Settings | None) -> list[int] | None:
        """Create the nodes, and return the indices of the outputs, or None if there are errors."""
        lets, limit = self.assembly.lets, self.reporter.limits.nodes
        # Count first: expanding a huge network would take too long.
        words = self.header.input_words
        expected = NodeCounter(self.vocabulary.blocks, [word.text for word in words]).scope(lets, expression)
        if expected > limit:
            self.reporter.report(
                "network-too-large",
                f"a network of {expected:,} nodes exceeds the limit of {limit:,}",
                expression.span,
                help="raise the limit with --limit nodes=N",
            )
            return None
        neuron = settings.neuron if settings else self.header.neuron()
        join = settings.join if settings else self.header.join()
        input_index, names = None, {word.text: NamedValue(word.span, computed=True) for word in words}
        if settings is not None:
            input_index = self._add_inputs(settings, expression.span, names)
        # The keys of parts start at the network.
        keys = {block_key(block) for block in self.assembly.blocks.values() if block.shared}
        frame = CallFrame(join, neuron, neuron, taken=keys).with_names(names)
        root = input_index if names else None
        resolver = CallResolver(self.vocabulary, neuron, self.reporter, join)
        walker = Walker(self.builder, resolver, self.budget, root=root)
        try:
            if self.assembly.body is None:
                places = walker.named(lets, expression, self.assembly.outputs, input_index, frame)
            else:
                places = [walker.scope(lets, expression, input_index, frame)]
        except ExpansionLimitExceeded:
            return None
        outputs = [index for index in places if index is not None]
        if len(outputs) < len(places) or not outputs or not self.builder.closed:
            return None
        outputs = self.builder.prune(outputs)
        self._check_read(outputs)
        self._check_loops(outputs)
        return outputs

    def _add_inputs(self, settings: Settings, span: Span, names: Mapping[str, NamedValue]) -> int:
        """Create the node of the input, or a node without elements and its readers, the named inputs."""
        named = [(source, Input.of_setting(source)) for source in settings.sources]
        if not names:
            return self.builder.add("input", named[0][1], (), (), span)
        root = self.builder.add("input", Input(shape=(0,), varies=any(op.varies for _, op in named)), (), (), span)
        for source, op in named:
            value = names[source.name]
            value.index = self.builder.add(source.name, op, (root,), (), value.defined)
        return root


def _expectation(figure: Expect | Claim) -> Expectation:
    binding = isinstance(figure, Expect)
    source = figure.source.text if isinstance(figure, Claim) and figure.source is not None else ""
    return Expectation(figure.quantity.text, _text(figure.value), source, binding, figure.span)


def _text(value: Value) -> str:
    """Return the canonical text of a value, e.g. without leading zeros."""
    match value:
        case Size(dims=dims):
            return "x".join(map(str, dims))
        case Number():
            return str(value.value) if isinstance(value.value, int) else value.text
        case _:
            return value.span.text
