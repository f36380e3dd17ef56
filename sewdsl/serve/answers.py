"""Answers to requests of the page about a text, as plain data.

This module runs in a worker process, because an answer can take any time.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from sewdsl.analysis.listing import block_rows
from sewdsl.compiler import shipped_networks
from sewdsl.diagnostics import Diagnostic, SewdslError
from sewdsl.draw import Direction, PictureLook, RenderingError, dot, render
from sewdsl.draw.picture_file import RenderedFormat
from sewdsl.draw.picture_items import drawn_layers, picture_items
from sewdsl.draw.style import ThemeName
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.completion import complete
from sewdsl.editing.hover import hover
from sewdsl.editing.item_summary import shape_hints
from sewdsl.editing.kind_docs import code_pages
from sewdsl.elaborate.text_files import FileAccess
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.python import source
from sewdsl.ir.network import Network
from sewdsl.paths import FileStamp, file_stamp
from sewdsl.serve.folder import FileAccessError, ServedFolder
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.train.data import datasets
from sewdsl.train.training_plan import check_training

MAX_PROBLEMS = 200
"""Largest number of diagnostics in an answer, errors first."""
FORMATS: tuple[RenderedFormat, ...] = ("svg", "png", "pdf")
ROWS, BOXES = 2000, 1000
"""Largest numbers of rows of the table and of layers in a diagram."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def overview(view: EditorView) -> dict[str, Any]:
    """Return the summary, diagnostics, hints, tokens and table of a text."""
    compilation = view.compilation
    network = compilation.network if compilation.valid else None
    summary = ""
    if network is not None:
        counts = f"{network.total_parameters:,} parameters, {network.total_macs:,} MACs per time-step"
        summary = f"{network.name}: {counts}, T = {network.settings.steps}"
    checked = check_training(compilation)
    diagnostics = [*checked.diagnostics]
    # Keep the order of the text, unless notes would displace errors.
    if len(diagnostics) > MAX_PROBLEMS:
        diagnostics.sort(key=lambda diagnostic: -diagnostic.severity)
    return {
        "valid": checked.valid,
        "summary": summary,
        "problems": [_diagnostic_to_json(view, diagnostic) for diagnostic in diagnostics[:MAX_PROBLEMS]],
        "more": max(0, len(diagnostics) - MAX_PROBLEMS),
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


def _diagnostic_to_json(view: EditorView, diagnostic: Diagnostic) -> dict[str, Any]:
    # The editor cannot show positions in other files, or edit them.
    is_own = diagnostic.span.source is view.source
    position = f"{diagnostic.span.source.name}:{diagnostic.span.line}"
    fixes = [
        {"title": fix.title, "edits": [[e.span.start, e.span.end, e.text] for e in fix.edits]}
        for fix in diagnostic.fixes
        if all(edit.span.source is view.source for edit in fix.edits)
    ]
    return {
        "code": diagnostic.code,
        "severity": str(diagnostic.severity),
        "message": diagnostic.message if is_own else f"{position}: {diagnostic.message}",
        "help": diagnostic.help,
        "path": " > ".join(diagnostic.path) if len(diagnostic.path) > 1 else "",
        "start": diagnostic.span.start if is_own else 0,
        "end": diagnostic.span.end if is_own else 0,
        "line": diagnostic.span.line if is_own else 1,
        "fixes": fixes,
    }


def markdown_to_html(text: str) -> str:
    """Render Markdown as HTML. HTML in the Markdown is escaped."""
    return str(_MARKDOWN.render(text))


class Texts:
    """Cache of the last compiled text, for several requests about it."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._used: dict[Path, FileStamp] = {}
        self._view: EditorView | None = None

    @cached_property
    def datasets(self) -> list[str]:
        """Names of all datasets, sorted."""
        return sorted(datasets())

    def view(self, request: dict[str, Any]) -> EditorView:
        """Return the compiled text of a request.

        Args:
            request: Request with the ``text``, the ``name`` of its file, and the ``folder`` of files that it may use.
        """
        key = request["folder"], request["name"], request["text"]
        # The text may use other files, which can change on disk.
        unchanged = all(file_stamp(path) == stamp for path, stamp in self._used.items())
        if self._view is None or self._key != key or not unchanged:
            # If the compilation fails, the next request must compile again.
            self._view, self._used = None, {}
            self._view, self._key = self._compile(*key), key
        return self._view

    def _compile(self, folder: str, name: str, text: str) -> EditorView:
        def record_use(path: Path) -> None:
            self._used[path] = file_stamp(path)

        if name in shipped_networks():
            file = shipped_networks()[name]
            # A shipped network may use the files next to it, but not those of the served folder.
            return compile_for_editor(text, f"{name}.net", file, reach=FileAccess(file.parent, record_use))
        files = ServedFolder(Path(folder))
        try:
            file = files.place(name)
        except FileAccessError:
            # The path of a new text only serves to find files that it uses.
            file = files.path / "untitled.net"
        return compile_for_editor(text, name, file, reach=FileAccess(files.path, record_use))


def answer(texts: Texts, name: str, request: dict[str, Any]) -> Any:
    """Return the answer to a request as plain data.

    Args:
        name: Name of the request, a key of ``ANSWERS``.
        request: Request with the ``folder`` of accessible files and the time limit in ``seconds``.

    Raises:
        Refusal: If the request cannot be answered. The message is the reason.
    """
    try:
        return ANSWERS[name](texts, request)
    except (FileAccessError, ExportError) as error:
        raise Refusal(str(error)) from None


class Refusal(Exception):
    """A request cannot be answered. The message is the reason."""


def _offset(request: dict[str, Any]) -> int:
    offset = request.get("at")
    return min(max(0, offset), len(request["text"])) if isinstance(offset, int) else 0


def _picture(texts: Texts, request: dict[str, Any]) -> dict[str, str]:
    """Return the diagram as SVG, PNG or PDF, or an ``error``."""
    # An invalid text is common while the user types, so it is not a Refusal.
    view = texts.view(request)
    network = view.compilation.network if view.compilation.valid else None
    unfolded = request.get("unfolded")
    keys = {str(key) for key in unfolded} if isinstance(unfolded, list) else set()
    direction: Direction = "LR" if request.get("direction") == "LR" else "TB"
    theme: ThemeName = "dark" if request.get("theme") == "dark" else "light"
    format_: RenderedFormat = next((each for each in FORMATS if each == request.get("format")), "svg")
    if network is None:
        return {"error": "there is no network to draw"}
    layers = sum(1 for _ in drawn_layers(picture_items(network, expand=keys)))
    if layers > BOXES:
        return {"error": f"{layers:,} layers exceed the limit of {BOXES:,} for a diagram; fold some"}
    try:
        text = dot(network, expand=keys, direction=direction, look=PictureLook(theme))
        content = render(text, format_, timeout=request["seconds"])
    except RenderingError as error:
        return {"error": str(error)}
    return {"svg": content.decode()} if format_ == "svg" else {"base64": b64encode(content).decode()}


def _hover(texts: Texts, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the hover text at an offset as HTML without scripts."""
    hover_text = hover(texts.view(request), _offset(request))
    if hover_text is None:
        return None
    return {"start": hover_text.span.start, "end": hover_text.span.end, "html": markdown_to_html(hover_text.text)}


def _complete(texts: Texts, request: dict[str, Any]) -> dict[str, Any]:
    span, proposals = complete(texts.view(request), _offset(request), texts.datasets)
    items = [
        {"text": each.text, "kind": each.kind, "detail": each.detail, "html": markdown_to_html(each.about)}
        for each in proposals
    ]
    return {"start": span.start, "items": items}


def _format(texts: Texts, request: dict[str, Any]) -> dict[str, str | None]:
    try:
        return {"text": format_source(texts.view(request).source)}
    except SewdslError:
        return {"text": None}


def _source(texts: Texts, request: dict[str, Any]) -> dict[str, str]:
    compilation = texts.view(request).compilation
    if compilation.network is None or not compilation.valid:
        raise Refusal("there is no network to export")
    return {"text": source(compilation.network)}


ANSWERS: dict[str, Callable[[Texts, dict[str, Any]], Any]] = {
    "look": lambda texts, request: overview(texts.view(request)),
    "picture": _picture,
    "hover": _hover,
    "complete": _complete,
    "format": _format,
    "source": _source,
    "explain": lambda _, request: {"html": markdown_to_html(code_pages().get(str(request.get("code")), ""))},
}
"""Functions that answer requests, by name."""
