"""Reading files that hold the language: regular files of text, not larger than the limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sewdsl.elaborate.file_kinds import HDF5, MAX_HEAD_BYTES, identify_file, is_binary
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.paths import open_file
from sewdsl.reporter import Reporter
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


def read_text(path: Path, shown: str, span: Span, diagnostics: Reporter, limits: Limits) -> str | None:
    """The text of a file; None where it has none, which is reported, but not where it cannot be read.

    Args:
        path: The file.
        shown: What messages call it.
        span: Where to report.
        diagnostics: Where to report.
        limits: How large it may be: a larger file is not even read.

    Raises:
        OSError: it cannot be read, or is no regular file; ``strerror`` says why.
    """
    with open_file(path) as file:
        head = file.read(MAX_HEAD_BYTES)
        if is_binary(head) and decode_text(head, shown, span, diagnostics) is None:
            return None
        size = os.fstat(file.fileno()).st_size
        if size > limits.source_bytes:
            message = f"'{shown}' has {size:,} bytes, over the limit of {limits.source_bytes:,}"
            diagnostics.report("source-too-long", message, span, help=raise_limit_help("source"))
            return None
        return decode_text(head + file.read(), shown, span, diagnostics)


def decode_text(data: bytes, shown: str, span: Span, diagnostics: Reporter) -> str | None:
    """Bytes as text, without a byte order mark; None where they are none, which is reported."""
    if data.startswith(HDF5) and shown.endswith(".net"):
        message = f"'{shown}' is a lava-dl network in HDF5, not a sewdsl file"
        hint = "both end in .net; sewdsl reads text files that begin with 'sewdsl 1'"
        diagnostics.report("lava-file", message, span, help=hint)
        return None
    kind = identify_file(shown, data[:MAX_HEAD_BYTES])
    if kind is not None:
        message = f"'{shown}' is {kind.what}, not a text of the language"
        diagnostics.report("not-utf8", message, span, help=kind.use.replace("FILE", shown))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"'{shown}' is not UTF-8 text (byte {error.start})"
        diagnostics.report("not-utf8", message, span, help="save it as UTF-8")
        return None
