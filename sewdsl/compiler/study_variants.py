"""The variants of a study, each compiled like a file of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Unpack

from sewdsl.compiler.front_end import Compilation, read, run_front_end
from sewdsl.compiler.options import Options, limits, overrides
from sewdsl.compiler.reaching import check_variants
from sewdsl.diagnostics import Diagnostic, sort_diagnostics
from sewdsl.elaborate import Override, StudyVariant
from sewdsl.garbage import put_off
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span


@dataclass(frozen=True)
class CompiledVariant:
    """A variant of a study, with each of its seeds.

    Attributes:
        variant: Which one.
        compilations: One for each seed; where it has errors, only one.
    """

    variant: StudyVariant
    compilations: tuple[Compilation, ...]


@put_off()
def compile_variants(
    spec: str | Path | Source, *, seeded: bool = True, **options: Unpack[Options]
) -> tuple[Compilation, tuple[CompiledVariant, ...]]:
    """Compiles a spec and every variant that its ``study`` section asks for.

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
    seeds = seeded and not base.study.probe  # a probe does not ask the recipe
    for variant in base.study.variants:
        compilations: list[Compilation] = []
        for seed in (base.study.seeds if seeds else None) or (None,):
            changes: list[Override] = [*beneath, *variant.overrides, *((seed,) if seed else ())]
            one = run_front_end(base.found, changes, bounds, variant=True)
            compilations.append(one)
            if not one.valid:
                break
        found.append(CompiledVariant(variant, tuple(compilations)))
        fresh = [d for one in compilations for d in one.diagnostics if d not in base.diagnostics]
        for d in fresh:
            if not _said_of_another(d, chain(base.diagnostics, more.found), varied):
                more.add(replace(d, path=(variant.title, *d.path)))
    return replace(base, diagnostics=sort_diagnostics([*base.diagnostics, *more.found])), tuple(found)


def _said_of_another(diagnostic: Diagnostic, said: Iterable[Diagnostic], varied: Collection[Span | None]) -> bool:
    """Whether the same, word by word, was said of another value: then it is wrong whatever the value."""
    words = (diagnostic.message, diagnostic.label)
    alike = (other.span for other in said if (other.message, other.label) == words)
    return diagnostic.span in varied and any(span in varied and span != diagnostic.span for span in alike)
