"""A process that answers as those of the page's server do, but does what a text says: for tests."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

QUICK = "from tests.serve.misbehaving import main; main()"
"""What takes the place of ``sewdsl.serve.pool.BEGIN``: a process that knows nothing of the language, so that it is
there at once, and answers a text of the language with its number."""
WHOLE = "from tests.serve.misbehaving import main; main(compiles=True)"
"""The same, but a text of the language is answered as it is otherwise."""
HANGS = "hangs"
"""The name that a process has, where Linux shows it, once it hangs."""


def main(*, compiles: bool = False) -> None:
    """Answer requests. ``look`` runs the instruction in a text, and returns the number of the process."""
    if compiles:
        from sewdsl.serve import answers  # noqa: PLC0415 -- what takes most of the time of a start

        look = answers.ANSWERS["look"]
        answers.ANSWERS["look"] = lambda texts, asked: (
            look(texts, asked) if asked["text"].startswith("sewdsl") else _misbehave(asked["text"])
        )
    else:
        sys.modules.update(_no_compiler())
    from sewdsl.serve import worker  # noqa: PLC0415 -- which takes its answers from the module above

    worker.main()


def _no_compiler() -> dict[str, ModuleType]:
    """Return a substitute for the modules that compute answers and load plugins."""
    answers, own_code = ModuleType("sewdsl.serve.answers"), ModuleType("sewdsl.own_code")
    parts = {"Refusal": type("Refusal", (Exception,), {}), "Texts": dict}
    vars(answers).update(parts, answer=lambda _texts, _what, asked: _misbehave(asked["text"]))
    vars(own_code).update(load_plugin=None)
    return {module.__name__: module for module in (answers, own_code)}


def _misbehave(text: str) -> int | str:
    match text.partition("#")[0]:
        case "hang":
            _say_so()
            while True:
                pass
        case "hang in C":
            _say_so()
            re.fullmatch("(a|a)*b", "a" * 60)
        case "wait":
            while True:
                time.sleep(1)
        case "sleep":
            time.sleep(0.3)
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "is killed":
            if sys.platform != "win32":
                os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(3)
        case "raise":
            message = "as is tested"
            raise ValueError(message)
        case "allocate":
            return len(bytearray(int(_worker().MAX_MEMORY) + 2**30))
        case "print":
            print("{}")  # noqa: T201 -- which must not be read as an answer
        case "long":
            return "x" * (int(_worker().MAX_ANSWER) + 1)
    return os.getpid()


def _say_so() -> None:
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/comm").write_text(HANGS, encoding="utf-8")


def _worker() -> Any:
    return sys.modules["sewdsl.serve.worker"]
