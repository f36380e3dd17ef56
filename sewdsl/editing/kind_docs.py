"""Markdown documentation of kinds, settings and diagnostic codes.

The texts come from docstrings, from this module and from the pages of codes.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from inspect import getdoc
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.elaborate.train_section import KEYS
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Settings
from sewdsl.ops import read_equations
from sewdsl.resources import resource_folder
from sewdsl.syntax.lexicon import POINTWISE

if TYPE_CHECKING:
    from pydantic import BaseModel

_SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Shape):", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n(?: {8}.*|$))*)", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]*)`")

HEADER = {
    "network": "Name of the network, in double quotes.",
    "input": "Shape of one time-step of one sample: `2x128x128` (channels, height, width), `2x700` (channels, length), "
    "or a single length. `input left 1x28x28` is one of several named inputs. "
    "`input 128 of 30522` has 128 integers from 0 to 30521, such as tokens.",
    "outputs": "Names of the values that the network returns, instead of `body`: `outputs low high`.",
    "init": "Rule of the initial weights, e.g. `kaiming` or `normal(std=0.02)`. `default`: those of PyTorch. With "
    "`zero`, every residual block starts as an identity (Sec. 3.3). `init res.* orthogonal`: rule of a layer or group, "
    "by name or pattern. The rule of a call, as in `FC64(init=orthogonal)`, takes precedence.",
}
"""Documentation of header keys whose text differs from the fields of :class:`Settings`."""

STATEMENTS = {
    "sewdsl": "Version of the language, in the first line: `sewdsl 1`.",
    "let": "`let low = expression` names the output of a sequence. A sequence that starts with `low` reads this value.",
    "body": "The network, in the notation of papers.",
    "block": "`block NAME(c=in, s=1) = expression` defines a block. `$(c)` is the value of a parameter. A block with "
    "several operands names them: `block Up(c)[low | high] = …`. A block with named values has braces and ends with "
    "`give`.",
    "part": "`part NAME = expression` defines a part. All calls of a part share one set of weights. A part can have "
    "operands and braces, but no parameters.",
    "neuron": "`neuron NAME(tau=2.0) { … }` defines a neuron by the equations of a time-step. Without braces, it is a "
    "setting: the neuron to use for `SN`.",
    "use": '`use "other.net"` imports the blocks, settings and recipe of another file, but not its `body`. Statements '
    "of this file take precedence.",
    "expect": "`expect parameters 29K`: value that must hold. The computed value, rounded to the written digits, must "
    "be equal.",
    "claim": '`claim parameters 31K "Tab. 5"`: value printed in a source. A difference is a note. `accuracy` and '
    "`energy` are compared with measurements.",
    "allow": '`allow CODE "reason"` suppresses a warning or a note.',
    "train": "`train on DATA { … }`: recipe to train the network, and the dataset.",
    "study": "`study { … }`: variants of the network to train or probe, and to compare.",
}
"""Documentation of statements, by their first word."""

BLOCK_LINES = {
    "let": STATEMENTS["let"],
    "give": "`give expression`, the last line between the braces of a block: the output of the block.",
}
"""Documentation of lines between the braces of a block, by their first word."""

EQUATION_LINES = {
    "learn": "`learn w per channel = 0`: a learnable value per layer, channel or time-step, and its initial value.",
    "state": "`state i = 0`: a value kept for the next time-step, and its initial value.",
    "give": "`give s`: the output of the neuron.",
    "per": "`per channel`, `per step`, `per channel, step`: the axes along which values are learned separately.",
    "channel": "A learnable value per channel.",
    "step": "A learnable value per time-step.",
}
"""Documentation of keywords between the braces of a neuron."""

EQUATION_NAMES = {
    "x": "Input of the time-step.",
    "v": "Membrane potential, a state. Until it is assigned, it has the value of the previous time-step.",
    "v_threshold": "Setting: firing threshold of the membrane potential.",
    "v_reset": "Setting: membrane potential after a spike, 0 if the setting is `none`.",
}
"""Names that equations can read without defining them."""
FUNCTIONS = {name: function.about for name, function in read_equations.FUNCTIONS.items()} | {**read_equations.DRAWS}
"""Documentation of the functions of equations."""

NAMES = {
    "SN": "The neuron of the file. Without one, the nearest preceding neuron.",
    "g": "The join of the file, as in `g[ branch | shortcut ]`.",
    "id": "Identity shortcut. `id or X` is X if the first operand changes the shape or has a stride.",
    "in": "Number of input channels of the block.",
    POINTWISE: "Function of each value `x`, with the functions of neurons: `MAP{1 - x}`.",
}
"""Names with a meaning in the language."""

STUDY = {
    "vary": "`vary join ADD AND IAND`: one variant per value. Several lines: one variant per combination. "
    "`vary train.optimizer.lr log 0.0001 0.1` is a range for a search, `log` or `linear`.",
    "variant": '`variant "SEW AND" "join=AND"`: a named variant, with its overrides.',
    "probe": "`probe rates` or `probe gradients`: probe the untrained variants instead of training them.",
    "search": "`search TPE(trials=20, prune=median)` or `search Random(trials=20)`: train this number of trials "
    "instead of all combinations.",
}
"""Documentation of the keys of a study that are not settings."""


@cache
def kind_description(kind: type[Kind]) -> str:
    """Return the description of a kind with its equation and shape, without its arguments."""
    text = (getdoc(kind) or "").replace("::\n", ":\n")
    end = _SECTION.search(text)
    shape = re.search(r"^Shape: (.*(?:\n .*|\n\S.*)*)", text, re.MULTILINE)
    parts = [text[: end.start()] if end else text, f"Shape: {shape[1]}" if shape else ""]
    return _plain("\n\n".join(filter(None, map(str.strip, parts))))


@cache
def field_docs(cls: type[BaseModel]) -> dict[str, str]:
    """Return the documentation of each field, including those of base classes.

    It is the docstring below the field, or an entry of ``Attributes:`` in the docstring of the class, which may
    describe an inherited field.
    """
    docs: dict[str, str] = {}
    # From the base class down, so that a subclass overrides the documentation of a field.
    for base in reversed(cls.__mro__):
        docs |= _docstrings(getattr(sys.modules.get(base.__module__), "__file__", None)).get(base.__qualname__, {})
        # getdoc would return the docstring of a base class.
        text = getdoc(base) if base.__doc__ else None
        section = re.search(r"^Attributes:\n((?: {4}.*\n?|\n)+)", text or "", re.MULTILINE)
        docs |= dict(_ATTRIBUTE.findall(section[1])) if section else {}
    return {name: _plain(" ".join(docs[name].split())) for name in argument_fields(cls) if name in docs}


@cache
def _docstrings(path: str | None) -> dict[str, dict[str, str]]:
    """Return the docstrings below the fields of each class of a module, by class and field."""
    try:
        statements = ast.parse(Path(path or "").read_bytes()).body
    except (OSError, SyntaxError):  # A kind need not come from a file.
        return {}
    return {
        node.name: {
            field.target.id: text.value.value
            for field, text in pairwise(node.body)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        }
        for node in statements
        if isinstance(node, ast.ClassDef)
    }


def header_docs() -> dict[str, str]:
    """Return the documentation of each header key."""
    docs = field_docs(Settings)
    return {**{key: docs[key] for key in ("steps", "encode", "neuron", "join", "readout")}, **HEADER}


def recipe_docs() -> dict[str, str]:
    """Return the documentation of each recipe key."""
    docs = field_docs(Recipe)
    return {key: docs[key] for key in KEYS}


def signature(kind: type[Kind]) -> str:
    """Return a kind with its arguments and defaults: ``LIF(tau=2.0, v_threshold=1.0, …)``."""
    letters = {name: letter for letter, name in kind.letters().items()}
    compact = "".join(f"{letter}#" for letter in letters.values())
    fields = {name: field for name, field in argument_fields(kind).items() if name not in letters}
    values = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields.items()
        if not field.is_required()
    }
    shown = ", ".join(f"{name}={format_value(values[name]) if name in values else '…'}" for name in fields)
    return f"{kind.kind}{compact}" + (f"({shown})" if fields else "")


@cache
def code_pages() -> dict[str, str]:
    """Return the page of each diagnostic code."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(resource_folder("codes").glob("*.md"))}


def _plain(text: str) -> str:
    """Remove reStructuredText markup that Markdown does not have."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
