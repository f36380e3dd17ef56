"""Every syntax diagnostic: its code, line, column, message, and what its fix makes of the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from sewdsl.diagnostics import Severity
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Source
from sewdsl.syntax.parser import parse, parse_compact, parse_value
from sewdsl.syntax.tree import Document, Value
from tests.syntax.fixing import apply_fix

Parse = Callable[[Source], Reported[Document | tuple[Value, ...] | None]]


class Case(NamedTuple):
    """A text with one problem; ``fixed`` is None where no fix is offered."""

    parse: Parse
    text: str
    code: str
    line: int
    column: int
    message: str
    fixed: str | None = None
    safe: bool = True


def file(text: str, *expected: object, **more: object) -> Case:
    code, line, column, message = expected
    return Case(parse, f"sewdsl 1\n{text}", code, line, column, message, **more)  # type: ignore[arg-type]


def compact(text: str, *expected: object, **more: object) -> Case:
    code, line, column, message = expected
    return Case(parse_compact, text, code, line, column, message, **more)  # type: ignore[arg-type]


def value(text: str, *expected: object, **more: object) -> Case:
    code, line, column, message = expected
    return Case(parse_value, text, code, line, column, message, **more)  # type: ignore[arg-type]


V = "sewdsl 1\n"
BODY = "a layer, a block or '{'"
LOST = "missing '-' at the end of the line: the next line is not a statement"

CASES = [
    # --- a hyphen too few
    compact("{a}*5DP-FC512", "missing-hyphen", 1, 6, "missing '-' before 'DP'", fixed="{a}*5-DP-FC512"),
    compact("{a}*3MPk2s2", "missing-hyphen", 1, 6, "missing '-' before 'MPk2s2'", fixed="{a}*3-MPk2s2"),
    compact("{a}*3 \nMPk2", "missing-hyphen", 2, 1, "missing '-' before 'MPk2'", fixed="{a}*3-MPk2"),
    compact("g[a|id] c32", "missing-hyphen", 1, 9, "missing '-' before 'c32'", fixed="g[a|id]-c32"),
    compact("g[a{b}*2|id]", "missing-hyphen", 1, 4, "missing '-' before '{'", fixed="g[a-{b}*2|id]"),
    compact("{a}x7-b", "missing-count", 1, 4, "'x7' is not a repeat count", fixed="{a}*7-b"),
    compact('"a-b"', "unexpected-token", 1, 1, f"expected {BODY}, got '\"a-b\"'", fixed="a-b", safe=False),
    compact("a-b,", "unexpected-token", 1, 4, "expected '-' or the end, got ','", fixed="a-b", safe=False),
    compact("a, b", "unexpected-token", 1, 2, "expected '-' or the end, got ','", fixed="a- b", safe=False),
    compact("a<b>*2", "missing-hyphen", 1, 2, "missing '-' before '<'", fixed="a-<b>*2"),
    compact("SEW Block (c32) MP", "missing-hyphen", 1, 17, "missing '-' before 'MP'", fixed="SEW Block (c32)-MP"),
    compact("{a}*2{b}*3", "missing-hyphen", 1, 6, "missing '-' before '{'", fixed="{a}*2-{b}*3"),
    compact("{a}*$(n)b", "missing-hyphen", 1, 9, "missing '-' before 'b'", fixed="{a}*$(n)-b"),
    compact("{a}*2 # c\nb", "missing-hyphen", 2, 1, "missing '-' before 'b'", fixed="{a}*2- # c\nb"),
    file("body {a}*5DP", "missing-hyphen", 2, 11, "missing '-' before 'DP'", fixed=V + "body {a}*5-DP"),
    file("block A = f(x)b", "missing-hyphen", 2, 15, "missing '-' before 'b'", fixed=V + "block A = f(x)-b"),
    # --- a hyphen lost at the end of a line
    file("body a-b\n        {c}*2-d", "missing-hyphen", 2, 9, LOST, fixed=V + "body a-b-\n        {c}*2-d"),
    file("body a-b\n{c}*2\nsteps 4", "missing-hyphen", 2, 9, LOST, fixed=V + "body a-b-\n{c}*2\nsteps 4"),
    file("body a-GAP\n        FC10", "missing-hyphen", 2, 11, LOST, fixed=V + "body a-GAP-\n        FC10"),
    file("body {a}*2 # x\n My B (c3)-d", "missing-hyphen", 2, 11, LOST, fixed=V + "body {a}*2- # x\n My B (c3)-d"),
    file("body a\nb-c", "missing-hyphen", 2, 7, LOST, fixed=V + "body a-\nb-c"),
    file("block A(c=in) = g[x|id]\n  b", "missing-hyphen", 2, 24, LOST, fixed=V + "block A(c=in) = g[x|id]-\n  b"),
    file("block A = x\nb-c\nbody A", "missing-hyphen", 2, 12, LOST, fixed=V + "block A = x-\nb-c\nbody A"),
    # --- a hyphen too many
    compact("a-b-", "trailing-hyphen", 1, 4, "no layer follows this '-'", fixed="a-b"),
    compact("{a-}*2", "trailing-hyphen", 1, 3, "no layer follows this '-'", fixed="{a}*2"),
    compact("<a->*2", "trailing-hyphen", 1, 3, "no layer follows this '-'", fixed="<a>*2"),
    compact("g[a-|id]", "trailing-hyphen", 1, 4, "no layer follows this '-'", fixed="g[a|id]"),
    compact("g[a|id-]", "trailing-hyphen", 1, 7, "no layer follows this '-'", fixed="g[a|id]"),
    compact("g[a|id- or b]", "trailing-hyphen", 1, 7, "no layer follows this '-'", fixed="g[a|id or b]"),
    file("body a-\n", "trailing-hyphen", 2, 7, "no layer follows this '-'", fixed=V + "body a\n"),
    file(
        "body a-\nexpect output 3",
        "trailing-hyphen",
        2,
        7,
        "no layer follows this '-'",
        fixed=V + "body a\nexpect output 3",
    ),
    file('body a-\nuse "b"', "trailing-hyphen", 2, 7, "no layer follows this '-'", fixed=V + 'body a\nuse "b"'),
    compact("a--b", "unexpected-token", 1, 3, f"expected {BODY}, got a second '-'", fixed="a-b", safe=False),
    compact("a- --b", "unexpected-token", 1, 4, f"expected {BODY}, got 3 consecutive '-'", fixed="a- b", safe=False),
    compact("a---", "trailing-hyphen", 1, 2, "no layer follows these 3 '-'", fixed="a"),
    compact("{a- -}*2", "trailing-hyphen", 1, 3, "no layer follows these 2 '-'", fixed="{a }*2"),
    compact("a- # why\n--", "trailing-hyphen", 1, 2, "no layer follows these 3 '-'", fixed="a # why\n"),
    file("body a--\nsteps 3", "trailing-hyphen", 2, 7, "no layer follows these 2 '-'", fixed=V + "body a\nsteps 3"),
    # --- repeats
    compact("{}*2", "empty-sequence", 1, 1, "the repeat is empty"),
    compact("a-<>*2", "empty-sequence", 1, 3, "the repeat is empty"),
    compact("{ }*2", "empty-sequence", 1, 1, "the repeat is empty"),
    compact("a-{b}", "missing-count", 1, 5, "missing repeat count"),
    compact("<b>-a", "missing-count", 1, 3, "missing repeat count"),
    compact("{b}*-a", "missing-count", 1, 4, "missing repeat count"),
    compact("{b}*", "missing-count", 1, 4, "missing repeat count"),
    compact("{b}7-a", "missing-count", 1, 4, "missing '*' before the repeat count", fixed="{b}*7-a"),
    compact("{b} 7", "missing-count", 1, 5, "missing '*' before the repeat count", fixed="{b}*7"),
    compact("{b}*0", "zero-count", 1, 5, "a repeat of 0 copies"),
    compact("{b}*00", "zero-count", 1, 5, "a repeat of 0 copies"),
    compact("{b}*2.5", "unexpected-token", 1, 5, "expected an integer, got '2.5'"),
    compact("{b}*2x2", "unexpected-token", 1, 5, "expected an integer, got '2x2'"),
    compact("a*2", "unexpected-token", 1, 2, "expected '-' or the end, got '*'"),
    compact("{a}*2*2", "unexpected-token", 1, 6, "expected '-' or the end, got '*'"),
    # --- joins and blocks
    compact("g[|id]", "empty-sequence", 1, 2, "the branch is empty"),
    compact("g[a|]", "empty-sequence", 1, 4, "the shortcut is empty"),
    compact("g[a|id or]", "empty-sequence", 1, 8, "the alternative is empty"),
    compact("g[a|or b]", "empty-sequence", 1, 4, "the shortcut is empty"),
    compact("g[]", "empty-sequence", 1, 2, "the branch is empty"),
    compact("g[a|b or c or d]", "unexpected-token", 1, 12, "expected '|' or ']', got 'or'"),
    # --- functions of each value
    compact("MAP{}", "unexpected-token", 1, 5, "expected a number or a name, got '}'"),
    compact(
        "MAP{2x}", "unexpected-token", 1, 6, "expected '+', '-', '*', '/' or '}', got 'x'", fixed="MAP{2*x}", safe=False
    ),
    compact("MAP{x > 1}", "unexpected-token", 1, 7, "expected '+', '-' or '}', got '>'"),
    compact("MAP{x \u2192 a}", "unexpected-token", 1, 7, "expected '+', '-', '*', '/' or '}', got '\u2192'"),
    compact("MAP{a[b]}", "unexpected-token", 1, 6, "expected '+', '-', '*', '/' or '}', got '['"),
    compact("MAP{MAP{x}}", "unexpected-token", 1, 5, "expected a number or a name, got 'MAP'"),
    compact("MAP{x}*2", "unexpected-token", 1, 7, "expected '-' or the end, got '*'"),
    compact("a MAP{x}", "missing-hyphen", 1, 3, "missing '-' before 'MAP'", fixed="a-MAP{x}"),
    compact("MAP{x} a", "missing-hyphen", 1, 8, "missing '-' before 'a'", fixed="MAP{x}-a"),
    compact("PLIF{a}*7", "missing-hyphen", 1, 5, "missing '-' before '{'", fixed="PLIF-{a}*7"),
    compact("MAP{x", "unclosed-bracket", 1, 4, "unclosed '{'"),
    file("neuron N {\n h = $(c) + x\n give h }", "unexpected-token", 3, 6, "expected a number or a name, got '$('"),
    compact("a|b", "unexpected-token", 1, 2, "expected '-' or the end, got '|'"),
    compact("", "empty-sequence", 1, 1, "the body is empty"),
    compact(" \n ", "empty-sequence", 1, 1, "the body is empty"),
    file("body\nsteps 4", "empty-sequence", 2, 1, "the body is empty"),
    file("block A =", "empty-sequence", 2, 9, "the definition is empty"),
    file("block A", "unexpected-token", 2, 8, "expected '=' or '{', got the end of the line"),
    file("block A {\n let a = b\n}", "missing-give", 4, 1, "missing 'give' line in a block"),
    file("block A {\n give a\n give b\n}", "unexpected-token", 4, 2, "duplicate 'give' line"),
    file("block A {\n give a\n let c = b\n}", "unexpected-token", 4, 2, "'let' after the 'give' line"),
    file("block A {\n steps 3\n give b\n}", "unexpected-token", 3, 2, "expected 'let' or 'give', got 'steps'"),
    file("block A {\n give\n}", "empty-sequence", 3, 2, "the 'give' line is empty"),
    file("block A[ b | ] = c", "unexpected-token", 2, 14, "expected a name, got ']'"),
    file("let a b", "unexpected-token", 2, 7, "expected '=', got 'b'"),
    file("let a = b-\nbody a", "trailing-hyphen", 2, 10, "no layer follows this '-'", fixed=V + "let a = b\nbody a"),
    file("let a = b\n   c-d\nbody a", "missing-hyphen", 2, 10, LOST, fixed=V + "let a = b-\n   c-d\nbody a"),
    file("block (c) = a", "unexpected-token", 2, 7, "expected a name, got '('"),
    file("block A(c=2x3) = a", "unexpected-token", 2, 11, "expected a number or a name, got '2x3'"),
    file("block A(c d) = a", "unexpected-token", 2, 11, "expected '=', ',' or ')', got 'd'"),
    # --- brackets
    compact("a-{b", "unclosed-bracket", 1, 3, "unclosed '{'"),
    compact("a-<b*2", "unclosed-bracket", 1, 3, "unclosed '<'"),
    compact("g[a|b", "unclosed-bracket", 1, 2, "unclosed '['"),
    compact("LIF(tau=2.0-BN", "unclosed-bracket", 1, 4, "unclosed '('"),
    compact("c$(c-BN", "unclosed-bracket", 1, 2, "unclosed '$('"),
    compact("{g[a|b}*2", "unclosed-bracket", 1, 3, "unclosed '['"),
    compact("a}*2", "unmatched-bracket", 1, 2, "unmatched '}'"),
    compact("a-b)", "unmatched-bracket", 1, 4, "unmatched ')'"),
    compact("{a)-b}*2", "unmatched-bracket", 1, 3, "unmatched ')'"),
    compact("{a>*2", "unmatched-bracket", 1, 3, "'>' does not match '{' in column 1", fixed="{a}*2"),
    compact("<a}*2", "unmatched-bracket", 1, 3, "'}' does not match '<' in column 1", fixed="<a>*2"),
    compact("{a)*2", "unmatched-bracket", 1, 3, "')' does not match '{' in column 1", fixed="{a}*2"),
    compact("g[a|b)", "unmatched-bracket", 1, 6, "')' does not match '[' in column 2", fixed="g[a|b]"),
    compact("LIF(a=1]", "unmatched-bracket", 1, 8, "']' does not match '(' in column 4", fixed="LIF(a=1)"),
    file("body {a\nsteps 4\n", "unclosed-bracket", 2, 6, "unclosed '{'"),
    file("train on x {\n    epochs 1\n", "unclosed-bracket", 2, 12, "unclosed '{'"),
    # --- characters
    compact("a\u2013b", "typographic-character", 1, 2, "the character U+2013 is read as '-'", fixed="a-b"),
    compact("DP\ufffeFC512", "typographic-character", 1, 3, "the character U+FFFE is read as '-'", fixed="DP-FC512"),
    compact("{a}\u00d77", "typographic-character", 1, 4, "the character U+00D7 is read as '*'", fixed="{a}*7"),
    compact("{a}\u22177", "typographic-character", 1, 4, "the character U+2217 is read as '*'", fixed="{a}*7"),
    compact("SEW\u00a0Block", "typographic-character", 1, 4, "the character U+00A0 is read as ' '", fixed="SEW Block"),
    compact("a\ufeff", "typographic-character", 1, 2, "the character U+FEFF is ignored", fixed="a"),
    compact("\u27e8a>*2", "typographic-character", 1, 1, "the character U+27E8 is read as '<'", fixed="<a>*2"),
    value("2\u00d7128x128", "typographic-character", 1, 2, "the character U+00D7 is read as 'x'", fixed="2x128x128"),
    value("c3k3\u00d75", "typographic-character", 1, 5, "the character U+00D7 is read as 'x'", fixed="c3k3x5"),
    compact("c$(1.5\u00d72)", "typographic-character", 1, 7, "the character U+00D7 is read as '*'", fixed="c$(1.5*2)"),
    value("\u22120.5", "typographic-character", 1, 1, "the character U+2212 is read as '-'", fixed="-0.5"),
    value("1e\u22123", "typographic-character", 1, 3, "the character U+2212 is read as '-'", fixed="1e-3"),
    compact("a \u2192 b", "typographic-character", 1, 3, "the arrow '\u2192' is read as '-'", fixed="a - b"),
    compact("a-->{b}*2", "typographic-character", 1, 2, "the arrow '-->' is read as '-'", fixed="a-{b}*2"),
    compact("{a}\u204e7", "typographic-character", 1, 4, "the character U+204E is read as '*'", fixed="{a}*7"),
    compact("SEW\u00adBlock", "typographic-character", 1, 4, "the character U+00AD is ignored", fixed="SEWBlock"),
    compact("a\u00ad\nb", "typographic-character", 1, 2, "the character U+00AD is read as '-'", fixed="a-\nb"),
    compact("c\u2083\u2082k3", "unexpected-character", 1, 2, "unexpected characters '\u2083\u2082'", fixed="c32k3"),
    compact("{a}\u00b2", "unexpected-character", 1, 4, "unexpected character '\u00b2'", fixed="{a}*2"),
    compact("c32\u00a7k3", "unexpected-character", 1, 4, "unexpected character '\u00a7'"),
    compact("a-?!?-b", "unexpected-character", 1, 3, "unexpected characters '?!?'"),
    compact("c\u0663\u0664", "unexpected-character", 1, 2, "unexpected character '\u0663'"),
    compact("a-\x00", "unexpected-character", 1, 3, r"unexpected character '\x00'"),
    compact("FC10.", "unexpected-character", 1, 5, "unexpected character '.'", fixed="FC10"),
    compact("k$c", "unexpected-character", 1, 2, "unexpected character '$'"),
    # --- numbers without digits before the point
    compact("DP(p=.5)", "unexpected-character", 1, 6, "unexpected characters '.5'", fixed="DP(p=0.5)"),
    compact("a(p=-.5)", "unexpected-character", 1, 6, "unexpected characters '.5'", fixed="a(p=-0.5)"),
    compact("MAP{x*.5}", "unexpected-character", 1, 7, "unexpected characters '.5'", fixed="MAP{x*0.5}"),
    compact(
        "MAP{x - .5}", "unexpected-character", 1, 9, "unexpected characters '.5'", fixed="MAP{x - 0.5}", safe=False
    ),
    compact("c3-.5", "unexpected-character", 1, 4, "unexpected characters '.5'"),
    value(".5", "unexpected-character", 1, 1, "unexpected characters '.5'", fixed="0.5", safe=False),
    file(
        "train on mnist {\n  lr .5e-3\n}",
        *("unexpected-character", 3, 6, "unexpected characters '.5e-3'"),
        fixed=V + "train on mnist {\n  lr 0.5e-3\n}",
        safe=False,
    ),
    # --- powers
    compact("MAP{x^2}", "unexpected-character", 1, 6, "unexpected character '^'", fixed="MAP{x*x}", safe=False),
    compact("MAP{1/x^3}", "unexpected-character", 1, 8, "unexpected character '^'", fixed="MAP{1/(x*x*x)}", safe=False),
    compact("MAP{(1 - x)^2}", "unexpected-character", 1, 12, "unexpected character '^'"),
    compact("MAP{x^9}", "unexpected-character", 1, 6, "unexpected character '^'"),
    compact("c$(c^2)", "unexpected-character", 1, 5, "unexpected character '^'", fixed="c$(c*c)", safe=False),
    compact("c3^2", "unexpected-character", 1, 3, "unexpected character '^'"),
    compact("{c3}^2", "unexpected-character", 1, 5, "unexpected character '^'", fixed="{c3}*2", safe=False),
    compact(
        "MAP{x**2}",
        *("unexpected-token", 1, 7, "expected a number or a name, got '*'"),
        fixed="MAP{x*x}",
        safe=False,
    ),
    compact(
        "c$(c**2)",
        *("unexpected-token", 1, 6, "expected a number or a name, got '*'"),
        fixed="c$(c*c)",
        safe=False,
    ),
    file(
        "neuron N(a=2) {\n  b = x\n  give b^2 * a\n}",
        *("unexpected-character", 4, 9, "unexpected character '^'"),
        fixed=V + "neuron N(a=2) {\n  b = x\n  give b*b * a\n}",
        safe=False,
    ),
    file(
        'network "7B\nsteps 4',
        "unterminated-string",
        2,
        9,
        'unterminated string "7B',
        fixed=V + 'network "7B"\nsteps 4',
        safe=False,
    ),
    # --- what papers print after a network
    compact("FC11 (7B-Net)", "trailing-citation", 1, 6, "'(7B-Net)' is not part of the network", fixed="FC11"),
    compact(
        "FC11(Wide-7B-\nNet)", "trailing-citation", 1, 5, "'(Wide-7B- Net)' is not part of the network", fixed="FC11"
    ),
    compact("FC11[16]", "trailing-citation", 1, 5, "'[16]' is not part of the network", fixed="FC11"),
    compact("FC11 [8, 16]", "trailing-citation", 1, 6, "'[8, 16]' is not part of the network", fixed="FC11"),
    compact(
        "FC11 [8] 97.57 1.70M 20",
        "trailing-citation",
        1,
        6,
        "'[8] 97.57 1.70M 20' is not part of the network",
        fixed="FC11",
    ),
    file("body a [8] # b", "trailing-citation", 2, 8, "'[8]' is not part of the network", fixed=V + "body a # b"),
    # --- statements
    Case(parse, "body a", "missing-version", 1, 1, "missing 'sewdsl 1' at the start of the file", V + "body a"),
    Case(
        parse,
        "sewdls 1\nbody a",
        "missing-version",
        1,
        1,
        "expected 'sewdsl 1' at the start of the file, got 'sewdls'",
        "sewdsl 1\nbody a",
        safe=False,
    ),
    Case(
        parse,
        "steps 4\r\nbody a",
        "missing-version",
        1,
        1,
        "missing 'sewdsl 1' at the start of the file",
        "sewdsl 1\r\nsteps 4\r\nbody a",
    ),
    Case(parse, "", "missing-version", 1, 1, "missing 'sewdsl 1' at the start of the file", V),
    Case(parse, "# c\nbody a\nsewdsl 1\n", "missing-version", 3, 1, "the version must be the first statement"),
    Case(parse, "sewdsl 2\n", "unsupported-version", 1, 8, "unsupported version 2 of the language, expected 1"),
    Case(parse, "sewdsl\n", "unexpected-token", 1, 7, "expected an integer, got the end of the line"),
    Case(parse, "sewdsl 1.5\n", "unexpected-token", 1, 8, "expected an integer, got '1.5'"),
    file("sewdsl 1", "unexpected-token", 2, 1, "duplicate version"),
    file("a-b", "missing-body", 2, 1, "missing 'body' before the network", fixed=V + "body    a-b"),
    file("<a>*2", "missing-body", 2, 1, "missing 'body' before the network", fixed=V + "body    <a>*2"),
    file("g[a-b|id]", "missing-body", 2, 1, "missing 'body' before the network", fixed=V + "body    g[a-b|id]"),
    file("blok A = a", "unknown-statement", 2, 1, "unknown statement 'blok'", fixed=V + "block A = a", safe=False),
    file("Body a-b", "unknown-statement", 2, 1, "unknown statement 'Body'", fixed=V + "body a-b", safe=False),
    file(
        "trian on x {\n    epochs 1\n}",
        "unknown-statement",
        2,
        1,
        "unknown statement 'trian'",
        fixed=V + "train on x {\n    epochs 1\n}",
        safe=False,
    ),
    file("test on x { a 1 }", "unexpected-token", 2, 11, "expected a value or the end of the line, got '{'"),
    file("steps = 4", "unexpected-token", 2, 7, "expected the value of 'steps', got '='", fixed=V + "steps 4"),
    file("steps=4", "unexpected-token", 2, 6, "expected the value of 'steps', got '='", fixed=V + "steps 4"),
    file("steps", "unexpected-token", 2, 6, "expected a value, got the end of the line"),
    file("body a\n  -b", "unexpected-token", 3, 3, "expected a statement, e.g. 'body' or a setting, got '-'"),
    file("4 steps", "unexpected-token", 2, 1, "expected a statement, e.g. 'body' or a setting, got '4'"),
    file("network 7B-Net", "unexpected-token", 2, 12, "expected a number, got 'Net'"),
    file("use other.net", "unexpected-token", 2, 5, "expected a string in double quotes, got 'other.net'"),
    file("expect 0.13M", "unexpected-token", 2, 8, "expected a name, got '0.13M'"),
    file("expect parameters", "unexpected-token", 2, 18, "expected a value, got the end of the line"),
    file('use "a" "b"', "unexpected-token", 2, 9, "expected the end of the line, got '\"b\"'"),
    file(
        "claim parameters 1M Tab",
        "unexpected-token",
        2,
        21,
        "expected a string in double quotes or the end of the line, got 'Tab'",
    ),
    file(
        "allow cropped-input",
        "unexpected-token",
        2,
        20,
        "expected a string in double quotes, got the end of the line",
    ),
    file('allow "as printed"', "unexpected-token", 2, 7, "expected a name, got '\"as printed\"'"),
    file("train at x {\n}", "unexpected-token", 2, 7, "expected '{' or 'on', got 'at'"),
    file("train on x", "unexpected-token", 2, 11, "expected '{' or '-', got the end of the line"),
    file(
        "train on x {\n  epochs = 1\n  batch 2\n}",
        "unexpected-token",
        3,
        10,
        "expected the value of 'epochs', got '='",
        fixed=V + "train on x {\n  epochs 1\n  batch 2\n}",
    ),
    file("train on x {\n  16\n  batch 2\n}", "unexpected-token", 3, 3, "expected the name of a setting, got '16'"),
    # --- values
    compact("DP 0.25", "unexpected-token", 1, 4, "expected '-' or the end, got '0.25'", fixed="DP0.25", safe=False),
    compact("LIF(tau=)", "unexpected-token", 1, 9, "expected a value, got ')'"),
    compact("LIF(tau=2, )", "unexpected-token", 1, 12, "expected a value, got ')'"),
    compact("LIF(tau=2 v=1)", "unexpected-token", 1, 11, "expected ',' or ')', got 'v'"),
    compact("LIF(=2)", "unexpected-token", 1, 5, "expected a value or ')', got '='"),
    compact("c$(c+)", "unexpected-token", 1, 6, "expected a number or a name, got ')'"),
    compact("DP(p=4 x)", "unexpected-token", 1, 8, "expected ',' or ')', got 'x'"),
    compact("c$(c d)", "unexpected-token", 1, 6, "expected '+', '-', '*', '/' or ')', got 'd'"),
    value("", "unexpected-token", 1, 1, "expected a value, got the end"),
    value("a=b", "unexpected-token", 1, 2, "expected a value or the end, got '='"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}:{case.text.removeprefix(V)}" for case in CASES])
def test_message_and_fix(case: Case) -> None:
    reporter = Reporter()
    reporter.take(case.parse(Source("t", case.text)))
    assert [(d.code, d.span.line, d.span.column, d.message) for d in reporter] == [
        (case.code, case.line, case.column, case.message)
    ]
    (found,) = reporter
    assert found.label
    assert found.severity is (Severity.WARNING if case.code == "typographic-character" else Severity.ERROR)
    assert [apply_fix(case.text, fix) for fix in found.fixes] == ([case.fixed] if case.fixed is not None else [])
    if case.fixed is not None:
        assert found.fixes[0].safe is case.safe
        after = Reporter()
        after.take(case.parse(Source("t", case.fixed)))
        assert not list(after)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (compact("{a>*2", "", 0, 0, ""), "replace it with '}'"),
        (compact("c$c", "", 0, 0, ""), "'$(name)'"),
        (compact("a-{b", "", 0, 0, ""), "add the closing '}'"),
        (compact("g[a|]", "", 0, 0, ""), "'id'"),
        (compact("c\u0663", "", 0, 0, ""), "use the digits 0 to 9"),
        (compact("\u2018a\u2019", "", 0, 0, ""), "straight double quotes"),
        (compact("DP 0.25", "", 0, 0, ""), "'DP0.25'"),
        (compact("FC11 (7B-Net)", "", 0, 0, ""), 'network "NAME"'),
        (file("network 7B-Net", "", 0, 0, ""), "in double quotes"),
        (file("use a.net", "", 0, 0, ""), "in double quotes"),
        (compact("a-(b-c)*2", "", 0, 0, ""), "{…}*2"),
        (compact("(b-c)", "", 0, 0, ""), "{…}*2"),
        (file("input 1,28,28", "", 0, 0, ""), "input 1x28x28"),
        (file("input (1, 28, 28)", "", 0, 0, ""), "input 1x28x28"),
        (file("study {\n  vary neuron.tau 2.0, 3.0\n}", "", 0, 0, ""), "with spaces only"),
        (file('study {\n  variant "x" join=ADD\n}', "", 0, 0, ""), '"join=ADD"'),
        (file("train mnist5k {\n}", "", 0, 0, ""), "train on mnist5k"),
        (file("body a\n-b", "", 0, 0, ""), "end of the previous line"),
        (file("a-b\nb-c", "", 0, 0, ""), "add 'body'"),
        (
            file("test on x { a 1 }", "", 0, 0, ""),
            "the sections 'train' and 'study'; evaluate a run with 'sewdsl eval RUN'",
        ),
    ],
)
def test_help_says_how_to_mend_it(case: Case, words: str) -> None:
    reporter = Reporter()
    reporter.take(case.parse(Source("t", case.text)))
    assert words in next(iter(reporter)).help


@pytest.mark.parametrize(
    ("parse", "text", "fixed"),
    [
        (parse_compact, "a-(b-(c))*2-d", "a-{b-(c)}*2-d"),
        (parse, f"{V}input 1, 28,28", f"{V}input 1x28x28"),
        (parse, f"{V}input [1,28]", f"{V}input 1x28"),
        (parse, f"{V}study {{ vary a 2.0, L(b=1,c=2),3 }}", f"{V}study {{ vary a 2.0 L(b=1,c=2) 3 }}"),
        (parse, f"{V}train cifar10-dvs {{\n}}", f"{V}train on cifar10-dvs {{\n}}"),
    ],
)
def test_what_is_likely_to_be_meant(parse: Parse, text: str, fixed: str) -> None:
    reporter = Reporter()
    reporter.take(parse(Source("t", text)))
    (fix,) = (fix for found in reporter for fix in found.fixes)
    assert not fix.safe
    assert apply_fix(text, fix) == fixed


def codes(parse: Parse, text: str) -> list[tuple[str, int, int]]:
    reporter = Reporter()
    reporter.take(parse(Source("t", text)))
    return [(d.code, d.span.line, d.span.column) for d in reporter]


@pytest.mark.parametrize(
    "line",
    [
        "nueron PLIF",
        "  init kaiming",
        "Neuron PLIF",
        "Body b-c",
        "schedule Cosine",
        "  schedule Cosine",
        "c d = e",
        "{",
    ],
)
def test_what_may_be_meant_as_a_statement_goes_on_with_no_body(line: str) -> None:
    assert "missing-hyphen" not in [code for code, _, _ in codes(parse, f"{V}body a-b\n{line}\n")]


@pytest.mark.parametrize("text", ["block A = a\nb-c", "body 32C3\n  a", "body a $ b\n  c", "steps 4\n  c-d"])
def test_only_behind_a_complete_network_is_a_hyphen_lost(text: str) -> None:
    assert "missing-hyphen" not in [code for code, _, _ in codes(parse, V + text)]


def test_a_name_broken_at_its_blank_has_lost_no_hyphen() -> None:
    text = f"{V}block My Unit(c) = a\nbody a-My\n  Unit (c3)-{{b}}*2\n"
    assert "missing-hyphen" not in [code for code, _, _ in codes(parse, text)]
    assert "missing-hyphen" in [code for code, _, _ in codes(parse, text.replace("-My\n", "-b\n"))]


def test_every_line_of_a_network_may_have_lost_its_hyphen() -> None:
    lines = "\n        ".join(["body    a-b", *["c"] * 5000])
    reporter = Reporter()
    document = reporter.take(parse(Source("t", f"{V}{lines}\nsteps 4")))
    assert len(document.statements) == 3
    assert [(d.code, d.span.line) for d in reporter] == [("missing-hyphen", line) for line in range(2, 5002)]


def test_several_problems_of_one_expression() -> None:
    assert codes(parse_compact, "{a}*5DP\u2013{b}-{}*0-{c}*2{d}*0-") == [
        ("missing-hyphen", 1, 6),
        ("typographic-character", 1, 8),
        ("missing-count", 1, 11),
        ("empty-sequence", 1, 13),
        ("missing-hyphen", 1, 23),
        ("trailing-hyphen", 1, 28),
    ]


@pytest.mark.parametrize("text", ["{a>b}*7", "<a->b"])
def test_a_fix_of_a_bracket_waits_where_another_reading_is_left(text: str) -> None:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", text)))
    assert [fix.safe for found in reporter for fix in found.fixes] == [False]


def test_a_count_below_the_line_is_only_likely() -> None:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", "{a}\u2082")))
    (found,) = reporter
    assert [(fix.title, fix.safe) for fix in found.fixes] == [("write '*2'", False)]


def test_a_layer_at_the_start_is_no_misspelt_version() -> None:
    reporter = Reporter()
    assert reporter.take(parse(Source("t", "SEW(c32)-a"))).statements
    assert [(d.code, d.fixes[0].safe) for d in reporter] == [("missing-body", True), ("missing-version", True)]


def test_several_statements_with_problems() -> None:
    text = "steps = 4\nblok A = b\nbody a-\nexpect 3\ntrain on x {\n  epochs = 3\n  4\n  batch 2\n}\nuse x\n"
    assert codes(parse, text) == [
        ("missing-version", 1, 1),
        ("unexpected-token", 1, 7),
        ("unknown-statement", 2, 1),
        ("trailing-hyphen", 3, 7),
        ("unexpected-token", 4, 8),
        ("unexpected-token", 6, 10),
        ("unexpected-token", 7, 3),
        ("unexpected-token", 10, 5),
    ]


def test_an_unclosed_bracket_hides_no_statement_behind_it() -> None:
    reporter = Reporter()
    document = reporter.take(parse(Source("t", "sewdsl 1\nbody {a-\n  b\nsteps = 4\nblock A(c = b\nexpect output 3\n")))
    assert [(d.code, d.span.line) for d in reporter] == [
        ("unclosed-bracket", 2),
        ("unexpected-token", 4),
        ("unclosed-bracket", 5),
    ]
    assert [type(statement).__name__ for statement in document.statements] == ["Version", "Setting", "Expect"]


def test_the_help_of_an_unknown_statement_names_statements_that_exist() -> None:
    """Not `sewdsl`, which only the first line begins with, nor `data`, which is parsed to be rejected."""
    (diagnostic,) = parse(Source("t", "sewdsl 1\nblok A = a\n")).diagnostics
    words = diagnostic.help.removeprefix("start the statement with ").removesuffix(" or the name of a setting")
    assert words.split(", ") == ["let", "body", "block", "part", "use", "expect", "claim", "allow", "train", "study"]
