"""Text to network: every stage of the front end, in order, each from the value before it to the next."""

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
from sewdsl.diagnostics import Diagnostic, Severity, SewdslError, errors_in, sort_diagnostics
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
    """A text as a tree, whatever it is written in.

    Attributes:
        inputs: What a text in a dialect states of the inputs of its layers.
    """

    document: Document
    inputs: Inputs = ()


@dataclass(frozen=True)
class Assembled:
    """The statements of a text and of the files that it uses.

    Attributes:
        assembly: Its statements with those of the files, as written.
        diagnostics: What was said of both, not of the options; another elaboration can begin here.
    """

    parsed: Parsed
    assembly: Assembly
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class Elaborated:
    """The network that follows from the statements and the overrides.

    Attributes:
        assembly: The statements with the overrides.
        elaboration: The network, if there is one, and what became of each item.
    """

    assembled: Assembled
    assembly: Assembly
    elaboration: Elaboration


@dataclass(frozen=True)
class Checked:
    """A network of which all is said.

    Attributes:
        assembly: Its statements, without the figures that hold only without the overrides.
        network: The network, without these figures; None where there is none.
    """

    elaborated: Elaborated
    assembly: Assembly
    network: Network | None
    study: Study


@dataclass(frozen=True)
class Compilation:
    """Everything that is known of a spec.

    Attributes:
        found: The text; None where the spec names none.
        assembly: Its statements with those of used files and the overrides.
        network: The network; with errors it ends before what is broken, or is None.
        diagnostics: All that was said, sorted.
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
        """Return the network.

        Raises:
            SewdslError: the spec has errors, or is a library.
        """
        if self.network is not None and self.valid:
            return self.network
        said = [*self.diagnostics]
        if self.valid and self.document is not None:
            message, span = "this is a library: it has no network of its own", self.document.span
            said.append(Diagnostic("missing-body", Severity.ERROR, message, span, help=self._body()))
        raise SewdslError(sort_diagnostics(said))

    def standalone_text(self) -> str:
        """Return the canonical text of a valid spec: it needs no other file and compiles to the same network anywhere.

        Definitions of used files are part of it, and overrides are applied.

        Raises:
            SewdslError: the spec has errors.
        """
        name, assembly = self.result().name, self.assembly or Assembly()
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

    def _body(self) -> str:
        """How a library gets a network, or what to give in its place."""
        if self.found is None or self.assembly is None or not self.assembly.networks:
            return "add 'body …'"
        text = self.assembly.networks[0]
        file = Path(self.found.source.name).parent / text
        taken = f"'use' takes blocks, settings and the recipe of '{text}', not its body"
        return f"{taken}: add a 'body …', or give '{file}' itself, with e.g. --set train.epochs=3 for what differs"


def read(spec: str | Path | Source, **options: Unpack[Options]) -> Compilation:
    """Compile a spec up to its network, with all that there is to say about it; raise nothing.

    Args:
        spec: A path, the name of a shipped network, a compact string, or a text with a name.
        **options: See :class:`Options`.
    """
    bounds, asked = limits(options), options.get("dialect")
    reporter = Reporter(bounds.value, [*bounds.diagnostics])
    found = find_source(spec, bounds.value, dialect=asked is not None)
    if isinstance(found, Diagnostic):
        return Compilation(None, None, None, None, sort_diagnostics([*bounds.diagnostics, found]))
    if asked is not None:
        from sewdsl.dialects import parse_conventions

        found = reporter.take(found.in_dialect(reporter.take(parse_conventions(asked, bounds.value))))
        if reporter.errors:
            return Compilation(found, None, None, None, reporter.sorted)
    return run_front_end(found, overrides(options), bounds.value, reporter.found)


@put_off()
def run_front_end(
    found: SpecSource,
    changes: Sequence[Override],
    limits: Limits,
    said: Sequence[Diagnostic] = (),
    *,
    variant: bool = False,
) -> Compilation:
    """What becomes of a text with overrides put over it.

    Args:
        said: What was said of the options already.
        variant: Whether it is another network than the text says, to which what it expects and claims does not apply.
    """
    front_end = _FrontEnd(found, changes, Reporter(limits, [*said]), variant=variant)
    try:
        parsed = front_end.parse()
        assembled = front_end.assemble(parsed)
        elaborated = front_end.elaborate(assembled)
        checked = front_end.check(elaborated)
        return front_end.conclude(checked)
    except RecursionError as error:
        return front_end.give_up(error)


@put_off()
def parse_and_assemble(found: SpecSource, limits: Limits) -> Assembled:
    """Return the tree of a text, and its statements with those of the files that it uses."""
    front_end = _FrontEnd(found, (), Reporter(limits))
    return front_end.assemble(front_end.parse())


class _FrontEnd:
    """The stages for one text, and where they report.

    Args:
        reporter: Knows what was said before the stages begin.
        variant: Whether what the text expects and claims does not apply.
    """

    def __init__(
        self, found: SpecSource, changes: Sequence[Override], reporter: Reporter, *, variant: bool = False
    ) -> None:
        self.found, self.changes, self.reporter, self.variant = found, changes, reporter, variant
        self.said_before = len(reporter)

    def parse(self) -> Parsed:
        """Return the tree of the text, and what it states of the inputs of its layers."""
        source, limits = self.found.source, self.reporter.limits
        if self.found.dialect is None:
            read = parse_compact if self.found.compact else parse
            return Parsed(self.reporter.take(read(source, limits)))
        from sewdsl.dialects import translate

        neuron = any(change.key == "neuron" for change in self.changes)
        translation = self.reporter.take(translate(source, self.found.dialect, limits, neuron=neuron))
        return Parsed(translation.document, translation.inputs)

    def assemble(self, parsed: Parsed) -> Assembled:
        """Return its statements, with those of the files that it uses."""
        importer = Importer(self.found.file, self.found.source.name, self.reporter, self.found.reach)
        assembly = self.reporter.take(assemble(parsed.document, importer.use))
        return Assembled(parsed, assembly, tuple(self.reporter.found[self.said_before :]))

    def elaborate(self, assembled: Assembled) -> Elaborated:
        """Return the network of the statements, with the overrides put over them."""
        written = replace(assembled.assembly, figures=()) if self.variant else assembled.assembly
        assembly = apply_overrides(written, self.changes, self.reporter, shipped_blocks())
        siblings = SiblingBlocks(self.found.file, self.reporter.limits.source_bytes) if self.found.file else None
        context = Context(self.found.name, shipped_blocks(), siblings)
        elaboration = elaborate(assembly, assembled.parsed.document, context, self.reporter)
        return Elaborated(assembled, assembly, elaboration)

    def check(self, elaborated: Elaborated) -> Checked:
        """What the rules say of the network, of its figures, of the overrides, and of the study."""
        assembly, elaboration, network = elaborated.assembly, elaborated.elaboration, elaborated.elaboration.network
        if network is not None:
            if inputs := elaborated.assembled.parsed.inputs:
                from sewdsl.dialects import check_inputs

                self.reporter.extend(check_inputs(network, inputs))
            said = [*check(network, whole=elaboration.whole)]
            overridden = self._overridden_figures(said, elaborated.assembled)
            overridden |= claims_of_another_network(network, self.changes)
            self.reporter.extend(downgrade_to_notes(said, overridden, network, self.changes))
            assembly = replace(assembly, figures=tuple(f for f in assembly.figures if f.span not in overridden))
            kept = tuple(figure for figure in network.expectations if figure.span not in overridden)
            network = replace(network, expectations=kept) if overridden else network
        if network is not None and elaboration.whole:
            self.reporter.extend(check_classes(network, self.changes))
            with_others = self._recompile(elaborated.assembled)
            self.reporter.extend(check_reach(network, elaboration.named, self.changes, assembly.body, with_others))
            if not self.reporter.errors:
                self.reporter.extend(check_memory(network, assembly))
        study = self.reporter.take(read_study_section(assembly.study)) if assembly.study else Study()
        return Checked(elaborated, assembly, network, study)

    def conclude(self, checked: Checked) -> Compilation:
        """Return all that is known, without what ``allow`` lines allow."""
        elaborated, assembly = checked.elaborated, checked.assembly
        changed = self.variant or checked.study.variants or self.changes
        whole = elaborated.elaboration.whole and not changed  # what is allowed is what the file itself gives
        report = apply_allow_lines(self.reporter.found, assembly.allowed, whole=whole)
        return Compilation(
            self.found,
            elaborated.assembled.parsed.document,
            replace(assembly, allowed=report.value),
            checked.network,
            sort_diagnostics(report.diagnostics),
            checked.study,
            elaborated.elaboration.visits,
        )

    def give_up(self, error: RecursionError) -> Compilation:
        """What is said of a text that nests too deep for one of the stages."""
        if isinstance(error, NestingError):
            self.reporter.extend(error.diagnostics)
        message, hint = "the network nests deeper than can be followed", "lower --limit nesting, or nest less"
        whole = Span(self.found.source, 0, len(self.found.source.text))
        self.reporter.report("nesting-too-deep", message, whole, help=hint)
        return Compilation(self.found, None, None, None, self.reporter.sorted)

    def _overridden_figures(self, said: Sequence[Diagnostic], assembled: Assembled) -> set[Span]:
        """Return the lines of figures that hold for the file as written, and not with the overrides."""
        failed = failed_expectations(said)
        if not (failed and self.changes):
            return set()
        as_written = self._restart_after_assembly(assembled, ())
        try:
            written = as_written.conclude(as_written.check(as_written.elaborate(assembled)))
        except RecursionError:
            return set()
        return failed - failed_expectations(written.diagnostics) if written.valid and written.network else set()

    def _recompile(self, assembled: Assembled) -> Recompile:
        """Elaborate the statements with other overrides, of which nothing is said."""

        def recompile(changes: Sequence[Override]) -> Network | None:
            other = self._restart_after_assembly(assembled, changes, variant=True)
            in_dialect = self.found.dialect is not None  # which is read otherwise where its neurons are given
            elaboration = other.elaborate(other.assemble(other.parse()) if in_dialect else assembled).elaboration
            return elaboration.network if elaboration.whole else None

        return recompile

    def _restart_after_assembly(
        self, assembled: Assembled, changes: Sequence[Override], *, variant: bool = False
    ) -> _FrontEnd:
        """Return the stages after the assembly, with other overrides and a report of their own."""
        reporter = Reporter(self.reporter.limits, [*assembled.diagnostics])
        return _FrontEnd(self.found, changes, reporter, variant=variant)
