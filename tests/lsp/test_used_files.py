"""A text is checked against the files that it uses as they are: in the editor if they are open, else on the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lsprotocol import types as lsp

from tests.lsp.editor import LIBRARY, NET, PAUSE, Editor, edit

GOOD = NET.replace("PLIFMP", "PLIF-MP")
BROKEN = LIBRARY.replace("-SN", "-NS")


def place(text: str, word: str) -> lsp.Position:
    before = text[: text.index(word)]
    return lsp.Position(before.count("\n"), len(before) - before.rfind("\n") - 1)


async def nothing_more(editor: Editor) -> None:
    await asyncio.sleep(10 * PAUSE)
    assert all(queue.empty() for queue in editor.said.values())


def changed(editor: Editor, *names: str) -> None:
    """Notify the server of changed files."""
    events = [lsp.FileEvent(editor.uri(name), lsp.FileChangeType.Changed) for name in names]
    editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams(events))


def test_what_is_not_saved_counts(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        assert await editor.open("lib.net", BROKEN)
        (said,) = await editor.open("a.net", GOOD)
        assert said.message.startswith("lib.net:3:28: unknown name 'NS'")
        assert said.related_information is not None
        (there,) = said.related_information
        assert there.location == lsp.Location(
            editor.uri("lib.net"), lsp.Range(lsp.Position(2, 27), lsp.Position(2, 29))
        )
        assert there.message.startswith("unknown name 'NS'")
        editor.type("lib.net", LIBRARY, 2)
        assert await editor.heard("lib.net") == []
        assert await editor.heard("a.net") == []
        await nothing_more(editor)

    edit(tmp_path, what)


def test_a_change_goes_through_several_files(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        (editor.folder / "between.net").write_text('sewdsl 1\nuse "lib.net"\n')
        above = GOOD.replace("lib.net", "between.net")
        assert await editor.open("a.net", above) == []
        assert await editor.open("other.net", GOOD.replace('use "lib.net"\n', "").replace("-Mine (c16)", "")) == []
        await editor.open("lib.net", LIBRARY)
        assert await editor.heard("a.net") == []
        editor.type("lib.net", BROKEN, 2)
        (said,) = await editor.heard("a.net")
        assert said.message.startswith("lib.net:3:28: unknown name 'NS'")
        assert said.range.start == lsp.Position(1, 4)
        editor.type("lib.net", LIBRARY, 3)
        assert await editor.heard("a.net") == []
        assert [len(await editor.heard("lib.net")) for _ in range(2)] == [1, 0]
        await nothing_more(editor)  # above all not of other.net, which uses nothing

    edit(tmp_path, what)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        for name, text in (("x/lib.net", LIBRARY), ("y/lib.net", "sewdsl 1\nsteps\n")):
            (editor.folder / name).parent.mkdir()
            (editor.folder / name).write_text(text)
        (said,) = await editor.open(
            "a.net", GOOD.replace("lib.net", "x/lib.net").replace("input", 'use "y/lib.net"\ninput')
        )
        assert said.message.startswith("y/lib.net:2:")
        assert said.range.start.line == 2

    edit(tmp_path, what)


def test_closed_without_saving_the_disk_counts_again(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        await editor.open("lib.net", BROKEN)
        assert await editor.open("a.net", GOOD)
        editor.client.text_document_did_close(
            lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(editor.uri("lib.net")))
        )
        assert await editor.heard("a.net") == []
        assert await editor.heard("lib.net") == []

    edit(tmp_path, what)


def test_a_used_file_need_not_be_saved_at_all(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        (said,) = await editor.open("a.net", GOOD.replace("lib.net", "new.net").replace("-Mine (c16)", ""))
        assert said.code == "use-not-found"
        await editor.open("new.net", LIBRARY)
        assert await editor.heard("a.net") == []
        use = lsp.DefinitionParams(**editor.at("a.net", "new.net"))
        found = await editor.client.text_document_definition_async(use)
        assert isinstance(found, lsp.Location)
        assert found.uri == editor.uri("new.net")

    edit(tmp_path, what)


def test_answers_follow_what_is_not_saved(tmp_path: Path) -> None:
    """Hover, definition and the places of a new name are those of the text that is in the editor."""
    moved = LIBRARY.replace("block Mine(c) = c", "# 😀\n\nblock   Mine(c) = BN-c")

    async def what(editor: Editor) -> None:
        await editor.open("a.net", GOOD)
        await editor.open("lib.net", LIBRARY)
        editor.type("lib.net", moved, 2)
        mine = editor.at("a.net", "Mine")
        hover = await editor.client.text_document_hover_async(lsp.HoverParams(**mine))
        assert hover is not None
        assert isinstance(hover.contents, lsp.MarkupContent)
        assert "block   Mine(c) = BN-c$(c)k3-BN-SN" in hover.contents.value
        found = await editor.client.text_document_definition_async(lsp.DefinitionParams(**mine))
        assert isinstance(found, lsp.Location)
        assert found.range.start == place(moved, "Mine")
        new = await editor.client.text_document_rename_async(lsp.RenameParams(new_name="Yours", **mine))
        assert new is not None
        assert new.changes is not None
        assert {uri: [change.range.start for change in edits] for uri, edits in new.changes.items()} == {
            editor.uri("a.net"): [place(GOOD, "Mine")],
            editor.uri("lib.net"): [place(moved, "Mine")],
        }

    edit(tmp_path, what)


def test_files_that_are_not_open_see_it_too(tmp_path: Path) -> None:
    """A third file, saved and closed, calls the block of an unsaved text."""

    async def what(editor: Editor) -> None:
        (editor.folder / "third.net").write_text(GOOD.replace("Mine", "Newer"))
        await editor.open("lib.net", LIBRARY)
        editor.type("lib.net", LIBRARY.replace("Mine", "Newer"), 2)
        newer = editor.at("lib.net", "Newer")
        found = await editor.client.text_document_references_async(
            lsp.ReferenceParams(context=lsp.ReferenceContext(include_declaration=False), **newer)
        )
        assert found is not None
        assert [one.uri for one in found] == [editor.uri("third.net")]

    edit(tmp_path, what)


def test_what_changes_on_the_disk_is_watched(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        assert await editor.open("a.net", GOOD) == []
        (watched,) = editor.watched
        assert watched.method == lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES
        assert watched.register_options == {"watchers": [{"globPattern": "**/*.net"}]}
        (editor.folder / "lib.net").write_text(BROKEN)
        changed(editor, "lib.net")
        (said,) = await editor.heard("a.net")
        assert said.message.startswith("lib.net:3:28")
        (editor.folder / "lib.net").unlink()
        changed(editor, "lib.net")
        assert (await editor.heard("a.net"))[0].code == "use-not-found"
        (editor.folder / "lib.net").write_text(LIBRARY)
        changed(editor, "lib.net", "a.net")
        assert await editor.heard("a.net") == []
        changed(editor, "third.net")
        await nothing_more(editor)

    edit(tmp_path, what)


def test_answers_follow_the_disk_where_nobody_watches(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        assert await editor.open("a.net", GOOD) == []
        (editor.folder / "lib.net").write_text(LIBRARY.replace("-BN", "-BN-BN"))
        hover = await editor.client.text_document_hover_async(lsp.HoverParams(**editor.at("a.net", "Mine")))
        assert hover is not None
        assert isinstance(hover.contents, lsp.MarkupContent)
        assert "-BN-BN-SN" in hover.contents.value

    edit(tmp_path, what)
