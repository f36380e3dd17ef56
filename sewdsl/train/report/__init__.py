"""Report page and model card of a run, generated from the files of its folder."""

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
    """Write the report and the model card of a run, atomically and reproducibly.

    The report of an unfinished run omits missing parts. Unreadable files are omitted as well.

    Args:
        facts: Facts of the run. None reads them from the folder.

    Returns:
        Problems of damaged files, by file name.

    Raises:
        RunError: If the folder is not a run folder, or a file cannot be written.
    """
    facts = facts or load_record(folder)
    write_run_file(folder.report, render_page(facts))
    write_card(folder, facts)
    return facts.wrong


def write_card(folder: RunFolder, facts: RunRecord | None = None) -> None:
    """Write the model card of a run, finished or not, and keep additions of its author.

    See :func:`write` for the arguments and errors.
    """
    own = ""
    # A missing or damaged card has no additions to keep.
    with suppress(OSError, RecordError, UnicodeDecodeError):
        own = model_card.own_part(contents(folder.card).decode())
    write_run_file(folder.card, model_card.render_card(facts or load_record(folder), own))


def render_page(facts: RunRecord) -> str:
    """Render the report as a single HTML file, with all text from the run escaped."""
    # Draw the network anew: a diagram.svg from an untrusted source may contain scripts.
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
        losses=run_facts.losses(facts),
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
