"""Every request has one answer: a wrong one an error that says what is wrong, and others in turn."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sewdsl.lsp import convert, open_documents
from sewdsl.lsp.protocol import MAX_MESSAGE, read_messages
from tests.lsp.wire import NET, URI, Wire, talk

TEXT = {"uri": URI}
PLACE = {"line": 1, "character": 7}
AT = {"textDocument": TEXT, "position": PLACE}
ALL = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("hover", None, "params"),
        ("hover", {}, "textDocument"),
        ("hover", {**AT, "textDocument": {"uri": "http://["}}, "textDocument.uri is not a URI"),
        ("hover", {**AT, "position": {"line": -1, "character": 0}}, "params.position"),
        ("rename", AT, "newName"),
        ("codeAction", {"textDocument": TEXT, "range": ALL, "context": {"diagnostics": 5}}, "context.diagnostics"),
        ("documentSymbol", [1], "params"),
    ],
)
def test_wrong_parameters(
    method: str, params: Any, said: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask(f"textDocument/{method}", params, id=1)
        error = (await wire.answer(1))["error"]
        assert error["code"] == -32602
        assert said in error["message"], error["message"]

    talk(what)
    # An editor shows the standard error of the server.
    assert "Traceback" not in capfd.readouterr().err + caplog.text


@pytest.mark.parametrize(
    ("message", "id_", "code", "said"),
    [
        (b"{", None, -32700, "message is not JSON"),
        (b"[" * 100_000, None, -32700, "message is not JSON"),
        (b"\xff", None, -32700, "message is not JSON"),
        ([], None, -32600, "expected an object"),
        ({"id": 1, "method": "textDocument/hover", "params": AT}, 1, -32600, "expected an object"),
        (
            {"jsonrpc": "2.0", "id": [], "method": "textDocument/hover", "params": AT},
            None,
            -32600,
            "id must be a string",
        ),
        ({"jsonrpc": "2.0", "id": None, "method": "shutdown"}, None, -32600, "id must be a string"),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, 1, -32601, "unknown method 5"),
        ({"jsonrpc": "2.0", "id": 1, "method": "textDocument/none"}, 1, -32601, "unknown method"),
        ({"jsonrpc": "2.0", "id": 1, "method": "textDocument/moniker", "params": AT}, 1, -32601, "Method Not Found"),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "initialized", "params": {}},
            1,
            -32600,
            "'initialized' must be a notification",
        ),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}},
            1,
            -32600,
            "server is already initialized",
        ),
        (
            *({"jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {"command": "x"}}, 1, -32602),
            "Invalid Params: Command name 'x'",
        ),
    ],
)
def test_what_is_no_request(message: Any, id_: Any, code: int, said: str) -> None:
    async def what(wire: Wire) -> None:
        wire.send(message)
        error = (await wire.answer(id_))["error"]
        assert (error["code"], error["message"][: len(said)]) == (code, said)
        wire.open()
        wire.ask("textDocument/hover", AT, id=2)
        assert (await wire.answer(2))["result"]

    talk(what)


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("didChange", {"textDocument": TEXT, "contentChanges": []}, "textDocument.version"),
        ("didOpen", {"textDocument": TEXT}, "textDocument.languageId"),
        ("hover", AT, "'textDocument/hover' must be a request"),
    ],
)
def test_what_is_ignored_is_logged(method: str, params: Any, said: str) -> None:
    """The message has no answer, but a line in the log of the editor."""

    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask(f"textDocument/{method}", params)
        (logged,) = [each["params"] for each in wire.sent if each.get("method") == "window/logMessage"]
        assert logged["message"].startswith("ignored: ")
        assert said in logged["message"]
        wire.ask(
            "textDocument/formatting", {"textDocument": TEXT, "options": {"tabSize": 4, "insertSpaces": True}}, id=1
        )
        assert (await wire.answer(1))["result"]
        assert not [each for each in wire.sent if each.get("method") == "window/showMessage"]

    talk(what)


def test_what_later_versions_may_send_is_ignored() -> None:
    async def what(wire: Wire) -> None:
        wire.ask("$/future", {"any": [{"thing": 1}] * 1000})
        wire.send({"jsonrpc": "2.0", "id": "of nothing", "result": 5})
        assert len(wire.sent) == 1

    talk(what)


def test_too_early_and_too_late() -> None:
    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask("textDocument/hover", AT, id=1)
        assert (await wire.answer(1))["error"]["code"] == -32002
        wire.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=2)
        assert "capabilities" in (await wire.answer(2))["result"]
        wire.ask("shutdown", id=3)
        assert (await wire.answer(3))["result"] is None
        wire.ask("textDocument/hover", AT, id=4)
        assert (await wire.answer(4))["error"]["code"] == -32600

    talk(what, initialize=False)


def noted(monkeypatch: pytest.MonkeyPatch, where: ModuleType, name: str) -> list[Any]:
    """The first arguments of the calls of a function."""
    found: list[Any] = []
    function = getattr(where, name)

    def note(first: Any, *arguments: Any, **named: Any) -> Any:
        found.append(first)
        return function(first, *arguments, **named)

    monkeypatch.setattr(where, name, note)
    return found


def test_what_comes_while_one_types_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is about the newest text."""
    compiled = noted(monkeypatch, open_documents, "compile_for_editor")

    async def what(wire: Wire) -> None:
        wire.open()
        for version in range(2, 52):
            wire.change(version, f"{NET}#{version}\n")
            wire.ask("textDocument/hover", AT, id=version)
        for version in range(2, 52):
            assert (await wire.answer(version))["result"]

    talk(what)
    assert set(compiled) == {f"{NET}#51\n"}


def test_what_is_cancelled_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = noted(monkeypatch, convert, "answer_document_symbols")

    async def what(wire: Wire) -> None:
        wire.open()
        for number in range(20):
            wire.ask("textDocument/documentSymbol", {"textDocument": TEXT}, id=number)
        for number in range(1, 20):
            wire.ask("$/cancelRequest", {"id": number})
        assert (await wire.answer(0))["result"]
        for number in range(1, 20):
            assert (await wire.answer(number))["error"]["code"] == -32800

    talk(what)
    assert len(computed) == 1


def test_what_comes_while_an_answer_is_computed_is_handled_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int | None] = []

    async def what(wire: Wire) -> None:
        def symbols(_: Any) -> list[Any]:
            computed.append(wire.server.workspace.get_text_document(URI).version)
            if len(computed) == 1:  # the thread that reads has two more messages
                loop = asyncio.get_running_loop()
                loop.call_soon_threadsafe(wire.change, 2, f"{NET}# newer")
                loop.call_soon_threadsafe(wire.ask, "$/cancelRequest", {"id": 2})
            return []

        monkeypatch.setattr(convert, "answer_document_symbols", symbols)
        wire.open()
        for number in (1, 2, 3):
            wire.ask("textDocument/documentSymbol", {"textDocument": TEXT}, id=number)
        assert (await wire.answer(3))["result"] == []
        assert wire.answers(2)[0]["error"]["code"] == -32800

    talk(what)
    assert computed == [1, 2]


def test_a_new_name_is_not_given_in_another_text_than_it_was_asked_for() -> None:
    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask("textDocument/rename", {**AT, "newName": "Yours"}, id=1)
        wire.change(2, NET.replace("sewdsl 1\n", "sewdsl 1\nblock Other(c) = BN\n"))
        assert (await wire.answer(1))["error"]["code"] == -32801
        wire.ask("textDocument/rename", {**AT, "position": {"line": 2, "character": 7}, "newName": "Yours"}, id=2)
        (edits,) = (await wire.answer(2))["result"]["changes"].values()
        assert [edit["range"]["start"]["line"] for edit in edits] == [2, 4]

    talk(what)


def test_a_project_that_takes_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_documents, "MAX_SEARCH", 0)
    (tmp_path / "pyproject.toml").touch()
    for name in ("a.net", "b.net"):
        (tmp_path / name).write_text(NET)
    uri = (tmp_path / "a.net").as_uri()

    async def what(wire: Wire) -> None:
        wire.open(uri=uri)
        wire.ask("textDocument/rename", {"textDocument": {"uri": uri}, "position": PLACE, "newName": "Yours"}, id=1)
        error = (await wire.answer(1))["error"]
        assert error["code"] == -32803
        assert error["message"] == "searching the project for 'Mine' exceeds the limit of 10 s"

    talk(what)


def test_the_end_comes_after_what_was_asked_before() -> None:
    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask("textDocument/hover", AT, id=1)
        wire.ask("shutdown", id=2)
        assert (await wire.answer(2))["result"] is None
        assert wire.answers(1)[0]["result"]

    talk(what)


class TestHeaders:
    def test_messages(self) -> None:
        stream = b"Content-Length: 2\r\n\r\n{}content-length:3\r\nContent-Type: any\r\n\r\n[1]"
        assert list(read_messages(io.BytesIO(stream))) == [b"{}", b"[1]"]

    def test_what_is_none_is_skipped(self) -> None:
        assert list(read_messages(io.BytesIO(b"x\r\n\r\nContent-Length: x\r\n\r\nContent-Length: 1\r\n\r\n5"))) == [
            b"5"
        ]
        assert list(read_messages(io.BytesIO(b"Content-Length: 9\r\n\r\n{}"))) == []
        assert list(read_messages(io.BytesIO(b"x" * 200_000))) == []

    def test_a_message_that_is_too_long(self) -> None:
        length = MAX_MESSAGE + 1
        stream = io.BytesIO(b"Content-Length: %d\r\n\r\n%bContent-Length: 2\r\n\r\n{}" % (length, b" " * length))
        assert list(read_messages(stream)) == [None, b"{}"]

        async def what(wire: Wire) -> None:
            wire.server.protocol._receive(None)
            assert (await wire.answer(None))["error"]["message"] == "message exceeds the limit of 16,777,216 bytes"

        talk(what)

    def test_the_end_of_the_input_while_a_length_is_huge(self) -> None:
        assert list(read_messages(io.BytesIO(b"Content-Length: 999999999999999999\r\n\r\n{}"))) == [None]


def test_numbers_are_numbers() -> None:
    """JSON has one kind of them."""

    async def what(wire: Wire) -> None:
        wire.open()
        wire.ask("textDocument/hover", {**AT, "position": {"line": 1.0, "character": 7.0}}, id=1)
        assert (await wire.answer(1))["result"]

    talk(what)
