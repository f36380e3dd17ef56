"""No text makes syntax raise, and what it reports is usable."""

from hypothesis import example, given
from hypothesis import strategies as st

from sewdsl.compiler.fixing import apply_fixes
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.syntax.parser import parse, parse_compact, parse_value
from sewdsl.syntax.printer import print_document
from tests.effort import examples
from tests.syntax.fixing import apply_fix
from tests.syntax.strategies import fragments
from tools.fuzz.fixing_law import MARKS

anything = st.one_of(
    fragments,
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.binary(max_size=60).map(lambda data: data.decode("latin-1")),
)


def check(reporter: Reporter, source: Source) -> None:
    for found in reporter:
        assert found.span.source is source
        assert 0 <= found.span.start <= found.span.end <= len(source.text)
        assert found.label
        assert found.message
        for fix in found.fixes:
            for edit in fix.edits:
                assert 0 <= edit.span.start <= edit.span.end <= len(source.text)
                assert edit.text != edit.span.text


@given(anything)
@examples(200)
def test_a_file_is_reported_on_or_parsed(text: str) -> None:
    source, reporter = Source("t", text), Reporter()
    document = reporter.take(parse(source))
    check(reporter, source)
    if not reporter.errors:
        again = Reporter()
        assert again.take(parse(Source("t", print_document(document)))) == document
        assert not list(again)


@given(anything)
@examples(200)
def test_a_compact_string_is_reported_on_or_parsed(text: str) -> None:
    source, reporter = Source("t", text), Reporter()
    document = reporter.take(parse_compact(source))
    check(reporter, source)
    assert document.statements or reporter.errors


@given(anything)
def test_a_value_is_reported_on_or_parsed(text: str) -> None:
    source, reporter = Source("t", text), Reporter()
    values = reporter.take(parse_value(source))
    check(reporter, source)
    assert (values is None) == bool(reporter.errors)


@given(anything)
def test_tokens_leave_out_nothing_but_white_space(text: str) -> None:
    behind = 0
    for _, span in tokens(Source("t", text)):
        assert not text[behind : span.start].strip(" \t\r\n\f\v\u00a0\u2007\u2009\u202f\ufeff\u00ad")
        behind = span.end
    assert not text[behind:].strip(" \t\r\n\f\v\u00a0\u2007\u2009\u202f\ufeff\u00ad")


@given(fragments)
def test_safe_fixes_come_to_an_end(text: str) -> None:
    for _ in range(len(text) + 10):
        reporter = Reporter()
        reporter.take(parse_compact(Source("t", text)))
        safe = [fix for found in reporter for fix in found.fixes if fix.safe]
        if not safe:
            return
        text = apply_fix(text, safe[0])
    raise AssertionError(text)


def said(text: str, *, file: bool) -> Reporter:
    """Return the diagnostics of a text, read as a file or as a layer string."""
    reporter = Reporter()
    reporter.take((parse if file else parse_compact)(Source("t", text)))
    return reporter


def marks(reporter: Reporter) -> int:
    """Return the number of invalid characters of a text."""
    return sum(found.code in MARKS for found in reporter)


@given(fragments, st.booleans())
@example("<\u2192>c32", False)  # noqa: FBT003
@example("<-\u00ad>c32", False)  # noqa: FBT003
@examples(300)
def test_no_safe_fix_makes_a_text_worse(text: str, file: bool) -> None:  # noqa: FBT001 -- drawn
    """Fixes are applied one by one, and all at once as by ``check --fix``."""
    found = said(text, file=file)
    safe = [fix for diagnostic in found for fix in diagnostic.fixes if fix.safe]
    for mended in [*(apply_fix(text, fix) for fix in safe), apply_fixes(found, Source("t", text))]:
        assert marks(said(mended, file=file)) <= marks(found), mended
