"""The picture in ``docs/compiler.md`` shows the way that the code goes."""

from __future__ import annotations

import ast
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from docs.site.compiler_picture import FORMS, PICTURE, USES, WITHOUT_TORCH, Form, draw

ROOT = Path(__file__).parents[2]
CONTRACTS: dict[str, Any] = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}


def definition(place: str) -> ast.FunctionDef | ast.ClassDef:
    """The function or class of ``module:name``, found in its package where it is imported from there."""
    module, name = place.split(":")
    path = ROOT / Path(*module.split("."))
    paths = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
    found = [
        node
        for each in paths
        for node in ast.parse(each.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    assert len(found) == 1, f"{place}: {len(found)}"
    return found[0]


def types_in(annotation: ast.expr | None) -> set[str]:
    """Names in an annotation, also those of a module: ``tree.Document``."""
    nodes = ast.walk(annotation) if annotation else ()
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, ast.Name | ast.Attribute)
    }


def test_it_is_what_is_drawn() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(), "python -m docs.site.compiler_picture"


@pytest.mark.parametrize(("before", "form"), list(pairwise(FORMS)), ids=[form.name for form in FORMS[1:]])
def test_each_form_is_made_of_the_one_before_it(before: Form, form: Form) -> None:
    """By a function of that package, as its annotations say; what it returns may hold the form among other things."""
    assert form.function.startswith(f"sewdsl.{form.package}")
    function = definition(form.function)
    assert isinstance(function, ast.FunctionDef)
    arguments = [*function.args.args, *function.args.kwonlyargs]
    taken, given = (set().union(*(types_in(each.annotation) for each in arguments)), types_in(function.returns))
    names = {each.type.split(":")[1] for each in (before, form)}
    assert names <= with_fields(taken, form.package) | with_fields(given, form.package)


def with_fields(names: set[str], package: str) -> set[str]:
    """Types, and those of the fields and of the arguments of the ones that a package defines."""
    found = set(names)
    for path in (ROOT / "sewdsl" / package).rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in names:
                found.update(
                    *(types_in(each.annotation) for each in ast.walk(node) if isinstance(each, ast.AnnAssign | ast.arg))
                )
    return found


def test_packages_are_in_the_order_of_the_layers() -> None:
    """Each form is made by a package above the one before it."""
    levels = [{name.strip() for name in row.split("|")} for row in CONTRACTS["layers"]["layers"]]
    level = {name: place for place, names in enumerate(levels) for name in names}
    assert {use.package.split(".")[0] for use in USES} <= level.keys()
    places = [level[form.package] for form in FORMS if form.package]
    assert places == sorted(places, reverse=True)


def test_what_needs_no_torch() -> None:
    free = {name.removeprefix("sewdsl.") for name in CONTRACTS["front-end"]["source_modules"]}
    for form in FORMS[1:]:
        assert (form.package in free) == (form.name in WITHOUT_TORCH), form.name
    for use in USES:
        assert (use.package.split(".")[0] in free) == (use.form in WITHOUT_TORCH), use.package
