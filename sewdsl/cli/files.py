"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

import typer

from sewdsl import whole
from sewdsl.terminal import echo


def replace(file: Path, text: str) -> None:
    """Writes a file whole: a reader sees the old text or the new one, never half. The mode of an old one stays.

    Ends with exit code 1 and a sentence where the file cannot be written.
    """
    try:
        whole.write(file.resolve(), text.encode())
    except OSError as error:
        echo(f"cannot write '{file}': {error.strerror or error}", err=True)
        raise typer.Exit(1) from None
