"""Files that commands write."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def replace(file: Path, text: str) -> None:
    """Writes a file whole: a reader sees the old text or the new one, never half. The mode of an old one stays.

    Ends with exit code 1 and a sentence where the file cannot be written.
    """
    try:
        _replace(file.resolve(), text)
    except OSError as error:
        typer.echo(f"cannot write '{file}': {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


def _replace(file: Path, text: str) -> None:
    fresh = file.with_name(f".sewdsl-{os.getpid()}")  # short, since a long name may be as long as names can be
    try:
        fresh.write_text(text, encoding="utf-8", newline="")
        if file.exists():
            fresh.chmod(file.stat().st_mode)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
