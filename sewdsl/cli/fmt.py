"""``sewdsl fmt``: the one way to lay a file out."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from sewdsl.cli.files import replace
from sewdsl.cli.options import Limit, compile_options, text
from sewdsl.cli.printing import report
from sewdsl.compiler.options import limits
from sewdsl.compiler.spec import find
from sewdsl.diagnostics import Diagnostics, SewdslError
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.limits import Limits


def command(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Files to format in place, or - for a filter.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 where something would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
    limit: Limit = None,
) -> None:
    """Format .net files. Comments are kept as they are; a file with syntax errors is never touched."""
    problems = Diagnostics()
    bounds = limits(compile_options(None, None, None, None, limit), problems)
    report(problems)
    results = ["broken"] if problems.errors else [_format(name, bounds, check=check, diff=diff) for name in files]
    broken, changed = "broken" in results, "changed" in results
    raise typer.Exit(1 if broken or (changed and (check or diff)) else 0)


def _format(name: str, bounds: Limits, *, check: bool, diff: bool) -> str:
    """Formats one file: ``broken``, ``changed`` or ``same``."""
    diagnostics = Diagnostics()
    found = find(text(name) if name == "-" else Path(name), diagnostics, bounds)
    if found is None:
        report(diagnostics)
        return "broken"
    try:
        laid_out = format_source(found.source, bounds)
    except SewdslError as error:
        report(error.diagnostics)
        return "broken"
    changed = laid_out != found.source.text
    if diff and changed:
        before, after = (t.splitlines(keepends=True) for t in (found.source.text, laid_out))
        sys.stdout.writelines(difflib.unified_diff(before, after, f"{name} before", f"{name} after"))
    if check and changed:
        typer.echo(f"{name}: would change", err=True)
    if found.file is None and not (check or diff):
        sys.stdout.write(laid_out)
    elif changed and found.file is not None and not (check or diff):
        replace(found.file, laid_out)
        typer.echo(f"{name}: formatted")
    return "changed" if changed else "same"
