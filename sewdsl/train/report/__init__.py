"""A run as one page: ``report.html``, made from the files of its folder alone, readable without a network."""

from __future__ import annotations

from sewdsl.train import atomic
from sewdsl.train.facts import gather
from sewdsl.train.folder import RunFolder
from sewdsl.train.report.page import page

__all__ = ["write"]


def write(folder: RunFolder) -> None:
    """Writes the page of a run, whole or not at all; the same files always give the same page.

    What a run that did not end has not written is left out of the page.

    Raises:
        RunError: the folder holds no run, or the page cannot be written.
    """
    atomic.write_text(folder.report, page(gather(folder)))
