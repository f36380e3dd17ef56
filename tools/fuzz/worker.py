"""Asks a target about texts, one after the other, and says on the standard output what it is at, as lines of JSON.

Before each text the limit of this process's processor time is set, so that the system ends a process that hangs; where
it hung is written to the standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import signal
import sys
import traceback
from random import Random
from time import process_time

from tools.fuzz.running import text_for


def main(target: str, seed: int, first: int, stop: int, seconds: float) -> None:
    """Asks about the texts of the numbers from ``first`` up to ``stop``."""
    if sys.platform == "win32":
        raise SystemExit("error: Windows does not limit the processor time of a process")
    import resource  # noqa: PLC0415 -- Windows has no such module

    ask, texts = importlib.import_module(f"tools.fuzz.{target}").ask, text_for(target)
    ask("", Random(0))  # noqa: S311 -- what is built at first need is no text's fault
    faulthandler.register(signal.SIGXCPU, file=sys.stderr, all_threads=False, chain=True)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    for number in range(first, stop):
        text, random = texts(seed, number), Random(f"{target}/{seed}/{number}")  # noqa: S311 -- the same for a seed
        began = process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(began + seconds) + 2, hard))
        _say(number=number)
        error = ""
        try:
            ask(text, random)
        except Exception:  # noqa: BLE001 -- whatever it is, it is what is looked for
            error = traceback.format_exc()
        _say(number=number, seconds=process_time() - began, error=error)


def _say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
