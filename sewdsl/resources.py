"""Folders of the grammar, shipped networks and pages of diagnostic codes, and the cache folder."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path


class UntrustedCache(UserWarning):
    """Cached code is ignored, because other users can write to its folder."""


_IN_CHECKOUT = {"grammars": "grammars", "nets": "nets", "codes": "docs/codes"}


def resource_folder(name: Literal["grammars", "nets", "codes"]) -> Path:
    """Return a resource folder of a wheel or a checkout, or raise FileNotFoundError if it is missing."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "_share" / name, package.parent / _IN_CHECKOUT[name]):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name!r} is missing from the installation of sewdsl in {package}")


def cache_folder() -> Path:
    """Return the cache folder: ``$SEWDSL_CACHE``, or a folder in the cache folder of the system.

    The folder can be deleted at any time.

    Raises:
        RuntimeError: If the user has no home folder.
    """
    if folder := os.environ.get("SEWDSL_CACHE"):
        return Path(folder)
    path = user_cache_path("sewdsl", appauthor=False)
    if not path.is_absolute():
        raise RuntimeError("the user has no home folder")
    return path


def code_cache_folder(*names: str) -> Path:
    """Return a folder for cached code, e.g. compiled kernels or pickled tables.

    Args:
        *names: Folders below :func:`cache_folder`, from the outside in. They need not exist.

    Raises:
        PermissionError: If another user can write to one of the folders.
        RuntimeError: If the user has no home folder.
    """
    folder = cache_folder()
    require_private(folder)
    for name in names:
        folder /= name
        require_private(folder)
    return folder


def require_private(folder: Path) -> None:
    """Check that only this user can write to a folder of cached code, which is loaded without verification.

    Raises:
        PermissionError: If another user can write to the folder. A warning names the folder.
    """
    # Windows has its caches in the profile of the user, which needs no check.
    if sys.platform == "win32" or not folder.is_dir():
        return
    status = folder.stat()
    if status.st_uid not in {0, os.geteuid()}:
        problem = f"the cache folder '{folder}' belongs to another user"
    elif status.st_mode & stat.S_IWOTH:
        problem = f"every user can write to the cache folder '{folder}'"
    else:
        return
    remedy = "set SEWDSL_CACHE to a folder that only you can write to"
    warnings.warn(f"{problem}, so no code is loaded from there; {remedy}", UntrustedCache, stacklevel=2)
    raise PermissionError(problem)
