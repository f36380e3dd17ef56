"""tree -> network: names, arguments, repeats and blocks get their meaning; every complaint knows its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.elaborate.assembly import Assembly, assemble
from sewdsl.elaborate.block_definitions import check_shadowed_blocks
from sewdsl.elaborate.budget import Budget
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, NodeCounter, Walker
from sewdsl.elaborate.header import HeaderReader
from sewdsl.elaborate.imports import Importer
from sewdsl.elaborate.node_builder import Expansion, NodeBuilder
from sewdsl.elaborate.overrides import Override, apply_overrides
from sewdsl.elaborate.project_files import SiblingBlocks
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.study_section import Study, StudyVariant, read_study_section
from sewdsl.elaborate.train_section import read_train_section
from sewdsl.elaborate.uncalled_blocks import check_uncalled_blocks
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.limits import Limits
from sewdsl.ops.input import Input
from sewdsl.reporter import Reporter
from sewdsl.syntax.tree import BlockDefinition, Body, Document, Number, Size, Text, Value

__all__ = [
    "Assembly",
    "Context",
    "Elaboration",
    "Expansion",
    "Importer",
    "Override",
    "SiblingBlocks",
    "Study",
    "StudyVariant",
    "apply_overrides",
    "assemble",
    "elaborate",
    "read_study_section",
]


@dataclass(frozen=True)
class Context:
    """What an elaboration needs in addition to the statements.

    Attributes:
        name: The network's name unless the file says one.
        library: Blocks that every file may call, by name without white space.
        limits: How large it may become.
        beside: What lies next to the file; None for a string.
        budget: How much work it may make; None: as much as the limits allow.
    """

    name: str
    library: Mapping[str, BlockDefinition]
    limits: Limits
    beside: SiblingBlocks | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Elaboration:
    """What became of a text.

    Attributes:
        network: The network; None where there is no body, or no input to begin with.
        whole: Whether nothing is wrong with the network itself; else it ends before what is broken, and is only good
            for further checks.
        visits: What became of each item of the user's own texts.
        named: Indices of neurons that a text names, where it could say ``SN``.
    """

    network: Network | None
    whole: bool
    visits: tuple[Expansion, ...] = ()
    named: tuple[int, ...] = ()


def elaborate(assembly: Assembly, document: Document, context: Context, diagnostics: Reporter) -> Elaboration:
    """The network of an assembly; problems are reported, all of them.

    A file that neither names a network nor has a body is a library for others to use, and no problem.
    """
    header = HeaderReader(assembly, diagnostics)
    settings = header.settings()
    vocabulary = Vocabulary(assembly.blocks, context.library, assembly.unread, context.beside, assembly.whole)
    check_shadowed_blocks(assembly.blocks, context.library, diagnostics)
    budget = context.budget or Budget.of(context.limits)
    body, train = assembly.body, assembly.sections.get("train")
    if body is None:
        _no_body(assembly, document, diagnostics)
        check_uncalled_blocks(assembly.own, vocabulary, header, diagnostics, context.limits, budget)
        if train is not None:
            read_train_section(train, diagnostics, library=True)
        return Elaboration(None, whole=False)
    builder = NodeBuilder()
    complete = _walk(body, settings, header, vocabulary, builder, diagnostics, context.limits, budget)
    if "input" not in {*assembly.settings, *assembly.unread} and not _nothing_known(builder, diagnostics):
        _missing_input(body, diagnostics)
    whole = complete and not diagnostics.errors
    uncalled = [name for name in assembly.own if name not in builder.called]
    check_uncalled_blocks(uncalled, vocabulary, header, diagnostics, context.limits, budget)
    how = read_train_section(train, diagnostics) if train is not None else None
    if settings is None or not builder.nodes:
        return Elaboration(None, whole=False)
    nodes = builder.settled() if complete else tuple(builder.nodes)
    network = Network(header.name(context.name), nodes, len(nodes) - 1, settings, how, _figures(assembly))
    return Elaboration(network, whole, tuple(builder.visits), tuple(builder.named))


def _no_body(assembly: Assembly, document: Document, diagnostics: Reporter) -> None:
    """Reports a missing body, unless the file is a library, or something is broken that may have been one."""
    empty = not (assembly.settings or assembly.blocks or assembly.sections)
    if diagnostics.errors or not (empty or "network" in assembly.settings or assembly.figures):
        return
    diagnostics.report("missing-body", "there is no network in this file", document.span, help="add 'body …'")


def _nothing_known(builder: NodeBuilder, diagnostics: Reporter) -> bool:
    """Whether a body has unknown names only: then it is hardly a network, and its input is no matter."""
    return not builder.understood and any(found.code == "unknown-name" for found in diagnostics.found)


def _missing_input(body: Body, diagnostics: Reporter) -> None:
    diagnostics.report(
        "missing-input",
        "the input's shape is not known",
        body.expression.span,
        help="add 'input CxHxW' to the file, or --input CxHxW, e.g. --input 2x128x128",
    )


def _walk(  # noqa: PLR0913 -- everything a walk needs
    body: Body,
    settings: Settings | None,
    header: HeaderReader,
    vocabulary: Vocabulary,
    builder: NodeBuilder,
    diagnostics: Reporter,
    limits: Limits,
    budget: Budget,
) -> bool:
    """Makes the nodes; whether the last one represents the whole body."""
    expected = NodeCounter(vocabulary.blocks).sequence(body.expression)
    if expected > limits.nodes:
        diagnostics.report(
            "network-too-large",
            f"the network would have {expected:,} nodes, but the limit is {limits.nodes:,}",
            body.expression.span,
            help="raise it with --limit nodes=N",
        )
        return False
    neuron = settings.neuron if settings else header.neuron()
    frame = CallFrame(settings.join if settings else header.join(), neuron, neuron)
    place = None
    if settings is not None:
        source = Input(shape=settings.input, varies=settings.encode == "none")
        place = builder.add("input", source, (), (), body.expression.span)
    walker = Walker(builder, CallResolver(vocabulary, neuron, diagnostics), vocabulary, diagnostics, limits, budget)
    try:
        return walker.sequence(body.expression, place, frame) is not None
    except ExpansionLimitExceeded:
        return False


def _figures(assembly: Assembly) -> tuple[Expectation, ...]:
    def source(figure: object) -> str:
        text = getattr(figure, "source", None)
        return text.text if isinstance(text, Text) else ""

    return tuple(
        Expectation(
            figure.quantity.text, _text(figure.value), source(figure), not hasattr(figure, "source"), figure.span
        )
        for figure in assembly.figures
    )


def _text(value: Value) -> str:
    """A figure in canonical form, whatever signs and zeros it was written with."""
    match value:
        case Size(dims=dims):
            return "x".join(map(str, dims))
        case Number():
            return str(value.value) if isinstance(value.value, int) else value.text
        case _:
            return value.span.text
