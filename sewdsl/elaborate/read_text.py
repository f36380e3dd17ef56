"""Reading files that hold the language: regular files of text, not larger than the limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.file_kinds import HDF5, MAX_HEAD_BYTES, identify_file, is_binary
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.paths import open_file
from sewdsl.source import Span


@dataclass(frozen=True)
class FileAccess:
    """Where the files lie that a file may use, and what counts as their text.

    Attributes:
        project: The folder that they must be in; None: that of the file's project.
        opened: The text of one of them as it is in an editor, which counts instead of what is saved; None where it
            is not open there. Asked once for each file, by its resolved path.
    """

    project: Path | None = None
    opened: Callable[[Path], str | None] = lambda _: None


ON_DISK = FileAccess()
"""Files of the project, as they are saved."""


def read_text(path: Path, shown: str, span: Span, limits: Limits) -> str | Diagnostic:
    """The text of a file, or what is said where it is none.

    Args:
        shown: What messages call it.
        span: What the diagnostic is about.
        limits: How large it may be: a larger file is not even read.

    Raises:
        OSError: it cannot be read, or is no regular file; ``strerror`` says why.
    """
    with open_file(path) as file:
        head = file.read(MAX_HEAD_BYTES)
        if is_binary(head) and isinstance(problem := decode_text(head, shown, span), Diagnostic):
            return problem
        size = os.fstat(file.fileno()).st_size
        if size > limits.source_bytes:
            message = f"'{shown}' has {size:,} bytes, over the limit of {limits.source_bytes:,}"
            return Diagnostic("source-too-long", Severity.ERROR, message, span, help=raise_limit_help("source"))
        return decode_text(head + file.read(), shown, span)


def decode_text(data: bytes, shown: str, span: Span) -> str | Diagnostic:
    """Bytes as text, without a byte order mark, or what is said where they are none."""
    if data.startswith(HDF5) and shown.endswith(".net"):
        message = f"'{shown}' is a lava-dl network in HDF5, not a sewdsl file"
        hint = "both end in .net; sewdsl reads text files that begin with 'sewdsl 1'"
        return Diagnostic("lava-file", Severity.ERROR, message, span, help=hint)
    kind = identify_file(shown, data[:MAX_HEAD_BYTES])
    if kind is not None:
        message = f"'{shown}' is {kind.what}, not a text of the language"
        return Diagnostic("not-utf8", Severity.ERROR, message, span, help=kind.use.replace("FILE", shown))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"'{shown}' is not UTF-8 text (byte {error.start})"
        return Diagnostic("not-utf8", Severity.ERROR, message, span, help="save it as UTF-8")
