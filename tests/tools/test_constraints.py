"""``constraints.txt``: a pin for each direct dependency, and nothing else than pins."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import constraints

HEAD, *LINES = constraints.FILE.read_text(encoding="utf-8").splitlines()
PINS = dict(line.split("==") for line in LINES)


def test_every_line_is_a_pin_of_a_public_version() -> None:
    assert HEAD.startswith("# Versions that passed the tests, on Python 3.")
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==\d+(\.\d+)*((a|b|rc|\.post)\d+)?", line)] == []
    assert [*PINS] == sorted(PINS)
    assert len(PINS) == len(LINES)


def test_direct_dependencies_have_a_pin_that_they_allow() -> None:
    free = {
        requirement.name
        for requirement in constraints.direct()
        if not requirement.specifier.contains(PINS.get(canonicalize_name(requirement.name), ""), prereleases=True)
    }
    assert free == constraints.FREE


def test_dependencies_of_dependencies_are_found() -> None:
    versions = constraints.installed([Requirement("torch"), Requirement("lightning"), Requirement("torch")])
    assert {"torch", "sympy", "mpmath", "lightning", "torchmetrics"} <= {*versions}
    assert "pytest" not in versions
    assert all("+" not in version for version in versions.values())


def test_extras_are_followed() -> None:
    assert "ruff" in constraints.installed([Requirement("sewdsl[dev]")])
    assert "ruff" not in constraints.installed([Requirement("sewdsl")])


def test_missing_package_is_named() -> None:
    with pytest.raises(PackageNotFoundError, match="no-such-package"):
        constraints.installed([Requirement("no-such-package")])
