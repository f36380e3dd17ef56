"""Open documents, positions, and caches of compiled documents.

A document is compiled again if its text or a file that it uses has changed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Literal, NamedTuple

from lsprotocol import types
from pygls.uris import to_fs_path

from sewdsl.diagnostics import Diagnostic
from sewdsl.editing import EditorView, compile_for_editor, resolve_names
from sewdsl.elaborate.imports import project_folder
from sewdsl.elaborate.text_files import FileAccess, net_files
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.paths import FileStamp, file_stamp
from sewdsl.source import Source, Span
from sewdsl.train.training_plan import check_training

if TYPE_CHECKING:
    from pygls.workspace import TextDocument, Workspace

Units = Literal["utf-8", "utf-16", "utf-32"]

MAX_SEARCHED_FILES = 500
"""Largest number of project files to search for a name."""
MAX_SEARCH = 10.0
"""Processor time limit of reading these files for one request, in seconds."""
MAX_KEPT = 2**20
"""Largest total size of cached saved files, in characters. Other files are read again for each search."""

_UNITS: dict[types.PositionEncodingKind, Units] = {
    types.PositionEncodingKind.Utf8: "utf-8",
    types.PositionEncodingKind.Utf32: "utf-32",
}


@dataclass(frozen=True)
class Positions:
    """Conversion between offsets of a source and positions of the protocol.

    A column after the end of a line is clipped to its end, a line after the last one to the end of the source.
    """

    source: Source
    units: Units = "utf-16"
    """Code units in which columns are counted."""
    _lines: dict[int, Sequence[int]] = field(default_factory=dict, repr=False, compare=False)

    def offset(self, position: types.Position) -> int:
        """Return the offset of a position."""
        starts = self.source.line_starts
        if position.line >= len(starts):
            return len(self.source.text)
        return starts[position.line] + bisect_right(self._columns(position.line), position.character) - 1

    def position(self, offset: int) -> types.Position:
        """Return the position of an offset."""
        line, column = self.source.position(offset)
        columns = self._columns(line - 1)
        return types.Position(line - 1, columns[min(column, len(columns)) - 1])

    def range(self, span: Span) -> types.Range:
        """Return the range of a span."""
        return types.Range(self.position(span.start), self.position(span.end))

    def _columns(self, index: int) -> Sequence[int]:
        """Return the start column of each character of a line (counted from 0), and the end column."""
        if index not in self._lines:
            line = self.source.line(index + 1)
            ascii_ = line.isascii()
            self._lines[index] = range(len(line) + 1) if ascii_ else [0, *accumulate(map(self._width, line))]
        return self._lines[index]

    def _width(self, character: str) -> int:
        if self.units == "utf-32":
            return 1
        if self.units == "utf-16":
            return 1 + (ord(character) > 0xFFFF)  # noqa: PLR2004 -- a surrogate pair
        return len(character.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class OpenDocument:
    """Open document with its compilation and position units."""

    uri: str
    view: EditorView
    units: Units = "utf-16"

    @cached_property
    def at(self) -> Positions:
        """Conversion between offsets and positions."""
        return Positions(self.view.source, self.units)

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Diagnostics of the compiler, and of the recipe for its dataset."""
        return check_training(self.view.compilation).diagnostics


Held = str | FileStamp
"""Content of a file: the text in the editor if it is open, else the stamp of the saved file."""


class _Cached(NamedTuple):
    """Compiled document, and the contents of the files that it used, directly or indirectly."""

    document: OpenDocument
    used: dict[Path, Held]


class UnreadError(Exception):
    """Raised if a search of a project exceeds its time limit."""


class Documents:
    """Open documents, and the other files of their projects."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, _Cached] = {}
        self._saved: dict[Path, _Cached] = {}
        self._kept = 0
        self._searched: set[Path] = set()

    def __getitem__(self, uri: str) -> OpenDocument:
        """Return an open document, or the document of a saved file."""
        text = self._workspace.get_text_document(uri)
        try:
            content = text.source
        except (OSError, ValueError):  # The document is closed, and its file is missing or not text.
            content = ""
        cached = self._open.get(uri)
        if cached is None or not self._holds(cached, content):
            file = _file(uri) if _resolved_file(uri) else None
            cached = self._open[uri] = self._read(uri, str(file or uri), content, file, compile_for_editor)
        return cached.document

    def forget(self, uri: str) -> None:
        """Drop a closed document."""
        self._open.pop(uri, None)
        # Symbolic links may have other targets when the document is opened again.
        _resolved_file.cache_clear()

    def read_project(self, uri: str) -> Iterator[OpenDocument]:
        """Read all files of a document's project step by step, once per project."""
        file = self[uri].view.file
        folder = project_folder(file) if file else None
        if folder is not None and folder not in self._searched:
            self._searched.add(folder)
            with suppress(UnreadError):
                # The empty word is part of every file.
                yield from self.around(uri, [""])

    def around(self, uri: str, words: Collection[str]) -> Iterator[OpenDocument]:
        """Yield a document, and the files of its project that contain one of some words.

        Words are compared without white space. Open files have the content of their editor.

        Raises:
            UnreadError: If reading the files exceeds the time limit.
        """
        start = process_time()
        document = self[uri]
        # Read this now: the document may be closed before the next step.
        used = self._open[uri].used
        yield document
        if document.view.file is None:
            return
        uris = {resolved: text.uri for text in self._texts() if (resolved := _resolved_file(text.uri)) is not None}
        # Used files may be outside of the project folder.
        files = {path: path for path in used}
        files |= {path.resolve(): path for path in net_files(project_folder(document.view.file), MAX_SEARCHED_FILES)}
        files.pop(document.view.file.resolve(), None)
        for resolved, path in sorted(files.items()):
            if process_time() - start > MAX_SEARCH:
                raise UnreadError
            if resolved in uris:
                yield self[uris[resolved]]
            elif saved := self._of_file(path, words):
                yield saved

    def _of_file(self, path: Path, words: Collection[str]) -> OpenDocument | None:
        """Return a saved file if it contains one of some words."""
        try:
            if not path.is_file() or path.stat().st_size > DEFAULT_LIMITS.source_bytes:
                return None
            # Not read_text: newline translation would shift offsets.
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None
        text_without_space = "".join(text.split())
        if not any(word in text_without_space for word in words):
            return None
        cached = self._saved.get(path)
        if cached is None or not self._holds(cached, text):
            if cached is not None:
                self._kept -= len(self._saved.pop(path).document.view.source.text)
            cached = self._read(path.absolute().as_uri(), str(path), text, path, resolve_names)
            if self._kept + len(text) <= MAX_KEPT:
                self._saved[path] = cached
                self._kept += len(text)
        return cached.document

    def _read(self, uri: str, name: str, text: str, file: Path | None, read: Callable[..., EditorView]) -> _Cached:
        used: dict[Path, Held] = {}

        def opened(path: Path) -> str | None:
            content = used[path] = self._held(path)
            return content if isinstance(content, str) else None

        view = read(text, name, file, reach=FileAccess(opened=opened))
        units = _UNITS.get(types.PositionEncodingKind(self._workspace.position_encoding), "utf-16")
        return _Cached(OpenDocument(uri, view, units), used)

    def _holds(self, cached: _Cached, text: str) -> bool:
        """Return whether a cached document is up to date."""
        is_same_text = cached.document.view.source.text == text
        return is_same_text and all(self._held(path) == held for path, held in cached.used.items())

    def _held(self, path: Path) -> Held:
        open_text = next((text for text in self._texts() if _resolved_file(text.uri) == path), None)
        return file_stamp(path) if open_text is None else open_text.source

    def _texts(self) -> list[TextDocument]:
        return list(self._workspace.text_documents.values())


def _file(uri: str) -> Path | None:
    # urlparse takes text after ";" for parameters, but paths may contain it.
    path = to_fs_path(uri.replace(";", "%3B"))
    return Path(path) if path and "\0" not in path else None


@lru_cache(maxsize=1024)
def _resolved_file(uri: str) -> Path | None:
    """Return the resolved path of a URI, or None if there can be no such file."""
    file = _file(uri)
    try:
        if file is not None:
            # Raises OSError for a name that is too long.
            file.exists()
        path = file.resolve() if file else None
        # Since Python 3.13, a symbolic link to itself resolves to itself. Earlier versions raise RuntimeError.
        return None if path and path.is_symlink() else path
    except (OSError, RuntimeError):
        return None
