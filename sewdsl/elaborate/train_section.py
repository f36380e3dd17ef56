"""The ``train`` section: from settings in the source to a :class:`Recipe`, with the aliases of its keys."""

from __future__ import annotations

from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.suggestions import nearest_name, rename
from sewdsl.elaborate.values import ValueProblem, python_value
from sewdsl.ir.recipe import Recipe
from sewdsl.reporter import Reporter
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.tree import Section, Setting, Word

KEY_ALIASES = {
    **{name: f"train.{name}" for name in Recipe.model_fields},
    **{name: name for name in SETTINGS},
    "lr": "train.optimizer.lr",
    "learning_rate": "train.optimizer.lr",
    "batch_size": "train.batch",
    "dataset": "train.on",
    "tau": "neuron.tau",
    "surrogate": "neuron.surrogate",
}


def resolve_key_alias(name: str) -> str | None:
    """The key that a name or an option means, ``train.optimizer.lr`` for ``--lr`` and ``train.lr``; None: none."""
    return KEY_ALIASES.get(name.removeprefix("train.").lstrip("-").replace("-", "_"))


KEYS = tuple(name for name in Recipe.model_fields if name != "on")


def read_train_section(section: Section, diagnostics: Reporter, *, library: bool = False) -> Recipe | None:
    """The recipe of a ``train`` section; None where it has problems, all reported.

    Args:
        section: As written.
        diagnostics: Where to report.
        library: The section is of a file without a network, and need not be complete.
    """
    given: dict[str, GivenArgument] = {}
    wrong: set[str] = set()
    for setting in section.settings:
        key = setting.key.text
        value = _value(setting, diagnostics)
        if key not in KEYS:
            _unknown(setting.key, diagnostics)
            wrong.add(nearest_name(key, KEYS) or key)
        elif key in given or (key in wrong and value is None):
            diagnostics.report("duplicate-setting", f"'{key}' is set twice", setting.key.span, help="keep one")
        elif value is None:
            wrong.add(key)
        else:
            given[key] = value
    if section.on is None and not library:
        message, hint = "the recipe does not say on which data set", "write 'train on mnist5k { … }'"
        diagnostics.report("missing-argument", message, section.name.span, help=hint)
    given["on"] = GivenArgument(section.on or "", section.span)
    absent = set(KEYS) - set(given) if library else set()
    made = validate_arguments(Recipe, "the recipe", given, section.name.span, diagnostics, said=wrong | absent)
    return made if section.on is not None else None


def _unknown(key: Word, diagnostics: Reporter) -> None:
    """Says that the recipe has no such key, and which is meant; on the command line, only the value is marked."""
    spoken = resolve_key_alias(key.text) or ""
    name, _, argument = spoken.removeprefix("train.").partition(".")
    meant = name if name in KEYS and not argument else nearest_name(key.text, KEYS)
    written = key.span.text == key.text
    hint = f"did you mean '{meant if written else f'train.{meant}'}'?" if meant else f"its keys: {', '.join(KEYS)}"
    if name in KEYS and argument:
        meant, hint = None, f"write '{name} …({argument}=…)'" if written else f"did you mean '{spoken}'?"
    diagnostics.report(
        "unknown-setting",
        f"the recipe has no '{key.text}'",
        key.span,
        help=hint,
        fixes=(rename(key.span, meant),) if meant and written else (),
    )


def _value(setting: Setting, diagnostics: Reporter) -> GivenArgument | None:
    if len(setting.values) != 1:
        texts = " and ".join(f"'{value.span.text}'" for value in setting.values)
        message = f"'{setting.key.text}' takes one value, and this reads as {len(setting.values)}: {texts}"
        diagnostics.report("invalid-argument", message, setting.span, help=f"write '{setting.key.text} VALUE'")
        return None
    value = setting.values[0]
    try:
        return GivenArgument(python_value(value, diagnostics), value.span)
    except ValueProblem:
        return None
