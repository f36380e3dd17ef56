"""Compilation of the variants of a study."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Unpack

from sewdsl.compiler.final_checks import check_variants
from sewdsl.compiler.front_end import Compilation, read, run_front_end
from sewdsl.compiler.spec import Options, SpecSource, limits, overrides
from sewdsl.diagnostics import Diagnostic, sort_diagnostics
from sewdsl.elaborate.overrides import Override
from sewdsl.elaborate.study_section import StudyAxis, StudyRange, StudyVariant
from sewdsl.garbage import put_off
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span


@dataclass(frozen=True)
class CompiledVariant:
    """A variant of a study, compiled for each seed, up to the first with errors."""

    variant: StudyVariant
    compilations: tuple[Compilation, ...]


@put_off()
def compile_variants(
    spec: str | Path | Source, *, seeded: bool = True, **options: Unpack[Options]
) -> tuple[Compilation, tuple[CompiledVariant, ...]]:
    """Compile a spec and every variant in its ``study`` section.

    Args:
        spec: As for :func:`sewdsl.compiler.read`.
        seeded: Whether to compile each variant of a training once for each seed, or only once.
        **options: Overridden by those of the variants. See :class:`Options`.

    Returns:
        The compiled spec, with the diagnostics of all variants, and the variants. The list is empty if the spec has
        errors.
    """
    base = read(spec, **options)
    if base.spec_source is None or not base.valid:
        return base, ()
    reporter, limit_values, base_overrides = Reporter(), limits(options).value, overrides(options)
    compiled: list[CompiledVariant] = []
    reporter.extend(
        check_variants(base_overrides, [[*v.overrides, *base.study.seeds[:1]] for v in base.study.variants])
    )
    varied = {item.within for variant in base.study.variants for item in variant.overrides}
    # Probes ignore the recipe, and therefore its seeds.
    seeds = (base.study.seeds if seeded and not base.study.probe else None) or None
    for variant in base.study.variants:
        result = _compile(base.spec_source, variant, seeds, base_overrides, limit_values)
        compiled.append(result)
        new = [d for each in result.compilations for d in each.diagnostics if d not in base.diagnostics]
        for diagnostic in new:
            # A value that is wrong in the spec or in another variant is not the fault of this variant.
            if not _is_repeated(diagnostic, chain(base.diagnostics, reporter.diagnostics), varied):
                reporter.add(replace(diagnostic, path=(variant.title, *diagnostic.path)))
    axes = tuple(_allow_fractions(base.spec_source, axis, base_overrides, limit_values) for axis in base.study.axes)
    diagnostics = sort_diagnostics([*base.diagnostics, *reporter.diagnostics])
    return replace(base, diagnostics=diagnostics, study=replace(base.study, axes=axes)), tuple(compiled)


@put_off()
def compile_trial(
    base: Compilation, number: int, values: Mapping[str, str], **options: Unpack[Options]
) -> CompiledVariant:
    """Compile one trial of a search for each seed, up to the first with errors.

    Args:
        base: Spec, as returned by :func:`compile_variants`.
    """
    assert base.spec_source is not None  # noqa: S101 -- it has a search
    variant = base.study.trial(number, values)
    return _compile(base.spec_source, variant, base.study.seeds or None, overrides(options), limits(options).value)


def _compile(
    spec_source: SpecSource,
    variant: StudyVariant,
    seeds: Sequence[Override] | None,
    base_overrides: Sequence[Override],
    limit_values: Limits,
) -> CompiledVariant:
    """Compile a variant for each seed, up to the first with errors."""
    compilations: list[Compilation] = []
    for seed in seeds or (None,):
        changes: list[Override] = [*base_overrides, *variant.overrides, *((seed,) if seed else ())]
        compilation = run_front_end(spec_source, changes, limit_values, variant=True)
        compilations.append(compilation)
        # Seeds do not change errors.
        if not compilation.valid:
            break
    return CompiledVariant(variant, tuple(compilations))


def _allow_fractions(
    spec_source: SpecSource, axis: StudyAxis | StudyRange, base_overrides: Sequence[Override], limit_values: Limits
) -> StudyAxis | StudyRange:
    """Return a range with integer bounds as a range of real numbers, if its key accepts fractions."""
    if not (isinstance(axis, StudyRange) and axis.is_integer):
        return axis
    # The type of a key is known to its setting only, so the value is tried.
    fraction = Override(axis.name, f"{axis.low.text}.5")
    compilation = run_front_end(spec_source, [*base_overrides, fraction], limit_values, variant=True)
    return replace(axis, is_integer=False) if compilation.valid else axis


def _is_repeated(diagnostic: Diagnostic, others: Iterable[Diagnostic], varied: Collection[Span | None]) -> bool:
    """Return whether another varied value has an equal diagnostic, so that the value is not the cause."""
    text = (diagnostic.message, diagnostic.label)
    spans = (other.span for other in others if (other.message, other.label) == text)
    return diagnostic.span in varied and any(span in varied and span != diagnostic.span for span in spans)
