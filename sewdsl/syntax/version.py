"""The first line of a file: ``sewdsl 1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.scanner import end, start

if TYPE_CHECKING:
    from sewdsl.syntax.layout import Lines


def check_version(source: Source, statements: list[Lines], diagnostics: Diagnostics) -> None:
    """Reports a file that does not begin with the version of its language, or with one that is not known."""
    versions = [lines for lines in statements if lines.tokens[0].type == "_VERSION"]
    if not versions:
        first = Span(source, 0, min(1, len(source.text)))
        diagnostics.report(
            "missing-version",
            f"the file does not begin with its version, 'sewdsl {VERSION}'",
            first,
            label=f"expected 'sewdsl {VERSION}'",
            help=f"write 'sewdsl {VERSION}' into the first line",
            fixes=(Fix(f"insert 'sewdsl {VERSION}'", (Edit(Span(source, 0, 0), f"sewdsl {VERSION}\n"),)),),
        )
        return
    first_number = versions[0].tokens[1:2]
    for number in first_number:
        if number.type == "INTEGER" and number.lstrip("0") != str(VERSION):
            diagnostics.report(
                "unsupported-version",
                f"version {number} of the language is not known, only {VERSION}",
                Span(source, start(number), end(number)),
                label=f"expected {VERSION}",
                help="a newer sewdsl may read this file",
            )
    for lines in [*versions[1:], *(versions[:1] if statements[0] is not versions[0] else ())]:
        token = lines.tokens[0]
        again = lines is not versions[0]
        diagnostics.report(
            "missing-version" if not again else "unexpected-token",
            "the version comes a second time" if again else "the version must be the first statement",
            Span(source, start(token), end(lines.tokens[-1])),
            label="remove this line" if again else "move this line to the top",
            help=f"a file begins with 'sewdsl {VERSION}', once",
        )
