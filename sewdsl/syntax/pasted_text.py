"""Text from elsewhere: lost hyphens, a network without ``body``, citations and figures of a table, other notations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, KEYWORDS, SETTINGS
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
"""A number in brackets, or words joined by dashes in parentheses: no call has such arguments, no join such a branch."""
_LONGEST = 64
_BODY = "body"
_ITEMS = frozenset({"WORD", "LBRACE", "LESS"})

Reads = Callable[[list[Token], str], bool]
"""Whether tokens follow a rule of the grammar."""


def rejoin_lines(source: Source, statements: list[Lines], reads: Reads) -> Reported[list[Lines]]:
    """The statements, each with the lines after it that only a lost hyphen keeps from being part of it."""
    with_body = any(lines.tokens[0].type == "_BODY" for lines in statements)
    within_names = {
        pair
        for lines in statements
        if lines.tokens[0].type == "_BLOCK"
        for pair in pairwise(map(str, takewhile(lambda token: token.type == "WORD", lines.tokens[1:])))
    }
    joined: list[Lines] = []
    found: list[Diagnostic] = []
    complete: bool | None = None  # whether the last one could end where it does; None: not known yet
    for lines in statements:
        before = joined[-1].tokens if joined else []
        broken_name = bool(before) and (str(before[-1]), str(lines.tokens[0])) in within_names
        open_ended = bool(joined) and not joined[-1].braced  # nothing follows the closing brace of a block's lines
        if open_ended and not broken_name and _may_go_on(before, lines.tokens, with_body=with_body):
            complete = reads(before, "statement") if complete is None else complete
            first, *rest = lines.tokens
            onward = [Token.new_borrow_pos("WORD", first, first) if first.type == "KEY" else first, *rest]
            if complete and reads(onward, "compact"):
                place = token_span(source, before[-1]).after
                found.append(_lost_hyphen(place))
                at = place.start, place.line, place.column, place.line, place.column, place.end
                before += [Token("_DASH", "-", *at), *onward]
                continue
        joined.append(lines)
        complete = None
    return Reported(joined, tuple(found))


def _may_go_on(before: list[Token], tokens: list[Token], *, with_body: bool) -> bool:
    """Whether a line can be no statement of its own, and follows a network.

    In a file without a body, a line after a block may as well be the body, unless it is indented.
    """
    first, *rest = tokens
    opener = before[0]
    deeper = (first.column or 0) > (opener.column or 0)
    if opener.type not in {"_BODY", "_LET", "_BLOCK"} or not (with_body or deeper):
        return False
    if first.type in {"LBRACE", "LESS"}:
        return True
    return first.type == "KEY" and not _like_a_setting(first, rest, deeper=deeper)


def _like_a_setting(first: Token, rest: list[Token], *, deeper: bool) -> bool:
    """Whether a line begins as a setting does, if only as a misspelt one, or one of a section: ``schedule Cosine``."""
    if first.casefold() in {*KEYWORDS, *SETTINGS}:
        return True
    joined = deeper and (not rest or any(token.type == "_DASH" for token in rest))
    return first.isalpha() and first.islower() and not joined and (not rest or rest[0].type == "WORD")


def _lost_hyphen(place: Span) -> Diagnostic:
    return Diagnostic(
        "missing-hyphen",
        Severity.ERROR,
        "a '-' is missing at the end of this line, since the next one is no statement",
        place,
        label="expected '-' here",
        help="a network goes on in the next line where a line ends with '-'; it may have been lost at the line break",
        fixes=(Fix("insert the missing '-'", (Edit(place, "-"),)),),
    )


def strip_citation(source: Source, tokens: list[Token]) -> Reported[list[Token]]:
    """The tokens of a body without a citation at its end, of which that is said."""
    tail = tokens[-_LONGEST:]
    found = _CITATION.search("".join(_LETTERS.get(token.type, "x") for token in tail))
    first = len(tokens) - len(tail) + found.start() if found else 0
    if first == 0 or tokens[first - 1].type in {"_DASH", "TIMES"}:  # a layer belongs there, or a group of layers
        return Reported(tokens)
    span = token_span(source, tokens[first], tokens[-1])
    before = Span(source, token_end(tokens[first - 1]), span.end)
    citation = Diagnostic(
        "trailing-citation",
        Severity.ERROR,
        f"'{' '.join(span.text.split())}' is no part of the network",
        span,
        label="a citation or a name, as a paper prints it after a network",
        help="remove it; a file names its network with 'network \"…\"'",
        fixes=(Fix("remove it", (Edit(before, ""),)),),
    )
    return Reported(tokens[:first], (citation,))


def add_missing_body(source: Source, statements: list[Lines]) -> Diagnostic | None:
    """Makes a network without ``body`` before it the body, and says that the word is missing.

    Does nothing where that is not the only reading: the file has a body, more than one such line, or one after a
    block that may go on there.
    """
    bare = [i for i, lines in enumerate(statements) if _is_network(lines.tokens)]
    if len(bare) != 1 or any(lines.tokens[0].type == "_BODY" for lines in statements):
        return None
    place = bare[0]
    if place and statements[place - 1].tokens[0].type == "_BLOCK":
        return None
    tokens = statements[place].tokens
    first = tokens[0]
    here = token_span(source, first)
    missing = Diagnostic(
        "missing-body",
        Severity.ERROR,
        f"the network has no '{_BODY}' before it",
        here.part(0, 0),
        label=f"expected '{_BODY}' before this",
        help=f"in a file, a network follows the word '{_BODY}'",
        fixes=(Fix(f"insert '{_BODY}'", (Edit(here.part(0, 0), _BODY.ljust(HEADER_VALUE_COLUMN)),)),),
    )
    if first.type == "KEY":
        first.type = "WORD"
    tokens.insert(0, Token("_BODY", "", here.start, first.line, first.column, first.line, first.column, here.start))
    return missing


def _is_network(tokens: list[Token]) -> bool:
    """Whether a statement begins as a sequence of layers does, and as no setting."""
    first, *rest = tokens
    if first.type in {"LBRACE", "LESS"}:
        return True
    if first.type != "KEY" or first.casefold() in {*KEYWORDS, *SETTINGS} or not rest:
        return False
    if rest[0].type == "_DASH":
        return len(rest) > 1 and rest[1].type in _ITEMS
    joined = any(dash.type == "_DASH" and item.type in _ITEMS for dash, item in pairwise(rest))
    return joined and rest[0].type in {"_LPAR", "_LSQB"}


# --- other notations: 128C3-AP2-10FC where ours is expected, and ours where theirs is ----------------------

_LAYERS = re.compile(r"(?:C|Conv)[0-9]+\w*|FC[0-9]*|[ox][0-9]*C?[0-9]*", re.IGNORECASE)
"""What directly follows a number there, and no number in ours."""
_OURS = re.compile(r"c[0-9]+k[0-9]\w*|[MA]Pk[0-9]\w*|SEW\w*")
"""What only our own notation has."""
_CONVOLUTION = re.compile(r"C(?:onv)?([0-9]+)", re.IGNORECASE)
_NUMBERS = ["INTEGER", "_DASH", "INTEGER"]


def check_other_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """What is to be said of a network in another notation; nothing of one that is in ours."""
    body = [token for token in tokens if token.type != "_BODY"]
    if _ours(tokens) is not None:
        return [*_check_layers(source, body)]
    place = _place(source, body)
    hint = "add --dialect he to read a string so; for a file, sewdsl fmt --dialect he 'STRING' prints it in ours"
    return [] if place is None else [_not_ours(place, hint)]


def _not_ours(place: Span, hint: str, *fixes: Fix) -> Diagnostic:
    message = f"'{place.text}' is the notation of other papers"
    return Diagnostic("other-notation", Severity.ERROR, message, place, "not our notation", hint, fixes=fixes)


def check_own_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """What is to be said of a network of ours where one in another notation is expected; nothing of any other."""
    ours = _ours(tokens)
    if ours is None:
        return []
    message, place = f"'{ours}' is sewdsl's own notation, not that of the dialect", token_span(source, ours)
    return [
        Diagnostic("other-notation", Severity.ERROR, message, place, "our own notation", help="leave out --dialect")
    ]


def _ours(tokens: list[Token]) -> Token | None:
    """The first layer or block that only our notation has."""
    return next((token for token in tokens if _OURS.fullmatch(token)), None)


def _check_layers(source: Source, tokens: list[Token]) -> Iterator[Diagnostic]:
    """Complains of the single layers of the other notation in a network of ours."""
    for before, (number, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        counts = before is not None and before.type == "_STAR"
        ours = _in_ours(number, word) if number.type == "INTEGER" and token_end(number) == token_start(word) else None
        if ours is None or counts:
            continue
        place = token_span(source, number, word)
        fix = Fix(f"write '{ours}'", (Edit(place, ours),))
        yield _not_ours(place, fix.title, fix)


def _in_ours(number: Token, word: Token) -> str | None:
    """``c32k3`` for ``32C3``, ``FC10`` for ``10FC``; None: it is neither. Kernels are small, channels are many."""
    convolution = _CONVOLUTION.fullmatch(word)
    if convolution is not None and int(convolution[1]) < int(number):
        return f"c{number}k{convolution[1]}"
    return f"FC{number}" if word.casefold() == "fc" else None


def _place(source: Source, tokens: list[Token]) -> Span | None:
    """The first layer of the other notation, no count with a lost hyphen after it; or the first of several numbers."""
    for before, (number, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        touching = number.type == "INTEGER" and token_end(number) == token_start(word)
        counts = before is not None and before.type == "_STAR"
        if touching and not counts and word.type == "WORD" and _LAYERS.fullmatch(word):
            return token_span(source, number, word)
    if [token.type for token in tokens[:3]] == _NUMBERS:
        return token_span(source, tokens[0])
    return None
