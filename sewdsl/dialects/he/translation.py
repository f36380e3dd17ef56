"""A text in the dialect as a tree of ours: every node knows the word that it came from."""

from __future__ import annotations

from dataclasses import dataclass

from sewdsl.diagnostics import Diagnostics
from sewdsl.dialects.he.assumptions import Assumptions
from sewdsl.dialects.he.builder import LANGUAGE, HeBuilder
from sewdsl.dialects.he.conventions import Conventions
from sewdsl.dialects.he.ending import OutputLayer
from sewdsl.dialects.he.header import HeHeader
from sewdsl.dialects.he.inputs import Inputs
from sewdsl.dialects.he.resolving import Item, Resolver
from sewdsl.dialects.he.writing import HeItemWriter
from sewdsl.source import Source, Span
from sewdsl.syntax.limits import DEFAULT_LIMITS, Limits
from sewdsl.syntax.parser import parse_dialect
from sewdsl.syntax.tree import Body, Document, Sequence


@dataclass(frozen=True)
class Translation:
    """What became of a text.

    Attributes:
        document: Its header and body in ours; without a body if it has errors.
        inputs: What it states of the inputs of its layers.
    """

    document: Document
    inputs: Inputs = ()


def translate(
    source: Source,
    asked: Conventions,
    diagnostics: Diagnostics,
    limits: Limits = DEFAULT_LIMITS,
    *,
    neuron: bool = False,
) -> Translation:
    """The network of a text in the dialect; what is wrong, and what is assumed, is reported.

    Args:
        source: The text.
        asked: What the option says in place of the text.
        diagnostics: Where to report.
        limits: How much it may ask for.
        neuron: Whether the neurons are said elsewhere.
    """
    document = parse_dialect(source, LANGUAGE, HeBuilder(source, diagnostics, limits), diagnostics, limits)
    mended = len(diagnostics.errors)
    for body in document.statements:
        if isinstance(body, Body):
            items = Resolver(diagnostics).items(body.expression)
            found = _translated(document, body, items, asked, diagnostics, neuron=neuron)
            if len(diagnostics.errors) == mended:
                return found
    return Translation(Document((), span=document.span))


def _translated(  # noqa: PLR0913 -- what, and where to report
    document: Document,
    body: Body,
    items: tuple[Item, ...],
    asked: Conventions,
    diagnostics: Diagnostics,
    *,
    neuron: bool,
) -> Translation:
    assumed = Assumptions(diagnostics)
    header = HeHeader(assumed, diagnostics)
    layers = header.without_start(items)
    writer = HeItemWriter(layers, OutputLayer(layers, asked, diagnostics), asked, assumed)
    sequence = Sequence(writer.body(body.expression.span), span=body.expression.span)
    if not sequence.items:
        _report_empty(body.expression.span, diagnostics)
        return Translation(Document((), span=document.span))
    settings = header.settings(layers, unnamed=None if neuron else writer.unnamed)
    ours = Document((*settings, Body(sequence, span=body.span)), span=document.span)
    return Translation(ours, tuple(writer.inputs))


def _report_empty(span: Span, diagnostics: Diagnostics) -> None:
    diagnostics.report(
        "empty-sequence",
        f"'{span.text}' has no layer",
        span,
        label="expected at least one layer",
        help="write what it holds, e.g. 128C3-AP2-10FC",
    )
