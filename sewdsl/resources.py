"""Where files lie: the grammar, networks and pages on diagnostics that came with the package, and what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

_IN_CHECKOUT = {"grammars": "grammars", "nets": "nets", "codes": "docs/codes"}


def resource_folder(name: Literal["grammars", "nets", "codes"]) -> Path:
    """The folder of that name: in an installed wheel next to the code, in a checkout at its top.

    Raises:
        FileNotFoundError: it is in neither place, so the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_share" / name, package.parent / _IN_CHECKOUT[name]):
        if candidate.is_dir():
            return candidate
    message = f"the folder {name!r} is missing from the installation of sewdsl in {package}"
    raise FileNotFoundError(message)


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
        message = "the user has no home"
        raise RuntimeError(message)
    return place
