"""The server as an editor meets it, at times as another process, spoken to over its standard input and output."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from sewdsl.compiler import shipped_networks
from tests.lsp.editor import EVERYWHERE, LIBRARY, NET, Editor, edit
from tests.words import check_words, raises


def test_diagnostics_and_their_fixes(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        (said,) = await editor.open("a.net", NET)
        assert (said.code, said.source, said.severity) == ("missing-hyphen", "sewdsl", lsp.DiagnosticSeverity.Error)
        check_words(said.message)
        action, every = await editor.actions("a.net", said)
        assert (action.kind, every.kind) == (lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.SourceFixAll)
        for only in ("source", "source.fixAll", ""):
            assert every in await editor.actions("a.net", said, only)
        assert await editor.actions("a.net", said, "quickfix") == [action]
        assert await editor.actions("a.net", said, "refactor", "source.fix") == []
        assert (action.title, action.is_preferred) == ("insert the missing '-'", True)
        assert action.edit is not None
        assert action.edit.changes is not None
        (change,) = action.edit.changes[editor.uri("a.net")]
        line = NET.split("\n")[3]
        column = change.range.start.character
        assert change.range.start == change.range.end
        assert f"{line[:column]}{change.new_text}{line[column:]}" == line.replace("PLIFMPk2", "PLIF-MPk2")
        editor.type("a.net", NET.replace("PLIFMP", "PLIF-MP"), 2)
        assert await editor.heard("a.net") == []

    edit(tmp_path, what)


def test_what_a_used_file_gets_wrong_stands_at_its_use(tmp_path: Path) -> None:
    async def what(editor: Editor) -> None:
        good = NET.replace("PLIFMP", "PLIF-MP")
        assert await editor.open("a.net", good) == []
        (editor.folder / "lib.net").write_text(LIBRARY.replace("-SN", "-NS"))
        identifier = lsp.TextDocumentIdentifier(editor.uri("lib.net"))
        editor.client.text_document_did_save(lsp.DidSaveTextDocumentParams(identifier))
        (said,) = await editor.heard("a.net")
        assert said.range.start.line == 1
        assert said.message.startswith("lib.net:3:28: unknown name 'NS'")

    edit(tmp_path, what)


def test_what_does_not_fit_the_data_is_an_error(tmp_path: Path) -> None:
    """`allow` cannot suppress the error, because the network cannot be trained."""
    text = "sewdsl 1\ninput 1x28x28\nbody c4k3-BN-IF-FC10\ntrain on mnist5 {\n    optimizer Adam(lr=0.01)\n}\n"

    async def what(editor: Editor) -> None:
        (said,) = await editor.open("w.net", text)
        assert (said.code, said.severity) == ("unknown-name", lsp.DiagnosticSeverity.Error)
        check_words(said.message)
        assert (said.range.start, said.range.end) == (lsp.Position(3, 9), lsp.Position(3, 15))
        (meant,) = await editor.actions("w.net", said)
        assert meant.title == "write 'mnist5k'"
        editor.type("w.net", text.replace("mnist5", "mnist5k").replace("FC10", "FC9"), 2)
        (said,) = await editor.heard("w.net")
        assert said.code == "data-mismatch"

    edit(tmp_path, what)


def test_a_warning_can_be_allowed(tmp_path: Path) -> None:
    text = "sewdsl 1\ninput 1x9x9\nbody c4k3-BN-IF-MPk2-FC2\n"

    async def what(editor: Editor) -> None:
        (said,) = await editor.open("w.net", text)
        assert (said.code, said.severity) == ("cropped-input", lsp.DiagnosticSeverity.Warning)
        *_, last = await editor.actions("w.net", said)
        assert last.title == "allow cropped-input in this file"
        assert last.edit is not None
        assert last.edit.changes is not None
        (change,) = last.edit.changes[editor.uri("w.net")]
        lines = text.split("\n")
        place_ = change.range.start
        mended = "\n".join([*lines[: place_.line], lines[place_.line] + change.new_text, *lines[place_.line + 1 :]])
        editor.type("w.net", mended, 2)
        assert await editor.heard("w.net") == []

    edit(tmp_path, what)


def test_places_and_names(tmp_path: Path) -> None:
    good = NET.replace("PLIFMP", "PLIF-MP")

    async def what(editor: Editor) -> None:
        client = editor.client
        await editor.open("a.net", good)
        await editor.open("lib.net", LIBRARY)
        hover = await client.text_document_hover_async(lsp.HoverParams(**editor.at("a.net", "c8k3")))
        assert hover is not None
        assert isinstance(hover.contents, lsp.MarkupContent)
        assert hover.contents.value.startswith("`c8k3s1p1d1g1b0`  \n`[2, 32, 32] real` → `[8, 32, 32] real`")
        assert hover.range is not None
        assert hover.range.start.character == 5
        items = await client.text_document_completion_async(lsp.CompletionParams(**editor.at("a.net", "GAP")))
        assert isinstance(items, list | tuple)
        assert {"Mine", "SEW Block", "PLIF"} <= {item.label for item in items}
        place = await client.text_document_definition_async(lsp.DefinitionParams(**editor.at("a.net", "Mine")))
        assert isinstance(place, lsp.Location)
        assert (place.uri, place.range.start) == (editor.uri("lib.net"), lsp.Position(2, 6))
        found = await client.text_document_references_async(
            lsp.ReferenceParams(context=lsp.ReferenceContext(include_declaration=True), **editor.at("lib.net", "Mine"))
        )
        assert found is not None
        assert [(Path(f.uri).name, f.range.start.line) for f in found] == [("lib.net", 2), ("a.net", 3)]
        calls = await client.text_document_references_async(
            lsp.ReferenceParams(context=lsp.ReferenceContext(include_declaration=False), **editor.at("a.net", "Mine"))
        )
        assert calls is not None
        assert [Path(f.uri).name for f in calls] == ["a.net"]
        mine = editor.at("a.net", "Mine")
        renamed = await client.text_document_rename_async(lsp.RenameParams(new_name="Yours", **mine))
        assert renamed is not None
        assert renamed.changes is not None
        assert {uri: [e.new_text for e in edits] for uri, edits in renamed.changes.items()} == {
            editor.uri("a.net"): ["Yours"],
            editor.uri("lib.net"): ["Yours"],
        }
        with raises(JsonRpcException):
            await client.text_document_rename_async(lsp.RenameParams(new_name="BN", **mine))

    edit(tmp_path, what, process=True)


def test_whole_texts(tmp_path: Path) -> None:
    good = NET.replace("PLIFMP", "PLIF-MP")

    async def what(editor: Editor) -> None:
        client = editor.client
        await editor.open("a.net", good)
        text = lsp.TextDocumentIdentifier(editor.uri("a.net"))
        hints = await client.text_document_inlay_hint_async(lsp.InlayHintParams(text, EVERYWHERE))
        assert hints is not None
        assert [hint.label for hint in hints] == ["8×32×32", "8×16×16", "16×16×16", "16", "5"]
        symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(text))
        assert symbols is not None
        assert [symbol.name for symbol in symbols] == ["use", "input", "body"]
        options = lsp.FormattingOptions(4, insert_spaces=True)
        edits = await client.text_document_formatting_async(lsp.DocumentFormattingParams(text, options))
        assert edits is not None
        assert [change.new_text for change in edits] == [
            'sewdsl 1\nuse     "lib.net"\ninput   2x32x32\nbody    c8k3-BN-PLIF-MPk2-Mine(c16)-GAP-FC5\n'
        ]
        editor.type("a.net", edits[0].new_text, 2)
        assert not await client.text_document_formatting_async(lsp.DocumentFormattingParams(text, options))
        editor.type("a.net", f"{good}train on mnist5k {{\n    epochs 3\n}}\n", 3)
        folds = await client.text_document_folding_range_async(lsp.FoldingRangeParams(text))
        assert folds is not None
        assert [(fold.start_line, fold.end_line) for fold in folds] == [(4, 5)]

    edit(tmp_path, what)


def test_a_large_network_as_one_types(tmp_path: Path) -> None:
    """Only the last of several versions has diagnostics. The test prints the delay after a keystroke."""
    text = shipped_networks()["sew-resnet-152"].read_text(encoding="utf-8")

    async def what(editor: Editor) -> None:
        (editor.folder / "imagenet.net").write_text(shipped_networks()["imagenet"].read_text(encoding="utf-8"))
        assert await editor.open("big.net", text) == []
        times = []
        for version in range(2, 7):
            begin = time.perf_counter()
            editor.type("big.net", text + "#" * version, version)
            hover = lsp.HoverParams(lsp.TextDocumentIdentifier(editor.uri("big.net")), lsp.Position(8, 12))
            assert await editor.client.text_document_hover_async(hover) is not None
            times.append(time.perf_counter() - begin)
        print(f"answer behind a keystroke: median {sorted(times)[len(times) // 2] * 1e3:.0f} ms")  # noqa: T201
        for version in range(7, 27):
            editor.type("big.net", text.replace("FC1000", "FC1000"[: version % 5]), version)
        queue = editor.said[editor.uri("big.net")]
        said = await queue.get()
        while said.version != 26:
            assert said.version in range(2, 7)
            said = await asyncio.wait_for(queue.get(), 20)
        await asyncio.sleep(0.3)
        assert queue.empty(), "what rests is spoken about once"
        (error,) = [d for d in said.diagnostics if d.code != "expectation-failed"]
        assert error.message.startswith("'F'") or error.code == "unknown-name"

    edit(tmp_path, what, process=True)
