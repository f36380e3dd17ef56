"""``sewdsl fmt``: the one way to lay a file out."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from sewdsl.cli.files import replace
from sewdsl.cli.options import Dialect, Limit, compile_options, text, usage
from sewdsl.cli.printing import report
from sewdsl.compiler.options import limits
from sewdsl.compiler.spec import find
from sewdsl.diagnostics import Diagnostics, Severity, SewdslError
from sewdsl.dialects import conventions, translate
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.limits import Limits
from sewdsl.syntax.printer import print_document
from sewdsl.syntax.tree import Document, Number, Version


def command(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Files to format in place, or - for a filter.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 where something would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
    limit: Limit = None,
    dialect: Dialect = None,
) -> None:
    """Format .net files, or with --dialect print a string of other papers as a file of ours.

    Comments are kept as they are; a file with syntax errors is never touched.
    """
    problems = Diagnostics()
    bounds = limits(compile_options(None, None, None, None, limit), problems)
    report(problems)
    if dialect is not None and (check or diff or len(files) > 1):
        usage("--dialect prints one string as a file of ours, without --check and --diff")
    if problems.errors:
        raise typer.Exit(1)
    if dialect is not None:
        _print_ours(files[0], dialect, bounds)
        return
    results = [_format(name, bounds, check=check, diff=diff) for name in files]
    broken, changed = "broken" in results, "changed" in results
    raise typer.Exit(1 if broken or (changed and (check or diff)) else 0)


def _print_ours(spec: str, dialect: str, bounds: Limits) -> None:
    """Prints a text in another notation as a file of ours, with what is assumed in comments."""
    diagnostics = Diagnostics()
    asked, found = conventions(dialect, diagnostics, bounds), find(text(spec), diagnostics, bounds)
    if asked is None or found is None:
        report(diagnostics)
        raise typer.Exit(1)
    document = translate(found.spoken(asked, diagnostics).source, asked, diagnostics, bounds).document
    if diagnostics.errors:
        report(diagnostics)
        raise typer.Exit(1)
    report([said for said in diagnostics if said.severity is not Severity.NOTE])
    notes = [f"assumed: {said.message}" for said in diagnostics if said.severity is Severity.NOTE]
    comments = [f"{' '.join(found.source.text.split())} in the notation {' '.join(dialect.split())}", *notes]
    first, rest = print_document(Document((Version(Number("1")), *document.statements))).split("\n", 1)
    typer.echo("\n".join([first, *(f"# {comment}" for comment in comments), rest]), nl=False)


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
