"""Checks of characters: typographic characters, characters outside of the language, unterminated strings."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING
from unicodedata import normalize

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.limits import Limits, raise_limit_help
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import ARROWS, CLOSERS, OPENERS, TYPOGRAPHIC
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.brackets import BracketPairs


def is_arrow(token: Token) -> bool:
    """Return whether a token is an arrow."""
    return token.type == "_DASH" and token[-1] in ARROWS


def check_arrows(source: Source, tokens: list[Token], brackets: BracketPairs) -> Iterator[Diagnostic]:
    """Warn about each arrow between layers."""
    # The '>' of an arrow could be meant to close an open '<'.
    safe = not any(source.text[offset] in "<\u27e8" for offset in brackets.unclosed)
    for token in filter(is_arrow, tokens):
        span = token_span(source, token)
        yield Diagnostic(
            "typographic-character",
            f"the arrow '{token}' is read as '-'",
            span,
            label="read as '-'",
            help="use '-' between layers",
            fixes=(Fix("write '-'", (Edit(span, "-"),), safe=safe),),
            severity=Severity.WARNING,
        )


_SUBSCRIPTS, _SUPERSCRIPTS = "₀₁₂₃₄₅₆₇₈₉", "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RUN = re.compile(f"[{_SUBSCRIPTS}]+|[{_SUPERSCRIPTS}]+")
_DIGITS = str.maketrans(_SUBSCRIPTS + _SUPERSCRIPTS, "0123456789" * 2)


def small_digits(source: Source, offset: int) -> tuple[Span, str, tuple[Fix, ...]] | None:
    """Return the span, the help and the fixes of subscript or superscript digits at an offset, if any.

    The fix is safe if the meaning is unambiguous: a superscript count of a repeat, or a subscript argument after its
    letter. Any other superscript number can be a footnote mark.
    """
    match = _RUN.match(source.text, offset)
    if not match:
        return None
    digits = match.group().translate(_DIGITS)
    before = next((c for c in map(source.text.__getitem__, range(offset - 1, -1, -1)) if not c.isspace()), "")
    repeat, superscript = before in {"}", ">", "⟩"}, match.group()[0] in _SUPERSCRIPTS
    letter = source.text[offset - 1 : offset].isalpha() and not source.text[match.end() : match.end() + 1].isdecimal()
    text = f"*{digits}" if repeat else digits
    safe = superscript if repeat else letter
    fix = Fix(f"write '{text}'", (Edit(Span(source, offset, match.end()), text),), safe=safe)
    # Both readings are plausible, so there is no fix.
    if superscript and not repeat:
        return Span(source, offset, match.end()), f"write '{digits}', or remove the footnote mark", ()
    return Span(source, offset, match.end()), f"write '{text}'", (fix,)


_TYPOGRAPHIC = re.compile(f"[{''.join(TYPOGRAPHIC)}]")
_SYMBOLS = re.compile(rf"[^\s\w\"#$(){{}}\[\]<>|=,*+/{ARROWS}{''.join(TYPOGRAPHIC)}-]*")
_FRACTION = re.compile(r"\.[0-9]+(?:[eE][-+]?[0-9]+)?")
TABLE_ROW = "copy only the layers from a row of a table"
MAX_VARIANTS = 100
"""Maximum number of adjacent ligatures and other variants of letters that a message replaces."""
_BEFORE_NUMBER = frozenset({"_EQUAL", "_LPAR", "_OPEN", "_COMMA", "_PLUS", "_STAR", "_SLASH", "_BELOW", "_ABOVE"})
MAX_EXPONENT = 4
"""Maximum exponent of a power that a fix writes as a product."""
_LINE_END = re.compile(r"[ \t.;]*(?:\r|\n|$)")
BYTE_ORDER_MARK = "\ufeff"
"""First character of files of some Windows programs. File access removes it, but strings can contain it."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_VERBATIM = frozenset({"STRING", "UNTERMINATED", "COMMENT"})


def check_characters(source: Source, tokens: list[Token], limits: Limits) -> Reported[set[int]]:
    """Report typographic or forbidden characters, and return offsets of tokens whose statement cannot be parsed."""
    diagnostics = [*_check_typographic(source, tokens)]
    too_long = re.compile(rf"(?<![0-9.])[0-9]{{{limits.digits + 1},}}")
    broken: set[int] = set()
    bad_until = -1
    brackets: list[bool] = []  # for each open bracket, whether it contains arithmetic
    arithmetic = False  # whether the next brackets contain arithmetic, up to a brace
    for index, token in enumerate(tokens):
        if token.type in OPENERS:
            brackets.append(arithmetic or token.type == "_OPEN" or brackets[-1:] == [True])
        elif token.type in CLOSERS and brackets:
            brackets.pop()
        arithmetic = token.type in {"_MAP", "_NEURON"} or (arithmetic and token.type != "LBRACE")
        if token.type == "BAD":
            # Adjacent characters are reported once, by the first of them.
            if token_start(token) != bad_until:
                known = _bare_fraction(source, tokens, index)
                if known is None and token == "^":
                    known = _caret(source, tokens, index, arithmetic=brackets[-1:] == [True])
                diagnostics.append(_unexpected_character(source, token, known))
            bad_until = token_end(token)
            broken.add(token_start(token))
        elif token.type == "UNTERMINATED":
            diagnostics.append(_unterminated_string(token_span(source, token)))
            broken.add(token_start(token))
        elif len(token) > limits.digits and token.type not in _VERBATIM and (run := too_long.search(token)):
            span = Span(source, token_start(token) + run.start(), token_start(token) + run.end())
            diagnostics.append(_long_integer(span, limits))
            broken.add(token_start(token))
        if token.type in _VERBATIM and (surrogate := _SURROGATE.search(token)):
            offset = token_start(token) + surrogate.start()
            diagnostics.append(_unpaired_surrogate(Span(source, offset, offset + 1)))
            if token.type == "STRING":
                broken.add(token_start(token))
    return Reported(broken, tuple(diagnostics))


def _to_ascii(character: str, token_type: str) -> str:
    """Return the ASCII text of a typographic character that a token of a type begins with or contains."""
    if character == "\u00d7" and token_type != "_STAR":
        return "x"
    return "" if character == "\u00ad" and token_type != "_DASH" else TYPOGRAPHIC[character]


def _check_typographic(source: Source, tokens: list[Token]) -> Iterator[Diagnostic]:
    """Warn about each typographic character outside of strings, comments and arrows."""
    text = source.text
    # Strings and comments can contain any character. Arrows are reported by check_arrows().
    verbatim = [token for token in tokens if token.type in _VERBATIM or is_arrow(token)]
    operators = {token_start(token): token.type for token in tokens if token.type in {"_DASH", "_STAR"}}
    starts = [token_start(token) for token in verbatim]
    for match in _TYPOGRAPHIC.finditer(text):
        offset = match.start()
        index = bisect_right(starts, offset) - 1
        if index >= 0 and offset < token_end(verbatim[index]):
            continue
        if offset == 0 and match.group() == BYTE_ORDER_MARK:
            continue
        character = match.group()
        ascii_text = _to_ascii(character, operators.get(offset, ""))
        span = Span(source, offset, offset + 1)
        fix = Fix(f"write {ascii_text!r}" if ascii_text else "remove it", (Edit(span, ascii_text),))
        reading = f"read as {ascii_text!r}" if ascii_text else "ignored"
        yield Diagnostic(
            "typographic-character",
            f"the character U+{ord(character):04X} is {reading}",
            span,
            label=reading,
            help="use ASCII; text copied from a PDF file often contains such characters",
            fixes=(fix,),
            severity=Severity.WARNING,
        )


Advice = tuple[Span, str, tuple[Fix, ...]]
"""Span, help and fixes of a diagnostic."""


def _bare_fraction(source: Source, tokens: list[Token], index: int) -> Advice | None:
    """Return the span, the help and the fixes of a number without the digits before its point."""
    offset = token_start(tokens[index])
    fraction = _FRACTION.match(source.text, offset)
    if fraction is None:
        return None
    before = tokens[index - 1].type if index else ""
    number_expected = before in _BEFORE_NUMBER
    if before == "_DASH":
        number_expected = index > 1 and tokens[index - 2].type in _BEFORE_NUMBER
    # After white space, the number can be the value of a setting.
    blank = offset == 0 or source.text[offset - 1].isspace()
    fix = Fix(f"write '0{fraction.group()}'", (Edit(Span(source, offset, offset), "0"),), safe=number_expected)
    hint = f"write '0{fraction.group()}': a number begins with a digit"
    return Span(source, offset, fraction.end()), hint, (fix,) if number_expected or blank else ()


def _caret(source: Source, tokens: list[Token], index: int, *, arithmetic: bool) -> Advice:
    """Return the span, the help and the fixes of a ``^``, in an equation or formula if ``arithmetic``."""
    span = token_span(source, tokens[index])
    before, after = (tokens[at : at + 1] if at >= 0 else [] for at in (index - 1, index + 1))
    if arithmetic:
        return (span, *power_advice(source, tokens[max(0, index - 2) : index], after))
    if before and after and before[0].type in {"RBRACE", "MORE"} and after[0].type == "INTEGER":
        return span, f"write '*{after[0]}'", (Fix("write '*'", (Edit(span, "*"),), safe=False),)
    return span, "remove it; '{…}*2' repeats layers", ()


def power_advice(source: Source, before: list[Token], after: list[Token]) -> tuple[str, tuple[Fix, ...]]:
    """Return the help and the fixes of a power in an equation or a formula, which have products only.

    Args:
        before: Tokens before the operator, the operand last.
        after: Tokens after the operator, the exponent first.
    """
    hint = "write a power as a product"
    if not before or not after or before[-1].type != "WORD" or after[0].type != "INTEGER":
        return f"{hint}, e.g. x*x", ()
    # Two digits are already too many, and an integer can be too long to convert.
    exponent = int(after[0]) if len(after[0]) == 1 else 0
    if not 2 <= exponent <= MAX_EXPONENT:  # noqa: PLR2004 -- the smallest product
        return f"{hint}, e.g. {before[-1]}*{before[-1]}", ()
    product = "*".join([str(before[-1])] * exponent)
    if len(before) > 1 and before[-2].type == "_SLASH":
        product = f"({product})"
    edit = Edit(token_span(source, before[-1], after[0]), product)
    return f"{hint}: {product}", (Fix(f"write '{product}'", (edit,), safe=False),)


def _unexpected_character(source: Source, token: Token, known: Advice | None) -> Diagnostic:
    """Return the error for characters that cannot start a token, with the advice for a known mistake."""
    text, stop = source.text, token_end(token)
    # Extend the span over adjacent symbols, e.g. '...', but not over letters, which may be names.
    if not token.isalnum():
        run = _SYMBOLS.match(text, stop)
        stop = run.end() if run else stop
    span = Span(source, token_start(token), stop)
    help_ = "remove it; it is only allowed in strings and comments"
    fixes: tuple[Fix, ...] = ()
    digits = small_digits(source, token_start(token))
    variants = [*takewhile(bool, map(_variant_of, text[span.start : span.start + MAX_VARIANTS]))]
    if known is not None:
        span, help_, fixes = known
    elif digits is not None:
        span, help_, fixes = digits
    elif variants:
        span, letters = Span(source, span.start, span.start + len(variants)), "".join(variants)
        help_ = f"write '{letters}'; text copied from a PDF file often contains such characters"
        fixes = (Fix(f"write '{letters}'", (Edit(span, letters),)),)
    elif token.isdecimal():
        help_ = "use the digits 0 to 9"
    elif token in "'\u201c\u201d\u2018\u2019":
        help_ = "use straight double quotes for strings"
    elif "…" in span.text or ".." in span.text:
        help_ = "replace the dots with the omitted layers"
    elif token in "&\\":
        help_ = TABLE_ROW
    elif token == "@":
        help_ = "write the size of the kernel after 'k', e.g. c16k3"
    elif token == "$":
        help_ = "use '$(name)' for a parameter of a block"
    elif token in ".;" and _LINE_END.match(text, stop):
        help_ = "remove it; statements end without punctuation"
        fixes = (Fix("remove it", (Edit(span, ""),)),)
    shown = ascii(span.text[:20]) if not span.text.isprintable() else repr(span.text[:20])
    kind = "characters" if len(span.text) > 1 else "character"
    return Diagnostic(
        "unexpected-character",
        f"unexpected {kind} {shown}",
        span,
        label="not part of the language",
        help=help_,
        fixes=fixes,
    )


def _variant_of(character: str) -> str:
    """Return the letters or digits that a ligature or another variant stands for, or an empty string."""
    letters = normalize("NFKC", character)
    return letters if letters != character and letters.isascii() and letters.isalnum() else ""


def _unpaired_surrogate(span: Span) -> Diagnostic:
    """Return the error for an unpaired surrogate in a string or comment, which cannot be encoded in UTF-8."""
    return Diagnostic(
        "unexpected-character",
        f"unpaired surrogate U+{ord(span.text):04X}",
        span,
        label="half of a character",
        help="remove it; the text was cut in the middle of a character",
        fixes=(Fix("remove it", (Edit(span, ""),)),),
    )


def _unterminated_string(span: Span) -> Diagnostic:
    """Return the error for a string without a closing quote on its line."""
    text = span.text.rstrip()
    span = span.part(0, len(text))
    return Diagnostic(
        "unterminated-string",
        f"unterminated string {text[:20]}{'…' if len(text) > 20 else ''}",  # noqa: PLR2004 -- an excerpt
        span,
        label="starts here",
        help="add the closing '\"' on the same line",
        fixes=(Fix("close the string at the end of the line", (Edit(span.after, '"'),), safe=False),),
    )


def _long_integer(span: Span, limits: Limits) -> Diagnostic:
    digits = span.end - span.start
    return Diagnostic(
        "integer-too-long",
        f"an integer of {digits} digits exceeds the limit of {limits.digits}",
        span,
        label=f"{digits} digits",
        help=raise_limit_help("digits"),
    )
