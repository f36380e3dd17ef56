"""Features of single systems. Tests that need them are skipped elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

NEEDS_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, or a device of Linux")
NEEDS_DEVICES = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /dev")
NEEDS_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")


def make_fifo(path: Path) -> None:
    """Make a FIFO in a folder."""
    if sys.platform == "win32":
        pytest.skip("Windows has no FIFOs in folders")
    os.mkfifo(path)


def make_link(path: Path, target: Path | str) -> None:
    """Make a symbolic link, which not every user of Windows may."""
    try:
        path.symlink_to(target)
    except OSError as error:
        if sys.platform == "win32":
            pytest.skip(f"this user makes no links: {error.strerror}")
        raise


def page_size() -> int:
    """Bytes of a page of memory."""
    if sys.platform == "win32":
        pytest.skip("Windows does not tell by sysconf")
    return os.sysconf("SC_PAGE_SIZE")
