"""Files of NIR, which are HDF5, from anywhere."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sewdsl.child_process import python_command
from sewdsl.elaborate.text_files import HDF5, MAX_HEAD_BYTES, identify_file, similar_siblings
from sewdsl.exchange.errors import MissingLibrary
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.nir import safe_traverse
from sewdsl.paths import open_file

BASE_TIMEOUT_SECONDS = 60.0
"""Seconds that a small file may take."""
TIMEOUT_SECONDS_PER_BYTE = 1e-6
"""Seconds more for each byte."""


@contextmanager
def open_graph(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a graph as nested dictionaries, while the file is open; its arrays are read when they are asked for.

    Raises:
        ModelImportError: there is no such file, or it is no graph, damaged, or made to harm.
        MissingLibrary: h5py is not installed.
    """
    try:
        h5py = safe_traverse.import_h5py()
    except ImportError:
        raise MissingLibrary("nir") from None
    _try_elsewhere(path)
    with h5py.File(path, "r") as file:
        yield safe_traverse.load_unread(file)


def _try_elsewhere(path: Path) -> None:
    """Read it in a process of its own first: what is damaged can stop HDF5's library, or keep it busy forever."""
    try:
        with open_file(path) as file:
            head, size = file.read(MAX_HEAD_BYTES), file.seek(0, 2)
    except OSError as error:
        near = similar_siblings(path, lambda other: other.suffix == ".nir")
        message = f"cannot read '{path}': {error.strerror}" + (f"; did you mean '{near}'?" if near else "")
        raise ModelImportError(message) from None
    kind = identify_file(path.name, head)
    if kind is not None and not head.startswith(HDF5):
        raise ModelImportError(f"'{path}' is {kind.what}, not a graph of NIR: {kind.use.replace('FILE', str(path))}")
    script, argument = safe_traverse.__file__, str(path.absolute())
    command = python_command(
        f"import runpy; sys.argv[1:] = [{argument!r}]; runpy.run_path({script!r}, None, '__main__')"
    )
    try:
        tried = subprocess.run(  # noqa: S603 -- a script of ours
            command,
            capture_output=True,
            text=True,
            timeout=BASE_TIMEOUT_SECONDS + size * TIMEOUT_SECONDS_PER_BYTE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelImportError(f"'{path}' is damaged: HDF5 comes to no end with it") from None
    if tried.returncode:
        said = tried.stdout if tried.returncode == safe_traverse.EXIT_UNSAFE_FILE else "is damaged: HDF5 cannot read it"
        raise ModelImportError(f"'{path}' {said}")


def read_value(item: Any) -> Any:
    """Return the contents of an array of a file or of a graph in memory: an array of NumPy, a number, or text."""
    found = item[()] if hasattr(item, "id") else item
    if isinstance(found, bytes):
        return found.decode("utf-8", errors="replace")
    return found if isinstance(found, np.ndarray) and found.ndim else found.item() if hasattr(found, "item") else found
