"""Lightning without what it says that does not concern a user of sewdsl."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric")
HARMLESS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # between Lightning and torch
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
