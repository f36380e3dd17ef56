"""Safetensors files with an optional SHA-256 of the tensors, since the format has no checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

import torch

# isort: split
# A small install lacks both packages, and its message names torch.
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

DIGEST = "digest"
"""Metadata key of the SHA-256 of the tensors."""


class DamagedTensorsError(ValueError):
    """A file is not safetensors, or its tensors do not match the SHA-256 in the metadata."""


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of keys, types, shapes and values in hexadecimal, independent of memory formats."""
    digest = sha256()
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def encode_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the contents of a safetensors file, identical for equal tensors and metadata.

    Args:
        tensors: Tensors by key, in any memory format, on any device.
        metadata: Texts by key, in addition to ``format``. With :data:`DIGEST`, the tensors are checked on reading.
    """
    # The format rejects tensors that share memory or are not stored in row-major order.
    rows = {key: tensor.detach().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
    data = safetensors.torch.save(rows)
    end = 8 + int.from_bytes(data[:8], "little")
    # Write the header again, because the library writes metadata in arbitrary order.
    header = json.dumps({"__metadata__": {"format": "pt", **(metadata or {})}, **json.loads(data[8:end])}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def decode_tensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors in a safetensors file, sorted by key, and its metadata.

    Raises:
        DamagedTensorsError: If the contents are not safetensors, or the tensors do not match their SHA-256.
    """
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise DamagedTensorsError(str(error)) from None
    metadata = dict(header.get("__metadata__") or {})
    if DIGEST in metadata and metadata[DIGEST] != tensor_digest(tensors):
        raise DamagedTensorsError("the tensors do not have the SHA-256 in the metadata")
    return dict(sorted(tensors.items())), metadata
