"""Each answer about a long text takes a bounded time, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest

from sewdsl.limits import DEFAULT_LIMITS
from tests.effort import share
from tests.lsp.wire import URI, Wire, talk

SIZE = share(DEFAULT_LIMITS.source_bytes)
SECONDS = 16.0 * SIZE / DEFAULT_LIMITS.source_bytes
"""Processor time of each answer, that of ``textDocument/publishDiagnostics`` too; it takes about a fifth."""
HEAD = "sewdsl 1\ninput 2x8x8\nneuron IF\nblock Mine(c=in) = c$(c)k1-BN-SN\n"


def filled(before: str, unit: str, after: str) -> str:
    """A text of the largest size."""
    count = (SIZE - len(f"{HEAD}{before}{after}")) // len(unit.encode())
    return f"{HEAD}{before}{unit * count}{after}"


@pytest.mark.deep
@pytest.mark.parametrize(
    "text",
    [
        filled("body ", "ADD[Mine(c=2)\n| id]-", "BN\n"),
        filled("body BN", "-Mine(2–", "\n"),
        filled("body Mine\n", "# é\nsteps 😀\n", ""),
    ],
    ids=["calls", "mistakes", "lines"],
)
def test_answers_about_a_large_text(text: str) -> None:
    """The first answer takes as long as reading the text, which is what problems wait for, too."""
    times: dict[str, float] = {}

    async def what(wire: Wire) -> None:
        wire.open(text)
        for number, (method, params) in enumerate(requests(text)):
            begun = process_time()
            wire.ask(f"textDocument/{method}", {"textDocument": {"uri": URI}, **params}, id=number)
            answer = await wire.answer(number)
            times[method] = max(times.get(method, 0), process_time() - begun)
            assert "result" in answer or (method, answer["error"]["code"]) == ("rename", -32602)
        assert any(message.get("method") == "textDocument/publishDiagnostics" for message in wire.sent)

    talk(what, seconds=600)
    assert max(times.values()) < SECONDS, times


def requests(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return all requests about a text, at its beginning, in its middle and at its end."""
    yield "documentSymbol", {}
    for offset in (HEAD.index("Mine"), len(text) // 2, len(text)):
        before = text[:offset]
        at = {"position": {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}}
        yield from ((method, at) for method in ("hover", "completion", "definition", "prepareRename"))
        yield "references", {**at, "context": {"includeDeclaration": True}}
        yield "rename", {**at, "newName": "Yours"}
    whole = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 2**20, "character": 0}}}
    yield "inlayHint", whole
    yield "codeAction", {**whole, "context": {"diagnostics": []}}
    yield "foldingRange", {}
    yield "formatting", {"options": {"tabSize": 4, "insertSpaces": True}}
