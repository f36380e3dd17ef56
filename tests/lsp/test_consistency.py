"""Files that use each other are opened, changed, saved, deleted and closed at random: all is said as it is then."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from sewdsl.editing import compile_for_editor
from sewdsl.elaborate.text_files import FileAccess
from sewdsl.lsp.convert import to_diagnostics
from sewdsl.lsp.open_documents import OpenDocument
from tests.lsp.editor import PAUSE, Editor, edit

STEPS = 60
NAMES = ["a.net", "b.net", "c.net", "d/e.net"]
TEXTS = [
    "sewdsl 1\nneuron IF\nblock Mine(c) = c$(c)k3-BN-SN\n",
    "sewdsl 1\nneuron IF\n\nblock Yours = BN-NS\nblock Mine(c) = q\n",
    'sewdsl 1\nuse "NAME"\ninput 2x9x9\nbody Mine (c16)-Yours\n',
    'sewdsl 1\nuse "NAME"\nuse "../NAME"\nblock Yours = Mine (c4)\n',
    'sewdsl 1\nuse "d/NAME"\ninput 2x9x9\nbody {Mine (c8)}*3-FC10\n',
    "sewdsl 1\nblock \n",
]


class Play:
    """Random deeds of a user, and of others on the same disk."""

    def __init__(self, editor: Editor, by: random.Random) -> None:
        self.editor, self.by, self.open, self.version = editor, by, dict[str, str](), 1

    async def deed(self) -> None:
        name = self.by.choice(NAMES)
        text = self.by.choice(TEXTS).replace("NAME", Path(self.by.choice(NAMES)).name)
        deed = self.by.choice([self.type, self.type, self.type, self.save, self.close, self.delete, self.write])
        if name not in self.open and deed in (self.type, self.save, self.close):
            deed = self.begin
        deed(name, text)
        if self.by.random() < 0.3:
            await asyncio.sleep(2 * PAUSE * self.by.random())

    def begin(self, name: str, text: str) -> None:
        file = self.editor.folder / name
        self.open[name] = file.read_text() if file.exists() else text
        item = lsp.TextDocumentItem(self.editor.uri(name), "sewdsl", self.version, self.open[name])
        self.editor.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def type(self, name: str, text: str) -> None:
        self.version += 1
        self.open[name] = text
        self.editor.type(name, text, self.version)

    def save(self, name: str, _: str) -> None:
        (self.editor.folder / name).write_text(self.open[name])
        self.editor.client.text_document_did_save(
            lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(self.editor.uri(name)))
        )
        self.tell(name)

    def close(self, name: str, _: str) -> None:
        del self.open[name]
        self.editor.client.text_document_did_close(
            lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(self.editor.uri(name)))
        )

    def write(self, name: str, text: str) -> None:
        (self.editor.folder / name).write_text(text)
        self.tell(name)

    def delete(self, name: str, _: str) -> None:
        (self.editor.folder / name).unlink(missing_ok=True)
        self.tell(name)

    def tell(self, name: str) -> None:
        event = lsp.FileEvent(self.editor.uri(name), lsp.FileChangeType.Changed)
        self.editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))

    def fresh(self, name: str) -> list[lsp.Diagnostic]:
        """Return the diagnostics of a text, computed without caches."""
        file = self.editor.folder / name
        opened = {(self.editor.folder / other).resolve(): text for other, text in self.open.items()}
        return to_diagnostics(
            OpenDocument(
                self.editor.uri(name),
                compile_for_editor(self.open[name], str(file), file, reach=FileAccess(opened=opened.get)),
            )
        )


@pytest.mark.parametrize("seed", range(1))
def test_in_the_end_all_is_said_as_it_is(tmp_path: Path, seed: int) -> None:
    async def what(editor: Editor) -> None:
        (editor.folder / "d").mkdir()
        play = Play(editor, random.Random(seed))  # noqa: S311 -- the same every time
        last: dict[str, list[lsp.Diagnostic]] = {}
        for _ in range(5):
            for _ in range(STEPS // 5):
                await play.deed()
            await quiet(editor, last)
            for name in NAMES:
                expected = play.fresh(name) if name in play.open else []
                assert last.get(editor.uri(name), []) == expected, (name, play.open)
        assert editor.shown == []

    edit(tmp_path, what)


async def quiet(editor: Editor, last: dict[str, list[lsp.Diagnostic]]) -> None:
    """Wait until no message arrives, and keep the last diagnostics of each text."""
    said = True
    while said:
        await asyncio.sleep(20 * PAUSE)
        said = False
        for uri, queue in editor.said.items():
            while not queue.empty():
                last[uri], said = list(queue.get_nowait().diagnostics), True
