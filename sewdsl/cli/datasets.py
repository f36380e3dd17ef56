"""Names of the data sets, for servers that must end at once whenever they are asked to."""

from __future__ import annotations

import subprocess
import sys

_ASK = "from sewdsl.train.data import datasets; print(*sorted(datasets()), sep='\\n')"


def names() -> list[str]:
    """All that a recipe can name, sorted; none if they cannot be known.

    They are asked for in another process: it imports torch, and a process that ends while one of its threads does so
    may wait for ever.
    """
    command = [sys.executable, "-c", _ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    return done.stdout.split() if not done.returncode else []
