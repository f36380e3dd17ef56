"""Weights files, read without executing code from them."""

from __future__ import annotations

import re
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from sewdsl.elaborate.text_files import ARCHIVE, MAX_HEAD_BYTES, WEIGHTS, identify_file, similar_siblings
from sewdsl.exchange.errors import WeightsError
from sewdsl.light_dataclass import dataclass
from sewdsl.paths import is_folder, open_file
from sewdsl.tensor_file import DIGEST, DamagedTensorsError, decode_tensors, encode_tensors

SUFFIXES = (".safetensors", ".pt", ".pth")
"""Suffixes of files to write. The format of a file to read is detected from its contents."""
NESTED_WEIGHT_KEYS = ("model", "net", "state_dict")
"""Keys of the weights in a checkpoint: code of Fang et al., SpikingJelly's examples, Lightning and sewdsl."""
PREFIXES = ("module.", "model.")
"""Prefixes that wrappers add to every key: DistributedDataParallel, and the training module."""


@dataclass(frozen=True)
class WeightsFile:
    """Content of a weights file. Notes are about ignored content and changes of keys."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> WeightsFile:
    """Read weights from a safetensors file, or from a file that ``torch.save`` wrote in any of its formats.

    A checkpoint may contain the classes that PyTorch considers safe, and ``argparse.Namespace``.

    Raises:
        WeightsError: If the file is missing, damaged, unsafe, or has no weights.
    """
    try:
        with open_file(path) as file:
            data = file.read()
    except OSError as error:
        raise WeightsError(f"cannot read '{path}': {error.strerror}{_suggest_file(path)}") from None
    try:
        if fault := _wrong_kind(path, data[:MAX_HEAD_BYTES]):
            raise WeightsError(fault)  # noqa: TRY301 -- the handler below adds the file name
        # A safetensors file starts with 8 bytes of length and a JSON header.
        return _decode_safetensors(data) if data[8:9] == b"{" else _find_weights(_load_pickle(data))
    except WeightsError as error:
        raise WeightsError(f"'{path}' {error}") from None


def _suggest_file(path: Path) -> str:
    """Return a hint that names other files to read."""
    weight_files = [*path.glob("checkpoints/*.safetensors"), *path.glob("*.safetensors")] if is_folder(path) else []
    if weight_files:
        return f"; it contains {', '.join(map(str, sorted(weight_files)))}"
    suggestion = similar_siblings(path, lambda other: other.suffix in (*SUFFIXES, ".ckpt"))
    return f"; did you mean '{suggestion}'?" if suggestion else ""


def _decode_safetensors(data: bytes) -> WeightsFile:
    try:
        tensors, metadata = decode_tensors(data)
    except DamagedTensorsError:
        raise WeightsError("is damaged") from None
    ignored = [f"{key}={value}" for key, value in sorted(metadata.items()) if key != DIGEST]
    notes = [f"ignored: metadata {', '.join(ignored)}"] if ignored not in ([], ["format=pt"]) else []
    return _strip_prefixes(tensors, notes)


def _load_pickle(data: bytes) -> Any:
    """Load a file of ``torch.save`` without executing code."""
    try:
        if data[:2] == b"PK":
            with ZipFile(BytesIO(data)) as archive:  # torch.load does not verify checksums.
                if archive.testzip() is not None:
                    raise BadZipFile  # noqa: TRY301 -- reported as damaged below
        # torch.load warns about some files before it rejects them.
        with torch.serialization.safe_globals([Namespace]), warnings.catch_warnings(action="ignore"):
            return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a damaged pickle can raise any exception
        forbidden = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, UnpicklingError) else None
        fault = f"contains {forbidden[1]}, which could run code; the file was not loaded" if forbidden else ""
        raise WeightsError(fault or "is damaged or not a weights file") from None


def _wrong_kind(path: Path, head: bytes) -> str:
    """Return a message if a file is of another kind, or an empty text if it may contain weights."""
    kind = identify_file(path.name, head)
    if kind is not None and kind.what not in {WEIGHTS.what, ARCHIVE.what}:
        return f"is {kind.what}, expected a weights file"
    return "is a .net file, expected a weights file" if path.suffix == ".net" and kind is None else ""


def _find_weights(content: Any) -> WeightsFile:
    """Return the weights of a checkpoint, which may contain other values."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"contains one {type(content).__name__}, expected a dictionary of tensors")
    weight_keys = [key for key in NESTED_WEIGHT_KEYS if isinstance(content.get(key), Mapping)]
    if not weight_keys:
        return _strip_prefixes(content, ())
    if len(weight_keys) > 1:
        raise WeightsError(f"contains several sets of weights: {' and '.join(map(repr, weight_keys))}")
    # Report everything else, e.g. optimizer states, so that a wrong key is noticed.
    ignored = [f"{key!r} ({type(value).__name__})" for key, value in content.items() if key != weight_keys[0]]
    notes = [f"weights read from {weight_keys[0]!r}", *([f"ignored: {', '.join(ignored)}"] if ignored else [])]
    return _strip_prefixes(content[weight_keys[0]], notes)


def _strip_prefixes(tensors: Mapping[Any, Any], notes: Sequence[str]) -> WeightsFile:
    """Check that all values are tensors, and remove prefixes that all keys share."""
    invalid = [
        f"{key!r} ({type(value).__name__})"
        for key, value in tensors.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if invalid or not tensors:
        raise WeightsError(
            f"contains values that are not tensors: {', '.join(invalid)}" if invalid else "contains no weights"
        )
    # Wrappers can be nested, hence every prefix in turn.
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
            notes = [*notes, f"removed prefix {prefix!r} from all keys"]
    return WeightsFile({key: value.detach() for key, value in tensors.items()}, tuple(notes))


def encode(tensors: Mapping[str, Tensor], suffix: str) -> bytes:
    """Return the content of a weights file.

    Equal weights give equal bytes.

    Args:
        suffix: One of :data:`SUFFIXES`.
    """
    if suffix == ".safetensors":
        return encode_tensors(tensors)
    # Contiguous copies: torch.save would store the whole storage of a view.
    copies = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    buffer = BytesIO()
    torch.save(copies, buffer)
    return buffer.getvalue()
