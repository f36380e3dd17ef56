"""Diagnostics in SARIF 2.1.0, a format of code hosts and editors for the results of tools.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from sewdsl.diagnostics import Diagnostic, Fix, Severity
from sewdsl.editing.kind_docs import CodePage, read_code_pages
from sewdsl.paths import is_file
from sewdsl.plugins import installed_version
from sewdsl.source import Source, Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def diagnostics_to_sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """Return a log with one run: a rule with its page per code, and a result with fixes per diagnostic.

    Lines and columns count from 1, columns in characters. The end of a region is exclusive. Files keep the absolute or
    relative path of the command line. Text that is not in a file is included in the log.
    """
    pages = read_code_pages()
    diagnostics = list(diagnostics)
    # Rules of other packages have no page.
    foreign = {d.code: d for d in diagnostics if d.code not in pages}
    rules = [_rule(page) for page in pages.values()]
    rules += [{"id": d.code, "defaultConfiguration": {"level": _LEVELS[d.severity]}} for d in foreign.values()]
    rule_indices = {rule["id"]: index for index, rule in enumerate(rules)}
    spans = (span for d in diagnostics for span in (d.span, *(edit.span for fix in d.fixes for edit in fix.edits)))
    sources = dict.fromkeys(span.source for span in spans)
    artifacts = {source: index for index, source in enumerate(sources)}
    version = installed_version("sewdsl")
    driver = {"name": "sewdsl", **({"version": version} if version else {}), "rules": rules}
    run = {
        "tool": {"driver": driver},
        # The default unit is UTF-16, but sewdsl counts columns in code points.
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "artifacts": [_artifact(source) for source in sources],
        "results": [_result(d, rule_indices[d.code], artifacts) for d in diagnostics],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(page: CodePage) -> dict[str, Any]:
    return {
        "id": page.code,
        "shortDescription": {"text": f"{page.summary}."},
        "fullDescription": {"text": page.description},
        "help": {"text": page.text, "markdown": page.text},
        "defaultConfiguration": {"level": _LEVELS[page.severity]},
        "properties": {"tags": [page.group]},
    }


def _result(diagnostic: Diagnostic, rule: int, artifacts: dict[Source, int]) -> dict[str, Any]:
    sentences = [f"{text}." for text in (diagnostic.message, diagnostic.help) if text]
    path = " > ".join(diagnostic.path)
    location = {
        "physicalLocation": {
            "artifactLocation": _artifact_location(diagnostic.span.source, artifacts),
            "region": _region(diagnostic.span),
        },
        **({"logicalLocations": [{"fullyQualifiedName": path}]} if path else {}),
        **({"message": {"text": diagnostic.label}} if diagnostic.label else {}),
    }
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": "\n".join(sentences)},
        "locations": [location],
        **({"fixes": [_fix(fix, artifacts) for fix in diagnostic.fixes]} if diagnostic.fixes else {}),
    }


def _fix(fix: Fix, artifacts: dict[Source, int]) -> dict[str, Any]:
    # SARIF groups the edits of a fix by file; groupby needs them sorted.
    by_source = groupby(sorted(fix.edits, key=lambda edit: artifacts[edit.span.source]), lambda edit: edit.span.source)
    return {
        "description": {"text": fix.title},
        "artifactChanges": [
            {
                "artifactLocation": _artifact_location(source, artifacts),
                "replacements": [
                    {
                        "deletedRegion": _region(edit.span),
                        **({"insertedContent": {"text": edit.text}} if edit.text else {}),
                    }
                    for edit in edits
                ],
            }
            for source, edits in by_source
        ],
        "properties": {"safe": fix.safe},
    }


def _region(span: Span) -> dict[str, int]:
    end_line, end_column = span.source.position(span.end)
    return {"startLine": span.line, "startColumn": span.column, "endLine": end_line, "endColumn": end_column}


def _artifact(source: Source) -> dict[str, Any]:
    if uri := _uri(source):
        return {"location": {"uri": uri}, "sourceLanguage": "sewdsl"}
    return {
        "description": {"text": source.name},
        # Viewers cannot read layer strings and standard input from a file.
        "contents": {"text": source.text},
        "roles": ["memoryContents"],
        "sourceLanguage": "sewdsl",
    }


def _artifact_location(source: Source, artifacts: dict[Source, int]) -> dict[str, Any]:
    uri = _uri(source)
    return {**({"uri": uri} if uri else {}), "index": artifacts[source]}


def _uri(source: Source) -> str:
    """Return the URI of a file, relative if its path is relative, or an empty text for text that is not in a file."""
    path = Path(source.name)
    if not is_file(path):
        return ""
    return path.as_uri() if path.is_absolute() else quote(PurePath(path).as_posix())
