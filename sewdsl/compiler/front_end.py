"""Text to network: every stage of the front end, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Unpack

from sewdsl.checks import check
from sewdsl.compiler.options import Options, limits, overrides
from sewdsl.compiler.reaching import check_reach
from sewdsl.compiler.report_filters import apply_allow_lines, downgrade_to_notes, failed_expectations
from sewdsl.compiler.spec import SpecSource, find_source
from sewdsl.diagnostics import Diagnostic, SewdslError, errors_in
from sewdsl.dialects import Inputs, check_inputs, parse_conventions, translate
from sewdsl.elaborate import (
    Assembly,
    Context,
    Elaboration,
    Expansion,
    Importer,
    Override,
    SiblingBlocks,
    Study,
    apply_overrides,
    assemble,
    elaborate,
    read_study_section,
)
from sewdsl.elaborate.block_library import shipped_blocks
from sewdsl.garbage import put_off
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_bytes
from sewdsl.limits import Limits
from sewdsl.passes import memory_shortage
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse, parse_compact
from sewdsl.syntax.tree import Document

Parsed = tuple[Document, Inputs]


@dataclass(frozen=True)
class Compilation:
    """Everything that is known of a spec.

    Attributes:
        found: The text; None where the spec names none.
        document: Its tree.
        assembly: Its statements with those of used files and the overrides.
        network: The network; with errors it ends before what is broken, or is None.
        diagnostics: All that was said, sorted.
        study: The variants that the file asks for.
        visits: What became of each item of the text and of the files that it uses.
    """

    found: SpecSource | None
    document: Document | None
    assembly: Assembly | None
    network: Network | None
    diagnostics: tuple[Diagnostic, ...]
    study: Study = field(default_factory=Study)
    visits: tuple[Expansion, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether nothing said is an error; a library of blocks and settings is valid without a network."""
        return not errors_in(self.diagnostics)

    def result(self) -> Network:
        """The network.

        Raises:
            SewdslError: the spec has errors, or is a library.
        """
        if self.network is not None and self.valid:
            return self.network
        said = Reporter(found=[*self.diagnostics])
        if self.valid and self.document is not None:
            span = self.document.span
            said.report("missing-body", "this is a library: it has no network of its own", span, help=self._body())
        raise SewdslError(said)

    def _body(self) -> str:
        """How a library gets a network, or what to give in its place."""
        if self.found is None or self.assembly is None or not self.assembly.networks:
            return "add 'body …'"
        text = self.assembly.networks[0]
        file = Path(self.found.source.name).parent / text
        taken = f"'use' takes blocks, settings and the recipe of '{text}', not its body"
        return f"{taken}: add a 'body …', or give '{file}' itself, with e.g. --set train.epochs=3 for what differs"


def read(spec: str | Path | Source, **options: Unpack[Options]) -> Compilation:
    """Compiles a spec up to its network, and says all that there is to say about it; raises nothing.

    Args:
        spec: A path, the name of a shipped network, a compact string, or a text with a name.
        **options: See :class:`Options`.
    """
    diagnostics = Reporter()
    bounds = limits(options, diagnostics)
    asked = options.get("dialect")
    found = find_source(spec, diagnostics, bounds, dialect=asked is not None)
    if found is not None and asked is not None:
        found = found.spoken(parse_conventions(asked, diagnostics, bounds), diagnostics)
        if diagnostics.errors:
            return Compilation(found, None, None, None, diagnostics.sorted)
    if found is None:
        return Compilation(None, None, None, None, diagnostics.sorted)
    return run_front_end(found, overrides(options), diagnostics, bounds)


@put_off()
def run_front_end(
    found: SpecSource, changes: Sequence[Override], diagnostics: Reporter, bounds: Limits, *, variant: bool = False
) -> Compilation:
    """What becomes of a text with overrides put over it.

    Args:
        found: The text.
        changes: The overrides, in order.
        diagnostics: What was said of the options already.
        bounds: The limits in force.
        variant: Whether it is another network than the text says, to which what it expects and claims does not apply.
    """
    try:
        return _run_stages(found, changes, diagnostics, bounds, variant=variant)
    except RecursionError:
        message, hint = "the network nests deeper than can be followed", "lower --limit nesting, or nest less"
        whole = Span(found.source, 0, len(found.source.text))
        diagnostics.report("nesting-too-deep", message, whole, help=hint)
        return Compilation(found, None, None, None, diagnostics.sorted)


@put_off()
def parse_and_assemble(found: SpecSource, diagnostics: Reporter, bounds: Limits) -> tuple[Document, Assembly]:
    """The tree of a text, and its statements with those of the files that it uses."""
    document, _ = _parsed(found, (), diagnostics, bounds)
    return document, _with_used(document, found, diagnostics, bounds)


def _with_used(document: Document, found: SpecSource, diagnostics: Reporter, bounds: Limits) -> Assembly:
    importer = Importer(found.file, found.source.name, diagnostics, bounds, found.reach)
    return assemble(document, diagnostics, importer.use)


def _run_stages(
    found: SpecSource, changes: Sequence[Override], diagnostics: Reporter, bounds: Limits, *, variant: bool
) -> Compilation:
    document, stated, assembly, made = _elaborated(found, changes, diagnostics, bounds, variant=variant)
    network = made.network
    if network is not None:
        check_inputs(network, stated, diagnostics)
        diagnostics.extend(check(network, whole=made.whole))
        lines = _only_written(found, changes, diagnostics, bounds)
        if lines:
            network = downgrade_to_notes(lines, network, assembly, changes, diagnostics)
        if made.whole:
            check_reach(network, made.named, changes, assembly.body, partial(_recompiled, found, bounds), diagnostics)
        if made.whole and not diagnostics.errors:
            _check_memory(network, assembly, diagnostics)
    asked = read_study_section(assembly.study, diagnostics) if assembly.study else Study()
    whole = made.whole and not (variant or asked.variants or changes)  # what is allowed is what the file itself gives
    assembly.allowed = apply_allow_lines(diagnostics, assembly.allowed, whole=whole)
    return Compilation(found, document, assembly, network, diagnostics.sorted, asked, made.visits)


def _elaborated(
    found: SpecSource, changes: Sequence[Override], diagnostics: Reporter, bounds: Limits, *, variant: bool
) -> tuple[Document, Inputs, Assembly, Elaboration]:
    """A text with overrides put over it, up to its network."""
    document, stated = _parsed(found, changes, diagnostics, bounds)
    assembly = _with_used(document, found, diagnostics, bounds)
    if variant:
        assembly.figures.clear()
    apply_overrides(assembly, changes, diagnostics, bounds, shipped_blocks())
    beside = SiblingBlocks(found.file, bounds.source_bytes) if found.file else None
    made = elaborate(assembly, document, Context(found.name, shipped_blocks(), bounds, beside), diagnostics)
    return document, stated, assembly, made


def _recompiled(found: SpecSource, bounds: Limits, changes: Sequence[Override]) -> Network | None:
    """The whole network of a text with other overrides, of which nothing is said."""
    *_, made = _elaborated(found, changes, Reporter(), bounds, variant=True)
    return made.network if made.whole else None


def _only_written(found: SpecSource, changes: Sequence[Override], diagnostics: Reporter, bounds: Limits) -> set[Span]:
    """The lines of figures that hold for the file as written, and not with the changes."""
    lines = failed_expectations(diagnostics)
    if not (lines and changes):
        return set()
    written = run_front_end(found, (), Reporter(), bounds)
    return lines - failed_expectations(written.diagnostics) if written.valid and written.network else set()


def _parsed(found: SpecSource, changes: Sequence[Override], diagnostics: Reporter, bounds: Limits) -> Parsed:
    """The tree of a text, whatever it is written in, and what it states of the inputs of its layers."""
    if found.dialect is None:
        return (parse_compact if found.compact else parse)(found.source, diagnostics, bounds), ()
    neuron = any(change.key == "neuron" for change in changes)
    translation = translate(found.source, found.dialect, diagnostics, bounds, neuron=neuron)
    return translation.document, translation.inputs


def _check_memory(network: Network, assembly: Assembly, diagnostics: Reporter) -> None:
    """Whether a training step can be made to fit into the memory that the recipe allows."""
    least, section, recipe = memory_shortage(network), assembly.sections.get("train"), network.recipe
    if least is None or section is None or recipe is None:
        return
    span = next((setting.span for setting in section.settings if setting.key.text == "memory"), section.span)
    batch = f"{recipe.batch} sample{'s' if recipe.batch > 1 else ''}"
    message = f"a training step on {batch} takes {format_bytes(least)} at the least, more than {recipe.memory}"
    hint = "allow more, or make 'batch' smaller and 'accumulate' larger"
    diagnostics.report("memory-too-small", message, span, help=hint)
