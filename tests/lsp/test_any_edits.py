"""Whatever is typed, the server answers: random edits of two files, one of which uses the other, and questions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams

from tests.lsp.editor import EVERYWHERE, LIBRARY, Editor, edit

STEPS = 60
PIECES = [
    *'-{}<>[]()|*=,.#"$\n\r\t 0159xéσ–😀\u2028\ufeff\0',
    *("\r\n", "$(c)", "{SEW Block (c8)}*2", "id or ", "g[", "ADD[a|b]", "block Mine(c) = ", "body ", "Mine (c4)-"),
    *('use "lib.net"\n', 'use "a.net"\n', "train on mnist5k {\n", "}\n", "steps 4\n", "c8k3", "PLIF(tau=2.0)", "😀-é"),
    *(
        'allow cropped-input "why"\r\n',
        "study {\n vary join ADD\n}\n",
        "expect output 5\n",
        "sewdsl 1\n",
        "*99999999999",
    ),
]
START = {
    "a.net": 'sewdsl 1\r\nuse "lib.net"\r\ninput 2x32x32\r\nbody c8k3-BN-PLIF-{Mine (c8)}*3-GAP-FC5 # 😀\r\n',
    "lib.net": LIBRARY,
}


def edited(text: str, by: random.Random) -> str:
    """Delete text at one or two positions and insert other text, some of it from elsewhere in the text."""
    for _ in range(by.randint(1, 2)):
        begin = by.randint(0, len(text))
        end = begin + by.choice([0, 0, 1, 3, 20])
        copied = by.randint(0, len(text))
        piece = by.choice([*PIECES, text[copied : copied + 30], ""])
        text = text[:begin] + piece + text[end:]
    return text[:2000]


def questions(editor: Editor, name: str, by: random.Random) -> list[Callable[[], Awaitable[object]]]:
    """Return requests at random positions of a text, some of them beyond its end."""
    client, text = editor.client, lsp.TextDocumentIdentifier(editor.uri(name))

    def at() -> dict[str, Any]:
        position = lsp.Position(by.randint(0, editor.texts[name].count("\n") + 1), by.randint(0, 80))
        return {"text_document": text, "position": position}

    context = lsp.ReferenceContext(include_declaration=True)
    options = lsp.FormattingOptions(4, insert_spaces=True)
    return [
        lambda: client.text_document_hover_async(lsp.HoverParams(**at())),
        lambda: client.text_document_completion_async(lsp.CompletionParams(**at())),
        lambda: client.text_document_inlay_hint_async(lsp.InlayHintParams(text, EVERYWHERE)),
        lambda: client.text_document_definition_async(lsp.DefinitionParams(**at())),
        lambda: client.text_document_references_async(lsp.ReferenceParams(context=context, **at())),
        lambda: client.text_document_prepare_rename_async(lsp.PrepareRenameParams(**at())),
        lambda: client.text_document_rename_async(lsp.RenameParams(new_name=by.choice(["Yours", "k", "é"]), **at())),
        lambda: client.text_document_document_symbol_async(lsp.DocumentSymbolParams(text)),
        lambda: client.text_document_folding_range_async(lsp.FoldingRangeParams(text)),
        lambda: client.text_document_formatting_async(lsp.DocumentFormattingParams(text, options)),
        lambda: client.text_document_code_action_async(
            lsp.CodeActionParams(text, EVERYWHERE, lsp.CodeActionContext([]))
        ),
    ]


async def spoken_of(editor: Editor, name: str, version: int) -> None:
    """Wait for the diagnostics of a version."""
    queue = editor.said[editor.uri(name)]
    while (await asyncio.wait_for(queue.get(), 30)).version != version:
        pass


@pytest.mark.parametrize("seed", range(2))
def test_any_edits(tmp_path: Path, seed: int) -> None:
    by = random.Random(seed)  # noqa: S311 -- the same every time

    async def what(editor: Editor) -> None:
        for name, text in START.items():
            await editor.open(name, text)
        for version in range(2, STEPS + 2):
            name = by.choice(list(START))
            text = START[name] if by.random() < 0.1 else edited(editor.texts[name], by)
            editor.type(name, text, version)
            for question in by.sample(questions(editor, name, by), 4):
                with suppress(JsonRpcInvalidParams):  # a name that cannot be given
                    await question()
            if by.random() < 0.5:
                await spoken_of(editor, name, version)
        for name, version in editor.versions.items():
            editor.type(name, START[name], version + STEPS)
            await spoken_of(editor, name, version + STEPS)
        assert editor.shown == []

    edit(tmp_path, what)
