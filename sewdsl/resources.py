"""Where files lie: the grammar, networks and pages on diagnostics that came with the package, and what is kept."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path


class UntrustedCache(UserWarning):
    """Cached code is not used: other users can write to its folder."""


_IN_CHECKOUT = {"grammars": "grammars", "nets": "nets", "codes": "docs/codes"}


def resource_folder(name: Literal["grammars", "nets", "codes"]) -> Path:
    """Return the folder of that name: in an installed wheel next to the code, in a checkout at its top.

    Raises:
        FileNotFoundError: it is in neither place, so the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_share" / name, package.parent / _IN_CHECKOUT[name]):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name!r} is missing from the installation of sewdsl in {package}")


def cache_folder() -> Path:
    """Where to keep what is expensive to make; it can be removed at any time.

    ``$SEWDSL_CACHE``, or a folder in the place that the system has for caches.

    Raises:
        RuntimeError: the user has no home.
    """
    if chosen := os.environ.get("SEWDSL_CACHE"):
        return Path(chosen)
    place = user_cache_path("sewdsl", appauthor=False)
    if not place.is_absolute():
        raise RuntimeError("the user has no home")
    return place


def code_cache_folder(*names: str) -> Path:
    """Return a folder for cached code, e.g. compiled kernels or pickled tables.

    Args:
        *names: Folders below :func:`cache_folder`, from the outside in. They need not exist.

    Raises:
        PermissionError: Another user can write to one of the folders.
        RuntimeError: The user has no home.
    """
    folder = cache_folder()
    require_private(folder)
    for name in names:
        folder /= name
        require_private(folder)
    return folder


def require_private(folder: Path) -> None:
    """Reject a folder for cached code that belongs to another user, or that all users can write to.

    Code in the folder is loaded as it is. Windows keeps caches in the user's profile: folders are not checked there.

    Raises:
        PermissionError: If another user can write to the folder. A warning names the folder.
    """
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
