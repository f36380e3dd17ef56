"""TextMate engines: one in Python, and the one that VS Code itself uses where ``editors/vscode`` is built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import cast

from babi.highlight import Compiler, Grammar, Grammars, highlight_line

from editors.textmate import PATH

Scopes = list[str | None]
"""The innermost scope of each character; None where there is only that of the file."""

MODULES = Path(__file__).parents[2] / "editors" / "vscode" / "node_modules"
BUILT = shutil.which("node") is not None and (MODULES / "vscode-textmate").exists()


def python(texts: list[str]) -> list[Scopes]:
    """Highlight a text with babi's engine, which uses Oniguruma's expressions."""
    return [_python(_compiler(), text) for text in texts]


@cache
def _compiler() -> Compiler:
    return Compiler(Grammar.make(json.loads(PATH.read_text(encoding="utf-8"))), Grammars())


def _python(compiler: Compiler, text: str) -> Scopes:
    state, found = compiler.root_state, cast("Scopes", [])
    for number, line in enumerate(text.split("\n")):
        state, regions = highlight_line(compiler, state, f"{line}\n", first_line=not number)
        for region in regions:
            scope = region.scope[-1] if len(region.scope) > 1 else None
            found += [scope] * (region.end - region.start)
    return found[: len(text)]


def vscode(texts: list[str]) -> list[Scopes]:
    """Highlight a text with vscode-textmate."""
    command, environment = ["node", str(Path(__file__).with_name("scopes.js")), str(PATH)], {"NODE_PATH": str(MODULES)}
    done = subprocess.run(
        command, env=os.environ | environment, input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return cast("list[Scopes]", json.loads(done.stdout))
