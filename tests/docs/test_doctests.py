"""The examples in docstrings."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "sewdsl").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")  # to import every module in search of examples takes longer
]


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    done = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not done.failed
