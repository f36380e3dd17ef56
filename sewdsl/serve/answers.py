"""What the page asks about a text, answered as plain data. A worker process runs this, since it may take any time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from sewdsl.compiler import shipped_networks
from sewdsl.diagnostics import SewdslError
from sewdsl.draw import Direction, RenderingError
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.kind_docs import code_pages
from sewdsl.elaborate.read_text import FileAccess
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.python import source
from sewdsl.serve import payloads
from sewdsl.serve.folder import FileAccessError, ServedFolder
from sewdsl.syntax.formatter import format_source
from sewdsl.train.data import datasets

Stamp = tuple[int, int, int] | None
"""Time, size and number of a file; None: it is missing."""


class Texts:
    """The newest text of a page, compiled once for everything that is asked about it."""

    def __init__(self) -> None:
        self._known: tuple[str, str, str] | None = None
        self._used: dict[Path, Stamp] = {}
        self._view: EditorView | None = None

    @cached_property
    def datasets(self) -> list[str]:
        """Names of the datasets."""
        return sorted(datasets())

    def view(self, asked: dict[str, Any]) -> EditorView:
        """Returns what is known of the text of a request.

        Args:
            asked: The request: the ``text``, its file's ``name``, and the ``folder`` whose files it may use.
        """
        wanted = asked["folder"], asked["name"], asked["text"]
        unchanged = all(_stamp(path) == stamp for path, stamp in self._used.items())
        if self._view is None or self._known != wanted or not unchanged:
            self._view, self._used = None, {}
            self._view, self._known = self._compile(*wanted), wanted
        return self._view

    def _compile(self, folder: str, name: str, text: str) -> EditorView:
        def note(path: Path) -> None:
            self._used[path] = _stamp(path)

        if name in shipped_networks():
            file = shipped_networks()[name]
            return compile_for_editor(text, f"{name}.net", file, reach=FileAccess(file.parent, note))
        files = ServedFolder(Path(folder))
        try:
            file = files.place(name)
        except FileAccessError:
            file = files.path / "untitled.net"
        return compile_for_editor(text, name, file, reach=FileAccess(files.path, note))


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def answer(texts: Texts, what: str, asked: dict[str, Any]) -> Any:
    """Returns the answer to a request, as plain data.

    Args:
        texts: What is known already.
        what: The name of the request.
        asked: The request, with the ``folder`` whose files count and the ``seconds`` that the answer may take.

    Raises:
        Refusal: The request cannot be answered, and the message says why.
    """
    try:
        return ANSWERS[what](texts, asked)
    except (FileAccessError, ExportError) as refusal:
        raise Refusal(str(refusal)) from None


class Refusal(Exception):  # noqa: N818 -- not a failure
    """Raised if a request cannot be answered; the message says why."""


def _offset(asked: dict[str, Any]) -> int:
    """A place in the text."""
    at = asked.get("at")
    return min(max(0, at), len(asked["text"])) if isinstance(at, int) else 0


def _picture(texts: Texts, asked: dict[str, Any]) -> dict[str, str]:
    unfolded = asked.get("unfolded")
    keys = {str(key) for key in unfolded} if isinstance(unfolded, list) else set()
    direction: Direction = "LR" if asked.get("direction") == "LR" else "TB"
    try:
        return {"svg": payloads.picture_svg(texts.view(asked), keys, direction, asked["seconds"])}
    except RenderingError as error:  # as common as a text with a mistake in it
        return {"error": str(error)}


def _format(texts: Texts, asked: dict[str, Any]) -> dict[str, str | None]:
    try:
        return {"text": format_source(texts.view(asked).source)}
    except SewdslError:
        return {"text": None}


def _source(texts: Texts, asked: dict[str, Any]) -> dict[str, str]:
    compilation = texts.view(asked).compilation
    if compilation.network is None or not compilation.valid:
        message = "there is no network to write"
        raise Refusal(message)
    return {"text": source(compilation.network)}


ANSWERS: dict[str, Callable[[Texts, dict[str, Any]], Any]] = {
    "look": lambda texts, asked: payloads.overview(texts.view(asked)),
    "picture": _picture,
    "hover": lambda texts, asked: payloads.hover_html(texts.view(asked), _offset(asked)),
    "complete": lambda texts, asked: payloads.completions(texts.view(asked), _offset(asked), texts.datasets),
    "format": _format,
    "source": _source,
    "explain": lambda _, asked: {"html": payloads.markdown_to_html(code_pages().get(str(asked.get("code")), ""))},
}
