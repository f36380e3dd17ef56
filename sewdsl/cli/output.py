"""Standard output, JSON, and errors of standard streams."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

from sewdsl.plugins import BrokenPackage
from sewdsl.resources import UntrustedCache
from sewdsl.terminal import echo, escape_controls, is_terminal

BROKEN_PIPE = 141
"""Exit code after the reader of the output has exited: 128 plus SIGPIPE, as in a shell."""

_default_formatwarning = warnings.formatwarning


# --- contents of files, and JSON ---------------------------------------------------------------------------


def write_output(content: str | bytes) -> None:
    """Write the contents of a file to standard output: UTF-8 bytes, or escaped text on a terminal."""
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    buffer = getattr(sys.stdout, "buffer", None)
    if is_terminal():
        echo(data.decode(errors="backslashreplace"), end="")
    elif buffer is None:  # A program that calls sewdsl may have replaced sys.stdout by a text stream.
        sys.stdout.write(data.decode(errors="backslashreplace"))
    else:
        sys.stdout.flush()
        with _failing():
            buffer.write(data)
            buffer.flush()


def dump(value: object) -> str:
    """Return indented JSON in which control characters are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # escape_controls would print \x1b, which is not valid JSON; json.dumps prints \u001b.
    return text if escape_controls(text) == text else json.dumps(value, indent=2)


def echo_json(value: object) -> None:
    """Print JSON that is valid in any encoding of the output."""
    text = dump(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")  # Text streams have no encoding.
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    echo(text)


@contextmanager
def output_as_messages() -> Iterator[None]:
    """Redirect standard output of foreign code to standard error: the output may be JSON, or a protocol."""
    with redirect_stdout(sys.stderr):
        yield


# --- the standard streams ----------------------------------------------------------------------------------


class OutputError(Exception):
    """A standard stream cannot be written. Not an OSError, which typer and rich would handle themselves.

    Attributes:
        broken_pipe: Whether the reader has exited, as in ``sewdsl nets | head -1``, which needs no message.
    """

    def __init__(self, error: OSError | None) -> None:
        reason = "it is closed" if error is None else error.strerror or str(error)
        super().__init__(f"cannot write to standard output: {reason}")
        self.broken_pipe = isinstance(error, BrokenPipeError)


@contextmanager
def _failing(*, optional: bool = False) -> Iterator[None]:
    """Convert OSError to OutputError, but only a broken pipe if the stream is optional."""
    try:
        yield
    except OSError as error:
        if not optional or isinstance(error, BrokenPipeError):
            raise OutputError(error) from None


class _Stream:
    """Standard stream that raises OutputError if it cannot be written."""

    def __init__(self, stream: TextIO, *, optional: bool, closed: bool) -> None:
        self._stream, self._optional, self._closed = stream, optional, closed

    def write(self, text: str) -> int:
        """Write a text."""
        if self._closed and not self._optional:
            raise OutputError(None)
        with _failing(optional=self._optional):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with _failing(optional=self._optional):
            self._stream.flush()

    @property
    def buffer(self) -> Any:
        """Underlying byte stream."""
        if self._closed and not self._optional:
            raise OutputError(None)
        return self._stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _guarded(stream: TextIO | None, *, optional: bool) -> TextIO:
    """Return a stream that accepts any text: characters that its encoding lacks are escaped."""
    closed = stream is None
    # Reserve the file descriptor: the next open() would get it, and messages would end up in that file.
    if stream is None:
        stream = os.fdopen(os.open(os.devnull, os.O_RDWR), "w", encoding="utf-8", closefd=False)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return cast("TextIO", _Stream(stream, optional=optional, closed=closed))


@contextmanager
def standard_streams() -> Iterator[None]:
    """Guard the standard streams of a command.

    If the output cannot be written, print an error and exit with code 1. After a broken pipe, exit silently with code
    141. Tracebacks of unexpected errors are printed to standard error with control characters escaped.
    """
    streams, formatwarning = (sys.stdout, sys.stderr), warnings.formatwarning
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    sys.stdout, sys.stderr = _guarded(sys.stdout, optional=False), _guarded(sys.stderr, optional=True)
    warnings.formatwarning = _format_warning
    try:
        try:
            yield
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 -- the traceback of any error is printed
            echo("".join(traceback.format_exception(error)), err=True, end="")
            raise SystemExit(1) from None
        finally:
            sys.stdout.flush()
    except OutputError as error:
        # Discard buffered output: Python would try to write it again at exit.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.broken_pipe:
            raise SystemExit(BROKEN_PIPE) from None
        echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    finally:
        (sys.stdout, sys.stderr), warnings.formatwarning = streams, formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Format warnings about packages and caches as one line, and other warnings as Python does."""
    if issubclass(category, BrokenPackage | UntrustedCache):
        return escape_controls(f"warning: {message}\n")
    return escape_controls(_default_formatwarning(message, category, filename, lineno, line))
