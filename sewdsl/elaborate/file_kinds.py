"""Files that are not what was asked for: what they are, what they are good for, and which the user wants."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath

from sewdsl.elaborate.suggestions import nearest_name
from sewdsl.light_dataclass import dataclass

MAX_HEAD_BYTES = 512
"""Bytes by which a file is known."""
MAX_NAMES_SCANNED = 1000
"""Names of a folder that are looked at: what is said about a typing error may not take long."""
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class FileKind:
    """A file of another kind.

    Attributes:
        what: What it is: ``a PDF file``.
        use: What can be done with it.
    """

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
        path: Where nothing is.
        fits: Whether something can be what the user wants.
        cutoff: How similar the names must be, from 0 to 1.
    """
    with suppress(OSError, ValueError):
        known = {other.stem: other for other in islice(path.parent.iterdir(), MAX_NAMES_SCANNED) if fits(other)}
        near = nearest_name(path.stem, known, cutoff)
        return known[near] if near else None
    return None
