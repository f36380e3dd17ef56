"""Duplicate diagnostics, and their locations in text that the user can change."""

import pytest

from sewdsl.compiler import read
from sewdsl.diagnostics import Diagnostic
from sewdsl.limits import Limits
from sewdsl.reporter import NestingError, Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_compact

HERE = Span(Source("t", "c4k3-BN"), 0, 4)
WRONG = Diagnostic("unknown-name", "unknown name", HERE)
DEEP = "c4k3 – " + "{" * 800 + "c4k3" + "}*1" * 800
"""A dash of a word processor, of which there is a warning, before repeats that no function can follow."""


def test_each_thing_is_said_once() -> None:
    reporter = Reporter(diagnostics=[WRONG])
    reporter.add(WRONG)
    assert reporter.take(Reported(7, (WRONG,))) == 7
    assert list(reporter) == [WRONG]
    reporter.take_back(0)
    reporter.add(WRONG)
    assert list(reporter.errors) == [WRONG]


def test_what_is_wrong_in_a_shipped_block_is_said_at_its_call() -> None:
    reporter, call = Reporter(), Span(Source("mine", "SEW Block"), 0, 9)
    with reporter.at(call):
        reporter.add(WRONG)
        reporter.report("zero-count", "a repeat of 0 copies", call.part(0, 3))
    reporter.add(WRONG)
    assert [said.span for said in reporter.diagnostics] == [call, call.part(0, 3), HERE]


def test_warnings_are_kept_where_a_text_nests_too_deep() -> None:
    with pytest.raises(NestingError) as caught:
        parse_compact(Source("t", DEEP), Limits(nesting=1000))
    assert [said.code for said in caught.value.diagnostics] == ["typographic-character"]
    codes = {said.code for said in read(DEEP, input="2x8x8", limit={"nesting": 1000}).diagnostics}
    assert codes == {"typographic-character", "nesting-too-deep"}


def test_what_a_function_calls_may_nest_too_deep() -> None:
    reporter = Reporter(Limits(nesting=1000))
    with pytest.raises(NestingError) as caught:
        reporter.follow(lambda: reporter.take(parse_compact(Source("t", DEEP), reporter.limits)))
    assert [said.code for said in caught.value.diagnostics] == ["typographic-character"]
