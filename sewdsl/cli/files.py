"""Files that commands write: none is replaced without being asked for, and none is left half written."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import NoReturn

import typer

from sewdsl.cli.output import write_output
from sewdsl.paths import explain, is_file, is_there, write_atomically, write_stream
from sewdsl.terminal import echo

STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Names of the standard output among files."""


def fail(message: str) -> NoReturn:
    """Exit with an error, code 1."""
    echo(f"error: {message}", err=True)
    raise typer.Exit(1)


def require_free(*paths: Path, overwrite: bool) -> None:
    """Exit with code 1 if a file is there already that may not be replaced."""
    found = [str(path) for path in paths if is_file(path) and str(path) not in STANDARD_OUTPUT]
    if found and not overwrite:
        fail(f"'{found[0]}' exists; use --overwrite to replace it")


def make_folder(path: Path) -> None:
    """Make a folder, with those that it is in, or exit with code 1."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot create the folder '{path}': {explain(error, path)}")


def write_file(path: Path, content: bytes, message: str) -> None:
    """Write a file whole: a reader sees the old contents or the new ones, never half. Its mode stays.

    What is no regular file, such as a FIFO, is written into; with the standard output there is no message.
    Ends with exit code 1 and a sentence where the file cannot be written.

    Args:
        path: The file; of a link, what it leads to.
        message: What is printed after that; may be empty.
    """
    if str(path) in STANDARD_OUTPUT:
        write_output(content)
        return
    target = Path(os.path.realpath(path))
    try:
        kind = target.stat().st_mode if is_there(target) else stat.S_IFREG  # that of a link to itself fails
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, "")
        if not stat.S_ISREG(kind):
            write_stream(target, content)
        elif is_there(target) and not os.access(target, os.W_OK):  # its folder alone would let it be replaced
            raise PermissionError(errno.EACCES, "")
        else:
            write_atomically(target, content)
    except OSError as error:
        fail(f"cannot write '{path}': {explain(error, path)}")
    if message:
        echo(message)


def rewrite(path: Path, text: str, message: str = "") -> None:
    """Put a changed text in the place of the one that was read from a file; a byte order mark stays, as line ends do.

    Args:
        text: The changed text, without a mark.
        message: What is printed after that; may be empty.
    """
    with path.open("rb") as file:
        mark = file.read(len(codecs.BOM_UTF8))
    write_file(path, (mark if mark == codecs.BOM_UTF8 else b"") + text.encode(), message)
