"""Checks of pasted text: lost hyphens, missing ``body``, citations and other notations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import DEFINES_BLOCK, HEADER_VALUE_COLUMN, KEYWORDS, SETTINGS
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from sewdsl.syntax.statements import Lines

_LETTERS = {
    "_LSQB": "[",
    "_RSQB": "]",
    "_LPAR": "(",
    "_RPAR": ")",
    "_DASH": "-",
    "_COMMA": ",",
    "INTEGER": "1",
    "DECIMAL": "2",
    "QUANTITY": "3",
    "WORD": "w",
}
_CITATION = re.compile(r"(?:\[1(?:[-,]1)*\]|\([w123]+(?:-[w123]+)+\))[,123\[\]]*$")
"""Number in brackets, or hyphenated words in parentheses. Neither is valid as an operand or an argument."""
_MAX_CITATION_TOKENS = 64
_BODY = "body"
_ITEMS = frozenset({"WORD", "LBRACE", "LESS"})

CanParse = Callable[[list[Token], str], bool]
"""Predicate: whether tokens match a rule of the grammar."""


def rejoin_lines(source: Source, statements: list[Lines], can_parse: CanParse) -> Reported[list[Lines]]:
    """Join lines that are separate statements only because a hyphen was lost at the line break."""
    with_body = any(lines.tokens[0].type == "_BODY" for lines in statements)
    within_names = {
        pair
        for lines in statements
        if lines.tokens[0].type in DEFINES_BLOCK
        for pair in pairwise(map(str, takewhile(lambda token: token.type == "WORD", lines.tokens[1:])))
    }
    joined: list[Lines] = []
    diagnostics: list[Diagnostic] = []
    complete: bool | None = None  # whether the last statement parses on its own; None if not tested yet
    for lines in statements:
        before = joined[-1].tokens if joined else []
        # A block name can be broken across lines, too: no hyphen is missing there.
        broken_name = bool(before) and (str(before[-1]), str(lines.tokens[0])) in within_names
        open_ended = bool(joined) and not joined[-1].braced
        if open_ended and not broken_name and _can_continue(before, lines.tokens, with_body=with_body):
            complete = can_parse(before, "statement") if complete is None else complete
            first, *rest = lines.tokens
            continuation = [Token.new_borrow_pos("WORD", first, first) if first.type == "KEY" else first, *rest]
            if complete and can_parse(continuation, "compact"):
                gap = token_span(source, before[-1]).after
                diagnostics.append(_lost_hyphen(gap))
                at = gap.start, gap.line, gap.column, gap.line, gap.column, gap.end
                before += [Token("_DASH", "-", *at), *continuation]
                continue
        joined.append(lines)
        complete = None
    return Reported(joined, tuple(diagnostics))


def _can_continue(before: list[Token], tokens: list[Token], *, with_body: bool) -> bool:
    """Return whether a line follows a network and is not a statement."""
    first, *rest = tokens
    opener = before[0]
    deeper = (first.column or 0) > (opener.column or 0)
    # In a file without a body, an unindented line after a block can be the body itself.
    if opener.type not in {"_BODY", "_LET", *DEFINES_BLOCK} or not (with_body or deeper):
        return False
    if first.type in {"LBRACE", "LESS"}:
        return True
    return first.type == "KEY" and not _like_a_setting(first, rest, deeper=deeper)


def _like_a_setting(first: Token, rest: list[Token], *, deeper: bool) -> bool:
    """Return whether a line looks like a setting, perhaps misspelled or of a section: ``schedule Cosine``."""
    if first.casefold() in {*KEYWORDS, *SETTINGS}:
        return True
    joined = deeper and (not rest or any(token.type == "_DASH" for token in rest))
    return first.isalpha() and first.islower() and not joined and (not rest or rest[0].type == "WORD")


def _lost_hyphen(gap: Span) -> Diagnostic:
    return Diagnostic(
        "missing-hyphen",
        "missing '-' at the end of the line: the next line is not a statement",
        gap,
        label="expected '-' here",
        help="add '-' to continue the network on the next line; it may have been lost at the line break",
        fixes=(Fix("insert the missing '-'", (Edit(gap, "-"),)),),
    )


def strip_citation(source: Source, tokens: list[Token]) -> Reported[list[Token]]:
    """Remove a citation at the end of a body, and report it."""
    # Limit the tail, since the search is quadratic in its length.
    tail = tokens[-_MAX_CITATION_TOKENS:]
    match = _CITATION.search("".join(_LETTERS.get(token.type, "x") for token in tail))
    first = len(tokens) - len(tail) + match.start() if match else 0
    if first == 0 or tokens[first - 1].type in {"_DASH", "TIMES"}:  # A layer or a group is expected here.
        return Reported(tokens)
    span = token_span(source, tokens[first], tokens[-1])
    before = Span(source, token_end(tokens[first - 1]), span.end)
    citation = Diagnostic(
        "trailing-citation",
        f"'{' '.join(span.text.split())}' is not part of the network",
        span,
        label="citation or network name from a paper",
        help="remove it; use 'network \"NAME\"' to name the network",
        fixes=(Fix("remove it", (Edit(before, ""),)),),
    )
    return Reported(tokens[:first], (citation,))


def add_missing_body(source: Source, statements: list[Lines]) -> Diagnostic | None:
    """Insert a missing ``body`` in place, and return the error, or None if its line is ambiguous or none is missing."""
    bare = [i for i, lines in enumerate(statements) if _is_network(lines.tokens)]
    if len(bare) != 1 or any(lines.tokens[0].type == "_BODY" for lines in statements):
        return None
    index = bare[0]
    # After a block, the line may be its continuation.
    if index and statements[index - 1].tokens[0].type in DEFINES_BLOCK:
        return None
    tokens = statements[index].tokens
    first = tokens[0]
    here = token_span(source, first)
    missing = Diagnostic(
        "missing-body",
        f"missing '{_BODY}' before the network",
        here.part(0, 0),
        label=f"expected '{_BODY}' here",
        help=f"add '{_BODY}'",
        fixes=(Fix(f"insert '{_BODY}'", (Edit(here.part(0, 0), _BODY.ljust(HEADER_VALUE_COLUMN)),)),),
    )
    if first.type == "KEY":
        first.type = "WORD"
    tokens.insert(0, Token("_BODY", "", here.start, first.line, first.column, first.line, first.column, here.start))
    return missing


def _is_network(tokens: list[Token]) -> bool:
    """Return whether a statement starts like a sequence of layers, and not like a setting."""
    first, *rest = tokens
    if first.type in {"LBRACE", "LESS"}:
        return True
    if first.type != "KEY" or first.casefold() in {*KEYWORDS, *SETTINGS} or not rest:
        return False
    if rest[0].type == "_DASH":
        return len(rest) > 1 and rest[1].type in _ITEMS
    joined = any(dash.type == "_DASH" and item.type in _ITEMS for dash, item in pairwise(rest))
    return joined and rest[0].type in {"_LPAR", "_LSQB"}


# --- other notations: 128C3-AP2-10FC, or sewdsl notation in a dialect --------------------------------------

_LAYERS = re.compile(r"(?:C|Conv)[0-9]+\w*|FC[0-9]*|[ox][0-9]*C?[0-9]*", re.IGNORECASE)
"""Words that directly follow a number in the other notation, but not in sewdsl notation."""
_OWN_LAYERS = re.compile(r"c[0-9]+k[0-9]\w*|[MA]Pk[0-9]\w*|SEW\w*")
"""Words that only exist in sewdsl notation."""
_CONVOLUTION = re.compile(r"C(?:onv)?([0-9]+)", re.IGNORECASE)
_NUMBERS = ["INTEGER", "_DASH", "INTEGER"]


def check_other_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """Return errors for a network, or single layers, in the notation of other papers."""
    body = [token for token in _outside_equations(tokens) if token.type != "_BODY"]
    if _own_layer(body) is not None:
        return [*_check_layers(source, body)]
    span = _other_layer(source, body)
    hint = "use --dialect he; for a file, convert it with sewdsl fmt --dialect he 'STRING'"
    return [] if span is None else [_other_notation(span, hint)]


def _outside_equations(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens outside of ``MAP{ … }``, which contains no layers."""
    inside = False
    for token in tokens:
        inside = inside or token.type == "_MAP"
        if not inside:
            yield token
        inside = inside and token.type != "RBRACE"


def _other_notation(span: Span, hint: str, *fixes: Fix) -> Diagnostic:
    message = f"'{span.text}' is not sewdsl notation"
    return Diagnostic("other-notation", message, span, "notation of dialect he", hint, fixes=fixes)


def check_own_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """Return an error for sewdsl notation where the notation of a dialect is expected."""
    layer = _own_layer(tokens)
    if layer is None:
        return []
    message, span = f"'{layer}' is sewdsl notation, expected the notation of the dialect", token_span(source, layer)
    return [Diagnostic("other-notation", message, span, "sewdsl notation", help="remove --dialect")]


def _own_layer(tokens: list[Token]) -> Token | None:
    """Return the first layer or block that only exists in sewdsl notation."""
    return next((token for token in tokens if _OWN_LAYERS.fullmatch(token)), None)


def _check_layers(source: Source, tokens: list[Token]) -> Iterator[Diagnostic]:
    """Report single layers of the other notation in a network in sewdsl notation."""
    for integer, word in _numbered(tokens):
        translation = _translate(integer, word)
        if translation is not None:
            span = token_span(source, integer, word)
            fix = Fix(f"write '{translation}'", (Edit(span, translation),))
            yield _other_notation(span, fix.title, fix)


def _numbered(tokens: list[Token]) -> Iterator[tuple[Token, Token]]:
    """Yield each number with the token that directly follows it."""
    for before, (integer, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        # A number after '*' is the count of a repeat, which lost the hyphen after it.
        is_count = before is not None and before.type == "_STAR"
        if integer.type == "INTEGER" and token_end(integer) == token_start(word) and not is_count:
            yield integer, word


def _translate(number: Token, word: Token) -> str | None:
    """Return ``c32k3`` for ``32C3``, ``FC10`` for ``10FC``, and None for anything else."""
    convolution = _CONVOLUTION.fullmatch(word)
    # Kernels are small and channels are many: otherwise the order of the numbers is unclear.
    if convolution is not None and int(convolution[1]) < int(number):
        return f"c{number}k{convolution[1]}"
    return f"FC{number}" if word.casefold() == "fc" else None


def _other_layer(source: Source, tokens: list[Token]) -> Span | None:
    """Return the span of the first layer in the other notation, or of a leading number such as ``784-100-10``."""
    for integer, word in _numbered(tokens):
        if word.type == "WORD" and _LAYERS.fullmatch(word):
            return token_span(source, integer, word)
    if [token.type for token in tokens[:3]] == _NUMBERS:
        return token_span(source, tokens[0])
    return None
