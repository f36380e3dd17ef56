"""Limits: reported with the actual value, the limit and the option; and no text takes long."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from sewdsl.diagnostics import Diagnostic
from sewdsl.limits import Limits
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Source
from sewdsl.syntax.parser import parse, parse_compact, parse_value
from sewdsl.syntax.scanner import parser
from sewdsl.syntax.tree import Document
from tests.effort import factor

SIZE = 256 * 1024
PART = SIZE if factor() > 1 else SIZE // 16


def only(text: str, limits: Limits | None = None) -> Diagnostic:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", text), limits or Limits()))
    (found,) = reporter
    return found


@pytest.mark.parametrize(
    ("text", "code", "column", "message", "option"),
    [
        (
            "a" * (SIZE + 1),
            "source-too-long",
            1,
            "the source has 262,145 bytes, which exceeds the limit of 262,144",
            "source",
        ),
        (
            "\u2013" * 90_000,
            "source-too-long",
            1,
            "the source has 270,000 bytes, which exceeds the limit of 262,144",
            "source",
        ),
        (
            "{" * 33 + "a" + "}*1" * 33,
            "nesting-too-deep",
            33,
            "brackets nested 33 deep exceed the limit of 32",
            "nesting",
        ),
        ("{" * 100_000, "nesting-too-deep", 33, "brackets nested 100000 deep exceed the limit of 32", "nesting"),
        ("f(x=" * 40, "nesting-too-deep", 130, "brackets nested 33 deep exceed the limit of 32", "nesting"),
        (
            "c$(" + "c+" * 33 + "c)",
            "nesting-too-deep",
            2,
            "the formula exceeds the limit of 32 operators",
            "nesting",
        ),
        ("{a}*10001", "repeat-too-large", 5, "10,001 copies exceed the limit of 10,000", "repeat"),
        ("{a}*1234567890", "integer-too-long", 5, "an integer of 10 digits exceeds the limit of 9", "digits"),
        ("c1234567890k3", "integer-too-long", 2, "an integer of 10 digits exceeds the limit of 9", "digits"),
        ("a" + "9" * 100_000, "integer-too-long", 2, "an integer of 100000 digits exceeds the limit of 9", "digits"),
    ],
)
def test_a_limit_names_the_value_and_its_option(text: str, code: str, column: int, message: str, option: str) -> None:
    found = only(text)
    assert (found.code, found.span.column, found.message) == (code, column, message)
    assert f"--limit {option}=" in found.help


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("a" * (SIZE + 1), Limits(source_bytes=SIZE + 1)),
        ("{" * 33 + "a" + "}*1" * 33, Limits(nesting=33)),
        ("c$(" + "c+" * 33 + "c)", Limits(nesting=33)),
        ("{a}*10001", Limits(repeat=10_001)),
        ("c1234567890k3", Limits(digits=10)),
    ],
)
def test_a_raised_limit_lets_it_pass(text: str, limits: Limits) -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", text), limits)).statements
    assert not list(reporter)


@pytest.mark.parametrize(
    "text", ["{" * 32 + "a" + "}*1" * 32, "{a}*10000", "c123456789k3", "DP0.123456789012", "a" * SIZE]
)
def test_the_limit_itself_is_within(text: str) -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", text))).statements
    assert not list(reporter)


def test_limits_hold_in_values() -> None:
    reporter = Reporter()
    assert reporter.take(parse_value(Source("t", "2x12345678901"))) is None
    assert [diagnostic.code for diagnostic in reporter] == ["integer-too-long"]


@pytest.mark.deep
@pytest.mark.parametrize("parse", [parse, parse_compact])
@pytest.mark.parametrize(
    "piece",
    [
        ")",
        "{",
        "()",
        "{)",
        "? ",
        "1.",
        '"\n',
        "=\n",
        "a =\n",
        "{a}*2 ",
        "{a}-",
        "$(",
        "g[a|",
        "1x",
        "\u2013",
        "-",
        "#\n",
    ],
)
def test_a_long_text_of_garbage_takes_little_time(piece: str, parse: Callable[[Source], Reported[Document]]) -> None:
    parser()
    text = piece * (PART // len(piece.encode()))
    began = process_time()
    parse(Source("t", text))
    # takes a tenth of that; quadratic time would take five minutes and more for the largest text
    assert process_time() - began < 40 * PART / SIZE


def test_repeats_of_repeats_are_counted_by_those_who_expand_them() -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", "{{{BN}*9999}*9999}*9999"))).statements
    assert not list(reporter)
