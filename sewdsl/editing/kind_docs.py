"""Markdown on kinds and settings, from docstrings of the code, and on codes, from their pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from inspect import getdoc
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Severity
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import read_equations
from sewdsl.resources import resource_folder

if TYPE_CHECKING:
    from pydantic import BaseModel

_SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Shape):", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n(?: {8}.*|$))*)", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_PAGE_HEAD = re.compile(r"^\*(\w+) · ([^*]+)\*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"\.\s+(?=[A-Z`'])")
"""'Fang et al. 2021' and 'Sec. 3' are no ends of one."""

HEADER = {
    "network": "The network's name, between double quotes.",
    "input": "Shape of one time-step of one sample: `2x128x128` for channels, height and width, or one length.",
    "outputs": "In place of `body`: the names of the values that the network gives, `outputs low high`.",
    "init": "`default`: torch's own initial weights; `kaiming`: convolutions normal, fan_out (He et al. 2015); "
    "`normal(std=0.02)`: convolutions and fully connected layers normal, biases 0. With "
    "`zero`, every residual block starts as an identity (Sec. 3.3).",
}
"""What the fields of :class:`Settings` do not say as a file writes it."""

STATEMENTS = {
    "sewdsl": "The version of the language: `sewdsl 1`, in the first line.",
    "let": "`let low = expression` names what flows out of a sequence; one that begins with `low` begins there.",
    "body": "The network, in the notation that papers print.",
    "block": "`block NAME(c=in, s=1) = expression` defines a block; `$(c)` is a parameter's value. One of several "
    "operands says their names, `block Up(c)[low | high] = …`; one with named values has braces, and ends with `give`.",
    "neuron": "`neuron NAME(tau=2.0) { … }` defines a neuron by the equations of a time-step. Without braces it is a "
    "setting: what `SN` means.",
    "use": '`use "other.net"` takes over blocks, settings and the recipe of another file.',
    "expect": "A figure that must hold: parameters, macs or output.",
    "claim": "A figure that a source prints, compared with what is computed; of `accuracy` and `energy`, with what is "
    "measured.",
    "allow": '`allow CODE "reason"` takes a warning or a note back.',
    "train": "How the network is trained, and on which data set.",
    "study": "Variants of the network that are trained, or looked at, side by side.",
}
"""What the first word of a statement says."""

BLOCK_LINES = {
    "let": STATEMENTS["let"],
    "give": "`give expression`, the last line between the braces of a block: what the block represents.",
}
"""What the first word of a line between the braces of a block says."""

EQUATION_LINES = {
    "learn": "`learn w per channel = 0`: what a layer learns, by itself, per channel or per step, and where it starts.",
    "state": "`state i = 0`: a name whose value lasts to the next time-step, and its value before the first.",
    "give": "`give s`: what the neuron gives.",
    "per": "`per channel`, `per step`, `per channel, step`: of what each learns its own number.",
    "channel": "Each channel learns its own number.",
    "step": "Each time-step learns its own number.",
}
"""What the keywords between the braces of a neuron say."""

EQUATION_NAMES = {
    "x": "The input of the time-step.",
    "v": "The potential, a state: the value of the time-step before until it is assigned.",
    "v_threshold": "The setting: the potential at which a neuron fires.",
    "v_reset": "The setting: the potential after a spike; 0 where it is `none`.",
}
"""Names that equations can read without defining them."""
FUNCTIONS = {name: function.about for name, function in read_equations.FUNCTIONS.items()}
"""What the functions of equations give."""

NAMES = {
    "SN": "The file's neuron; without one, the neuron nearest before.",
    "g": "The file's join, as in `g[ branch | shortcut ]`.",
    "id": "The identity, as a shortcut; `id or X` takes X only where id does not fit.",
    "in": "The channels that flow into the block.",
}
"""Names that the language itself gives a meaning."""

STUDY = {
    "vary": "`vary join ADD AND IAND`: a variant for each value; of several lines, for each combination. "
    "`vary train.optimizer.lr log 0.0001 0.1` is a range for a search, `log` or `linear`.",
    "variant": '`variant "SEW AND" "join=AND"`: one variant by name, with what it changes.',
    "probe": "`probe rates` or `probe gradients`: look at the variants before training instead of training them.",
    "search": "`search TPE(trials=20, prune=median)` or `search Random(trials=20)`: train so many choices of values "
    "instead of all combinations.",
}
"""Keys that a study has in addition to those."""


@cache
def kind_description(kind: type[Kind]) -> str:
    """What a kind is, with its equation; without its arguments."""
    text = (getdoc(kind) or "").replace("::\n", ":\n")
    end = _SECTION.search(text)
    shape = re.search(r"^Shape: (.*(?:\n .*|\n\S.*)*)", text, re.MULTILINE)
    parts = [text[: end.start()] if end else text, f"Shape: {shape[1]}" if shape else ""]
    return _plain("\n\n".join(filter(None, map(str.strip, parts))))


@cache
def field_docs(cls: type[BaseModel]) -> dict[str, str]:
    """What each field means, by its name; those of the bases too, in the order of the fields."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = getdoc(base) if base.__doc__ else None
        section = re.search(r"^Attributes:\n((?: {4}.*\n?|\n)+)", text or "", re.MULTILINE)
        if section:
            found |= {name: _plain(" ".join(words.split())) for name, words in _ATTRIBUTE.findall(section[1])}
    return {name: found[name] for name in argument_fields(cls) if name in found}


def header_docs() -> dict[str, str]:
    """What each key of a header means."""
    said = field_docs(Settings)
    return {**{key: said[key] for key in ("steps", "encode", "neuron", "join", "readout")}, **HEADER}


def recipe_docs() -> dict[str, str]:
    """What each key of a recipe means."""
    return {key: text for key, text in field_docs(Recipe).items() if key != "on"}


def signature(kind: type[Kind]) -> str:
    """A kind with its arguments and their defaults, as a file writes them: ``LIF(tau=2.0, v_threshold=1.0, …)``."""
    letters = {name: letter for letter, name in kind.letters().items()}
    named = [name for name in argument_fields(kind) if name not in letters]
    compact = "".join(f"{letter}#" for letter in letters.values())
    shown = ", ".join(f"{name}={_default(kind, name)}" for name in named)
    return f"{kind.kind}{compact}" + (f"({shown})" if named else "")


def _default(kind: type[Kind], name: str) -> str:
    field = argument_fields(kind)[name]
    return "…" if field.is_required() else format_value(field.get_default(call_default_factory=True, validated_data={}))


@cache
def code_pages() -> dict[str, str]:
    """Return the page of each diagnostic's code."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(resource_folder("codes").glob("*.md"))}


@dataclass(frozen=True)
class CodePage:
    """What a page says of a code.

    Attributes:
        group: What it is about: ``syntax``, ``shapes``, ``theory``.
        description: What it means, in a paragraph of one line, in Markdown.
        text: The whole page, in Markdown.
    """

    code: str
    severity: Severity
    group: str
    description: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence of the description, without its full stop."""
        return _SENTENCE_END.split(self.description)[0].rstrip(".")


def read_code_pages() -> Mapping[str, CodePage]:
    """Return every page, by its code, in the order of the codes.

    Raises:
        ValueError: If a page has no line with its severity and group.
    """
    pages: dict[str, CodePage] = {}
    for code, text in code_pages().items():
        head = _PAGE_HEAD.search(text)
        if head is None:
            raise ValueError(f"the page on {code} has no line such as '*error · syntax*'")
        description = text[head.end() :].partition("\n```")[0].strip().replace("\n", " ")
        pages[code] = CodePage(code, Severity[head[1].upper()], head[2].strip(), description, text)
    return pages


def _plain(text: str) -> str:
    """Without what only reStructuredText reads."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
