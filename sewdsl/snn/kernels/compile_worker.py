"""Process that compiles kernels into the cache: a source per line of standard input, a line of output for each."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from sewdsl.snn.kernels import compile_cache


def main() -> None:
    """Compile until standard input ends, which is when the process that started this one ends."""
    for line in sys.stdin:
        with suppress(Exception):  # The other process compiles what is missing, and reports why it cannot.
            compile_cache.load_source(**json.loads(line))
        print(flush=True)  # noqa: T201 -- the process that started this one reads it
