"""Target: the language server answers each request once, in time, with a result or error code.

A document is opened, changed and queried. Some requests have invalid parameters, and some are sent together and
cancelled.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.lsp.wire import Wire
from tools.fuzz.texts import piece

SECONDS = 60.0
"""Processor time limit per text, with about ten requests."""
URI = "untitled:a"
ASKED = 8
"""Number of requests per text."""

_WRONG_PARAMETERS, _WRONG_REQUEST, _NO_METHOD, _CANCELLED, _MODIFIED = -32602, -32600, -32601, -32800, -32801
_REQUIRED = {"textDocument", "uri", "position", "line", "character", "range", "start", "end", "newName", "options"}
"""Required members of requests, which have a single type."""
_VALUES: tuple[Any, ...] = (None, True, -1, 1.5, 2**40, "", "x", [], {}, [1], {"line": 1}, [[]] * 20)


def ask(text: str, random: Random) -> None:
    """Open a document and send requests."""
    asyncio.run(_talk(text, random))


async def _talk(text: str, random: Random) -> None:
    wire = Wire()
    wire.open(text, URI)
    expected: dict[int, set[int]] = {}
    version = 1
    for request_id in range(ASKED):
        if random.random() < 0.3:
            version += 1
            text = _changed(text, random)
            wire.change(version, text, URI)
        method, params = _request(text, random)
        expected[request_id] = {0, _WRONG_PARAMETERS} if method == "textDocument/rename" else {0}
        draw = random.random()
        # Requests with invalid parameters, unknown methods, or at a wrong time.
        if draw < 0.3:
            params, codes = _spoilt(params, random)
            expected[request_id] = codes | (expected[request_id] if 0 in codes else set())
        elif draw < 0.35:
            method, expected[request_id] = random.choice(
                (("textDocument/none", {_NO_METHOD}), ("exit", {_WRONG_REQUEST}))
            )
        wire.ask(method, params, id=request_id)
        if random.random() < 0.1:
            wire.ask("$/cancelRequest", {"id": request_id})
            # The request may be answered before the cancellation arrives.
            expected[request_id] = {*expected[request_id], _CANCELLED}
        # Half of the answers are awaited before the next request.
        if random.random() < 0.5:
            await wire.answer(request_id)
        expected[request_id] |= {_MODIFIED} if method == "textDocument/rename" else set()
    for request_id, codes in expected.items():
        answer = await wire.answer(request_id)
        assert answer.get("error", {}).get("code", 0) in codes, (answer, codes)
    wire.ask("shutdown", id="last")
    await wire.answer("last")
    assert not [message for message in wire.sent if message.get("method") == "window/showMessage"], wire.sent


def _changed(text: str, random: Random) -> str:
    begin = random.randint(0, len(text))
    end = begin + random.choice((0, 0, 1, 5))
    return text[:begin] + piece(random) + text[end:]


def _request(text: str, random: Random) -> tuple[str, dict[str, Any]]:
    """Return a request with valid parameters, whose positions are inside or outside of the text."""
    lines = text.count("\n")

    def position() -> dict[str, int]:
        if random.random() < 0.1:
            return {"line": random.choice((0, lines + 5, 2**31 - 1)), "character": random.choice((0, 2**31 - 1))}
        offset = random.randint(0, len(text))
        line = text.count("\n", 0, offset)
        return {"line": line, "character": offset - text.rfind("\n", 0, offset) - 1}

    others = ("untitled:b", "file:///none.net", "")
    document = {"textDocument": {"uri": URI if random.random() < 0.95 else random.choice(others)}}
    range_ = {"start": {"line": 0, "character": 0}, "end": position()}
    name = random.choice(("Yours", "k", "é", "", "Yours Too", text[:40]))
    return random.choice(
        (
            ("textDocument/hover", {**document, "position": position()}),
            ("textDocument/completion", {**document, "position": position()}),
            ("textDocument/definition", {**document, "position": position()}),
            ("textDocument/references", {**document, "position": position(), "context": {"includeDeclaration": True}}),
            ("textDocument/prepareRename", {**document, "position": position()}),
            ("textDocument/rename", {**document, "position": position(), "newName": name}),
            ("textDocument/inlayHint", {**document, "range": range_}),
            ("textDocument/codeAction", {**document, "range": range_, "context": {"diagnostics": []}}),
            ("textDocument/documentSymbol", document),
            ("textDocument/foldingRange", document),
            ("textDocument/formatting", {**document, "options": {"tabSize": 4, "insertSpaces": True}}),
        )
    )


def _spoilt(params: dict[str, Any], random: Random) -> tuple[dict[str, Any], set[int]]:
    """Return parameters with one changed or missing member, and the error codes that may follow."""
    spoilt = copy.deepcopy(params)
    parent, key = random.choice(list(_members(spoilt)))
    if random.random() < 0.3:
        del parent[key]
        return spoilt, {_WRONG_PARAMETERS} if key in _REQUIRED else {0, _WRONG_PARAMETERS}
    # Members of a wrong type may be converted or rejected.
    parent[key] = random.choice(_VALUES)
    return spoilt, {0, _WRONG_PARAMETERS}


def _members(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _members(inner)
