"""Cache of generated modules and their compiled code on disk.

A file is named after the digest of its text, so the content never changes and several processes may write concurrently.
A second file has the digests of the compiled code: LLVM runs damaged code without checks, or crashes the process.
Damaged code is compiled again. If the cache cannot be written, code is compiled in memory.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from sewdsl import resources
from sewdsl.paths import write_atomically

END_OF_SHARED = "# The definitions above this line are shared with other kernels.\n"
"""Line after the definitions that a text shares with others. They are loaded once per process."""


def is_compiled(text: str, versions: str) -> bool:
    """Return whether the compiled code of a text is on disk, or cannot be stored there."""
    path = _stored(*_named(text, versions))
    # Files that cannot be stored are compiled by each process, so compiling ahead would not help.
    return path is None or path.with_suffix(".sha256").is_file()


def load_source(text: str, versions: str) -> ModuleType:
    """Return the module of a text, from the cache if possible.

    Args:
        text: Source of a module. Its name ``CACHE`` is bound to whether compiled code can be stored next to the file.
        versions: Versions of the compiler and of everything else that compiled code depends on.
    """
    shared, marker, _ = text.partition(END_OF_SHARED)
    if marker:
        _load_shared(shared, versions)
    name, text = _named(text, versions)
    path = _stored(name, text)
    # The second attempt compiles again, after the first one removed damaged code.
    for _ in range(2):
        if path is not None:
            try:
                # An interrupted or concurrent write leaves code without matching digests.
                if _digests(path) != _recorded_digests(path):
                    _forget(path)
                module = _run(name, text, str(path), cache=True)
                _record_digests(path)
            except Exception:  # noqa: BLE001 -- damaged code and failed writes raise many kinds of errors
                _forget(path)
            else:
                return module
    return _run(name, text, f"<{name}>", cache=False)


def _named(text: str, versions: str) -> tuple[str, str]:
    """Return the module name of a text, and the text of its file, which imports the shared part."""
    shared, marker, own_part = text.partition(END_OF_SHARED)
    if marker:
        text = f"from {_named(shared, versions)[0]} import *\n{own_part}"
    # Versions are part of the digest, so an update of numba does not load old code.
    text = f"# {versions}, {sys.implementation.cache_tag}\n{text}"
    return f"sewdsl_{hashlib.sha256(text.encode()).hexdigest()[:32]}", text


@cache
def _load_shared(text: str, versions: str) -> ModuleType:
    module = load_source(text, versions)
    # Importers use `import *`, and must not replace their own CACHE.
    del module.CACHE
    return module


def _stored(name: str, text: str) -> Path | None:
    """Write the file of a text if it is missing, and return its path, or None on failure."""
    try:
        path = resources.code_cache_folder("kernels", "__pycache__").parent / f"{name}.py"
        for folder in _numba_folders(path):
            resources.require_private(folder)
        if not (path.is_file() and path.read_text(encoding="utf-8") == text):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
    except (OSError, RuntimeError, UnicodeError):  # disk full, no permission, no home folder, file is not text
        return None
    return path


def _numba_folders(path: Path) -> list[Path]:
    """Return the folders where numba stores the compiled code of a text."""
    # numba reads its settings from the environment, and from .numba_config.yaml of the current folder.
    cache_folder = getattr(getattr(sys.modules.get("numba"), "config", None), "CACHE_DIR", "")
    return [path.parent / "__pycache__", *(Path(cache_folder).glob(f"{path.parent.name}_*") if cache_folder else ())]


def _compiled_files(path: Path) -> list[Path]:
    # The pattern excludes temporary files, which another process may be writing.
    return sorted(file for folder in _numba_folders(path) for file in folder.glob(f"{path.stem}.*.nb[ci]"))


def _digests(path: Path) -> str:
    """Return the SHA-256 of each compiled file, one per line, in the format of ``sha256sum``."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in _compiled_files(path))


def _recorded_digests(path: Path) -> str:
    """Return the digests recorded at compilation, or an empty string."""
    file = path.with_suffix(".sha256")
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _record_digests(path: Path) -> None:
    """Write the digests of the compiled code, unless they are recorded already."""
    digests = _digests(path)
    if digests != _recorded_digests(path):
        # Without digests, the next process compiles the code again.
        with suppress(OSError):
            write_atomically(path.with_suffix(".sha256"), digests.encode())


def _forget(path: Path) -> None:
    """Remove the compiled code of a text and its digests."""
    with suppress(OSError):
        for file in (*_compiled_files(path), path.with_suffix(".sha256")):
            file.unlink(missing_ok=True)


def _run(name: str, text: str, file: str, *, cache: bool) -> ModuleType:
    # numba and Triton look the module up by name.
    module = sys.modules[name] = ModuleType(name)
    module.__dict__.update(__file__=file, CACHE=cache)
    # Triton reads the source of its functions with `inspect`, which needs the text in linecache.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 -- text generated by this package
    return module
