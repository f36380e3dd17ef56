"""NIR files (HDF5) from untrusted sources."""

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
"""Time limit for an empty file, in seconds."""
TIMEOUT_SECONDS_PER_BYTE = 1e-6
"""Additional time per byte, in seconds."""


@contextmanager
def open_graph(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a graph as nested dictionaries.

    Arrays are read from the open file on access.

    Raises:
        ModelImportError: If the file is missing, damaged, unsafe, or not a NIR graph.
        MissingLibrary: If h5py is not installed.
    """
    try:
        h5py = safe_traverse.import_h5py()
    except ImportError:
        raise MissingLibrary("nir") from None
    _check_in_subprocess(path)
    with h5py.File(path, "r") as file:
        yield safe_traverse.load_unread(file)


def _check_in_subprocess(path: Path) -> None:
    """Read a file in a separate process first: damaged files can crash the HDF5 library, or hang it."""
    try:
        with open_file(path) as file:
            head, size = file.read(MAX_HEAD_BYTES), file.seek(0, 2)
    except OSError as error:
        suggestion = similar_siblings(path, lambda other: other.suffix == ".nir")
        message = f"cannot read '{path}': {error.strerror}" + (f"; did you mean '{suggestion}'?" if suggestion else "")
        raise ModelImportError(message) from None
    kind = identify_file(path.name, head)
    if kind is not None and not head.startswith(HDF5):
        raise ModelImportError(f"'{path}' is {kind.what}, expected a NIR file: {kind.use.replace('FILE', str(path))}")
    # Run the script by its path: the child does not need to import the package.
    script, argument = safe_traverse.__file__, str(path.absolute())
    command = python_command(
        f"import runpy; sys.argv[1:] = [{argument!r}]; runpy.run_path({script!r}, None, '__main__')"
    )
    try:
        result = subprocess.run(  # noqa: S603 -- a fixed script of this package
            command,
            capture_output=True,
            text=True,
            timeout=BASE_TIMEOUT_SECONDS + size * TIMEOUT_SECONDS_PER_BYTE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelImportError(f"'{path}' is damaged: HDF5 did not finish reading it") from None
    if result.returncode:
        reason = (
            result.stdout if result.returncode == safe_traverse.EXIT_UNSAFE_FILE else "is damaged: HDF5 cannot read it"
        )
        raise ModelImportError(f"'{path}' {reason}")


def read_value(item: Any) -> Any:
    """Return the content of an HDF5 dataset or an in-memory value: an array, a number or text."""
    value = item[()] if hasattr(item, "id") else item
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, np.ndarray) and value.ndim else value.item() if hasattr(value, "item") else value
