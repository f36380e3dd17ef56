"""The vocabulary as a list, so that an addition, a new argument or a changed default shows in review."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from sewdsl.ir.kind import Kind, Letter
from sewdsl.ops import catalogue

GOLDEN = Path(__file__).parents[1] / "golden" / "catalogue.txt"


def default(field: FieldInfo) -> str:
    """Return the default of an argument."""
    return "" if field.is_required() else f" = {field.get_default(call_default_factory=True)}"


def letter(field: FieldInfo) -> str:
    """Return the compact form of an argument."""
    return next((f" ({mark.letter or 'first'})" for mark in field.metadata if isinstance(mark, Letter)), "")


def described(kind: type[Kind]) -> Iterator[str]:
    """A kind and its arguments, a line each."""
    yield f"{kind.kind}, in keys {kind.key}"
    for name, field in kind.model_fields.items():
        yield f"    {name}{letter(field)}{default(field)}"


def test_catalogue() -> None:
    ours = [kind for _, kind in sorted(catalogue().items()) if kind.__module__.startswith("sewdsl.")]
    found = "".join(f"{line}\n" for kind in ours for line in described(kind))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8"), "to write it anew: UPDATE_GOLDEN=1 pytest -n 0 " + __file__
