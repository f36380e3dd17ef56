"""In which order texts are checked: what is being typed first, and what uses it once that rests."""

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.workspace import Workspace

from sewdsl.lsp.server import Server, serve

LIBRARY = "sewdsl 1\nneuron IF\nblock Mine(c) = c$(c)k3-BN-SN\n"
NET = 'sewdsl 1\nuse "lib.net"\ninput 2x9x9\nbody Mine (c16)\n'


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were spoken about, in order."""
    found: list[str] = []
    monkeypatch.setattr(
        Server,
        "text_document_publish_diagnostics",
        lambda _, params: found.append(params.uri.rsplit("/")[-1]),
    )
    return found


def test_what_is_typed_interrupts_what_is_checked_again(tmp_path: Path, said: list[str]) -> None:
    server = serve("0", [])
    workspace = server.protocol._workspace = Workspace(tmp_path.as_uri(), lsp.TextDocumentSyncKind.Full)
    texts = {"lib.net": LIBRARY, "a.net": NET, "b.net": NET, "c.net": NET}
    for name, text in texts.items():
        workspace.put_text_document(lsp.TextDocumentItem((tmp_path / name).as_uri(), "sewdsl", 1, text))
    library = (tmp_path / "lib.net").as_uri()

    def change(version: int) -> None:
        name = lsp.VersionedTextDocumentIdentifier(uri=library, version=version)
        whole = lsp.TextDocumentContentChangeWholeDocument(LIBRARY + "#" * version)
        workspace.update_text_document(name, whole)

    async def what() -> None:
        for name in texts:
            server.publish((tmp_path / name).as_uri())
        said.clear()
        change(2)
        server.publish(library)
        checking = asyncio.create_task(server.republish())
        await asyncio.sleep(0)
        change(3)
        typing = asyncio.create_task(server.publish_later(library, 3))
        await checking
        assert said == ["lib.net", "a.net"]
        await typing
        assert said == ["lib.net", "a.net", "lib.net", "a.net", "b.net", "c.net"]

    asyncio.run(what())
