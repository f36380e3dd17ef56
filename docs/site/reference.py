"""Tables and grammar of the reference of the language, generated from the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from textwrap import fill
from typing import Any

from docs.site.tables import FAMILIES, default_text, table
from sewdsl.checks.expectation import MEASURED, QUANTITIES
from sewdsl.editing import kind_docs
from sewdsl.elaborate.definitions import RESERVED_NAMES
from sewdsl.elaborate.header import EXPECTED, HEADER_CHOICES
from sewdsl.ir.op import Activation, Layer, LinearNeuron, Merge
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Settings
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.ops import catalogue
from sewdsl.resources import resource_folder
from sewdsl.syntax.lexicon import (
    BLOCK_KEYWORDS,
    EQUATION_KEYWORDS,
    KEYWORDS,
    NEURON,
    NEURON_SETTINGS,
    PER,
    POINTWISE,
    SETTINGS,
)
from sewdsl.syntax.suggestions import absent_kinds

# --- statements and settings -------------------------------------------------------------------------------

VALUES = {
    "network": "text in quotes",
    "input": EXPECTED["input"],
    "steps": EXPECTED["steps"],
    "neuron": "a neuron or another activation",
    "join": "a join",
    "init": "a [rule](catalogue.md#initial-weights), `zero`, or both",
    "outputs": "names of values",
    **{key: ", ".join(f"`{choice}`" for choice in choices) for key, choices in HEADER_CHOICES.items()},
}
"""Values of each setting."""
DEFAULTS = {"network": "name of the file", "input": "required", "neuron": "none", "join": "`ADD`", "outputs": "none"}
"""Defaults of settings that differ from those of :class:`Settings`."""


def statements() -> str:
    """Return the table of statements, and of the last line of a block with braces."""
    docs = {**kind_docs.STATEMENTS, "give": kind_docs.BLOCK_LINES["give"]}
    return table(("statement", "meaning"), ((f"`{word}`", about) for word, about in docs.items()))


def settings() -> str:
    """Return the table of settings."""
    rows = (
        (f"`{key}`", VALUES[key], DEFAULTS.get(key) or default_text(Settings, key), kind_docs.header_docs()[key])
        for key in SETTINGS
    )
    return table(("setting", "values", "default", "meaning"), rows)


COMPUTED = {
    "parameters": "number of learnable parameters",
    "macs": "multiply-accumulate operations per time-step and sample",
    "output": "shape of the output, e.g. `32x4x4` or `10`; with several outputs, the name of an output",
}
"""Values of the quantities that are computed."""


def quantities() -> str:
    """Return the table of the quantities of ``expect`` and ``claim``."""
    rows = [(f"`{name}`", "`expect`, `claim`", COMPUTED[name]) for name in QUANTITIES]
    rows += [(f"`{name}`", "`claim`", about.replace("'", "`")) for name, about in MEASURED.items()]
    return table(("quantity", "statements", "value"), rows)


def recipe() -> str:
    """Return the table of the keys of a recipe."""
    rows = ((f"`{key}`", default_text(Recipe, key), about) for key, about in kind_docs.recipe_docs().items())
    return table(("key", "default", "meaning"), rows)


def study() -> str:
    """Return the table of the keys of a study."""
    return table(("key", "meaning"), ((f"`{key}`", about) for key, about in kind_docs.STUDY.items()))


# --- layer strings -----------------------------------------------------------------------------------------


def signatures(family: str) -> Callable[[], str]:
    """Return a function that generates the table of the kinds of a family, with their arguments and defaults."""

    def rows() -> Iterator[tuple[str, ...]]:
        for name, kind in _kinds(FAMILIES[family]):
            yield f"[`{kind_docs.signature(kind)}`]({_link(name)})", _first_sentence(kind)

    return lambda: table(("kind", "description"), rows())


def kinds() -> str:
    """Return the table of kinds by family, with links to the catalogue."""
    rows = (
        (title, " ".join(f"[`{name}`]({_link(name)})" for name, _ in _kinds(family)))
        for title, family in FAMILIES.items()
    )
    return table(("family", "kinds"), rows)


def names() -> str:
    """Return the table of names that the language defines."""
    return table(("name", "meaning"), ((f"`{name}`", about) for name, about in kind_docs.NAMES.items()))


def compact() -> str:
    """Return the table of kinds with compact arguments and their defaults."""

    def argument(kind: Any, field: str) -> str:
        default = default_text(kind, field)
        # Equal numbers for height and width are written once. None stands for a value that depends on other arguments.
        default = {"`none`": "[rule](#defaults)"}.get(default, re.sub(r"(\d+)x\1\b", r"\1", default))
        return field if default == "required" else f"{field} ({default})"

    rows = (
        (
            f"[`{name}{''.join(f'{letter}#' for letter in kind.letters()).removeprefix(name)}`]({_link(name)})",
            ", ".join(argument(kind, field) for field in kind.letters().values()),
        )
        for name, kind in _kinds(Layer, Activation)
        if kind.letters()
    )
    return table(("form", "arguments, with defaults"), rows)


def merges() -> str:
    """Return the table of merges."""
    rows = (
        (f"[`{name}`]({_link(name)})", str(kind.operand_count() or "two or more"), _first_sentence(kind))
        for name, kind in _kinds(Merge)
    )
    return table(("merge", "operands", "output"), rows)


VARIANTS: dict[str, dict[str, object]] = {
    "APPLY": {"chunk": 2},
    "ATTN": {"chunk": 2},
    "MEAN": {"over": "time"},
    "POS": {"per": "step"},
    "SCORES": {"chunk": 2},
    "SUM": {"over": "time"},
    "Slice": {"over": "time"},
}
"""Arguments with which a kind reads several time-steps, if this depends on its arguments."""


def time_steps() -> str:
    """Return the table of kinds that read several time-steps, without ordinary neurons."""

    def rows() -> Iterator[tuple[str, ...]]:
        for name, kind in _kinds(Layer, Activation, Merge):
            arguments = {} if isinstance(kind.reads, str) else VARIANTS[name]
            op = kind.model_construct(**arguments)
            if op.reads != "step" and not isinstance(op, LinearNeuron):
                text = f"({', '.join(f'{key}={value}' for key, value in arguments.items())})" if arguments else ""
                weights = "yes" if op.fixed_steps else "no"
                yield f"[`{name}{text}`]({_link(name)})", f"the {op.reads}", weights, _first_sentence(kind)

    return table(("kind", "reads", "weights for one T", "description"), rows())


def _link(name: str) -> str:
    # Anchors do not distinguish the rule ``constant`` from the surrogate ``Constant``.
    return f"catalogue.md#{'initial-weights' if name == 'constant' else name.lower()}"


def _first_sentence(kind: Any) -> str:
    return kind_docs.kind_description(kind).split("\n", 1)[0]


def _kinds(*families: type) -> list[tuple[str, Any]]:
    named = ((name, kind) for name, kind in catalogue().items() if issubclass(kind, families) and name != "input")
    return sorted(named, key=lambda item: item[0].casefold())


# --- names and limits --------------------------------------------------------------------------------------


def reserved() -> str:
    """Return the table of words with a meaning, by place."""
    rows = [
        ("first word of a statement", [word for word in (*KEYWORDS, *SETTINGS) if word != "data"]),
        ("first word of a line in a block", BLOCK_KEYWORDS),
        ("first word of an equation", EQUATION_KEYWORDS),
        ("equations", [PER, *kind_docs.EQUATION_NAMES, *NEURON_SETTINGS[2:], *kind_docs.FUNCTIONS]),
        ("layer strings", [*RESERVED_NAMES, "or", POINTWISE]),
    ]
    return table(("place", "words"), ((place, " ".join(f"`{word}`" for word in words)) for place, words in rows))


def absent() -> str:
    """Return the table of kinds that the language does not have."""
    return table(("kind, reason", "help"), ((name, hint) for name, (_, hint) in absent_kinds().items()))


def limits() -> str:
    """Return the table of limits with their options."""
    docs = re.findall(r"^ {8}(\w+): (.+?)(?: \(option .*\))?\.$", Limits.__doc__ or "", re.MULTILINE)
    rows = (
        (
            f"{about[0].lower()}{about[1:]}".replace("``", "`"),
            f"{getattr(DEFAULT_LIMITS, name):,}",
            f"`{name.removesuffix('_bytes')}`",
        )
        for name, about in docs
    )
    return table(("limit", "value", "name in `--limit NAME=N`"), rows)


# --- grammar -----------------------------------------------------------------------------------------------

LITERALS = {
    **dict(zip(("_DASH", "_STAR", "_PLUS", "_SLASH", "_EQUAL", "_COMMA", "_BAR"), "-*+/=,|", strict=True)),
    "_OPEN": "$(",
    "_LPAR": "(",
    "_RPAR": ")",
    "_LSQB": "[",
    "_RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "LESS": "<",
    "MORE": ">",
    "_BELOW": "<",
    "_ABOVE": ">",
    "_ON": "on",
    "_OR": "or",
    "_PER": PER,
    "_MAP": POINTWISE,
    "_NEURON": NEURON,
    **{token: word for words in (KEYWORDS, BLOCK_KEYWORDS, EQUATION_KEYWORDS) for word, token in words.items()},
}
"""Text of each token of a single form."""
WIDTH = 110
"""Length of a line of the grammar."""
ENTRIES = {"long_block": "line", "long_part": "line", "section": "setting", "neuron": "equation"}
"""Rules of the entries between the braces of a statement, which are parsed separately."""


def grammar() -> str:
    """Return the rules of the grammar with the text of each token, as an indented block."""
    rules = list(_rules())
    width = max(len(name) for name, _ in rules)
    blank = " " * (4 + width)
    lines = (
        fill(text, WIDTH, initial_indent=f"    {name:{width}} = ", subsequent_indent=f"{blank}   ")
        for name, text in rules
    )
    return "\n".join(lines) + "\n"


def _rules() -> Iterator[tuple[str, str]]:
    """Yield the names and the texts of the rules, without names of alternatives."""
    text = (resource_folder("grammars") / "sewdsl.lark").read_text(encoding="utf-8").partition("\n// --- tokens")[0]
    text = re.sub(r"^//.*\n", "", text, flags=re.MULTILINE)
    for name, rule in re.findall(r"^\??(\w+): (.*(?:\n +.*)*)", text, re.MULTILINE):
        body = " ".join(re.sub(r"-> \w+", "", rule).split())
        if name in ENTRIES:
            body = body.replace("LBRACE RBRACE", f"LBRACE {ENTRIES[name]}* RBRACE")
        words = re.sub(r"\w+", lambda match: _word(match[0]), body)
        yield name.lstrip("_"), re.sub(r'"([<>])" "="', r'"\1="', words)


def _word(word: str) -> str:
    """Return a token in quotes, or the name of a rule or of another token."""
    if word == "SECTION":
        return '("train" | "study")'
    return f'"{LITERALS[word]}"' if word in LITERALS else word.lstrip("_")


SECTIONS: dict[str, Callable[[], str]] = {
    "statements": statements,
    "settings": settings,
    "quantities": quantities,
    "names": names,
    "kinds": kinds,
    "compact": compact,
    "surrogates": signatures("Surrogates"),
    "merges": merges,
    "time-steps": time_steps,
    "init": signatures("Initial weights"),
    "recipe": recipe,
    "optimizers": signatures("Optimizers"),
    "schedules": signatures("Schedules"),
    "losses": signatures("Losses"),
    "study": study,
    "reserved": reserved,
    "absent": absent,
    "limits": limits,
    "grammar": grammar,
}
"""Functions that generate parts of the page, by the name in their marker."""
