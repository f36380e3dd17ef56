"""What the page asks about a text, answered as plain data. A worker process runs this, since it may take any time."""

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
"""Problems that are sent, the worst ones: more cannot be read, but take their time."""
FORMATS: tuple[RenderedFormat, ...] = ("svg", "png", "pdf")
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
    checked = check_training(compilation)
    said = [*checked.diagnostics]
    if len(said) > MAX_PROBLEMS:
        said.sort(key=lambda each: -each.severity)
    return {
        "valid": checked.valid,
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


def markdown_to_html(text: str) -> str:
    """Markdown as HTML; HTML in it stays text."""
    return str(_MARKDOWN.render(text))


class Texts:
    """The newest text of a page, compiled once for everything that is asked about it."""

    def __init__(self) -> None:
        self._known: tuple[str, str, str] | None = None
        self._used: dict[Path, FileStamp] = {}
        self._view: EditorView | None = None

    @cached_property
    def datasets(self) -> list[str]:
        """Names of the datasets."""
        return sorted(datasets())

    def view(self, asked: dict[str, Any]) -> EditorView:
        """Return what is known of the text of a request.

        Args:
            asked: The request: the ``text``, its file's ``name``, and the ``folder`` whose files it may use.
        """
        wanted = asked["folder"], asked["name"], asked["text"]
        unchanged = all(file_stamp(path) == stamp for path, stamp in self._used.items())
        if self._view is None or self._known != wanted or not unchanged:
            self._view, self._used = None, {}
            self._view, self._known = self._compile(*wanted), wanted
        return self._view

    def _compile(self, folder: str, name: str, text: str) -> EditorView:
        def note(path: Path) -> None:
            self._used[path] = file_stamp(path)

        if name in shipped_networks():
            file = shipped_networks()[name]
            return compile_for_editor(text, f"{name}.net", file, reach=FileAccess(file.parent, note))
        files = ServedFolder(Path(folder))
        try:
            file = files.place(name)
        except FileAccessError:
            file = files.path / "untitled.net"
        return compile_for_editor(text, name, file, reach=FileAccess(files.path, note))


def answer(texts: Texts, what: str, asked: dict[str, Any]) -> Any:
    """Return the answer to a request, as plain data.

    Args:
        asked: The request, with the ``folder`` whose files count and the ``seconds`` that the answer may take.

    Raises:
        Refusal: The request cannot be answered, and the message says why.
    """
    try:
        return ANSWERS[what](texts, asked)
    except (FileAccessError, ExportError) as refusal:
        raise Refusal(str(refusal)) from None


class Refusal(Exception):
    """Raised if a request cannot be answered; the message says why."""


def _offset(asked: dict[str, Any]) -> int:
    """Return a place in the text."""
    at = asked.get("at")
    return min(max(0, at), len(asked["text"])) if isinstance(at, int) else 0


def _picture(texts: Texts, asked: dict[str, Any]) -> dict[str, str]:
    """The network as SVG, PNG or PDF; or why there is none, which is as common as a text with a mistake in it."""
    view = texts.view(asked)
    network = view.compilation.network if view.compilation.valid else None
    unfolded = asked.get("unfolded")
    keys = {str(key) for key in unfolded} if isinstance(unfolded, list) else set()
    direction: Direction = "LR" if asked.get("direction") == "LR" else "TB"
    theme: ThemeName = "dark" if asked.get("theme") == "dark" else "light"
    format_: RenderedFormat = next((each for each in FORMATS if each == asked.get("format")), "svg")
    if network is None:
        return {"error": "there is no network to draw"}
    layers = sum(1 for _ in drawn_layers(picture_items(network, expand=keys)))
    if layers > BOXES:
        return {"error": f"this would be a picture of {layers:,} layers, more than {BOXES:,}: fold some"}
    try:
        text = dot(network, expand=keys, direction=direction, look=PictureLook(theme))
        drawn = render(text, format_, timeout=asked["seconds"])
    except RenderingError as error:
        return {"error": str(error)}
    return {"svg": drawn.decode()} if format_ == "svg" else {"base64": b64encode(drawn).decode()}


def _hover(texts: Texts, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What hovering over a character says, as HTML without scripts."""
    said = hover(texts.view(asked), _offset(asked))
    if said is None:
        return None
    return {"start": said.span.start, "end": said.span.end, "html": markdown_to_html(said.text)}


def _complete(texts: Texts, asked: dict[str, Any]) -> dict[str, Any]:
    """What can be written at a place."""
    span, proposals = complete(texts.view(asked), _offset(asked), texts.datasets)
    items = [
        {"text": each.text, "kind": each.kind, "detail": each.detail, "html": markdown_to_html(each.about)}
        for each in proposals
    ]
    return {"start": span.start, "items": items}


def _format(texts: Texts, asked: dict[str, Any]) -> dict[str, str | None]:
    try:
        return {"text": format_source(texts.view(asked).source)}
    except SewdslError:
        return {"text": None}


def _source(texts: Texts, asked: dict[str, Any]) -> dict[str, str]:
    compilation = texts.view(asked).compilation
    if compilation.network is None or not compilation.valid:
        raise Refusal("there is no network to write")
    return {"text": source(compilation.network)}


ANSWERS: dict[str, Callable[[Texts, dict[str, Any]], Any]] = {
    "look": lambda texts, asked: overview(texts.view(asked)),
    "picture": _picture,
    "hover": _hover,
    "complete": _complete,
    "format": _format,
    "source": _source,
    "explain": lambda _, asked: {"html": markdown_to_html(code_pages().get(str(asked.get("code")), ""))},
}
