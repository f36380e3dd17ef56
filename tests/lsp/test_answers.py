"""Answers in the types of the protocol."""

from lsprotocol.types import DiagnosticSeverity

from sewdsl.editing import compile_for_editor
from sewdsl.lsp.convert import MAX_PROBLEMS, to_diagnostics
from sewdsl.lsp.open_documents import OpenDocument
from tests.words import check_words


def test_of_very_many_problems_the_worst_are_shown() -> None:
    dashes = "BN–" * (MAX_PROBLEMS + 800)
    worst, *others, rest = to_diagnostics(
        OpenDocument("x", compile_for_editor(f"sewdsl 1\ninput 2x9x9\nbody {dashes}q\n", "x.net"))
    )
    assert (worst.code, worst.severity) == ("unknown-name", DiagnosticSeverity.Error)
    assert [each.code for each in others] == ["typographic-character"] * (MAX_PROBLEMS - 1)
    check_words(rest.message)
    assert rest.severity == DiagnosticSeverity.Warning
    assert rest.range.start > others[-1].range.start
