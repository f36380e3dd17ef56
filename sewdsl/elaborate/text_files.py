"""Files of the language: reading their text, telling files of other kinds apart, and the other files of a project."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePath

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.suggestions import nearest_name
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.paths import is_file, open_file
from sewdsl.source import Span

MAX_HEAD_BYTES = 512
"""Bytes by which a file is known."""
MAX_NAMES_SCANNED = 1000
"""Names of a folder that are looked at: what is said about a typing error may not take long."""
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class FileKind:
    """A file of another kind."""

    what: str
    use: str


WEIGHTS = FileKind(
    "a file of weights",
    "weights go with a network: train and export take '--weights FILE', 'sewdsl weights show' lists",
)
ARCHIVE = FileKind("an archive", "give the file of a network")
_WRITTEN = "sewdsl writes such files, and does not read them; 'sewdsl import' reads NIR and models of torch"
_SUFFIXES = {
    ".nir": FileKind("a graph of NIR", "'sewdsl import FILE OUT.net' makes a network of it"),
    ".onnx": FileKind("a model of ONNX", _WRITTEN),
    ".pt2": FileKind("an archive of torch.export", _WRITTEN),
    ".safetensors": WEIGHTS,
    ".ckpt": WEIGHTS,
    ".pt": WEIGHTS,
    ".pth": WEIGHTS,
}
_BEGINNINGS = {
    HDF5: FileKind("a file of HDF5", "'sewdsl import FILE OUT.net' makes a network of a graph of NIR"),
    b"%PDF": FileKind("a PDF file", "copy the line out of it, and give it in quotes"),
    b"\x89PNG": FileKind("a picture", "give the file that it was drawn from"),
    b"PK\x03\x04": ARCHIVE,
    b"\x1f\x8b": ARCHIVE,
}


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is no text."""
    return b"\0" in head or head.startswith(tuple(_BEGINNINGS))


def identify_file(name: str, head: bytes) -> FileKind | None:
    """What a binary file is; None where it is text, or nothing that is known here.

    Args:
        name: Its name, of which the ending counts.
    """
    if not is_binary(head):
        return None
    begun = next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), None)
    return _SUFFIXES.get(PurePath(name).suffix.lower(), begun)


def similar_siblings(path: Path, fits: Callable[[Path], bool] = lambda _: True, cutoff: float = 0.7) -> Path | None:
    """What lies where a path leads, and has a name like its last part.

    Args:
        cutoff: How similar the names must be, from 0 to 1.
    """
    with suppress(OSError, ValueError):
        known = {other.stem: other for other in islice(path.parent.iterdir(), MAX_NAMES_SCANNED) if fits(other)}
        near = nearest_name(path.stem, known, cutoff)
        return known[near] if near else None
    return None


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


MAX_FOLDERS = 2000
"""Folders that are looked into at most: a project can be a whole home."""


def net_files(folder: Path, most: int) -> list[Path]:
    """The ``.net`` files in and below a folder, sorted; hidden folders and those of installed packages are left out.

    Args:
        most: How many are given at most, those further up first.
    """
    found: list[Path] = []
    for number, (here, folders, names) in enumerate(os.walk(folder)):
        if number >= MAX_FOLDERS or len(found) >= most:
            break
        packages = "pyvenv.cfg" in names
        folders[:] = [] if packages else sorted(f for f in folders if f != "node_modules" and not f.startswith("."))
        found += [Path(here, name) for name in sorted(names) if name.endswith(".net") and is_file(Path(here, name))]
    return sorted(found[:most])


_DEFINITION = re.compile(r"^[ \t]*block[ \t]+([A-Za-z][A-Za-z0-9_ \t]*?)[ \t]*[(=]", re.MULTILINE)
_NEURON = re.compile(r"^[ \t]*neuron[ \t]+([A-Za-z][A-Za-z0-9_]*)[ \t]*(?:\([^{}\r\n]*\))?[ \t]*\{", re.MULTILINE)
MAX_SIBLING_FILES = 100
"""Files that are looked into."""


class SiblingBlocks:
    """The other ``.net`` files in the folder of a file; looked into once, when first asked.

    Args:
        size: The most bytes of a file that is looked into.
    """

    def __init__(self, file: Path, size: int) -> None:
        self._file, self._size = file, size

    @cached_property
    def blocks(self) -> dict[str, str]:
        """The names of files by those of the blocks and neurons that they define, without white space."""
        found: dict[str, str] = {}
        for path in islice(self._files(), MAX_SIBLING_FILES):
            with suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                defined = (*_DEFINITION.findall(text), *_NEURON.findall(text))
                found |= {"".join(name.split()): path.name for name in defined}
        return found

    def _files(self) -> Iterator[Path]:
        """Regular files, not too large, and no links: they may lead out of the project."""
        with suppress(OSError):
            for path in sorted(islice(self._file.parent.iterdir(), MAX_NAMES_SCANNED)):
                if path.suffix != ".net" or path.name == self._file.name or path.is_symlink():
                    continue
                if path.is_file() and path.stat().st_size <= self._size:
                    yield path
