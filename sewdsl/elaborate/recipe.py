"""The ``train`` section: from settings as written to :class:`Recipe`."""

from __future__ import annotations

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.arguments import Given, validate
from sewdsl.elaborate.values import ValueProblem, python_value
from sewdsl.ir.recipe import Recipe
from sewdsl.syntax.tree import Section, Setting


def recipe(section: Section, diagnostics: Diagnostics) -> Recipe | None:
    """The recipe of a ``train`` section; None where it has problems, all reported."""
    given: dict[str, Given] = {}
    if section.on is not None:
        given["on"] = Given(section.on, section.span)
    whole = True
    for setting in section.settings:
        key = setting.key.text
        if key in given:
            diagnostics.report("duplicate-setting", f"'{key}' is set twice", setting.key.span, help="keep one")
        value = _value(setting, diagnostics)
        if value is None:
            whole = False
        else:
            given[key] = value
    for key in [key for key in given if key == "on" and section.on is None]:
        given.pop(key)
    if not whole:
        return None
    return validate(Recipe, "the recipe", given, section.name.span, diagnostics)


def _value(setting: Setting, diagnostics: Diagnostics) -> Given | None:
    if len(setting.values) != 1:
        message = f"'{setting.key.text}' takes one value"
        diagnostics.report("invalid-argument", message, setting.span, help=f"write '{setting.key.text} VALUE'")
        return None
    value = setting.values[0]
    try:
        return Given(python_value(value, diagnostics), value.span)
    except ValueProblem:
        return None
