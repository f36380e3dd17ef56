"""``sewdsl fmt``: formatting of ``.net`` files."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from sewdsl.cli.files import require_free, rewrite, write_file
from sewdsl.cli.options import AS_WRITTEN, HelpPanel, Overwrite, SpecOptions, argument, read_spec_text, require
from sewdsl.cli.output import write_output
from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.compiler import Options, read
from sewdsl.compiler.spec import find_source, limits
from sewdsl.diagnostics import Diagnostic, SewdslError, errors_in, sort_diagnostics
from sewdsl.limits import Limits
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.printer import print_document
from sewdsl.syntax.tree import Document, Number, Statement, Version
from sewdsl.terminal import echo

Out = Annotated[
    Path | None,
    HelpPanel.OUTPUT.option("--out -o FILE", "File for the converted network (requires --dialect).", "standard output"),
]


def command(
    files: Annotated[
        list[str],
        argument(
            "FILE",
            "Files to format in place, or - to read standard input and write standard output. With --dialect, a "
            "layer string.",
        ),
    ],
    spec_options: Annotated[SpecOptions, "dialect", "input", "steps", "neuron", "settings", "limit"] = AS_WRITTEN,
    check: Annotated[
        bool, HelpPanel.OUTPUT.option("--check", "Exit with code 1 if a file would change, without writing.")
    ] = False,
    diff: Annotated[
        bool,
        HelpPanel.OUTPUT.option(
            "--diff", "Print the changes as a diff, without writing (exit code 1 if a file would change)."
        ),
    ] = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Format .net files in place.

    Preserves comments and leaves files with syntax errors unchanged. With --dialect, converts a layer string to a .net
    file. The options --input, --steps, --neuron and --set require --dialect.
    """
    options, dialect = spec_options.compile_options, spec_options.dialect
    bounds = limits(options)
    print_diagnostics(sort_diagnostics(bounds.diagnostics))
    conversion_options = "--input, --steps, --neuron, --set, --out and --overwrite"
    require(
        (dialect is not None, not (check or diff), "--dialect cannot be combined with --check or --diff"),
        (dialect is not None, len(files) == 1, "--dialect requires a single layer string"),
        (
            any(spec_options._replace(limit=None, dialect=None)) or out or overwrite,
            dialect is not None,
            f"{conversion_options} require --dialect",
        ),
    )
    if errors_in(bounds.diagnostics):
        raise typer.Exit(1)
    if dialect is not None:
        if out is not None:
            require_free(out, overwrite=overwrite)
        text = _convert_dialect(files[0], options)
        write_file(out or Path("-"), text.encode(), str(out))
        return
    results = [_format(name, bounds.value, check=check, diff=diff) for name in files]
    broken, changed = "broken" in results, "changed" in results
    raise typer.Exit(1 if broken or (changed and (check or diff)) else 0)


def _convert_dialect(spec: str, options: Options) -> str:
    """Convert a layer string in a dialect to a ``.net`` file, with the assumptions in comments."""
    compilation = read(read_spec_text(spec), **options)
    # The text of a .net file may omit the input shape, and the assumptions become comments.
    diagnostics = [
        diagnostic
        for diagnostic in compilation.diagnostics
        if diagnostic.code not in {"missing-input", "dialect-assumption"}
    ]
    print_diagnostics(diagnostics)
    if errors_in(diagnostics) or compilation.assembly is None or compilation.spec_source is None:
        raise typer.Exit(1)
    assembly, notation = compilation.assembly, " ".join(str(options["dialect"]).split())
    assumed = [diagnostic.message for diagnostic in compilation.diagnostics if diagnostic.code == "dialect-assumption"]
    if "steps" not in assembly.settings:
        assumed.append("steps is 1 (not specified)")
    comments = [f"{' '.join(compilation.spec_source.source.text.split())} in dialect {notation}"]
    comments += [f"assumed: {message}" for message in assumed]
    settings = sorted(assembly.settings.values(), key=lambda setting: SETTINGS.index(setting.key.text))
    body = [] if assembly.body is None else [assembly.body]
    statements: tuple[Statement, ...] = (Version(Number("1")), *settings, *body, *assembly.sections.values())
    # The version must stay on the first line of the file.
    first, rest = print_document(Document(statements)).split("\n", 1)
    return "\n".join([first, *(f"# {comment}" for comment in comments), rest])


def _format(name: str, bounds: Limits, *, check: bool, diff: bool) -> str:
    """Format one file, and return ``broken``, ``changed`` or ``same``."""
    spec_source = find_source(read_spec_text(name) if name == "-" else Path(name), bounds)
    if isinstance(spec_source, Diagnostic):
        print_diagnostics([spec_source])
        return "broken"
    try:
        formatted = format_source(spec_source.source, bounds)
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        return "broken"
    changed = formatted != spec_source.source.text
    if diff and changed:
        before, after = (t.splitlines(keepends=True) for t in (spec_source.source.text, formatted))
        write_output("".join(difflib.unified_diff(before, after, f"{name} before", f"{name} after")))
    if check and changed:
        echo(f"{name}: would change", err=True)
    # Standard input is always written back, so that editors can use the command as a filter.
    if spec_source.file is None and not (check or diff):
        write_output(formatted)
    elif changed and spec_source.file is not None and not (check or diff):
        rewrite(spec_source.file, formatted, f"{name}: formatted")
    return "changed" if changed else "same"
