"""Open texts and their positions: what is known of a text, for as long as neither it nor what it uses changes."""

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
"""Files of a project that are searched for a name."""
MAX_SEARCH = 10.0
"""Processor seconds that the reading of these files may take for one request."""
MAX_KEPT = 2**20
"""Characters of saved files of which it is remembered what was read; others are read again each time."""

_UNITS: dict[types.PositionEncodingKind, Units] = {
    types.PositionEncodingKind.Utf8: "utf-8",
    types.PositionEncodingKind.Utf32: "utf-32",
}


@dataclass(frozen=True)
class Positions:
    """The way between the characters of a text and the protocol's positions.

    A place after the end of a line is at its end, one after the last line at the end of the text.

    Attributes:
        units: In what a column is counted.
    """

    source: Source
    units: Units = "utf-16"
    _lines: dict[int, Sequence[int]] = field(default_factory=dict, repr=False, compare=False)

    def offset(self, position: types.Position) -> int:
        """Return the character at a position."""
        starts = self.source.line_starts
        if position.line >= len(starts):
            return len(self.source.text)
        return starts[position.line] + bisect_right(self._columns(position.line), position.character) - 1

    def position(self, offset: int) -> types.Position:
        """Return the position of a character."""
        line, column = self.source.position(offset)
        columns = self._columns(line - 1)
        return types.Position(line - 1, columns[min(column, len(columns)) - 1])

    def range(self, span: Span) -> types.Range:
        """Return the positions of a span's ends."""
        return types.Range(self.position(span.start), self.position(span.end))

    def _columns(self, number: int) -> Sequence[int]:
        """The column at which each character of a line (counted from 0) begins, and that at which the last one ends."""
        if number not in self._lines:
            line = self.source.line(number + 1)
            ascii_ = line.isascii()
            self._lines[number] = range(len(line) + 1) if ascii_ else [0, *accumulate(map(self._width, line))]
        return self._lines[number]

    def _width(self, character: str) -> int:
        if self.units == "utf-32":
            return 1
        if self.units == "utf-16":
            return 1 + (ord(character) > 0xFFFF)  # noqa: PLR2004 -- beyond it are two units
        return len(character.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class OpenDocument:
    """An open text, and how it is spoken of."""

    uri: str
    view: EditorView
    units: Units = "utf-16"

    @cached_property
    def at(self) -> Positions:
        """The way between characters and positions."""
        return Positions(self.view.source, self.units)

    @cached_property
    def said(self) -> tuple[Diagnostic, ...]:
        """What the compiler says, and what does not fit the recipe's dataset."""
        return check_training(self.view.compilation).diagnostics


Held = str | FileStamp
"""What a file holds: the text in the editor, else the stamp of what is saved."""


class _Known(NamedTuple):
    """A text as it was read.

    Attributes:
        used: What the files held that it uses, through others too, before they were read.
    """

    document: OpenDocument
    used: dict[Path, Held]


class UnreadError(Exception):
    """Raised where a search through a project takes too long."""


class Documents:
    """The open texts, and the files next to them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, _Known] = {}
        self._saved: dict[Path, _Known] = {}
        self._kept = 0
        self._searched: set[Path] = set()

    def __getitem__(self, uri: str) -> OpenDocument:
        """What is known of an open text; of one that is not, what is known of the file."""
        text = self._workspace.get_text_document(uri)
        try:
            content = text.source
        except (OSError, ValueError):  # closed, and not saved as text
            content = ""
        known = self._open.get(uri)
        if known is None or not self._holds(known, content):
            file = _file(uri) if _place(uri) else None
            known = self._open[uri] = self._read(uri, str(file or uri), content, file, compile_for_editor)
        return known.document

    def forget(self, uri: str) -> None:
        """Drop what is known of a text that was closed."""
        self._open.pop(uri, None)
        _place.cache_clear()  # links may lead elsewhere when it is opened again

    def read_project(self, uri: str) -> Iterator[OpenDocument]:
        """All files of its project, in as many steps, so that a later search finds them read; once for each project."""
        file = self[uri].view.file
        folder = project_folder(file) if file else None
        if folder is not None and folder not in self._searched:
            self._searched.add(folder)
            with suppress(UnreadError):
                yield from self.around(uri, [""])

    def around(self, uri: str, words: Collection[str]) -> Iterator[OpenDocument]:
        """A text, and the files of its project that hold a word, without its white space; open ones as they are there.

        Raises:
            UnreadError: It takes too long to read them.
        """
        begun = process_time()
        document = self[uri]
        used = self._open[uri].used  # read now: the text may be closed before the next step
        yield document
        if document.view.file is None:
            return
        opened = {place: text.uri for text in self._texts() if (place := _place(text.uri)) is not None}
        files = {path: path for path in used}  # which may lie where nothing is searched
        files |= {path.resolve(): path for path in net_files(project_folder(document.view.file), MAX_SEARCHED_FILES)}
        files.pop(document.view.file.resolve(), None)
        for place, path in sorted(files.items()):
            if process_time() - begun > MAX_SEARCH:
                raise UnreadError
            if place in opened:
                yield self[opened[place]]
            elif saved := self._of_file(path, words):
                yield saved

    def _of_file(self, path: Path, words: Collection[str]) -> OpenDocument | None:
        """Return a file as it is saved, if it holds one of some words."""
        try:
            if not path.is_file() or path.stat().st_size > DEFAULT_LIMITS.source_bytes:
                return None
            text = path.read_bytes().decode("utf-8-sig")  # line ends as they are: they count
        except (OSError, UnicodeDecodeError):
            return None
        together = "".join(text.split())
        if not any(word in together for word in words):
            return None
        known = self._saved.get(path)
        if known is None or not self._holds(known, text):
            if known is not None:
                self._kept -= len(self._saved.pop(path).document.view.source.text)
            known = self._read(path.absolute().as_uri(), str(path), text, path, resolve_names)
            if self._kept + len(text) <= MAX_KEPT:
                self._saved[path] = known
                self._kept += len(text)
        return known.document

    def _read(self, uri: str, name: str, text: str, file: Path | None, read: Callable[..., EditorView]) -> _Known:
        used: dict[Path, Held] = {}

        def opened(path: Path) -> str | None:
            held = used[path] = self._held(path)
            return held if isinstance(held, str) else None

        view = read(text, name, file, reach=FileAccess(opened=opened))
        units = _UNITS.get(types.PositionEncodingKind(self._workspace.position_encoding), "utf-16")
        return _Known(OpenDocument(uri, view, units), used)

    def _holds(self, known: _Known, text: str) -> bool:
        """Return whether what is known of a text is what would be found out again."""
        same = known.document.view.source.text == text
        return same and all(self._held(path) == held for path, held in known.used.items())

    def _held(self, path: Path) -> Held:
        opened = next((text for text in self._texts() if _place(text.uri) == path), None)
        return file_stamp(path) if opened is None else opened.source

    def _texts(self) -> list[TextDocument]:
        return list(self._workspace.text_documents.values())


def _file(uri: str) -> Path | None:
    """Where a text is saved; None: nowhere that can be said as a path."""
    path = to_fs_path(uri.replace(";", "%3B"))  # which a path may hold, but which begins parameters elsewhere
    return Path(path) if path and "\0" not in path else None


@lru_cache(maxsize=1024)
def _place(uri: str) -> Path | None:
    """Return the same with links resolved, which is how used files are known; None where there can be no such file."""
    file = _file(uri)
    try:
        if file is not None:
            file.exists()  # complains of a name that is too long
        place = file.resolve() if file else None
        return None if place and place.is_symlink() else place  # of a link to itself, since Python 3.13
    except (OSError, RuntimeError):  # that, or a link to itself, before it
        return None
