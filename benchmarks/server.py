"""Response times of the language server for SEW ResNet-152: ``python -m benchmarks.server``.

A server process is queried over its standard input and output, as by an editor. The file is in a folder with all
shipped networks and a hundred more that call the same block. ``first`` is the first answer of its kind. ``typed`` is
after a keystroke, as median and maximum of many. Diagnostics come after a pause of 50 ms, which counts. ``again`` is
for an unchanged document. The server has some seconds between opening the document and the first request.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.definitions import shipped_blocks

ROUNDS = 15
MORE = 100
REST = 5.0
Question = Callable[[], Awaitable[object]]
Times = tuple[float, list[float], list[float]]


class Session:
    """Server, and an open document.

    Args:
        file: File in a folder that becomes the project.
    """

    def __init__(self, file: Path) -> None:
        self.uri, self.text, self.version = file.as_uri(), file.read_text(encoding="utf-8"), 1
        self._folder = file.parent
        self.client = LanguageClient("benchmark", "1")
        self._said: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()

        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)  # type: ignore[untyped-decorator]
        def _(params: lsp.PublishDiagnosticsParams) -> None:
            self._said.put_nowait(params)

    async def begin(self) -> None:
        """Start the server."""
        await self.client.start_io(sys.executable, "-m", "sewdsl", "lsp")
        parameters = lsp.InitializeParams(lsp.ClientCapabilities(), root_uri=self._folder.as_uri())
        await self.client.initialize_async(parameters)
        self.client.initialized(lsp.InitializedParams())

    async def end(self) -> None:
        """Stop the server."""
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()  # type: ignore[no-untyped-call]

    async def open(self) -> None:
        """Open the document, and wait for its diagnostics."""
        item = lsp.TextDocumentItem(self.uri, "sewdsl", self.version, self.text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        await self.said()

    def type(self) -> None:
        """Append a character in a comment at the end of the document."""
        self.version += 1
        name = lsp.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        text = f"{self.text}#{'.' * (self.version % 80)}\n"
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(name, [change]))

    async def said(self) -> None:
        """Wait for the diagnostics of the newest version."""
        while (await self._said.get()).version != self.version:
            pass

    def questions(self) -> dict[str, Question]:
        """Return the requests of an editor, by their name in the protocol."""
        client, text = self.client, lsp.TextDocumentIdentifier(self.uri)
        everywhere = lsp.Range(lsp.Position(0, 0), lsp.Position(999, 0))
        at: dict[str, Any] = {"text_document": text, "position": self._block()}
        options = lsp.FormattingOptions(tab_size=4, insert_spaces=True)
        context = lsp.ReferenceContext(include_declaration=True)
        return {
            "hover": lambda: client.text_document_hover_async(lsp.HoverParams(**at)),
            "inlayHint": lambda: client.text_document_inlay_hint_async(lsp.InlayHintParams(text, everywhere)),
            "completion": lambda: client.text_document_completion_async(lsp.CompletionParams(**at)),
            "definition": lambda: client.text_document_definition_async(lsp.DefinitionParams(**at)),
            "references": lambda: client.text_document_references_async(lsp.ReferenceParams(context=context, **at)),
            "rename": lambda: client.text_document_rename_async(lsp.RenameParams(new_name="Another Name", **at)),
            "documentSymbol": lambda: client.text_document_document_symbol_async(lsp.DocumentSymbolParams(text)),
            "foldingRange": lambda: client.text_document_folding_range_async(lsp.FoldingRangeParams(text)),
            "formatting": lambda: client.text_document_formatting_async(lsp.DocumentFormattingParams(text, options)),
            "codeAction": lambda: client.text_document_code_action_async(
                lsp.CodeActionParams(text, everywhere, lsp.CodeActionContext([]))
            ),
        }

    def _block(self) -> lsp.Position:
        """Return the position of the first call of a block."""
        before = self.text[: self.text.index("Own ")].split("\n")
        return lsp.Position(len(before) - 1, len(before[-1]))


def project(folder: Path) -> None:
    """Write all shipped networks and copies of one, with local SEW blocks that can be renamed."""
    own = [shipped_blocks()[name].span.text for name in ("SEWBlock", "SEWBottleneck")]
    (folder / "own.net").write_text("\n".join(["sewdsl 1", *own, ""]).replace("SEW B", "Own B"), encoding="utf-8")
    for name, path in shipped_networks().items():
        text = path.read_text(encoding="utf-8")
        # Shipped blocks cannot be renamed, so the networks use copies.
        used = text.replace("SEW B", "Own B").replace("sewdsl 1\n", 'sewdsl 1\nuse "own.net"\n', 1)
        calls = "SEW B" in text and name != "blocks"
        (folder / f"{name}.net").write_text(used if calls else text, encoding="utf-8")
    text = (folder / "sew-resnet-50.net").read_text(encoding="utf-8")
    for index in range(MORE):
        (folder / f"more-{index}.net").write_text(text, encoding="utf-8")


async def measure(file: Path, rounds: int) -> dict[str, Times]:
    """Return the response times in seconds: first, after keystrokes, and for unchanged documents."""
    session = Session(file)
    await session.begin()
    opened = await _timed(session.open)
    # The server reads the other files of the project in the background.
    await asyncio.sleep(REST)
    times: dict[str, Times] = {
        "publishDiagnostics": (opened, [await _typed(session, session.said) for _ in range(rounds)], [])
    }
    for name, question in session.questions().items():
        first = await _timed(question)
        typed = [await _typed(session, question) for _ in range(rounds)]
        times[name] = first, typed, [await _timed(question) for _ in range(rounds)]
    await session.end()
    return times


async def _typed(session: Session, question: Question) -> float:
    # Let background work finish.
    await asyncio.sleep(0.2)
    begin = perf_counter()
    session.type()
    await question()
    return perf_counter() - begin


async def _timed(question: Question) -> float:
    begin = perf_counter()
    await question()
    return perf_counter() - begin


def main(rounds: int = ROUNDS) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        project(Path(name))
        times_by_name = asyncio.run(measure(Path(name, "sew-resnet-152.net"), rounds))
    write = sys.stdout.write
    write("| answer | first | typed | longest | again |\n|---|---:|---:|---:|---:|\n")
    for name, (first, typed, again) in times_by_name.items():
        times = [first, median(typed), max(typed), *map(median, [again] if again else [])]
        write(f"| `{name}` | {' | '.join(f'{1e3 * seconds:.0f} ms' for seconds in times)} |\n")


if __name__ == "__main__":
    main()
