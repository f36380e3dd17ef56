"""A run as one page: ``report.html``, made from the files of its folder alone, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.train.report.page import render_page
from sewdsl.train.store.run_files import write_run_file
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.store.run_record import load_record

__all__ = ["write"]


def write(folder: RunFolder) -> Mapping[str, str]:
    """Writes the page of a run, whole or not at all; the same files always give the same page.

    What a run that did not end has not written is left out of the page, and so is what cannot be read.

    Returns:
        What is wrong with a file, by the file's name.

    Raises:
        RunError: the folder holds no run, or the page cannot be written.
    """
    facts = load_record(folder)
    write_run_file(folder.report, render_page(facts))
    return facts.wrong
