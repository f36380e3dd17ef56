"""``check``, ``check --fix``, ``fmt`` and the tokens of any text, read as a file and as a compact string, end in time.

None raises anything but what it documents, and whatever is said is of characters of the text.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from sewdsl.cli.check import _fix, _said
from sewdsl.cli.print_diagnostics import diagnostics_to_json, format_diagnostic
from sewdsl.compiler import Compilation
from sewdsl.diagnostics import SewdslError
from sewdsl.highlight.pygments_lexer import CompactLexer, NetLexer
from sewdsl.source import Source, Span
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import compact_tokens, tokens
from tools.fuzz.fixing_law import check_fixes

SECONDS = 60.0
"""Processor time for each text, all of the below together."""
PRINTED = 200
"""Diagnostics that ``check`` prints."""
FIXED = 2_000
"""Characters of a text at most that the law of fixes is held to."""
FILE = "sewdsl 1\n"
"""What makes a text a file, whatever else it holds."""


def ask(text: str, random: Random) -> None:
    """Everything about a text; that it is used by a file, and that it is fixed, for some."""
    source = Source("t", text)
    for lexed in (tokens(source), compact_tokens(source)):
        _ordered([span for _, span in lexed], source)
    for lexer in (NetLexer(), CompactLexer()):
        assert "".join(value for _, _, value in lexer.get_tokens_unprocessed(text)) == text
    check_said(_said(source, {}))
    check_said(_said(Source("t", FILE + text), {}))
    if len(text) <= FIXED:
        for read in (text, FILE + text):
            check_fixes(read, lambda each: _said(Source("t", each), {}))
    if random.random() < 0.2:
        _on_disk(text)
    _format(text)


def check_said(made: Compilation) -> None:
    """What ``check`` prints can be printed, and is about characters of the texts."""
    for said in made.diagnostics:
        _inside(said.span)
        for fix in said.fixes:
            for edit in fix.edits:
                _inside(edit.span)
    diagnostics_to_json(made.diagnostics)
    for said in made.diagnostics[:PRINTED]:
        assert "".join(format_diagnostic(said))


def _on_disk(text: str) -> None:
    """A file that uses another, and ``check --fix`` of the text itself."""
    with tempfile.TemporaryDirectory() as folder:
        used, file = Path(folder, "used.net"), Path(folder, "file.net")
        used.write_text(text, encoding="utf-8", errors="replace")
        file.write_text(f'{FILE}use "used.net"\ninput 2x8x8\nbody BN\n', encoding="utf-8")
        check_said(_said(str(file), {}))
        check_said(_fix(str(used), {}, unsafe=False).compilation)


def _format(text: str) -> None:
    """What is formatted stays as it is when it is formatted again."""
    try:
        laid_out = format_source(Source("t", text))
    except SewdslError:
        return
    assert format_source(Source("t", laid_out)) == laid_out


def _ordered(spans: list[Span], source: Source) -> None:
    behind = 0
    for span in spans:
        assert behind <= span.start < span.end <= len(source.text)
        behind = span.end


def _inside(span: Span) -> None:
    assert 0 <= span.start <= span.end <= len(span.source.text)
