"""Front end: stages from source text to network, from one frozen value to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sewdsl.checks import check
from sewdsl.compiler.final_checks import (
    Recompile,
    apply_allow_lines,
    check_classes,
    check_memory,
    check_reach,
    claims_of_another_network,
    downgrade_to_notes,
    failed_expectations,
)
from sewdsl.compiler.spec import Options, SpecSource, find_source, limits, overrides
from sewdsl.diagnostics import Diagnostic, SewdslError, errors_in, sort_diagnostics
from sewdsl.elaborate import Context, Elaboration, elaborate
from sewdsl.elaborate.assembly import Assembly, assemble
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.imports import Importer
from sewdsl.elaborate.node_builder import Expansion
from sewdsl.elaborate.overrides import Override, apply_overrides
from sewdsl.elaborate.study_section import Study, read_study_section
from sewdsl.elaborate.text_files import SiblingBlocks
from sewdsl.garbage import put_off
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits
from sewdsl.reporter import NestingError, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse, parse_compact
from sewdsl.syntax.printer import print_document
from sewdsl.syntax.tree import Document, Number, Setting, Statement, Text, Version, Word

if TYPE_CHECKING:
    from sewdsl.dialects import Inputs


@dataclass(frozen=True)
class Parsed:
    """Syntax tree of a source, and the inputs of the layers that a source in a dialect states."""

    document: Document
    inputs: Inputs = ()


@dataclass(frozen=True)
class Assembled:
    """Statements of a source and its used files."""

    parsed: Parsed
    assembly: Assembly
    """All statements, without overrides."""
    diagnostics: tuple[Diagnostic, ...]
    """Diagnostics of the sources, without those of the options. Another elaboration can start from here."""


@dataclass(frozen=True)
class Elaborated:
    """Network of the statements with overrides, if there is one, and the expansion of each item."""

    assembled: Assembled
    assembly: Assembly
    elaboration: Elaboration


@dataclass(frozen=True)
class Checked:
    """Network with all diagnostics reported."""

    elaborated: Elaborated
    assembly: Assembly
    """Statements, without figures invalidated by the overrides."""
    network: Network | None
    """Network without these figures, or None."""
    study: Study


@dataclass(frozen=True)
class Compilation:
    """Result of compiling a spec up to its network."""

    spec_source: SpecSource | None
    """Source of the spec, if it exists."""
    document: Document | None
    assembly: Assembly | None
    """Statements of the source and the used files, with overrides applied."""
    network: Network | None
    """Network, or None. With errors, it ends before the first broken item."""
    diagnostics: tuple[Diagnostic, ...]
    """All diagnostics, sorted."""
    study: Study = field(default_factory=Study)
    visits: tuple[Expansion, ...] = ()
    """Expansions of the items in the source and the used files."""

    @property
    def valid(self) -> bool:
        """True if there are no errors. A library of blocks and settings is valid without a network."""
        return not errors_in(self.diagnostics)

    def result(self) -> Network:
        """Return the network, or raise SewdslError if the spec has errors or is a library."""
        if self.network is not None and self.valid:
            return self.network
        diagnostics = [*self.diagnostics]
        if self.valid and self.document is not None:
            message, span = "this file is a library without a network", self.document.span
            diagnostics.append(Diagnostic("missing-body", message, span, help=self._missing_body_help()))
        raise SewdslError(sort_diagnostics(diagnostics))

    def standalone_text(self) -> str:
        """Return the canonical text of a valid spec, with the definitions of used files and all overrides.

        The text needs no other file and compiles to the same network.

        Raises:
            SewdslError: If the spec has errors.
        """
        name, assembly = self.result().name, self.assembly or Assembly()
        # The default name is that of the file, which the text does not know.
        settings = {"network": Setting(Word("network"), (Text(name),)), **assembly.settings}
        statements: list[Statement] = [
            Version(Number("1")),
            *settings.values(),
            *assembly.neurons.values(),
            *assembly.blocks.values(),
            *assembly.lets,
            *([] if assembly.body is None else [assembly.body]),
            *assembly.figures,
            *assembly.allowed,
            *assembly.sections.values(),
        ]
        return print_document(Document(tuple(statements)))

    def _missing_body_help(self) -> str:
        if self.spec_source is None or self.assembly is None or not self.assembly.networks:
            return "add 'body …'"
        used = self.assembly.networks[0]
        file = Path(self.spec_source.source.name).parent / used
        limitation = f"'use' imports blocks, settings and the recipe of '{used}', but not its body"
        return f"{limitation}; add 'body …', or use '{file}' with overrides, e.g. --set train.epochs=3"


def read(spec: str | Path | Source, **options: Unpack[Options]) -> Compilation:
    """Compile a spec up to its network. Errors are returned as diagnostics, never raised.

    Args:
        spec: Path, name of a shipped network, layer string, or named source.
        **options: See :class:`Options`.
    """
    bounds, dialect = limits(options), options.get("dialect")
    reporter = Reporter(bounds.value, [*bounds.diagnostics])
    spec_source = find_source(spec, bounds.value, dialect=dialect is not None)
    if isinstance(spec_source, Diagnostic):
        return Compilation(None, None, None, None, sort_diagnostics([*bounds.diagnostics, spec_source]))
    if dialect is not None:
        from sewdsl.dialects import parse_conventions

        spec_source = reporter.take(spec_source.in_dialect(reporter.take(parse_conventions(dialect, bounds.value))))
        # Without a valid dialect, the source cannot be parsed.
        if reporter.errors:
            return Compilation(spec_source, None, None, None, reporter.sorted)
    return run_front_end(spec_source, overrides(options), bounds.value, reporter.diagnostics)


@put_off()
def run_front_end(
    spec_source: SpecSource,
    changes: Sequence[Override],
    limits: Limits,
    reported: Sequence[Diagnostic] = (),
    *,
    variant: bool = False,
) -> Compilation:
    """Run the front end on a source with overrides applied.

    Args:
        variant: Whether the overrides define another network, without the expectations and claims of the source.
    """
    front_end = _FrontEnd(spec_source, changes, Reporter(limits, [*reported]), variant=variant)
    try:
        parsed = front_end.parse()
        assembled = front_end.assemble(parsed)
        elaborated = front_end.elaborate(assembled)
        checked = front_end.check(elaborated)
        return front_end.conclude(checked)
    # All stages recurse into nested items. A single handler covers all of them.
    except RecursionError as error:
        return front_end.give_up(error)


@put_off()
def parse_and_assemble(spec_source: SpecSource, limits: Limits) -> Assembled:
    """Parse a source, and return its statements with those of the used files."""
    front_end = _FrontEnd(spec_source, (), Reporter(limits))
    return front_end.assemble(front_end.parse())


class _FrontEnd:
    """Front-end stages of one source.

    Args:
        reporter: Reporter, possibly with diagnostics of the options.
        variant: Whether to ignore expectations and claims of the source.
    """

    def __init__(
        self, spec_source: SpecSource, changes: Sequence[Override], reporter: Reporter, *, variant: bool = False
    ) -> None:
        self.spec_source, self.changes, self.reporter, self.variant = spec_source, changes, reporter, variant
        self._option_diagnostics = len(reporter)

    def parse(self) -> Parsed:
        """Return the syntax tree of the source, and the inputs of its layers if stated."""
        source, limits = self.spec_source.source, self.reporter.limits
        if self.spec_source.dialect is None:
            parse_text = parse_compact if self.spec_source.compact else parse
            return Parsed(self.reporter.take(parse_text(source, limits)))
        # Dialects are imported on demand, because most sources are in the language of sewdsl.
        from sewdsl.dialects import translate

        neuron = any(change.key == "neuron" for change in self.changes)
        translation = self.reporter.take(translate(source, self.spec_source.dialect, limits, neuron=neuron))
        return Parsed(translation.document, translation.inputs)

    def assemble(self, parsed: Parsed) -> Assembled:
        """Return the statements of the source and of the used files."""
        importer = Importer(self.spec_source.file, self.spec_source.source.name, self.reporter, self.spec_source.reach)
        assembly = self.reporter.take(assemble(parsed.document, importer.use))
        return Assembled(parsed, assembly, tuple(self.reporter.diagnostics[self._option_diagnostics :]))

    def elaborate(self, assembled: Assembled) -> Elaborated:
        """Return the network of the statements with overrides applied."""
        # Figures of the source belong to the unchanged network.
        written = replace(assembled.assembly, figures=()) if self.variant else assembled.assembly
        assembly = apply_overrides(written, self.changes, self.reporter, shipped_blocks())
        siblings = (
            SiblingBlocks(self.spec_source.file, self.reporter.limits.source_bytes) if self.spec_source.file else None
        )
        context = Context(self.spec_source.name, shipped_blocks(), siblings)
        elaboration = elaborate(assembly, assembled.parsed.document, context, self.reporter)
        return Elaborated(assembled, assembly, elaboration)

    def check(self, elaborated: Elaborated) -> Checked:
        """Check the network, its figures, the overrides and the study."""
        assembly, elaboration, network = elaborated.assembly, elaborated.elaboration, elaborated.elaboration.network
        if network is not None:
            if inputs := elaborated.assembled.parsed.inputs:
                from sewdsl.dialects import check_inputs

                self.reporter.extend(check_inputs(network, inputs))
            rule_diagnostics = [*check(network, whole=elaboration.whole)]
            overridden = self._overridden_figures(rule_diagnostics, elaborated.assembled)
            overridden |= claims_of_another_network(network, self.changes)
            self.reporter.extend(downgrade_to_notes(rule_diagnostics, overridden, network, self.changes))
            assembly = replace(assembly, figures=tuple(f for f in assembly.figures if f.span not in overridden))
            expectations = tuple(figure for figure in network.expectations if figure.span not in overridden)
            network = replace(network, expectations=expectations) if overridden else network
        # With errors, the network ends early, and checks of the complete network would report consequences.
        if network is not None and elaboration.whole:
            self.reporter.extend(check_classes(network, self.changes))
            recompile = self._recompile(elaborated.assembled)
            self.reporter.extend(check_reach(network, elaboration.named, self.changes, assembly.body, recompile))
            # The memory prediction builds a program, which requires a valid network.
            if not self.reporter.errors:
                self.reporter.extend(check_memory(network, assembly))
        study = self.reporter.take(read_study_section(assembly.study)) if assembly.study else Study()
        return Checked(elaborated, assembly, network, study)

    def conclude(self, checked: Checked) -> Compilation:
        """Return the compilation, without the diagnostics allowed by ``allow`` lines."""
        elaborated, assembly = checked.elaborated, checked.assembly
        changed = self.variant or checked.study.variants or self.changes
        # With overrides, an 'allow' line may be unused although the file needs it.
        is_complete = elaborated.elaboration.whole and not changed
        report = apply_allow_lines(self.reporter.diagnostics, assembly.allowed, whole=is_complete)
        return Compilation(
            self.spec_source,
            elaborated.assembled.parsed.document,
            replace(assembly, allowed=report.value),
            checked.network,
            sort_diagnostics(report.diagnostics),
            checked.study,
            elaborated.elaboration.visits,
        )

    def give_up(self, error: RecursionError) -> Compilation:
        """Return the compilation of a source with too much nesting for one of the stages."""
        if isinstance(error, NestingError):
            self.reporter.extend(error.diagnostics)
        message, hint = "the network is nested too deeply", "reduce the nesting, or lower --limit nesting"
        source_span = Span(self.spec_source.source, 0, len(self.spec_source.source.text))
        self.reporter.report("nesting-too-deep", message, source_span, help=hint)
        return Compilation(self.spec_source, None, None, None, self.reporter.sorted)

    def _overridden_figures(self, reported: Sequence[Diagnostic], assembled: Assembled) -> set[Span]:
        """Return the spans of figures invalidated by the overrides."""
        failed = failed_expectations(reported)
        # The unchanged network is compiled only if necessary.
        if not (failed and self.changes):
            return set()
        front_end = self._restart_after_assembly(assembled, ())
        try:
            unchanged = front_end.conclude(front_end.check(front_end.elaborate(assembled)))
        except RecursionError:
            return set()
        return failed - failed_expectations(unchanged.diagnostics) if unchanged.valid and unchanged.network else set()

    def _recompile(self, assembled: Assembled) -> Recompile:
        """Return a function for compiling the statements with other overrides, without diagnostics."""

        def recompile(changes: Sequence[Override]) -> Network | None:
            other = self._restart_after_assembly(assembled, changes, variant=True)
            # A dialect is parsed differently if the neuron is overridden.
            in_dialect = self.spec_source.dialect is not None
            elaboration = other.elaborate(other.assemble(other.parse()) if in_dialect else assembled).elaboration
            return elaboration.network if elaboration.whole else None

        return recompile

    def _restart_after_assembly(
        self, assembled: Assembled, changes: Sequence[Override], *, variant: bool = False
    ) -> _FrontEnd:
        """Return a front end with other overrides and a new reporter, for the stages after the assembly."""
        reporter = Reporter(self.reporter.limits, [*assembled.diagnostics])
        return _FrontEnd(self.spec_source, changes, reporter, variant=variant)
