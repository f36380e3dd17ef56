"""Worker that runs a target on texts, and prints its progress as lines of JSON.

The processor time limit of the process is set before each text, so the system ends a process that hangs. The stack is
written to standard error.
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
    """Run a target on the texts ``first`` to ``stop - 1``."""
    if sys.platform == "win32":
        raise SystemExit("error: Windows does not limit the processor time of a process")
    import resource  # noqa: PLC0415 -- Windows has no such module

    ask, texts = importlib.import_module(f"tools.fuzz.{target}").ask, text_for(target)
    # Exclude lazy imports and caches from the time of the first text.
    ask("", Random(0))  # noqa: S311 -- reproducible
    # SIGXCPU is sent at the soft limit. Its default action would end the process without a trace.
    faulthandler.register(signal.SIGXCPU, file=sys.stderr, all_threads=False, chain=True)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    for number in range(first, stop):
        text, random = texts(seed, number), Random(f"{target}/{seed}/{number}")  # noqa: S311 -- reproducible by seed
        began = process_time()
        # The limit is in total processor time of the process, in whole seconds.
        resource.setrlimit(resource.RLIMIT_CPU, (int(began + seconds) + 2, hard))
        _print_facts(number=number)
        error = ""
        try:
            ask(text, random)
        except Exception:  # noqa: BLE001 -- any error is a failure
            error = traceback.format_exc()
        _print_facts(number=number, seconds=process_time() - began, error=error)


def _print_facts(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
