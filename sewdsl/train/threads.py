"""How torch's threads wait for each other."""

from __future__ import annotations

import os


def set_passive_waiting() -> None:
    """Lets threads that wait sleep; only good before torch is imported, and only where the user has not decided.

    By default they wait in a busy loop. On a machine with other work, it takes the core from the thread that it waits
    for, and training becomes many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
