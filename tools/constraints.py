"""Write the versions of this environment to ``constraints.txt``: ``python -m tools.constraints``.

Run it in an environment in which the tests passed. The file pins the dependencies of sewdsl and of its development
tools, direct and indirect, for ``pip install -e '.[dev]' -c constraints.txt``. It names no package index.
"""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FILE = ROOT / "constraints.txt"
FREE = {"triton"}
"""Packages without a pin. PyTorch for CUDA requires an exact version of Triton, PyTorch for CPUs does not."""


def direct() -> list[Requirement]:
    """Return the requirements of sewdsl and of its development tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["dev"]]


def installed(requirements: list[Requirement]) -> dict[str, str]:
    """Return the installed versions of all direct and indirect dependencies, by name.

    Raises:
        PackageNotFoundError: If a package is not installed.
    """
    versions: dict[str, str] = {}
    visited = set()
    pending = [*requirements]
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        key = name, frozenset(requirement.extras)
        if key not in visited:
            visited.add(key)
            # Without the local part: 2.6.0+cpu is a build of 2.6.0.
            versions[name] = Version(distribution(name).version).public
            pending += _dependencies(requirement)
    return versions


def _dependencies(requirement: Requirement) -> Iterator[Requirement]:
    """Yield the requirements of a package that apply to this environment and the given extras."""
    for text in distribution(requirement.name).requires or ():
        dependency = Requirement(text)
        environments: list[dict[str, str]] = [{"extra": extra} for extra in ("", *requirement.extras)]
        if not dependency.marker or any(map(dependency.marker.evaluate, environments)):
            yield dependency


def main() -> int:
    """Write the file, or return exit code 1 if a package is missing."""
    requirements = [requirement for requirement in direct() if not requirement.marker or requirement.marker.evaluate()]
    try:
        versions = installed(requirements)
    except PackageNotFoundError as error:
        sys.stderr.write(f"error: {error.name} is not installed; run: python -m pip install -e '.[dev]'\n")
        return 1
    system = f"Python {'.'.join(platform.python_version_tuple()[:2])} and {platform.system()}"
    lines = [f"# Versions that passed the tests, on {system}. Written by: python -m tools constraints"]
    lines += [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in FREE]
    FILE.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
