"""The report on a token that fits nothing: what was found, what was expected, and help for usual mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import CLOSERS, KEYWORDS, LETTERED, OPENERS, OWN_JOIN
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token


_SHAPE = frozenset({"INTEGER", "_COMMA", "_LPAR", "_RPAR", "_LSQB", "_RSQB"})
"""What others write a shape with: ``(1, 28, 28)``."""


@dataclass(frozen=True)
class ParseFailure:
    """Where a parser stopped.

    Attributes:
        tokens: Those of the statement, whole.
        before: The last token that the parser took.
        token: The one that it refused.
        accepted: Kinds of tokens that it would have taken.
    """

    source: Source
    tokens: list[Token]
    rule: str
    before: Token | None
    token: Token
    accepted: AbstractSet[str]

    @property
    def expression(self) -> bool:
        """Whether the statement ends with a sequence."""
        return self.rule == "compact" or self.tokens[0].type in {"_BODY", "_LET", "_GIVE", "_BLOCK"}

    @property
    def finish(self) -> str:
        """What the end of the tokens is to the reader."""
        if self.rule == "equation":
            return "the end of the equation"
        return "the end of the line" if self.rule in {"statement", "setting", "line"} else "the end"

    def span(self, token: Token) -> Span:
        """Where a token is."""
        return token_span(self.source, token)

    @property
    def index(self) -> int:
        """Which of the tokens was refused; their number at the end."""
        return next((i for i, token in enumerate(self.tokens) if token is self.token), len(self.tokens))


class MistakeHelp(NamedTuple):
    """What to write instead, and how a tool can."""

    text: str = ""
    fixes: tuple[Fix, ...] = ()


def mistake_help(situation: ParseFailure) -> MistakeHelp:
    """The help for a token that fits nothing; empty where nothing is known of such a mistake."""
    tries: tuple[Callable[[ParseFailure], MistakeHelp | None], ...]
    if situation.before is None:
        tries = (_group, _goes_on)
    elif situation.rule == "equation":
        tries = (_no_number, _equation)
    elif situation.tokens[0].type in {"KEY", "SECTION", "_USE"}:
        tries = (_shape, _commas, _change, _on, _entries, _hyphenated, _network, _dashed, _path)
    else:
        tries = (_group, _brackets, _spaced_number, _count)
    return next((advice for find in tries if (advice := find(situation))), MistakeHelp())


# --- in expressions


def _goes_on(at: ParseFailure) -> MistakeHelp | None:
    """A statement that begins with a hyphen."""
    hint = "put the '-' at the end of the line before: then the statement goes on"
    return MistakeHelp(hint) if at.token.type == "_DASH" else None


def _group(at: ParseFailure) -> MistakeHelp | None:
    """``(a-b)*2``."""
    if at.token.type != "_LPAR" or not {"WORD", "LBRACE"} <= at.accepted:
        return None
    hint = "write layers that come several times between braces: {…}*2"
    rest = at.tokens[at.index :]
    close = next((i for i, depth in enumerate(_depths(rest)) if depth == 0), 0)
    if [token.type for token in rest[close : close + 2]] != ["_RPAR", "_STAR"]:
        return MistakeHelp(hint)
    edits = Edit(at.span(rest[0]), "{"), Edit(at.span(rest[close]), "}")
    return MistakeHelp(hint, (Fix("write braces", edits, safe=False),))


def _brackets(at: ParseFailure) -> MistakeHelp | None:
    """``My Block[c32]``, and a merge, or a block, of one operand."""
    if at.token.type != "_RSQB" or "_BAR" not in at.accepted:
        return None
    before = at.tokens[: at.index]
    outside = (token for token, depth in zip(before, _depths(before), strict=True) if depth == 0)
    if before[0].type == "_BLOCK" and not any(token.type == "_EQUAL" for token in outside):
        operand = before[-1]
        return MistakeHelp(
            f"what flows into a block has no name: leave out '[{operand}]', and write 'id' for {operand}"
        )
    opened = max(i for i, token in enumerate(before) if token.type == "_LSQB")
    first = opened
    while first and before[first - 1].type == "WORD":
        first -= 1
    name = at.span(before[first]).to(at.span(before[opened - 1])).text
    inside = "".join(before[opened + 1 :])
    if name == OWN_JOIN or name.isupper() or not re.fullmatch(LETTERED, inside):
        operands = "branch | shortcut" if name in {OWN_JOIN, "ADD", "AND", "IAND"} else "one | other"
        return MistakeHelp(f"a merge has two operands or more: write {name}[ {operands} ]")
    gap = Span(at.source, token_end(before[opened - 1]), token_end(before[opened]))
    edits = Edit(gap, " ("), Edit(at.span(at.token), ")")
    hint = f"arguments of a block go between parentheses: write {name} ({inside})"
    return MistakeHelp(hint, (Fix("write parentheses", edits, safe=False),))


def _spaced_number(at: ParseFailure) -> MistakeHelp | None:
    """``DP 0.25``."""
    before, token = at.before, at.token
    if before is None or token.type not in {"INTEGER", "DECIMAL"} or before.type != "WORD":
        return None
    if "_DASH" not in at.accepted:
        return None
    hint = f"a number that belongs to '{before}' comes right after it: '{before}{token}'"
    gap = Span(at.source, token_end(before), token_start(token))
    return MistakeHelp(hint, (Fix("remove the space", (Edit(gap, ""),), safe=False),))


def _count(at: ParseFailure) -> MistakeHelp | None:
    """``MPk2*2``."""
    if at.token.type not in {"_STAR", "TIMES"} or at.before is None or at.before.type != "WORD":
        return None
    return MistakeHelp(f"a count follows braces: {{{at.before}}}*2; in a layer, 'x' separates sizes, as in k3x5")


# --- in equations


def _no_number(at: ParseFailure) -> MistakeHelp | None:
    """``2x``, ``2x3``, ``4k``."""
    before, token = at.before, at.token
    if token.type == "SIZE":
        return MistakeHelp("a product is written with '*': " + "*".join(token.replace("\u00d7", "x").split("x")))
    if token.type == "QUANTITY":
        return MistakeHelp("a number in an equation has no unit, and a product a '*'")
    if token.type != "WORD" or before is None or before.type not in {"INTEGER", "DECIMAL"}:
        return None
    fix = Fix("insert the missing '*'", (Edit(at.span(token).part(0, 0), "*"),), safe=False)
    return MistakeHelp(f"a product is written with '*': {before}*{token}", (fix,))


def _equation(at: ParseFailure) -> MistakeHelp | None:
    """``a -> b``, ``s = h > 1``, ``h += x`` and ``s h``."""
    if at.token.type == "_ARROW":
        return MistakeHelp("an equation has no arrows: '-' subtracts")
    if at.token.type in {"LBRACE", "_LSQB"}:
        return MistakeHelp("an equation computes with numbers; layers are written in 'body', 'let' and 'block'")
    if at.token.type in {"_BELOW", "_ABOVE"}:
        return MistakeHelp(f"a comparison is what a function takes: where({at.before} {at.token} …, 1, 0), or fire(…)")
    if at.before is not None and at.before.type == "WORD" and at.index == 1:
        return MistakeHelp(f"an equation is a name, '=' and a sum: {at.before} = …")
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
    return MistakeHelp(f"a shape is written with 'x': {first} {size}", (Fix(f"write '{size}'", (edit,), safe=False),))


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
    return MistakeHelp("separate values with spaces, without commas", (Fix("remove the commas", edits, safe=False),))


def _change(at: ParseFailure) -> MistakeHelp | None:
    """``variant "x" join=ADD``."""
    if at.token.type != "_EQUAL" or at.tokens[0] != "variant" or at.before is None:
        return None
    behind = at.tokens[at.index + 1 : at.index + 2]
    example = f'"{at.before}={"".join(behind) or "…"}"'
    return MistakeHelp(f"write each change between double quotes: {example}")


def _on(at: ParseFailure) -> MistakeHelp | None:
    """``train mnist5k {``."""
    behind = at.tokens[at.index + 1 : at.index + 2]
    place = [at.token.type, *(token.type for token in behind)]
    if at.tokens[0] != "train" or at.before is not at.tokens[0] or place not in (["WORD", "LBRACE"], ["WORD", "_DASH"]):
        return None
    fix = Fix("insert 'on'", (Edit(at.span(at.token).part(0, 0), "on "),), safe=False)
    return MistakeHelp(f"the dataset follows 'on': write {at.before} on {at.token} …", (fix,))


def _entries(at: ParseFailure) -> MistakeHelp | None:
    """Braces after a setting."""
    keyed = at.token.type == "LBRACE" and at.tokens[0].type == "KEY"
    return MistakeHelp("only a section, such as 'train', has entries in braces") if keyed else None


def _network(at: ParseFailure) -> MistakeHelp | None:
    """A network without ``body``."""
    hint = "layers follow 'body'; they go on in the next line where a line ends with '-'"
    return MistakeHelp(hint) if [token.type for token in at.tokens[:2]] == ["KEY", "_DASH"] else None


def _dashed(at: ParseFailure) -> MistakeHelp | None:
    """``network 7B-Net``."""
    hyphenated = any((dash.type, word.type) == ("_DASH", "WORD") for dash, word in pairwise(at.tokens))
    quoted = at.tokens[0].type == "KEY" and hyphenated
    return MistakeHelp("write a value with '-' in it between double quotes") if quoted else None


def _hyphenated(at: ParseFailure) -> MistakeHelp | None:
    """``label-smoothing 0.1``."""
    if at.rule != "setting" or [token.type for token in at.tokens[:3]] != ["KEY", "_DASH", "WORD"]:
        return None
    name = f"{at.tokens[0]}_{at.tokens[2]}"
    edit = Edit(at.span(at.tokens[1]), "_")
    return MistakeHelp(f"names of settings have '_', not '-': {name}", (Fix(f"write '{name}'", (edit,), safe=False),))


def _path(at: ParseFailure) -> MistakeHelp | None:
    """``use other.net``."""
    bare = at.before is not None and at.before.type == "_USE"
    return MistakeHelp("put the path between double quotes") if bare else None


def _depths(tokens: list[Token]) -> Iterator[int]:
    """How many brackets are open after each token."""
    depth = 0
    for token in tokens:
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        yield depth


_ITEM = "a layer, a block or '{'"
_WORDS = (
    ("INTEGER", "a whole number"),
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
_GO_ON = {"WORD", "_OPEN", "_LPAR", "_LSQB"}
"""What would make the word before longer: not worth a mention where it may as well be complete."""


def describe_unexpected(situation: ParseFailure) -> Diagnostic:
    """What is said of a token that the parser did not expect."""
    first, token = situation.tokens[0] if situation.tokens else situation.token, situation.token
    if situation.rule == "statement" and first.type == "KEY" and first is not token:
        close = get_close_matches(first.lower(), KEYWORDS, n=1)
        if close:
            return describe_unknown_statement(situation.span(first), close[0])
    expected = describe_accepted(situation)
    found = f"'{token}'" if token else situation.finish
    advice = mistake_help(situation)
    return Diagnostic(
        "unexpected-token",
        Severity.ERROR,
        f"found {found}, expected {expected}",
        situation.span(token),
        label=f"expected {expected}",
        help=advice.text,
        fixes=advice.fixes,
    )


def describe_accepted(situation: ParseFailure) -> str:
    """What would have been accepted, in words; the most telling only."""
    accepted = set(situation.accepted)
    if "_LEARN" in accepted:
        return "a name, 'learn', 'state' or 'give'"
    if "_GIVE" in accepted:
        return "'let' or 'give'"
    if "KEY" in accepted:
        return "a statement, such as 'body' or a setting" if situation.rule == "statement" else "a setting's name"
    if {"WORD", "LBRACE"} <= accepted and "_LPAR" not in accepted:
        return _ITEM
    if "STRING" in accepted:
        words = ["a value" if "SIZE" in accepted else "a string in double quotes"]
        words += ["')'"] if "_RPAR" in accepted else []
    elif "DECIMAL" in accepted:
        words = ["a number"] + (["a name"] if "WORD" in accepted else [])
    else:
        if accepted & {"_DASH", "_COMMA", "_EQUAL"} and "INTEGER" not in accepted:
            accepted -= _GO_ON
        words = [text for kind, text in _WORDS if kind in accepted]
    if "$END" in accepted:
        words += ["'-'"] if not words and situation.expression else []
        words += [situation.finish]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def describe_unknown_statement(span: Span, close: str) -> Diagnostic:
    """What is said of a statement whose first word looks like a keyword's misspelling."""
    return Diagnostic(
        "unknown-statement",
        Severity.ERROR,
        f"unknown statement '{span.text}'",
        span,
        label=f"did you mean '{close}'?",
        help=f"a statement begins with {', '.join(KEYWORDS)} or the name of a setting",
        fixes=(Fix(f"write '{close}'", (Edit(span, close),), safe=False),),
    )
