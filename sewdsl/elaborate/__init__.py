"""tree -> network: names, arguments, repeats and blocks get their meaning; every complaint knows its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import OUTPUTS, Assembly
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.definitions import check_shadowed_blocks, default_number
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, NodeCounter, Walker
from sewdsl.elaborate.header import HeaderReader
from sewdsl.elaborate.named_values import NamedValue, check_block_names, check_names
from sewdsl.elaborate.neuron_kinds import check_blocks_and_neurons, read_neurons
from sewdsl.elaborate.node_builder import Expansion, NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.suggestions import advice
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
from sewdsl.syntax.tree import BlockDefinition, Call, Claim, Document, Expect, Number, Size, Value
from sewdsl.syntax.tree import Sequence as Expression

CALL_DEPENDENT_CODES = frozenset(
    {"invalid-formula", "missing-neuron", "zero-count", "nesting-too-deep", "repeat-too-large"}
)
"""Codes that depend on the call of a block: of a block without one, they are not reported."""
PLACEHOLDER_VALUE = 16
"""Value of every parameter but those that are a fraction by default; a power of 2, so that most divisions are exact."""


@dataclass(frozen=True)
class Context:
    """What an elaboration needs in addition to the statements.

    Attributes:
        name: The network's name unless the file says one.
        siblings: What lies next to the file; None for a string.
    """

    name: str
    library: Mapping[str, BlockDefinition]
    siblings: SiblingBlocks | None = None


@dataclass(frozen=True)
class Elaboration:
    """What became of a text.

    Attributes:
        network: The network; None where there is no body, or no input to begin with.
        whole: Whether nothing is wrong with the network itself; else it ends before what is broken, and is only good
            for further checks.
        named: Indices of neurons that a text names, where it could say ``SN``.
    """

    network: Network | None
    whole: bool
    visits: tuple[Expansion, ...] = ()
    named: tuple[int, ...] = ()


def elaborate(assembly: Assembly, document: Document, context: Context, reporter: Reporter) -> Elaboration:
    """The network of an assembly.

    A file that neither names a network nor has a body is a library for others to use, and no problem.

    Args:
        reporter: Gets all that is wrong, knows what was wrong before, and how large the network may become.
    """
    return _Elaborator(assembly, document, context, reporter).elaborate()


class _Elaborator:
    """What all steps of one elaboration share."""

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
        """The network, what became of each item, and whether it is whole."""
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
        given = self._walk(assembly.expression, settings)
        complete = given is not None
        # a body of unknown names only is hardly a network, and its input is no matter
        strange = not builder.understood and any(said.code == "unknown-name" for said in self.reporter.found)
        if not strange and "input" not in {*assembly.settings, *assembly.unread}:
            hint = "add 'input CxHxW' to the file, or --input CxHxW, e.g. --input 2x128x128"
            span = assembly.expression.span
            self.reporter.report("missing-input", "the input's shape is not known", span, help=hint)
        whole = complete and not self.reporter.errors
        self._check_uncalled(name for name in assembly.own if name not in builder.called)
        self._report_unused(unused)
        recipe = self.reporter.take(read_train_section(train)) if train is not None else None
        if settings is None or not builder.nodes or not builder.closed:
            return Elaboration(None, whole=False)
        nodes = builder.settled() if complete else tuple(builder.nodes)
        name, figures = self.header.name(self.context.name), tuple(map(_expectation, assembly.figures))
        output = max(given or (len(nodes) - 1,))
        named = assembly.outputs if given and assembly.body is None else ()
        outputs = tuple((call.name.plain or "", index) for call, index in zip(named, given or (), strict=False))
        network = Network(name, nodes, output, settings, recipe, figures, outputs)
        if whole and train is not None:
            self.reporter.extend(check_parts(network, train))
        return Elaboration(network, whole, tuple(builder.visits), tuple(builder.named))

    def _check_uncalled(self, names: Iterable[str]) -> None:
        """Reports unknown names, letters and parameters in blocks that no call has reached, whatever one would give."""
        expanded: set[str] = set()  # each block is walked once, however many others call it
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
            self.reporter.extend(said for said in reporter.sorted if said.code not in CALL_DEPENDENT_CODES)
            if self.budget.spent:
                break

    def _check_names(self) -> list[Diagnostic]:
        """Reports names of values that mean something else, and finds those that nothing reads."""
        assembly = self.assembly
        found = [*check_block_names(assembly.blocks.values(), self.vocabulary)]
        found += check_names((), assembly.lets, assembly.expression, self.vocabulary)
        self.reporter.extend(said for said in found if said.severity is Severity.ERROR)
        return [said for said in found if said.severity is not Severity.ERROR]

    def _report_unused(self, unused: Iterable[Diagnostic]) -> None:
        """Reports names that nothing reads, if nothing is wrong: what is wrong may be what was to read them."""
        if not (self.reporter.errors or self.assembly.unread):
            self.reporter.extend(unused)

    def _check_outputs(self) -> None:
        """Reports outputs that are not the names of several values, each once, in place of a body."""
        assembly = self.assembly
        setting = assembly.settings.get(OUTPUTS)
        if setting is None:
            return
        known = [let.name.text for let in assembly.lets]
        if assembly.body is not None:
            message, hint = "'outputs' is written in place of 'body', and here are both", "give the body a name, as in"
            hint = f"{hint} 'let last = …', and write 'outputs {' '.join(known[:2])} last'"
            self.reporter.report("outputs-and-body", message, setting.span, help=hint)
        if len(setting.values) == 1:
            message, hint = (
                "'outputs' names several values",
                f"of one value, write 'body {setting.values[0].span.text}'",
            )
            self.reporter.report("invalid-argument", message, setting.span, help=hint)
        seen: set[str] = set()
        for value in setting.values:
            name = value.name.plain if isinstance(value, Call) and not value.called else None
            if name is None or (name not in known and name not in assembly.unread):
                message = f"'{value.span.text}' is not the name of a value"
                near = advice(value.span.text, known, value.span, f"values: {', '.join(known) or 'none'}")
                self.reporter.report("unknown-name", message, value.span, **near)
            elif name in seen:
                self.reporter.report("duplicate-name", f"'{name}' is given twice", value.span, help="leave it out here")
            seen.add(name or "")

    def _check_read(self, outputs: Sequence[int]) -> None:
        """Reports layers whose output nothing reads: something begins with a name where they would flow into it."""
        nodes = self.builder.nodes
        for index in graph_of(nodes).unread(outputs):
            message = f"nothing reads what {nodes[index].name} gives"
            hint = "what follows begins with a name, and so leaves out what is before it"
            self.reporter.report("unread-value", message, nodes[index].span, help=hint, path=nodes[index].where)

    def _check_loops(self, outputs: Sequence[int]) -> None:
        """Reports what needs all time-steps of a sequence in a loop, which gives them one by one; delays of no loop."""
        nodes = self.builder.nodes
        graph = graph_of(nodes)
        for index in sorted(graph.lead_to(outputs) & graph.open_delays):
            message = "what is delayed is computed further down, though no loop leads there from here"
            hint = "move the line that defines it above this one"
            self.reporter.report("misplaced-name", message, nodes[index].span, help=hint, path=nodes[index].where)
        for index in sorted(graph.looped):
            node = nodes[index]
            if node.op.reads == "sequence":
                message = (
                    f"{node.op.kind} reads all time-steps of a sequence, but is in a loop, which gives them one by one"
                )
                hint = "move it out of the loop"
                self.reporter.report("sequence-in-loop", message, node.span, help=hint, path=node.where)

    def _check_no_body(self) -> None:
        """Reports a missing body, unless the file is a library, or something is broken that may have been one."""
        assembly = self.assembly
        empty = not (assembly.settings or assembly.blocks or assembly.neurons or assembly.sections)
        if self.reporter.errors or not (empty or "network" in assembly.settings or assembly.figures or assembly.lets):
            return
        message, span = "there is no network in this file", self.document.span
        self.reporter.report("missing-body", message, span, help="add 'body …'")

    def _walk(self, expression: Expression, settings: Settings | None) -> list[int] | None:
        """Makes the nodes; indices of those whose outputs the whole network gives, or None where it is broken."""
        lets, limit = self.assembly.lets, self.reporter.limits.nodes
        expected = NodeCounter(self.vocabulary.blocks).scope(lets, expression)
        if expected > limit:
            self.reporter.report(
                "network-too-large",
                f"the network would have {expected:,} nodes, but the limit is {limit:,}",
                expression.span,
                help="raise it with --limit nodes=N",
            )
            return None
        neuron = settings.neuron if settings else self.header.neuron()
        frame = CallFrame(settings.join if settings else self.header.join(), neuron, neuron)
        place = None
        if settings is not None:
            source = Input(shape=settings.input, varies=settings.encode == "none")
            place = self.builder.add("input", source, (), (), expression.span)
        walker = Walker(self.builder, CallResolver(self.vocabulary, neuron, self.reporter), self.budget)
        try:
            if self.assembly.body is None:
                places = walker.named(lets, expression, self.assembly.outputs, place, frame)
            else:
                places = [walker.scope(lets, expression, place, frame)]
        except ExpansionLimitExceeded:
            return None
        found = [place for place in places if place is not None]
        if len(found) < len(places) or not found or not self.builder.closed:
            return None
        found = self.builder.prune(found)
        self._check_read(found)
        self._check_loops(found)
        return found


def _expectation(figure: Expect | Claim) -> Expectation:
    binding = isinstance(figure, Expect)
    source = figure.source.text if isinstance(figure, Claim) and figure.source is not None else ""
    return Expectation(figure.quantity.text, _text(figure.value), source, binding, figure.span)


def _text(value: Value) -> str:
    """A figure in canonical form, whatever signs and zeros it was written with."""
    match value:
        case Size(dims=dims):
            return "x".join(map(str, dims))
        case Number():
            return str(value.value) if isinstance(value.value, int) else value.text
        case _:
            return value.span.text
