"""Files of weights: read so that nothing in them is run, whatever they hold."""

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
"""Of the files that are written; a file that is read is known by its contents."""
NESTED_WEIGHT_KEYS = ("model", "net", "state_dict")
"""Where a checkpoint holds its weights: the authors' code, SpikingJelly's examples, Lightning's and ours."""
PREFIXES = ("module.", "model.")
"""Before every key: of DistributedDataParallel, and of the module that trains."""


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds.

    Attributes:
        notes: What else there was, and what was done to the keys.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> WeightsFile:
    """Return the weights in a file of safetensors, or in one that torch wrote, in any of its formats.

    Of classes, a checkpoint may hold those that torch takes to be harmless, and argparse's ``Namespace``.

    Raises:
        WeightsError: there is no such file, it is damaged, would run code, or holds no weights.
    """
    try:
        with open_file(path) as file:
            data = file.read()
    except OSError as error:
        raise WeightsError(f"cannot read '{path}': {error.strerror}{_instead(path)}") from None
    try:
        if other := _other(path, data[:MAX_HEAD_BYTES]):
            raise WeightsError(other)  # noqa: TRY301 -- its name goes before it, as before the others
        return _safetensors(data) if data[8:9] == b"{" else _unwrapped(_loaded(data))
    except WeightsError as error:
        raise WeightsError(f"'{path}' {error}") from None


def _instead(path: Path) -> str:
    """Return a hint at files to read in place of a path."""
    inside = [*path.glob("checkpoints/*.safetensors"), *path.glob("*.safetensors")] if is_folder(path) else []
    if inside:
        return f"; the weights in it: {', '.join(map(str, sorted(inside)))}"
    near = similar_siblings(path, lambda other: other.suffix in (*SUFFIXES, ".ckpt"))
    return f"; did you mean '{near}'?" if near else ""


def _safetensors(data: bytes) -> WeightsFile:
    try:
        tensors, metadata = decode_tensors(data)
    except DamagedTensorsError:
        raise WeightsError("is damaged") from None
    left_out = [f"{key}={value}" for key, value in sorted(metadata.items()) if key != DIGEST]
    notes = [f"left out: metadata {', '.join(left_out)}"] if left_out not in ([], ["format=pt"]) else []
    return _bare(tensors, notes)


def _loaded(data: bytes) -> Any:
    try:
        if data[:2] == b"PK":
            with ZipFile(BytesIO(data)) as archive:  # torch.load does not look at the checksums
                if archive.testzip() is not None:
                    raise BadZipFile  # noqa: TRY301 -- damaged in one way or another
        # torch warns of files that it then rejects.
        with torch.serialization.safe_globals([Namespace]), warnings.catch_warnings(action="ignore"):
            return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a damaged pickle can end in any of them
        forbidden = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, UnpicklingError) else None
        would = f"holds {forbidden[1]}, which is no weight and might run code: it was not loaded" if forbidden else ""
        raise WeightsError(would or "is damaged, or no file of weights") from None


def _other(path: Path, head: bytes) -> str:
    """Return the kind of a file that cannot hold weights; empty if it can."""
    kind = identify_file(path.name, head)
    if kind is not None and kind.what not in {WEIGHTS.what, ARCHIVE.what}:
        return f"is {kind.what}, not a file of weights"
    return "is the text of a network, not a file of weights" if path.suffix == ".net" and kind is None else ""


def _unwrapped(found: Any) -> WeightsFile:
    """Return the weights of a checkpoint, next to which other things may lie."""
    if not isinstance(found, Mapping):
        raise WeightsError(f"holds no weights by key, but one {type(found).__name__}")
    inside = [key for key in NESTED_WEIGHT_KEYS if isinstance(found.get(key), Mapping)]
    if not inside:
        return _bare(found, ())
    if len(inside) > 1:
        raise WeightsError(f"holds weights twice: under {' and '.join(map(repr, inside))}")
    left_out = [f"{key!r} ({type(value).__name__})" for key, value in found.items() if key != inside[0]]
    notes = [f"weights under {inside[0]!r}", *([f"left out: {', '.join(left_out)}"] if left_out else [])]
    return _bare(found[inside[0]], notes)


def _bare(found: Mapping[Any, Any], notes: Sequence[str]) -> WeightsFile:
    """Return tensors by key, without a prefix of every key."""
    strange = [
        f"{key!r} ({type(value).__name__})"
        for key, value in found.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if strange or not found:
        raise WeightsError(f"holds what is no tensor: {', '.join(strange)}" if strange else "holds no weights")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
            notes = [*notes, f"{prefix!r} before every key was taken off"]
    return WeightsFile({key: value.detach() for key, value in found.items()}, tuple(notes))


def encode(tensors: Mapping[str, Tensor], suffix: str) -> bytes:
    """Return the contents of a file of weights; the same weights give the same bytes.

    Args:
        suffix: One of :data:`SUFFIXES`.
    """
    if suffix == ".safetensors":
        return encode_tensors(tensors)
    own = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    out = BytesIO()
    torch.save(own, out)
    return out.getvalue()
