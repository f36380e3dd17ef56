"""What a command says where a package is missing: a small install of sewdsl has those alone that check and draw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

from sewdsl.plugins import installed_version
from sewdsl.terminal import echo

DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages whose distribution has another name."""
WHOLE = "whole"
"""The extra of a small install that has the rest of the dependencies; see ``small/pyproject.toml``."""
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<version>[^;]*)(?:;(?P<marker>.*))?")


@contextmanager
def missing_packages(command: str) -> Iterator[None]:
    """Says which package is missing and how to add it, and ends with exit code 1.

    Args:
        command: What was asked for, such as ``train``; may be empty.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        wanted = missing_dependencies()
        name = DISTRIBUTIONS.get(package, package)
        if name not in wanted:
            raise
        asked = f"'sewdsl {command}'" if command else "sewdsl"
        lines = [
            f"error: {asked} needs {name}, which is not installed; this adds it:",
            f'  pip install "{wanted[name]}"',
        ]
        if len(wanted) > 1:
            quoted = " ".join(f'"{requirement}"' for requirement in wanted.values())
            lines += ["and this adds all that this install leaves out:", f"  pip install {quoted}"]
        echo("\n".join(lines), err=True)
        raise SystemExit(1) from None


def missing_dependencies() -> dict[str, str]:
    """What sewdsl depends on as a whole and is not installed: requirements by the distribution's name."""
    try:
        stated = requires("sewdsl") or ()
    except PackageNotFoundError:
        return {}
    found = {}
    for text in stated:
        parts = _REQUIREMENT.match(text)
        if parts is None or ("extra" in (parts["marker"] or "") and WHOLE not in parts["marker"]):
            continue
        if not installed_version(parts["name"]):
            found[parts["name"]] = f"{parts['name']}{parts['version'].strip()}"
    return found
