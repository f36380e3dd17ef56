"""What the page shows of a text: problems, shapes, the table, the picture; all as plain data."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any

from markdown_it import MarkdownIt

from sewdsl.analysis.listing import block_rows
from sewdsl.diagnostics import Diagnostic
from sewdsl.draw import Direction, RenderingError, dot, render
from sewdsl.draw.picture_items import drawn_layers, picture_items
from sewdsl.editing import EditorView
from sewdsl.editing.completion import complete
from sewdsl.editing.hover import hover
from sewdsl.editing.item_summary import shape_hints
from sewdsl.ir.network import Network
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.train.training_plan import training_problems

MAX_PROBLEMS = 200
"""Problems that are sent, the worst ones: more cannot be read, but take their time."""
ROWS, BOXES = 2000, 1000
"""Lines of the table, and layers of a picture, at most."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def overview(view: EditorView) -> dict[str, Any]:
    """Everything but the picture."""
    compilation = view.compilation
    network = compilation.network if compilation.valid else None
    summary = ""
    if network is not None:
        counts = f"{network.total_parameters:,} parameters, {network.total_macs:,} MACs a time-step"
        summary = f"{network.name}: {counts}, T = {network.settings.steps}"
    said = [*compilation.diagnostics, *training_problems(compilation)]
    if len(said) > MAX_PROBLEMS:
        said.sort(key=lambda each: -each.severity)
    return {
        "valid": compilation.valid,
        "summary": summary,
        "problems": [_problem(view, each) for each in said[:MAX_PROBLEMS]],
        "more": max(0, len(said) - MAX_PROBLEMS),
        "hints": [{"at": hint.offset, "text": hint.label, "about": hint.tooltip} for hint in shape_hints(view)],
        "tokens": [[kind, span.start, span.end] for kind, span in tokens(view.source)],
        "table": _table(network) if network else None,
        "blocks": sorted(view.vocabulary.own),
    }


def _table(network: Network) -> list[dict[str, str | int]]:
    return [
        {
            "path": row.path,
            "text": row.label,
            "shape": "×".join(map(str, row.signal.shape)),
            "range": f"{row.signal.values}" + ("" if row.signal.varies else ", static"),
            "parameters": row.parameters,
            "macs": row.macs,
        }
        for row in islice(block_rows(network), ROWS)
    ]


def _problem(view: EditorView, said: Diagnostic) -> dict[str, Any]:
    ours = said.span.source is view.source
    fixes = [
        {"title": fix.title, "edits": [[e.span.start, e.span.end, e.text] for e in fix.edits]}
        for fix in said.fixes
        if all(edit.span.source is view.source for edit in fix.edits)
    ]
    return {
        "code": said.code,
        "severity": str(said.severity),
        "message": said.message if ours else f"{said.span.source.name}:{said.span.line}: {said.message}",
        "help": said.help,
        "path": " > ".join(said.path) if len(said.path) > 1 else "",
        "start": said.span.start if ours else 0,
        "end": said.span.end if ours else 0,
        "line": said.span.line if ours else 1,
        "fixes": fixes,
    }


def picture_svg(view: EditorView, unfolded: Collection[str], direction: Direction, seconds: float) -> str:
    """The network as SVG.

    Args:
        view: The text.
        unfolded: Keys of the repeats that are drawn copy by copy.
        direction: ``TB`` or ``LR``.
        seconds: How long a renderer may take.

    Raises:
        RenderingError: there is no network to draw, it is too large to draw like this, or no renderer draws it.
    """
    network = view.compilation.network
    if network is None or not view.compilation.valid:
        message = "there is no network to draw"
        raise RenderingError(message)
    drawn = sum(1 for _ in drawn_layers(picture_items(network, expand=unfolded)))
    if drawn > BOXES:
        message = f"this would be a picture of {drawn:,} layers, more than {BOXES:,}: fold some"
        raise RenderingError(message)
    return render(dot(network, expand=unfolded, direction=direction), "svg", timeout=seconds).decode()


def hover_html(view: EditorView, offset: int) -> dict[str, Any] | None:
    """What hovering over a character says, as HTML without scripts."""
    found = hover(view, offset)
    if found is None:
        return None
    return {"start": found.span.start, "end": found.span.end, "html": markdown_to_html(found.text)}


def markdown_to_html(text: str) -> str:
    """Markdown as HTML; HTML in it stays text."""
    return str(_MARKDOWN.render(text))


def completions(view: EditorView, offset: int, datasets: Collection[str]) -> dict[str, Any]:
    """What can be written at a place."""
    found = complete(view, offset, datasets)
    return {
        "start": found.span.start,
        "items": [
            {"text": p.text, "kind": p.kind, "detail": p.detail, "html": markdown_to_html(p.about)} for p in found.found
        ],
    }
