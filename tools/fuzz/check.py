"""Target: ``check``, ``check --fix``, ``fmt`` and the tokens of any text.

A text is read as a file and as a string. All commands end in time and raise documented errors only. Diagnostics refer
to characters of the text.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from sewdsl.cli.check import _check_spec, _fix
from sewdsl.cli.print_diagnostics import diagnostics_to_json, format_diagnostic
from sewdsl.compiler import Compilation
from sewdsl.diagnostics import SewdslError
from sewdsl.highlight.pygments_lexer import CompactLexer, NetLexer
from sewdsl.source import Source, Span
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import compact_tokens, tokens
from tools.fuzz.fixing_law import check_fixes

SECONDS = 60.0
"""Processor time limit per text, for all checks together."""
PRINTED = 200
"""Number of diagnostics to format."""
FIXED = 2_000
"""Largest size of a text whose fixes are checked, in characters."""
FILE = "sewdsl 1\n"
"""First line of a file."""


def ask(text: str, random: Random) -> None:
    """Check a text. Some texts are also checked as a used file and fixed on disk."""
    source = Source("t", text)
    for lexed in (tokens(source), compact_tokens(source)):
        _ordered([span for _, span in lexed], source)
    for lexer in (NetLexer(), CompactLexer()):
        assert "".join(value for _, _, value in lexer.get_tokens_unprocessed(text)) == text
    # A text without the first line of a file is read as a layer string.
    check_said(_check_spec(source, {}))
    check_said(_check_spec(Source("t", FILE + text), {}))
    # Each round of fixes compiles the text again.
    if len(text) <= FIXED:
        for read in (text, FILE + text):
            check_fixes(read, lambda each: _check_spec(Source("t", each), {}))
    # Files on disk are slow.
    if random.random() < 0.2:
        _on_disk(text)
    _format(text)


def check_said(compilation: Compilation) -> None:
    """Check that diagnostics can be printed, and have spans inside of their sources."""
    for diagnostic in compilation.diagnostics:
        _inside(diagnostic.span)
        for fix in diagnostic.fixes:
            for edit in fix.edits:
                _inside(edit.span)
    diagnostics_to_json(compilation.diagnostics)
    for diagnostic in compilation.diagnostics[:PRINTED]:
        assert "".join(format_diagnostic(diagnostic))


def _on_disk(text: str) -> None:
    """Check a file that uses the text, and ``check --fix`` of the text."""
    with tempfile.TemporaryDirectory() as folder:
        used, file = Path(folder, "used.net"), Path(folder, "file.net")
        used.write_text(text, encoding="utf-8", errors="replace")
        file.write_text(f'{FILE}use "used.net"\ninput 2x8x8\nbody BN\n', encoding="utf-8")
        check_said(_check_spec(str(file), {}))
        check_said(_fix(str(used), {}, unsafe=False).compilation)


def _format(text: str) -> None:
    """Check that formatting is idempotent."""
    try:
        formatted = format_source(Source("t", text))
    except SewdslError:
        return
    assert format_source(Source("t", formatted)) == formatted


def _ordered(spans: list[Span], source: Source) -> None:
    previous_end = 0
    for span in spans:
        assert previous_end <= span.start < span.end <= len(source.text)
        previous_end = span.end


def _inside(span: Span) -> None:
    assert 0 <= span.start <= span.end <= len(span.source.text)
