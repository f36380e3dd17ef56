"""A process that answers as those of the page's server do, but does what a text says: for tests."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import Any

from sewdsl.serve import answers, worker

BEGIN = "import sys; sys.path[:] = {path!r}; from tests.serve.misbehaving import main; main()"
"""What takes the place of ``sewdsl.serve.pool.BEGIN``."""


LOOK = answers.ANSWERS["look"]


def _look(texts: answers.Texts, asked: dict[str, Any]) -> Any:
    match asked["text"].split("#")[0]:
        case "hang":
            while True:
                pass
        case "hang in C":
            re.fullmatch("(a|a)*b", "a" * 60)
        case "sleep":
            time.sleep(0.3)
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            sys.exit(3)
        case "raise":
            message = "as is tested"
            raise ValueError(message)
        case "allocate":
            return len(bytearray(worker.MAX_MEMORY + 2**30))
        case "print":
            print("{}")  # noqa: T201 -- which must not be read as an answer
        case "long":
            return "x" * (worker.MAX_ANSWER + 1)
        case text if text.startswith("sewdsl"):
            return LOOK(texts, asked)
    return os.getpid()


def main() -> None:
    """Answers requests. ``look`` does what a text says that is none of the language, and gives the process's number."""
    answers.ANSWERS["look"] = _look
    worker.main()
