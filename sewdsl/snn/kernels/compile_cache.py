"""Generated programs as modules, kept on disk so that they are compiled once.

A file's name is a digest of its text, so a text never changes under its name, and several processes may write the same
file at once. A file next to it has the digests of its compiled code: LLVM runs damaged code as it is, or ends the
process. Damaged code is compiled again. What cannot be kept is compiled in memory.
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

END_OF_SHARED = "# what comes before this line is shared with other kernels\n"
"""A line before which a text has definitions that are loaded once for all texts that begin with the same."""


def is_compiled(text: str, versions: str) -> bool:
    """Return whether compiled code of a text is on disk, or cannot be kept there."""
    path = _stored(*_named(text, versions))
    return path is None or path.with_suffix(".sha256").is_file()


def load_source(text: str, versions: str) -> ModuleType:
    """The module of a text.

    Args:
        text: A program; ``CACHE`` in it says whether it is in a file next to which compiled code can be kept.
        versions: Of the compiler, and of all else that compiled code depends on.
    """
    shared, mark, _ = text.partition(END_OF_SHARED)
    if mark:
        _load_shared(shared, versions)
    name, text = _named(text, versions)
    path = _stored(name, text)
    for _ in ("as it lies there", "once more"):
        if path is not None:
            try:
                if _digests(path) != _recorded_digests(path):
                    _forget(path)
                module = _run(name, text, str(path), cache=True)
                _record_digests(path)
            except Exception:  # noqa: BLE001 -- compiled code that is damaged, or cannot be kept, fails in many ways
                _forget(path)
            else:
                return module
    return _run(name, text, f"<{name}>", cache=False)


def _named(text: str, versions: str) -> tuple[str, str]:
    """Return the name of the module of a text, and the text of its file, which imports the shared part."""
    shared, mark, own = text.partition(END_OF_SHARED)
    if mark:
        text = f"from {_named(shared, versions)[0]} import *\n{own}"
    text = f"# {versions}, {sys.implementation.cache_tag}\n{text}"
    return f"sewdsl_{hashlib.sha256(text.encode()).hexdigest()[:32]}", text


@cache
def _load_shared(text: str, versions: str) -> ModuleType:
    module = load_source(text, versions)
    del module.CACHE  # which each text that imports from it has of its own
    return module


def _stored(name: str, text: str) -> Path | None:
    """The file of a text, written where it is missing; None where it cannot be."""
    try:
        path = resources.code_cache_folder("kernels", "__pycache__").parent / f"{name}.py"
        for folder in _numba_folders(path):
            resources.require_private(folder)
        if not (path.is_file() and path.read_text(encoding="utf-8") == text):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
    except (OSError, RuntimeError, UnicodeError):  # no room, no right, no home, no text
        return None
    return path


def _numba_folders(path: Path) -> list[Path]:
    """Return the folders where numba stores compiled code of a text."""
    # numba reads its settings from the environment, and from .numba_config.yaml of the current folder.
    chosen = getattr(getattr(sys.modules.get("numba"), "config", None), "CACHE_DIR", "")
    return [path.parent / "__pycache__", *(Path(chosen).glob(f"{path.parent.name}_*") if chosen else ())]


def _compiled_files(path: Path) -> list[Path]:
    """Return the files of compiled code of a text, except for temporary ones: another process may be writing them."""
    return sorted(file for folder in _numba_folders(path) for file in folder.glob(f"{path.stem}.*.nb[ci]"))


def _digests(path: Path) -> str:
    """Return the SHA-256 of each file of compiled code, one per line, in the format of ``sha256sum``."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in _compiled_files(path))


def _recorded_digests(path: Path) -> str:
    """Return the digests from when the code was compiled; empty if there are none."""
    file = path.with_suffix(".sha256")
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _record_digests(path: Path) -> None:
    """Write the digests of compiled code, unless they are recorded already."""
    digests = _digests(path)
    if digests != _recorded_digests(path):
        # Without digests, the next process compiles the code again.
        with suppress(OSError):
            write_atomically(path.with_suffix(".sha256"), digests.encode())


def _forget(path: Path) -> None:
    """Remove compiled code and its digests."""
    with suppress(OSError):
        for file in (*_compiled_files(path), path.with_suffix(".sha256")):
            file.unlink(missing_ok=True)


def _run(name: str, text: str, file: str, *, cache: bool) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)  # compilers look it up by its name
    module.__dict__.update(__file__=file, CACHE=cache)
    linecache.cache[file] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        file,
    )  # for compilers that read their source
    exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 -- a text of our own making
    return module
