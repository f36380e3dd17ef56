"""A run as one page, ``report.html``, and as a model card, ``README.md``: made from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sewdsl import draw
from sewdsl.analysis.listing import layer_rows
from sewdsl.html_templates import render_html
from sewdsl.train.records import RecordError, contents
from sewdsl.train.report import model_card, run_facts
from sewdsl.train.report.pictures import curve_svgs, svg_element
from sewdsl.train.report.sections import confusion_section, firing_section, neurons_section
from sewdsl.train.store.result import DEAD, SATURATED
from sewdsl.train.store.run_folder import RunFolder, write_run_file
from sewdsl.train.store.run_record import RunRecord, load_record

__all__ = ["write", "write_card"]


def write(folder: RunFolder, facts: RunRecord | None = None) -> Mapping[str, str]:
    """Write the page of a run and its model card, whole or not at all; the same files always give the same ones.

    What a run that did not end has not written is left out of the page, and so is what cannot be read.

    Args:
        facts: The facts of the run; None: read from the folder.

    Returns:
        What is wrong with a file, by the file's name.

    Raises:
        RunError: If the folder holds no run, or the page cannot be written.
    """
    facts = facts or load_record(folder)
    write_run_file(folder.report, render_page(facts))
    write_card(folder, facts)
    return facts.wrong


def write_card(folder: RunFolder, facts: RunRecord | None = None) -> None:
    """Write the model card of a run as far as it has come; what its author has added to it stays.

    See :func:`write` for the facts and errors.
    """
    own = ""
    with suppress(OSError, RecordError, UnicodeDecodeError):
        own = model_card.own_part(contents(folder.card).decode())
    write_run_file(folder.card, model_card.render_card(facts or load_record(folder), own))


def render_page(facts: RunRecord) -> str:
    """Render HTML in one file; everything in it that comes from the run is escaped.

    The network is drawn anew, since a ``diagram.svg`` from anywhere may hold more than shapes.
    """
    network, diagram = facts.network, ""
    if network:
        with suppress(draw.RenderingError):
            diagram = svg_element(draw.render_picture(network), "diagram-", f"diagram of {facts.title}")
    return render_html(
        "train/report/page.html",
        facts=facts,
        network=network,
        summary=run_facts.summary(facts),
        accuracies=run_facts.accuracies(facts),
        macs=run_facts.format_short(network.total_macs) if network else "",
        choice=run_facts.choice(facts),
        curves=curve_svgs(facts.epochs),
        firing=firing_section(facts),
        neurons=neurons_section(facts),
        confusion=confusion_section(facts.confusion),
        diagram=diagram,
        recipe=run_facts.recipe(facts),
        layers=layer_rows(network)[1:] if network else [],
        provenance=run_facts.provenance(facts),
        DEAD=f"{DEAD:.0%}",
        SATURATED=f"{SATURATED:.0%}",
    )
