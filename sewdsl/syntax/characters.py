"""Typographic characters and malformed tokens: dashes, arrows and superscripts, read as what they replace."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import ARROWS, TYPOGRAPHIC
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.brackets import BracketPairs


def is_arrow(token: Token) -> bool:
    """Whether a token is an arrow."""
    return token.type == "_DASH" and token[-1] in ARROWS


def check_arrows(source: Source, tokens: list[Token], brackets: BracketPairs) -> Iterator[Diagnostic]:
    """Warns of each arrow.

    Its fix is safe where the ``>`` in it can close nothing: no ``<`` is without its partner.
    """
    safe = not any(source.text[offset] in "<\u27e8" for offset in brackets.unclosed)
    for token in filter(is_arrow, tokens):
        span = token_span(source, token)
        yield Diagnostic(
            "typographic-character",
            Severity.WARNING,
            f"the arrow '{token}' is read as '-'",
            span,
            label="read as '-'",
            help="layers are joined by '-'",
            fixes=(Fix("write '-'", (Edit(span, "-"),), safe=safe),),
        )


_BELOW, _ABOVE = "₀₁₂₃₄₅₆₇₈₉", "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RUN = re.compile(f"[{_BELOW}]+|[{_ABOVE}]+")
_DIGITS = str.maketrans(_BELOW + _ABOVE, "0123456789" * 2)


def small_digits(source: Source, offset: int) -> tuple[Span, str, tuple[Fix, ...]] | None:
    """The run of such digits at a place, how it is fixed in words, and by a fix; None: there is none.

    The fix is safe where there is one reading: a count above the line after a repeat, an argument below it after its
    letter. A number above the line elsewhere may be a footnote's.
    """
    found = _RUN.match(source.text, offset)
    if not found:
        return None
    digits = found.group().translate(_DIGITS)
    before = next((c for c in map(source.text.__getitem__, range(offset - 1, -1, -1)) if not c.isspace()), "")
    repeat, above = before in {"}", ">", "⟩"}, found.group()[0] in _ABOVE
    letter = source.text[offset - 1 : offset].isalpha() and not source.text[found.end() : found.end() + 1].isdecimal()
    text = f"*{digits}" if repeat else digits
    fix = Fix(f"write '{text}'", (Edit(Span(source, offset, found.end()), text),), safe=above if repeat else letter)
    if above and not repeat:
        return Span(source, offset, found.end()), f"write '{digits}', or remove it where it is a footnote's", ()
    return Span(source, offset, found.end()), f"write '{text}'", (fix,)


_TYPOGRAPHIC = re.compile(f"[{''.join(TYPOGRAPHIC)}]")
_SYMBOLS = re.compile(rf"[^\s\w\"#$(){{}}\[\]<>|=,*+/{ARROWS}{''.join(TYPOGRAPHIC)}-]*")
_LINE_END = re.compile(r"[ \t.;]*(?:\r|\n|$)")
BYTE_ORDER_MARK = "\ufeff"
"""The first character of files of some programs on Windows. Files are read without it; other texts may have it."""
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_VERBATIM = frozenset({"STRING", "UNTERMINATED", "COMMENT"})


def check_characters(source: Source, tokens: list[Token], limits: Limits) -> Reported[set[int]]:
    """Says what no statement may hold.

    Returns:
        Offsets of the tokens that keep their statement from being parsed.
    """
    found = [*_check_typographic(source, tokens)]
    too_long = re.compile(rf"(?<![0-9.])[0-9]{{{limits.digits + 1},}}")
    broken: set[int] = set()
    bad_until = -1
    for token in tokens:
        if token.type == "BAD":
            if token_start(token) != bad_until:
                found.append(_unexpected_character(source, token))
            bad_until = token_end(token)
            broken.add(token_start(token))
        elif token.type == "UNTERMINATED":
            found.append(_unterminated_string(token_span(source, token)))
            broken.add(token_start(token))
        elif len(token) > limits.digits and token.type not in _VERBATIM and (run := too_long.search(token)):
            span = Span(source, token_start(token) + run.start(), token_start(token) + run.end())
            found.append(_long_integer(span, limits))
            broken.add(token_start(token))
        if token.type in _VERBATIM and (half := _HALF_CHARACTER.search(token)):
            offset = token_start(token) + half.start()
            found.append(_half_character(Span(source, offset, offset + 1)))
            if token.type == "STRING":
                broken.add(token_start(token))
    return Reported(broken, tuple(found))


def to_ascii(character: str, before: str, after: str, *, dash: bool = False) -> str:
    """The ASCII text that a typographic character represents between its neighbours.

    Args:
        dash: Whether it is read as a dash there.
    """
    if character == "\u00d7" and before.isdecimal() and after.isdecimal():
        return "x"
    return "" if character == "\u00ad" and not dash else TYPOGRAPHIC[character]


def _check_typographic(source: Source, tokens: list[Token]) -> Iterator[Diagnostic]:
    """One warning for each odd dash, space or sign outside strings and comments."""
    text = source.text
    verbatim = [token for token in tokens if token.type in _VERBATIM or is_arrow(token)]
    dashes = {token_start(token) for token in tokens if token.type == "_DASH"}
    starts = [token_start(token) for token in verbatim]
    for found in _TYPOGRAPHIC.finditer(text):
        offset = found.start()
        index = bisect_right(starts, offset) - 1
        if index >= 0 and offset < token_end(verbatim[index]):
            continue
        if offset == 0 and found.group() == BYTE_ORDER_MARK:
            continue
        character = found.group()
        ascii_text = to_ascii(
            character, text[offset - 1 : offset], text[offset + 1 : offset + 2], dash=offset in dashes
        )
        span = Span(source, offset, offset + 1)
        fix = Fix(f"write {ascii_text!r}" if ascii_text else "remove it", (Edit(span, ascii_text),))
        reading = f"read as {ascii_text!r}" if ascii_text else "ignored"
        yield Diagnostic(
            "typographic-character",
            Severity.WARNING,
            f"the character U+{ord(character):04X} is {reading}",
            span,
            label=reading,
            help="it looks like a copy from a PDF file or a word processor; write it in ASCII",
            fixes=(fix,),
        )


def _unexpected_character(source: Source, token: Token) -> Diagnostic:
    """Points at a run of characters that no token of the language begins with."""
    text, stop = source.text, token_end(token)
    if not token.isalnum():
        run = _SYMBOLS.match(text, stop)
        stop = run.end() if run else stop
    span = Span(source, token_start(token), stop)
    help_ = "remove it; only strings and comments may hold any character"
    fixes: tuple[Fix, ...] = ()
    raised = small_digits(source, token_start(token))
    if raised is not None:
        span, help_, fixes = raised
    elif token.isdecimal():
        help_ = "digits are 0 to 9"
    elif token in "'\u201c\u201d\u2018\u2019":
        help_ = "write a string between straight double quotes"
    elif "…" in span.text or ".." in span.text:
        help_ = "the text was shortened here: write the layers in place of the dots"
    elif token == "$":
        help_ = "a block's parameter is written '$(name)'"
    elif token in ".;" and _LINE_END.match(text, stop):
        help_ = "nothing follows a statement's last word"
        fixes = (Fix("remove it", (Edit(span, ""),)),)
    shown = ascii(span.text[:20]) if not span.text.isprintable() else repr(span.text[:20])
    kind = "characters" if len(span.text) > 1 else "character"
    return Diagnostic(
        "unexpected-character",
        Severity.ERROR,
        f"unexpected {kind} {shown}",
        span,
        label="no part of the language",
        help=help_,
        fixes=fixes,
    )


def _half_character(span: Span) -> Diagnostic:
    """Points at half a character in a string or a comment: no file can hold it, nor what repeats it."""
    return Diagnostic(
        "unexpected-character",
        Severity.ERROR,
        f"U+{ord(span.text):04X} is half a character",
        span,
        label="no character by itself",
        help="remove it; a text is cut in the middle of a character here",
        fixes=(Fix("remove it", (Edit(span, ""),)),),
    )


def _unterminated_string(span: Span) -> Diagnostic:
    """Points at a string that its line does not end."""
    text = span.text.rstrip()
    span = span.part(0, len(text))
    return Diagnostic(
        "unterminated-string",
        Severity.ERROR,
        f"the string {text[:20]}{'…' if len(text) > 20 else ''} is not closed",  # noqa: PLR2004 -- a glimpse of it
        span,
        label="begins here",
        help="close it with '\"' in the same line",
        fixes=(Fix("close the string at the end of the line", (Edit(span.after, '"'),), safe=False),),
    )


def _long_integer(span: Span, limits: Limits) -> Diagnostic:
    digits = span.end - span.start
    return Diagnostic(
        "integer-too-long",
        Severity.ERROR,
        f"an integer of {digits} digits is over the limit of {limits.digits}",
        span,
        label=f"{digits} digits",
        help=raise_limit_help("digits"),
    )
