"""``sewdsl check``: errors and warnings of networks, without running them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sewdsl.cli import files
from sewdsl.cli.options import (
    AS_WRITTEN,
    HelpPanel,
    SpecOptions,
    argument,
    complete_spec,
    complete_target,
    read_spec_text,
    require,
)
from sewdsl.cli.output import echo_json
from sewdsl.cli.print_diagnostics import (
    DiagnosticFormat,
    diagnostics_to_json,
    format_github_command,
    format_one_line,
    print_diagnostics,
)
from sewdsl.compiler import Compilation, Options, compile_variants
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Severity, errors_in, sort_diagnostics
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.targets import Fit, Target

MAX_READ, LEAST_READ = 5_000_000, 1_000
"""Largest number of characters checked in all rounds of ``--fix``, and smallest count of one round."""


def command(
    specs: Annotated[
        list[str],
        argument(
            "SPEC",
            "Networks to check: .net files, shipped networks, layer strings, or - for standard input.",
            autocompletion=complete_spec,
        ),
    ],
    spec_options: SpecOptions = AS_WRITTEN,
    fix: Annotated[
        bool, HelpPanel.FIXES.option("--fix", "Apply safe fixes: rewrite files, print fixed layer strings.")
    ] = False,
    unsafe_fixes: Annotated[
        bool, HelpPanel.FIXES.option("--unsafe-fixes", "Include fixes that may change the meaning (requires --fix).")
    ] = False,
    as_format: Annotated[DiagnosticFormat, HelpPanel.OUTPUT.option("--format", "Format of the diagnostics.")] = "text",
    json_: Annotated[bool, HelpPanel.OUTPUT.option("--json", "Print JSON, as with --format json.")] = False,
    target: Annotated[
        str | None,
        HelpPanel.TARGET.option(
            "--target NAME",
            "Chip, microcontroller or compiler that must fit, e.g. speck2f or mcu:256KB (see `sewdsl targets`).",
            "none",
            autocompletion=complete_target,
        ),
    ] = None,
) -> None:
    """Check networks for errors without running them.

    Covers syntax, names, shapes, value ranges, expected figures and the dataset of the recipe. Exits with code 1 if a
    network has errors.
    """
    options = spec_options.compile_options
    require((unsafe_fixes, fix, "--unsafe-fixes requires --fix"))
    results = [
        _fix(spec, options, unsafe=unsafe_fixes)
        if fix
        else SpecReport(spec, _check_spec(read_spec_text(spec), options))
        for spec in specs
    ]
    if target is not None:
        # rich and the targets take longer to import than most networks take to check.
        from sewdsl.cli.targets import read_target

        results = [_with_fit(result, read_target(target)) for result in results]
    _print(results, "json" if json_ else as_format)
    raise typer.Exit(0 if all(result.valid for result in results) else 1)


@dataclass(frozen=True)
class SpecReport:
    """Result for a spec."""

    spec: str
    compilation: Compilation
    fixed: str | None = None
    """Fixed text of a spec that is not a file. None for files, and if nothing changed."""
    target: Target | None = None
    fit: Fit | None = None
    """Result for the target, or None without a target or a network."""
    misfits: tuple[Diagnostic, ...] = ()
    """Limits of the target that the network exceeds."""

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Diagnostics of the network, and then the limits that it exceeds."""
        return (*self.compilation.diagnostics, *self.misfits)

    @property
    def valid(self) -> bool:
        """Whether the network has no errors and fits the target."""
        return self.compilation.valid and not self.misfits


def _with_fit(report: SpecReport, target: Target) -> SpecReport:
    """Check the network of a spec without errors against a target."""
    network = report.compilation.network
    if network is None or not report.compilation.valid:
        return report
    from sewdsl.targets import diagnose

    fit = target.check(network)
    return replace(report, target=target, fit=fit, misfits=sort_diagnostics(diagnose(target, fit.misfits)))


def _check_spec(spec: str | Source, options: Options) -> Compilation:
    """Compile a spec, and check the variants of its study, each recipe and its dataset."""
    # Seeds do not change diagnostics: compile each variant once.
    base, varied = compile_variants(spec, seeded=False, **options)
    if base.network is None:
        return base
    from sewdsl.train.training_plan import check_training

    return check_training(base, varied)


def _print(results: list[SpecReport], form: DiagnosticFormat) -> None:
    if form == "json":
        echo_json(_as_json(results))
        return
    for result in results:
        if form == "text":
            print_diagnostics(result.diagnostics)
        else:
            for diagnostic in result.diagnostics:
                echo(format_github_command(diagnostic) if form == "github" else format_one_line(diagnostic))
        if result.fixed is not None:
            echo(result.fixed)
        if form != "github":
            _print_verdict(result.spec, result.compilation)
            _print_fit(result, table=form == "text")


def _as_json(results: list[SpecReport]) -> dict[str, Any]:
    fits = {
        result.spec: {
            "target": result.target.name,
            "rows": [*result.fit.rows],
            "unknown": [*result.fit.unknown],
            "options": result.fit.options,
        }
        for result in results
        if result.target and result.fit
    }
    return {
        "valid": all(result.valid for result in results),
        "diagnostics": [
            {"spec": result.spec, **item} for result in results for item in diagnostics_to_json(result.diagnostics)
        ],
        "fixed": {result.spec: result.fixed for result in results if result.fixed is not None},
        **({"fits": fits} if fits else {}),
    }


def _print_fit(result: SpecReport, *, table: bool) -> None:
    """Print whether the network fits the target, its resources, and what is unknown."""
    target, fit, network = result.target, result.fit, result.compilation.network
    if target is None or fit is None or network is None:
        return
    if result.misfits:
        count = len(result.misfits)
        echo(f"{network.name}: does not fit {target.name} ({count} error{'s' if count > 1 else ''})", err=True)
        return
    echo(f"{network.name}: fits {target.name}")
    if table:
        from sewdsl.cli.targets import print_rows

        print_rows(fit.rows)
    if fit.options:
        echo(f"note: the C file fits with 'sewdsl export {fit.options}' only")
    for line in fit.unknown:
        echo(f"unknown: {line}")


def _print_verdict(spec: str, result: Compilation) -> None:
    """Print the last line about a spec: valid or invalid, counts of diagnostics, and the size of the network."""
    errors = len(errors_in(result.diagnostics))
    warnings = sum(d.severity is Severity.WARNING for d in result.diagnostics)
    counts = [
        f"{n} {severity}{'s' if n > 1 else ''}" for n, severity in ((errors, "error"), (warnings, "warning")) if n
    ]
    tail = f" ({', '.join(counts)})" if counts else ""
    if result.valid and result.network is not None:
        network = result.network
        size = f"{network.total_parameters:,} parameters, {len(network) - network.first_layer:,} nodes"
        count = len(result.study.variants)
        variants = f"; {count} variant{'s' if count > 1 else ''}" if count else ""
        echo(f"{network.name}: valid{tail}; {size}{variants}")
    elif result.valid and result.assembly is not None and result.spec_source is not None:
        blocks, neurons = len(result.assembly.blocks), len(result.assembly.neurons)
        contents = [f"{n} {name}{'' if n == 1 else 's'}" for n, name in ((blocks, "block"), (neurons, "neuron")) if n]
        echo(f"{result.spec_source.source.name}: valid{tail}; a library of {' and '.join(contents) or 'settings'}")
    else:
        source = result.spec_source.source if result.spec_source else None
        # --fix only changes the text of the spec itself, never a file that it uses.
        fixable = [d for d in result.diagnostics if d.span.source == source and d.fixes and d.fixes[0].safe]
        hint = f"; {len(fixable)} fixable with --fix" if fixable else ""
        name = source.name if source else spec
        echo(f"{name}: invalid{tail}{hint}", err=True)


def _fix(spec: str, options: Options, *, unsafe: bool) -> SpecReport:
    """Apply fixes until the text no longer changes, and rewrite the file or return the fixed string."""
    result = _check_spec(read_spec_text(spec), options)
    if result.spec_source is None:
        return SpecReport(spec, result)
    name, original, file = result.spec_source.source.name, result.spec_source.source.text, result.spec_source.file
    fixed, seen, budget = original, {original}, MAX_READ
    while True:
        next_text = (
            apply_fixes(result.diagnostics, result.spec_source.source, unsafe=unsafe) if result.spec_source else fixed
        )
        # Fixes can undo each other: stop at any text that occurred before.
        if next_text in seen:
            break
        fixed = next_text
        seen.add(fixed)
        budget -= max(len(fixed), LEAST_READ)
        if file is not None:
            files.rewrite(file, fixed)
        result = _check_spec(spec if file is not None else Source(name, fixed), options)
        if budget < 0:
            echo(f"{name}: still changing after {len(seen) - 1} rounds of fixes", err=True)
            break
    return SpecReport(spec, result, fixed if file is None and fixed != original else None)
