"""Diagnostics of unexpected tokens, with help for frequent mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax.characters import TABLE_ROW, power_advice
from sewdsl.syntax.lexicon import (
    CLOSERS,
    DEFINES_BLOCK,
    EQUATION_KEYWORDS,
    KEYWORDS,
    NEURON,
    OPENERS,
    POINTWISE,
    SETTINGS,
)
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token


_UNITS = frozenset({"ns", "us", "ms", "s", "Hz", "kHz", "MHz"})
_SHAPE = frozenset({"INTEGER", "_COMMA", "_LPAR", "_RPAR", "_LSQB", "_RSQB"})
"""Token types of shapes in Python notation: ``(1, 28, 28)``."""


@dataclass(frozen=True)
class ParseFailure:
    """State of a parser at an unexpected token."""

    source: Source
    tokens: list[Token]
    rule: str
    """Grammar rule of the statement."""
    before: Token
    """Last accepted token, or an empty token without a type."""
    token: Token
    accepted: AbstractSet[str]
    """Types of tokens that the parser accepts instead."""

    @property
    def expression(self) -> bool:
        """True if the statement ends with a sequence of layers."""
        return self.rule == "compact" or self.tokens[0].type in {"_BODY", "_LET", "_GIVE", *DEFINES_BLOCK}

    @property
    def in_equation(self) -> bool:
        """True in a statement of a neuron, or between the braces of ``MAP``."""
        before = (token.type for token in reversed(self.tokens[: self.index]))
        return self.rule == "equation" or next((kind for kind in before if kind in {"_MAP", "RBRACE"}), "") == "_MAP"

    @property
    def finish(self) -> str:
        """Description of the end of the tokens."""
        if self.rule == "equation":
            return "the end of the equation"
        return "the end of the line" if self.rule in {"statement", "setting", "line"} else "the end"

    def span(self, token: Token) -> Span:
        """Return the span of a token."""
        return token_span(self.source, token)

    @property
    def index(self) -> int:
        """Index of the unexpected token, or the number of tokens at the end."""
        return next((i for i, token in enumerate(self.tokens) if token is self.token), len(self.tokens))


class MistakeHelp(NamedTuple):
    """Help for a mistake, with its fixes."""

    text: str = ""
    fixes: tuple[Fix, ...] = ()


def mistake_help(situation: ParseFailure) -> MistakeHelp:
    """Return the help for an unexpected token, or an empty one if the mistake is not known."""
    tries: tuple[Callable[[ParseFailure], MistakeHelp | None], ...]
    if not situation.before.type:
        tries = (_table_row, _long_block, _group, _leading_hyphen, _quoted)
    elif situation.in_equation:
        tries = (_power, _no_number, _vector, _map, _equation)
    elif situation.rule == "values":
        tries = (_path,)
    elif situation.tokens[0].type in {"KEY", "SECTION", "_USE"}:
        tries = (_shape, _commas, _definition, _change, _on, _entries, _inputs, _pattern)
        tries += (_unit, _hyphenated, _network, _dashed, _path)
    else:
        tries = (_table_row, _unit, _part_head, _thousands, _inputs, _group, _power, _spaced_number, _count)
    return next((advice for find in tries if (advice := find(situation))), MistakeHelp())


# --- in expressions


# Each docstring below is an example of the mistake.


def _leading_hyphen(at: ParseFailure) -> MistakeHelp | None:
    """``-FC10`` at the start of a line."""
    hint = "move the '-' to the end of the previous line to continue the statement"
    return MistakeHelp(hint) if at.token.type == "_DASH" else None


def _quoted(at: ParseFailure) -> MistakeHelp | None:
    """``"c32k3-BN"`` as a layer string."""
    if at.token.type != "STRING":
        return None
    return MistakeHelp(
        "remove the quotes", (Fix("remove them", (Edit(at.span(at.token), at.token[1:-1]),), safe=False),)
    )


def _part_head(at: ParseFailure) -> MistakeHelp | None:
    """``part Eye(c) = …`` and ``part My Eye = …``."""
    head = ("part", "NAME")
    if at.tokens[0].type != "_PART" or at.index != len(head):
        return None
    is_head = any(token.type in {"_EQUAL", "LBRACE"} for token in at.tokens)
    words = f"use one word: {at.before}{at.token}" if is_head else "write '=' after the name"
    hints = {"_LPAR": "a part has no parameters: use a block", "WORD": words}
    return MistakeHelp(hints[at.token.type]) if at.token.type in hints else None


def _table_row(at: ParseFailure) -> MistakeHelp | None:
    """``VGG-9 | c32k3-BN | 92.1`` and ``c32k3-BN 4 92.1``."""
    rest = [token.type for token in at.tokens[at.index :]]
    has_bar = any(
        token.type == "_BAR" and depth == 0 for token, depth in zip(at.tokens, _depths(at.tokens), strict=True)
    )
    has_cells = len(rest) > 1 and at.before.type == "WORD" and {*rest} <= {"INTEGER", "DECIMAL"}
    return MistakeHelp(TABLE_ROW) if has_bar or has_cells else None


def _unit(at: ParseFailure) -> MistakeHelp | None:
    """``LIF(tau=20ms)``."""
    if at.token not in _UNITS or at.before.type not in {"INTEGER", "DECIMAL"} or "_RPAR" not in at.accepted:
        return None
    hint = f"remove the unit: values have none, and time constants count time-steps, here of 1 {at.token}"
    return MistakeHelp(hint, (Fix("remove the unit", (Edit(at.span(at.token), ""),), safe=False),))


def _thousands(at: ParseFailure) -> MistakeHelp | None:
    """``claim parameters 68,874``."""
    if at.tokens[0].type not in {"_EXPECT", "_CLAIM"} or at.token.type != "_COMMA":
        return None
    fix = Fix("remove the comma", (Edit(at.span(at.token), ""),), safe=False)
    return MistakeHelp(f"write numbers without commas: {at.before}{''.join(at.tokens[at.index + 1 :][:1])}", (fix,))


def _long_block(at: ParseFailure) -> MistakeHelp | None:
    """``block A(c) { c$(c)k3-BN }``."""
    hint = "write '=' instead of the braces, or 'give' before the layers"
    return MistakeHelp(hint) if "_GIVE" in at.accepted else None


def _inputs(at: ParseFailure) -> MistakeHelp | None:
    """``block B[a, b]``, ``block B[a](c)``, ``neuron N[a](tau=2.0)``, ``ADD(a-b | id)``, ``a, b``, ``MAP[1 - x]``."""
    if any(word == POINTWISE and after.type in {"_LPAR", "_LSQB"} for word, after in pairwise(at.tokens[: at.index])):
        return MistakeHelp(f"write the expression in braces, e.g. {POINTWISE}{{1 - x}}")
    if at.token.type == "_COMMA" and "_BAR" in at.accepted:
        return MistakeHelp("separate operands by '|'")
    if at.token.type == "_COMMA" and "_DASH" in at.accepted and at.expression:
        is_last = at.token is at.tokens[-1]
        hint, text = ("remove it", "") if is_last else ("separate layers by '-'", "-")
        return MistakeHelp(hint, (Fix(hint, (Edit(at.span(at.token), text),), safe=False),))
    rest = at.tokens[at.index :]
    inside = list(takewhile(lambda pair: pair[1] >= 0, zip(rest, _depths(rest), strict=True)))
    is_operand = at.token.type in {"_DASH", "_BAR"} and any(token.type == "_BAR" for token, _ in inside)
    if is_operand and [token.type for token in rest[len(inside) : len(inside) + 1]] == ["_RPAR"]:
        return MistakeHelp("write operands in square brackets: ADD[ a | b ]")
    is_head = at.token.type == "_LPAR" and at.before.type == "_RSQB"
    if is_head or (at.tokens[0] == NEURON and at.token.type == "_LSQB"):
        head = f"{at.tokens[0]} NAME" if at.tokens[0] == NEURON or at.tokens[0].type in DEFINES_BLOCK else "NAME"
        return MistakeHelp(f"write parameters before the operands: {head}(…)[ a | b ]")
    return None


def _group(at: ParseFailure) -> MistakeHelp | None:
    """``(a-b)*2`` and ``[a-b]*2``."""
    if at.token.type not in {"_LPAR", "_LSQB"} or not {"WORD", "LBRACE"} <= at.accepted:
        return None
    hint = "use braces to repeat layers: {…}*2"
    rest = at.tokens[at.index :]
    close = next((i for i, depth in enumerate(_depths(rest)) if depth == 0), 0)
    if [token.type for token in rest[close : close + 2]] != [OPENERS[at.token.type], "_STAR"]:
        return MistakeHelp(hint)
    edits = Edit(at.span(rest[0]), "{"), Edit(at.span(rest[close]), "}")
    return MistakeHelp(hint, (Fix("use braces", edits, safe=False),))


def _spaced_number(at: ParseFailure) -> MistakeHelp | None:
    """``DP 0.25``."""
    before, token = at.before, at.token
    if token.type not in {"INTEGER", "DECIMAL"} or before.type != "WORD" or "_DASH" not in at.accepted:
        return None
    hint = f"remove the space before the number: '{before}{token}'"
    gap = Span(at.source, token_end(before), token_start(token))
    return MistakeHelp(hint, (Fix("remove the space", (Edit(gap, ""),), safe=False),))


def _count(at: ParseFailure) -> MistakeHelp | None:
    """``MPk2*2``, ``Swap[c4]*2`` and ``MAP{1 - x}*2``."""
    if at.token.type == "_STAR" and at.before.type in {"RBRACE", "_RSQB"}:
        return MistakeHelp("use braces for a repeat: {…}*2")
    if at.token.type not in {"_STAR", "TIMES"} or at.before.type != "WORD":
        return None
    return MistakeHelp(f"use braces for a repeat: {{{at.before}}}*2; in a layer, 'x' separates sizes, e.g. k3x5")


# --- in equations


def _power(at: ParseFailure) -> MistakeHelp | None:
    """``x**2``, also in formulas."""
    if at.before.type != "_STAR" or at.token.type != "_STAR" or "_LPAR" not in at.accepted:
        return None
    before = at.tokens[max(0, at.index - 3) : at.index - 1]
    return MistakeHelp(*power_advice(at.source, before, at.tokens[at.index + 1 : at.index + 2]))


def _no_number(at: ParseFailure) -> MistakeHelp | None:
    """``2x``, ``2x3``, ``4k``."""
    before, token = at.before, at.token
    if token.type == "SIZE":
        return MistakeHelp("use '*' for a product: " + "*".join(token.replace("\u00d7", "x").split("x")))
    if token.type == "QUANTITY":
        return MistakeHelp("remove the unit, or use '*' for a product")
    if token.type != "WORD" or before.type not in {"INTEGER", "DECIMAL"}:
        return None
    fix = Fix("insert the missing '*'", (Edit(at.span(token).part(0, 0), "*"),), safe=False)
    return MistakeHelp(f"use '*' for a product: {before}*{token}", (fix,))


def _vector(at: ParseFailure) -> MistakeHelp | None:
    """``a[0]``, ``state a(2) = 0`` and ``state a[2] = [0, 1]``."""
    if at.token.type == "_LPAR" and "_EQUAL" in at.accepted and at.tokens[0].type in {"_STATE", "_LEARN"}:
        return MistakeHelp(f"write the length of a vector in brackets: {at.before}[N]")
    if at.token.type != "_LSQB":
        return None
    if at.before.type == "WORD":
        return MistakeHelp(f"write sum({at.before}), or declare the vector with 'state {at.before}[N] = …'")
    return MistakeHelp("write one expression for all numbers of a vector, e.g. index(N)")


def _map(at: ParseFailure) -> MistakeHelp | None:
    """``MAP{}``, ``MAP{give x}``, ``MAP{h = x}``, ``MAP{|x|}`` and ``where(x = 1, 1, 0)``."""
    if at.token.type == "_EQUAL" and "_BELOW" in at.accepted:
        return MistakeHelp("compare with <, <=, > or >=")
    if at.token.type == "_BAR" and "_BAR" not in at.accepted:
        return MistakeHelp("use abs(…) for absolute values")
    if at.rule == "equation":
        return None
    if at.token.type == "RBRACE" and at.before.type == "LBRACE":
        return MistakeHelp(f"write an expression, e.g. {POINTWISE}{{1 - x}}")
    if at.token.type == "_EQUAL" or at.before in EQUATION_KEYWORDS:
        return MistakeHelp(f"write a single expression, e.g. {POINTWISE}{{1 - x}}, or define a neuron")
    return None


def _equation(at: ParseFailure) -> MistakeHelp | None:
    """``a -> b``, ``s = h > 1``, ``h += x`` and ``s h``."""
    if at.token.type == "_ARROW":
        return MistakeHelp("use '-' to subtract; equations have no arrows")
    if at.token.type in {"LBRACE", "_MAP"}:
        return MistakeHelp("move layers to 'body', 'let' or 'block'; equations contain only numbers")
    if at.token.type == "_FORMULA":
        return MistakeHelp("use a parameter of the neuron; '$(…)' is for parameters of blocks")
    if at.token.type in {"_BELOW", "_ABOVE"}:
        return MistakeHelp(f"use a function for the comparison: where({at.before} {at.token} …, 1, 0) or fire(…)")
    if at.before.type == "WORD" and at.index == 1:
        return MistakeHelp(f"write an equation as '{at.before} = …'")
    return None


# --- in settings


def _shape(at: ParseFailure) -> MistakeHelp | None:
    """``input 1,28,28``."""
    first, *rest = at.tokens
    lengths = [token for token in rest if token.type == "INTEGER"]
    if first != "input" or len(lengths) < 2 or any(token.type not in _SHAPE for token in rest):  # noqa: PLR2004 -- a list
        return None
    size = "x".join(lengths)
    edit = Edit(at.span(rest[0]).to(at.span(rest[-1])), size)
    return MistakeHelp(f"use 'x' in shapes: {first} {size}", (Fix(f"write '{size}'", (edit,), safe=False),))


def _commas(at: ParseFailure) -> MistakeHelp | None:
    """``vary neuron.tau 2.0, 3.0``."""
    if at.token.type != "_COMMA" or at.tokens[0].type != "KEY":
        return None
    commas = [token for token, depth in zip(at.tokens, _depths(at.tokens), strict=True) if token == "," and depth == 0]
    if not any(comma is at.token for comma in commas):
        return None
    edits = tuple(
        Edit(at.span(comma), "" if at.source.text[token_end(comma) : token_end(comma) + 1].isspace() else " ")
        for comma in commas
    )
    return MistakeHelp("separate values with spaces only", (Fix("remove the commas", edits, safe=False),))


def _definition(at: ParseFailure) -> MistakeHelp | None:
    """``stem = c32k3-BN``."""
    name = at.tokens[0]
    if at.rule != "statement" or at.token.type != "_EQUAL" or at.before is not name or name in SETTINGS:
        return None
    return MistakeHelp(f"write 'block {name} = …' for a block, or 'let {name} = …' for a value")


def _change(at: ParseFailure) -> MistakeHelp | None:
    """``variant "x" join=ADD``, ``optimizer Adam lr=0.1`` and ``input left = 1x8x8``."""
    if at.token.type != "_EQUAL" or at.tokens[0].type != "KEY":
        return None
    kind = at.tokens[at.index - 2]
    if at.rule == "setting" and kind is not at.tokens[0] and kind.type == "WORD":
        return MistakeHelp(f"write arguments in parentheses: {kind}({at.before}=…)")
    if at.tokens[0] != "variant":
        return MistakeHelp("remove the '='", (Fix("remove the '='", (Edit(at.span(at.token), ""),), safe=False),))
    after = at.tokens[at.index + 1 : at.index + 2]
    example = f'"{at.before}={"".join(after) or "…"}"'
    return MistakeHelp(f"put each change in double quotes: {example}")


def _on(at: ParseFailure) -> MistakeHelp | None:
    """``train mnist5k {``."""
    after = at.tokens[at.index + 1 : at.index + 2]
    types = [at.token.type, *(token.type for token in after)]
    if at.tokens[0] != "train" or at.before is not at.tokens[0] or types not in (["WORD", "LBRACE"], ["WORD", "_DASH"]):
        return None
    fix = Fix("insert 'on'", (Edit(at.span(at.token).part(0, 0), "on "),), safe=False)
    return MistakeHelp(f"add 'on' before the dataset: {at.before} on {at.token} …", (fix,))


def _entries(at: ParseFailure) -> MistakeHelp | None:
    """``optimizer { lr 0.1 }``."""
    keyed = at.token.type == "LBRACE" and at.tokens[0].type == "KEY"
    evaluates = "; evaluate a run with 'sewdsl eval RUN'" if "on" in at.tokens[1:2] else ""
    return MistakeHelp(f"use braces only for the sections 'train' and 'study'{evaluates}") if keyed else None


def _pattern(at: ParseFailure) -> MistakeHelp | None:
    """``init * RULE`` and ``freeze low*``."""
    if at.token.type != "_STAR" or at.tokens[0] not in {"init", "freeze", "lr"}:
        return None
    if at.before is not at.tokens[0]:
        return MistakeHelp(f'put the pattern in double quotes, e.g. "{at.before}*"')
    rules = "write 'init RULE' for all layers"
    return MistakeHelp(rules if at.before == "init" else "write names of layers or groups, e.g. stem.*")


def _network(at: ParseFailure) -> MistakeHelp | None:
    """``c32k3-BN`` without ``body``."""
    hint = "add 'body' before the layers; end a line with '-' to continue on the next line"
    return MistakeHelp(hint) if [token.type for token in at.tokens[:2]] == ["KEY", "_DASH"] else None


def _dashed(at: ParseFailure) -> MistakeHelp | None:
    """``network 7B-Net``."""
    around = at.tokens[: at.index + 2]
    hyphenated = any((dash.type, word.type) == ("_DASH", "WORD") for dash, word in pairwise(around))
    quoted = at.tokens[0].type == "KEY" and hyphenated
    return MistakeHelp("put values that contain '-' in double quotes") if quoted else None


def _hyphenated(at: ParseFailure) -> MistakeHelp | None:
    """``label-smoothing 0.1``."""
    if at.rule != "setting" or [token.type for token in at.tokens[:3]] != ["KEY", "_DASH", "WORD"]:
        return None
    name = f"{at.tokens[0]}_{at.tokens[2]}"
    edit = Edit(at.span(at.tokens[1]), "_")
    return MistakeHelp(f"use '_' in names of settings: {name}", (Fix(f"write '{name}'", (edit,), safe=False),))


def _path(at: ParseFailure) -> MistakeHelp | None:
    """``use other.net`` and ``teacher runs/ann-1``."""
    if at.rule == "values" and at.token.type == "_SLASH":
        # A shell removes double quotes outside single quotes.
        return MistakeHelp("put the path in double quotes, and the override in single quotes")
    bare = at.before.type == "_USE" or at.token.type == "_SLASH"
    return MistakeHelp("put the path in double quotes") if bare else None


def _depths(tokens: list[Token]) -> Iterator[int]:
    """Yield the number of open brackets after each token."""
    depth = 0
    for token in tokens:
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        yield depth


_ITEM = "a layer, a block or '{'"
_WORDS = (
    ("INTEGER", "an integer"),
    ("WORD", "a name"),
    ("_LPAR", "'('"),
    ("_EQUAL", "'='"),
    ("LBRACE", "'{'"),
    ("_ON", "'on'"),
    ("_COMMA", "','"),
    ("_PLUS", "'+'"),
    ("_DASH", "'-'"),
    ("_STAR", "'*'"),
    ("_SLASH", "'/'"),
    ("_BAR", "'|'"),
    ("_OR", "'or'"),
    ("_RPAR", "')'"),
    ("_RSQB", "']'"),
    ("RBRACE", "'}'"),
    ("MORE", "'>'"),
    ("_BELOW", "'<'"),
    ("_ABOVE", "'>'"),
    ("_PER", "'per'"),
)
_NAME_CONTINUATIONS = {"WORD", "_OPEN", "_LPAR", "_LSQB"}
"""Types of tokens that extend the name before. They are not listed if the name can be complete."""


def describe_unexpected(situation: ParseFailure) -> Diagnostic:
    """Return the diagnostic for an unexpected token."""
    first, token = situation.tokens[0] if situation.tokens else situation.token, situation.token
    # A misspelled keyword is parsed as the key of a setting, so its error is somewhere in the values.
    if situation.rule == "statement" and first.type == "KEY" and first is not token:
        close = get_close_matches(first.lower(), KEYWORDS, n=1)
        if close:
            return describe_unknown_statement(situation.span(first), close[0])
    expected = describe_accepted(situation)
    actual = f"'{token}'" if token else situation.finish
    advice = mistake_help(situation)
    return Diagnostic(
        "unexpected-token",
        f"expected {expected}, got {actual}",
        situation.span(token),
        label=f"expected {expected}",
        help=advice.text,
        fixes=advice.fixes,
    )


def describe_accepted(situation: ParseFailure) -> str:
    """Return a description of the most relevant accepted tokens."""
    accepted = set(situation.accepted)
    if "_LEARN" in accepted:
        return "a name, 'learn', 'state' or 'give'"
    if "_GIVE" in accepted:
        return "'let' or 'give'"
    if "KEY" in accepted:
        return "a statement, e.g. 'body' or a setting" if situation.rule == "statement" else "the name of a setting"
    if {"WORD", "LBRACE"} <= accepted and "_LPAR" not in accepted:
        return _ITEM
    if "STRING" in accepted:
        words = ["a value" if "SIZE" in accepted else "a string in double quotes"]
        words += ["')'"] if "_RPAR" in accepted else []
    elif "DECIMAL" in accepted:
        words = ["a number"] + (["a name"] if "WORD" in accepted else [])
    else:
        if accepted & {"_DASH", "_COMMA", "_EQUAL"} and "INTEGER" not in accepted:
            accepted -= _NAME_CONTINUATIONS
        words = [text for kind, text in _WORDS if kind in accepted]
    if "$END" in accepted:
        words += ["'-'"] if not words and situation.expression else []
        words += [situation.finish]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def describe_unknown_statement(span: Span, close: str) -> Diagnostic:
    """Return the diagnostic for a statement whose first word is similar to a keyword."""
    # The version is the first line, and a `data` section is only parsed to report that there is none.
    keywords = [keyword for keyword in KEYWORDS if keyword not in {"sewdsl", "data"}]
    return Diagnostic(
        "unknown-statement",
        f"unknown statement '{span.text}'",
        span,
        label=f"did you mean '{close}'?",
        help=f"start the statement with {', '.join(keywords)} or the name of a setting",
        fixes=(Fix(f"write '{close}'", (Edit(span, close),), safe=False),),
    )
