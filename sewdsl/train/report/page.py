"""The page as a whole."""

from __future__ import annotations

from pathlib import Path

from sewdsl.train.report import confusion_section, details_section, epoch_curves, firing_section, header_section
from sewdsl.train.report.html import Markup, inline, join, tag
from sewdsl.train.store.run_record import RunRecord

STYLE = Path(__file__).with_name("page.css")


def render_page(facts: RunRecord) -> str:
    """HTML in one file; everything in it that comes from the run is escaped."""
    drawn = inline(facts.diagram, "diagram-", f"diagram of {facts.title}")
    diagram = tag("figure", drawn, class_="diagram", tabindex="0") if drawn else Markup()
    sections = [
        _section("Curves", *epoch_curves.curve_svgs(facts.epochs), class_="panels"),
        _section("Firing rates", *firing_section.firing_section(facts)),
        _section("Neurons", *firing_section.neurons_section(facts)),
        _section("Confusion", *confusion_section.confusion_section(facts.confusion)),
        _section("Network", diagram),
        _section("Recipe", *details_section.recipe(facts)),
        _section("Layers", *details_section.layers_section(facts.network)),
        _section("Specification", _spec(facts)),
        _section("Machine and versions", *details_section.provenance_section(facts)),
    ]
    head = tag(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{facts.title} – a run of sewdsl"),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("main", header_section.page_header(facts), *sections))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(title: str, *content: str, class_: str | None = None) -> Markup:
    """A part of the page with a title; nothing where there is nothing to show."""
    if not any(content):
        return Markup()
    return tag("section", tag("h2", title), tag("div", *content, class_=class_))


def _spec(facts: RunRecord) -> Markup:
    if not facts.spec:
        return Markup()
    note = "The network and its recipe, with every override applied. In the folder of the run, this repeats it:"
    return join(
        tag("p", note, class_="note"), tag("pre", tag("code", facts.command)), tag("pre", tag("code", facts.spec))
    )
