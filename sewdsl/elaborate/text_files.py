"""Access to source files: reading, recognition of other file types, and search for files of a project."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from itertools import islice
from pathlib import Path, PurePath

from sewdsl.diagnostics import Diagnostic
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.paths import is_file, open_file
from sewdsl.resources import resource_folder
from sewdsl.source import Span
from sewdsl.syntax.suggestions import nearest_name

MAX_HEAD_BYTES = 512
"""Number of bytes used to recognise a file type."""
MAX_NAMES_SCANNED = 1000
"""Maximum number of names searched in a folder, to bound the time of a suggestion."""
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class FileKind:
    """Type of files other than sources: ``what`` it is, with an article, and help in which FILE stands for the file."""

    what: str
    use: str


WEIGHTS = FileKind(
    "a weights file",
    "use it with --weights FILE of 'sewdsl train' or 'sewdsl export', or run 'sewdsl weights show FILE'",
)
ARCHIVE = FileKind("an archive", "use a .net file")
_WRITTEN = "sewdsl cannot read this format; 'sewdsl import' reads NIR files and PyTorch modules"
_SUFFIXES = {
    ".nir": FileKind("a NIR file", "convert it with 'sewdsl import FILE OUT.net'"),
    ".onnx": FileKind("an ONNX model", _WRITTEN),
    ".pt2": FileKind("a torch.export archive", _WRITTEN),
    ".safetensors": WEIGHTS,
    ".ckpt": WEIGHTS,
    ".pt": WEIGHTS,
    ".pth": WEIGHTS,
}
_BEGINNINGS = {
    HDF5: FileKind("an HDF5 file", "convert a NIR file with 'sewdsl import FILE OUT.net'"),
    b"%PDF": FileKind("a PDF file", "copy the layer string from it, and pass it in quotes"),
    b"\x89PNG": FileKind("a PNG image", "use the .net file of the drawing"),
    b"PK\x03\x04": ARCHIVE,
    b"\x1f\x8b": ARCHIVE,
}


def is_binary(head: bytes) -> bool:
    """Return whether the first bytes of a file are not text."""
    return b"\0" in head or head.startswith(tuple(_BEGINNINGS))


def identify_file(name: str, head: bytes) -> FileKind | None:
    """Return the type of a binary file, or None for text and unknown types.

    Args:
        name: Name of the file. The suffix takes precedence over the content.
        head: First :data:`MAX_HEAD_BYTES` bytes.
    """
    if not is_binary(head):
        return None
    begun = next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), None)
    return _SUFFIXES.get(PurePath(name).suffix.lower(), begun)


def similar_siblings(path: Path, fits: Callable[[Path], bool] = lambda _: True, cutoff: float = 0.7) -> Path | None:
    """Return the file or folder next to a path with the most similar name, or None.

    Args:
        fits: Filter of candidates.
        cutoff: Minimum similarity from 0 to 1.
    """
    with suppress(OSError, ValueError):
        known = {other.stem: other for other in islice(path.parent.iterdir(), MAX_NAMES_SCANNED) if fits(other)}
        near = nearest_name(path.stem, known, cutoff)
        return known[near] if near else None
    return None


@dataclass(frozen=True)
class FileAccess:
    """Access to the files that a file can use."""

    project: Path | None = None
    """Folder that must contain the files. None means the project folder of the compiled file."""
    opened: Callable[[Path], str | None] = lambda _: None
    """Function that returns the text of a file that is open in an editor, or None. It is called once per file, with the
    resolved path, and takes precedence over the saved file."""


ON_DISK = FileAccess()
"""Access to saved files of the project."""


def read_text(path: Path, shown: str, span: Span, limits: Limits) -> str | Diagnostic:
    """Return the text of a file, or a diagnostic if it is not a text file.

    Args:
        shown: Name of the file in messages.
        limits: Limits of the size. Larger files are not read.

    Raises:
        OSError: If the file cannot be read or is not a regular file. ``strerror`` is the reason.
    """
    with open_file(path) as file:
        head = file.read(MAX_HEAD_BYTES)
        # Report the file type of a binary file, even if it also exceeds the size limit.
        if is_binary(head) and isinstance(problem := decode_text(head, shown, span), Diagnostic):
            return problem
        size = os.fstat(file.fileno()).st_size
        if size > limits.source_bytes:
            message = f"'{shown}' has {size:,} bytes, which exceeds the limit of {limits.source_bytes:,}"
            return Diagnostic("source-too-long", message, span, help=raise_limit_help("source"))
        return decode_text(head + file.read(), shown, span)


def decode_text(data: bytes, shown: str, span: Span) -> str | Diagnostic:
    """Decode bytes without a byte order mark, or return a diagnostic if they are not text."""
    # lava-dl exports HDF5 files with the suffix .net.
    if data.startswith(HDF5) and shown.endswith(".net"):
        message = f"'{shown}' is a lava-dl network (HDF5), expected a sewdsl file"
        hint = "use a text file that starts with 'sewdsl 1'; lava-dl has the same suffix"
        return Diagnostic("lava-file", message, span, help=hint)
    kind = identify_file(shown, data[:MAX_HEAD_BYTES])
    if kind is not None:
        message = f"'{shown}' is {kind.what}, expected a .net file"
        return Diagnostic("not-utf8", message, span, help=kind.use.replace("FILE", shown))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"'{shown}' is not valid UTF-8 (byte {error.start})"
        return Diagnostic("not-utf8", message, span, help="save it as UTF-8")


MAX_FOLDERS = 2000
"""Maximum number of searched folders. A project can be a whole home folder."""


def net_files(folder: Path, most: int) -> list[Path]:
    """Return the sorted ``.net`` files in a folder and its subfolders, without hidden folders and installed packages.

    Args:
        most: Maximum number of files. Files in upper folders come first.
    """
    files: list[Path] = []
    for index, (here, folders, names) in enumerate(os.walk(folder)):
        if index >= MAX_FOLDERS or len(files) >= most:
            break
        packages = "pyvenv.cfg" in names
        folders[:] = [] if packages else sorted(f for f in folders if f != "node_modules" and not f.startswith("."))
        files += [Path(here, name) for name in sorted(names) if name.endswith(".net") and is_file(Path(here, name))]
    return sorted(files[:most])


_DEFINITION = re.compile(r"^[ \t]*block[ \t]+([A-Za-z][A-Za-z0-9_ \t]*?)[ \t]*[(=]", re.MULTILINE)
_NEURON = re.compile(r"^[ \t]*neuron[ \t]+([A-Za-z][A-Za-z0-9_]*)[ \t]*(?:\([^{}\r\n]*\))?[ \t]*\{", re.MULTILINE)
MAX_SIBLING_FILES = 100
"""Maximum number of searched files."""


@cache
def shipped_definitions() -> Mapping[str, str]:
    """Return names of shipped files by the names of the blocks and neurons that a source must import to use them."""
    return _definitions_in(sorted(resource_folder("nets").glob("*.net"), reverse=True))


def _definitions_in(files: Iterable[Path]) -> dict[str, str]:
    """Return file names by the names of the blocks and neurons that they define, without white space."""
    file_by_name: dict[str, str] = {}
    for path in files:
        with suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            defined = (*_DEFINITION.findall(text), *_NEURON.findall(text))
            file_by_name |= {"".join(name.split()): path.name for name in defined}
    return file_by_name


class SiblingBlocks:
    """Definitions in the other ``.net`` files of a file's folder up to a size in bytes, read on first access."""

    def __init__(self, file: Path, size: int) -> None:
        self._file, self._size = file, size

    @cached_property
    def blocks(self) -> dict[str, str]:
        """File names by the names of the blocks and neurons that they define, without white space."""
        return _definitions_in(islice(self._files(), MAX_SIBLING_FILES))

    def _files(self) -> Iterator[Path]:
        """Yield regular files up to the maximum size, without links, which may lead out of the project."""
        with suppress(OSError):
            for path in sorted(islice(self._file.parent.iterdir(), MAX_NAMES_SCANNED)):
                if path.suffix != ".net" or path.name == self._file.name or path.is_symlink():
                    continue
                if path.is_file() and path.stat().st_size <= self._size:
                    yield path
