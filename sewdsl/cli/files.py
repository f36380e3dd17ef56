"""Output files of commands: overwrite checks and atomic writes."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from sewdsl.cli.output import write_output
from sewdsl.paths import explain, is_file, is_there, pending_file, write_stream
from sewdsl.terminal import echo

STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""File names that stand for standard output."""


def fail(message: str) -> NoReturn:
    """Print an error and exit with code 1."""
    echo(f"error: {message}", err=True)
    raise typer.Exit(1)


def require_free(*paths: Path, overwrite: bool) -> None:
    """Exit with code 1 if a file exists and ``--overwrite`` is not set."""
    existing = [str(path) for path in paths if is_file(path) and str(path) not in STANDARD_OUTPUT]
    if existing and not overwrite:
        fail(f"'{existing[0]}' exists; use --overwrite to replace it")


def make_folder(path: Path) -> None:
    """Create a folder and its parents, or exit with code 1 on failure."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot create the folder '{path}': {explain(error, path)}")


def write_file(path: Path, content: bytes, message: str) -> None:
    """Write a file atomically with its previous mode, or exit with code 1 on failure.

    Writes directly to standard output, FIFOs and other special files.

    Args:
        path: Output file, or a link to it.
        message: Message to print afterwards, except for standard output (may be empty).
    """
    write_files((path, content, message))


def write_files(*files: tuple[Path, bytes, str]) -> None:
    """Write several files like :func:`write_file`: on failure, e.g. on a full disk, none of them."""
    with ExitStack() as stack:
        for path, content, _ in files:
            stack.enter_context(_pending(path, content))
    for path, _, message in files:
        if message and str(path) not in STANDARD_OUTPUT:
            echo(message)


@contextmanager
def _pending(path: Path, content: bytes) -> Iterator[None]:
    if str(path) in STANDARD_OUTPUT:
        write_output(content)
        yield
        return
    target = Path(os.path.realpath(path))
    try:
        # stat() raises OSError for a link to itself.
        mode = target.stat().st_mode if is_there(target) else stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "")
        if not stat.S_ISREG(mode):
            write_stream(target, content)
            yield
        # A rename only needs write permission on the folder: check the file itself.
        elif is_there(target) and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "")
        else:
            with pending_file(target, content):
                yield
    except OSError as error:
        fail(f"cannot write '{path}': {explain(error, path)}")


def rewrite(path: Path, text: str, message: str = "") -> None:
    """Replace the text of a file, but preserve its byte order mark.

    Args:
        text: New text without a byte order mark, with its original line ends.
        message: Message to print afterwards (may be empty).
    """
    with path.open("rb") as file:
        first_bytes = file.read(len(codecs.BOM_UTF8))
    write_file(path, (first_bytes if first_bytes == codecs.BOM_UTF8 else b"") + text.encode(), message)
