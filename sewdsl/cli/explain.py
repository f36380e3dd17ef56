"""``sewdsl explain``: explanation of a diagnostic code, with an example and its fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sewdsl.cli.console import console
from sewdsl.cli.options import argument, exit_with_usage_error
from sewdsl.cli.output import write_output
from sewdsl.resources import resource_folder
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo, is_terminal


def code_pages() -> dict[str, Path]:
    """Return the Markdown file of each diagnostic code."""
    return {path.stem: path for path in sorted(resource_folder("codes").glob("*.md"))}


def complete_code(incomplete: str) -> list[str]:
    """Complete a diagnostic code."""
    return [code for code in code_pages() if code.startswith(incomplete)]


def command(
    code: Annotated[
        str | None,
        argument("CODE", "Diagnostic code, e.g. join-needs-spikes.", "list all", autocompletion=complete_code),
    ] = None,
) -> None:
    """Explain a diagnostic code, or list all codes."""
    pages = code_pages()
    if code is None:
        echo("\n".join(pages))
    elif code not in pages:
        hint = did_you_mean(code, pages) or "run 'sewdsl explain' for a list"
        exit_with_usage_error(f"unknown code '{code}'; {hint}")
    else:
        _print(pages[code].read_text(encoding="utf-8"))


def _print(page: str) -> None:
    # Pipes receive the Markdown source.
    if not is_terminal():
        write_output(page)
        return
    from rich.markdown import Markdown

    console().print(Markdown(page))
