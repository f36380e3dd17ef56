"""What goes to the standard output apart from messages, and what becomes of standard streams that cannot be written."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

from sewdsl.plugins import BrokenPackage
from sewdsl.resources import UntrustedCache
from sewdsl.terminal import echo, escape_controls, is_terminal

BROKEN_PIPE = 141
"""The exit code after the reader of the output has gone, as a shell has it: 128 and the number of SIGPIPE."""

_format_usual = warnings.formatwarning


# --- contents of files, and JSON ---------------------------------------------------------------------------


def write_output(content: str | bytes) -> None:
    """Write the contents of a file to the standard output: in UTF-8 and unchanged, but to a terminal as a message."""
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    buffer = getattr(sys.stdout, "buffer", None)
    if is_terminal():
        echo(data.decode(errors="backslashreplace"), end="")
    elif buffer is None:  # a stream of text alone, as a program may have put in its place
        sys.stdout.write(data.decode(errors="backslashreplace"))
    else:
        sys.stdout.flush()
        with _failing():
            buffer.write(data)
            buffer.flush()


def dump(value: object) -> str:
    """JSON as the commands print it; control characters are escaped as JSON has it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if escape_controls(text) == text else json.dumps(value, indent=2)


def echo_json(value: object) -> None:
    """Print JSON, which is valid whatever the encoding of the output."""
    text = dump(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")  # a stream of text alone has none
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    echo(text)


@contextmanager
def output_as_messages() -> Iterator[None]:
    """Let what code of others prints go to the standard error: the standard output may be JSON, or a protocol."""
    with redirect_stdout(sys.stderr):
        yield


# --- the standard streams ----------------------------------------------------------------------------------


class OutputError(Exception):
    """A standard stream cannot be written. No OSError, which typer and rich would handle in their own ways.

    Attributes:
        broken_pipe: Whether its reader has gone, as in ``sewdsl nets | head -1``: no reason to say anything.
    """

    def __init__(self, error: OSError | None) -> None:
        reason = "it is closed" if error is None else error.strerror or str(error)
        super().__init__(f"cannot write to standard output: {reason}")
        self.broken_pipe = isinstance(error, BrokenPipeError)


@contextmanager
def _failing(*, optional: bool = False) -> Iterator[None]:
    """Raise an OutputError where a stream cannot be written; if that is optional, only where its reader has gone."""
    try:
        yield
    except OSError as error:
        if not optional or isinstance(error, BrokenPipeError):
            raise OutputError(error) from None


class _Stream:
    """A standard stream whose failures are errors of their own."""

    def __init__(self, stream: TextIO, *, optional: bool, closed: bool) -> None:
        self._stream, self._optional, self._closed = stream, optional, closed

    def write(self, text: str) -> int:
        """Write a text."""
        if self._closed and not self._optional:
            raise OutputError(None)
        with _failing(optional=self._optional):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is kept in memory."""
        with _failing(optional=self._optional):
            self._stream.flush()

    @property
    def buffer(self) -> Any:
        """The stream of bytes below."""
        if self._closed and not self._optional:
            raise OutputError(None)
        return self._stream.buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _guarded(stream: TextIO | None, *, optional: bool) -> TextIO:
    """Return a stream that takes any text: characters that its encoding lacks become escapes."""
    closed = stream is None
    if stream is None:  # its number is free: it would be that of the first file that is opened
        stream = os.fdopen(os.open(os.devnull, os.O_RDWR), "w", encoding="utf-8", closefd=False)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return cast("TextIO", _Stream(stream, optional=optional, closed=closed))


@contextmanager
def standard_streams() -> Iterator[None]:
    """Guard the standard streams of a command.

    If the output cannot be written, the command ends with a sentence and exit code 1; if its reader has gone, silently
    and with that of a shell. The traceback of an unexpected error is a message as any other.
    """
    before, usual = (sys.stdout, sys.stderr), warnings.formatwarning
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    sys.stdout, sys.stderr = _guarded(sys.stdout, optional=False), _guarded(sys.stderr, optional=True)
    warnings.formatwarning = _format_warning
    try:
        try:
            yield
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is printed
            echo("".join(traceback.format_exception(error)), err=True, end="")
            raise SystemExit(1) from None
        finally:
            sys.stdout.flush()
    except OutputError as error:
        with suppress(OSError):  # what is left for the standard output is dropped: Python would write it at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.broken_pipe:
            raise SystemExit(BROKEN_PIPE) from None
        echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
    finally:
        (sys.stdout, sys.stderr), warnings.formatwarning = before, usual


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Format warnings of packages and caches as one line, and other warnings as Python does."""
    if issubclass(category, BrokenPackage | UntrustedCache):
        return escape_controls(f"warning: {message}\n")
    return escape_controls(_format_usual(message, category, filename, lineno, line))
