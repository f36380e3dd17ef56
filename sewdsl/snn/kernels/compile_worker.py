"""Worker process that compiles kernels: one source per input line, one output line each."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from sewdsl.snn.kernels import compile_cache


def main() -> None:
    """Compile sources until standard input closes, i.e. until the parent process exits."""
    for line in sys.stdin:
        with suppress(Exception):  # The parent process compiles missing kernels itself and reports errors.
            compile_cache.load_source(**json.loads(line))
        print(flush=True)  # noqa: T201 -- read by the parent process
