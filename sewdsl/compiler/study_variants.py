"""The variants of a study, each compiled like a file of its own."""

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
    """A variant of a study, with each of its seeds.

    Attributes:
        compilations: One for each seed; where it has errors, only one.
    """

    variant: StudyVariant
    compilations: tuple[Compilation, ...]


@put_off()
def compile_variants(
    spec: str | Path | Source, *, seeded: bool = True, **options: Unpack[Options]
) -> tuple[Compilation, tuple[CompiledVariant, ...]]:
    """Compile a spec and every variant that its ``study`` section asks for.

    Args:
        spec: As for :func:`sewdsl.compiler.read`.
        seeded: Whether to compile each variant of a training once for each seed, or only once.
        **options: Beneath those of the variants; see :class:`Options`.

    Returns:
        The spec itself, with what was said of it and of all its variants; and these, none where the spec has errors.
    """
    base = read(spec, **options)
    if base.found is None or not base.valid:
        return base, ()
    more, bounds, beneath = Reporter(), limits(options).value, overrides(options)
    found: list[CompiledVariant] = []
    more.extend(check_variants(beneath, [[*one.overrides, *base.study.seeds[:1]] for one in base.study.variants]))
    varied = {item.within for variant in base.study.variants for item in variant.overrides}
    seeds = (base.study.seeds if seeded and not base.study.probe else None) or None  # a probe does not ask the recipe
    for variant in base.study.variants:
        one = _compile(base.found, variant, seeds, beneath, bounds)
        found.append(one)
        fresh = [d for each in one.compilations for d in each.diagnostics if d not in base.diagnostics]
        for d in fresh:
            if not _said_of_another(d, chain(base.diagnostics, more.found), varied):
                more.add(replace(d, path=(variant.title, *d.path)))
    axes = tuple(_with_numbers(base.found, axis, beneath, bounds) for axis in base.study.axes)
    diagnostics = sort_diagnostics([*base.diagnostics, *more.found])
    return replace(base, diagnostics=diagnostics, study=replace(base.study, axes=axes)), tuple(found)


@put_off()
def compile_trial(
    base: Compilation, number: int, values: Mapping[str, str], **options: Unpack[Options]
) -> CompiledVariant:
    """Compile one trial of a search, once for each seed; where it has errors, only once.

    Args:
        base: The spec, as :func:`compile_variants` returned it.
        values: By axis.
    """
    assert base.found is not None  # noqa: S101 -- it has a search
    variant = base.study.trial(number, values)
    return _compile(base.found, variant, base.study.seeds or None, overrides(options), limits(options).value)


def _compile(
    found: SpecSource,
    variant: StudyVariant,
    seeds: Sequence[Override] | None,
    beneath: Sequence[Override],
    bounds: Limits,
) -> CompiledVariant:
    """Compile a variant once for each seed; where it has errors, only once."""
    compilations: list[Compilation] = []
    for seed in seeds or (None,):
        changes: list[Override] = [*beneath, *variant.overrides, *((seed,) if seed else ())]
        one = run_front_end(found, changes, bounds, variant=True)
        compilations.append(one)
        if not one.valid:
            break
    return CompiledVariant(variant, tuple(compilations))


def _with_numbers(
    found: SpecSource, axis: StudyAxis | StudyRange, beneath: Sequence[Override], bounds: Limits
) -> StudyAxis | StudyRange:
    """Return a range whose bounds are whole numbers, as one of all numbers where its key takes a fraction too."""
    if not (isinstance(axis, StudyRange) and axis.whole):
        return axis
    fraction = Override(axis.name, f"{axis.low.text}.5")
    taken = run_front_end(found, [*beneath, fraction], bounds, variant=True)
    return replace(axis, whole=False) if taken.valid else axis


def _said_of_another(diagnostic: Diagnostic, said: Iterable[Diagnostic], varied: Collection[Span | None]) -> bool:
    """Return whether the same, word by word, was said of another value: then it is wrong whatever the value."""
    words = (diagnostic.message, diagnostic.label)
    alike = (other.span for other in said if (other.message, other.label) == words)
    return diagnostic.span in varied and any(span in varied and span != diagnostic.span for span in alike)
