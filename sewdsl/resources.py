"""Where the files lie that travel with the package: the grammar, the networks, the pages on diagnostics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_IN_CHECKOUT = {"grammars": "grammars", "nets": "nets", "codes": "docs/codes"}


def folder(name: Literal["grammars", "nets", "codes"]) -> Path:
    """The folder of that name: in an installed wheel beside the code, in a checkout at its top.

    Raises:
        FileNotFoundError: it is in neither place, so the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_share" / name, package.parent / _IN_CHECKOUT[name]):
        if candidate.is_dir():
            return candidate
    message = f"the folder {name!r} is missing from the installation of sewdsl in {package}"
    raise FileNotFoundError(message)
