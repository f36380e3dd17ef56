"""Set-up of a training process before torch and Lightning run: threads, Lightning's messages."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def set_passive_waiting() -> None:
    """Lets threads that wait sleep; only good before torch is imported, and only where the user has not decided.

    By default they wait in a busy loop. On a machine with other work, it takes the core from the thread that it waits
    for, and training becomes many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


LOGGERS = ("lightning.pytorch", "lightning.fabric")
HARMLESS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # between Lightning and torch
    r"GPU available but not used",  # which is what --device cpu asks for
    r"Dynamo detected a call to a `functools.lru_cache`",  # what is cached here depends on the arguments alone
    r"Found \d+ module\(s\) in eval mode at the start of training",  # which are what 'freeze' names
    r"It is recommended to use `self.log\(.*sync_dist=True",  # what is logged is of all processes already
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides advice and announcements; warnings and errors pass, but for those that are known not to matter."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in HARMLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
