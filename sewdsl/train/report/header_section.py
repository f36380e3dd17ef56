"""The head of the page: what was trained, and what came of it."""

from __future__ import annotations

from typing import Any

from sewdsl.train.report.html import Markup, join, tag
from sewdsl.train.store.run_record import RunRecord


def page_header(facts: RunRecord) -> Markup:
    """The title, a line about the run, its accuracies and other figures."""
    return tag(
        "header",
        tag("p", "a run of sewdsl", class_="over"),
        tag("h1", facts.title),
        tag("p", _summary(facts), class_="summary"),
        _state(facts),
        tag("div", *_figures(facts), class_="figures"),
        tag("p", _choice(facts), class_="note"),
    )


def _summary(facts: RunRecord) -> str:
    result, recipe = facts.result, facts.recipe
    done, planned = result.get("epochs", len(facts.epochs)), recipe.get("epochs")
    epochs = f"{done} of {planned} epochs" if planned is not None else f"{done} epochs"
    seconds = result.get("seconds")
    parts = [
        f"on {result.get('data') or recipe.get('on') or 'unknown data'}",
        epochs,
        format_duration(float(seconds)) if isinstance(seconds, int | float) else "",
        f"seed {result.get('seed', recipe.get('seed', 'unknown'))}",
    ]
    return ", ".join(filter(None, parts))


def _state(facts: RunRecord) -> Markup:
    """Whether the run has ended, and what could not be read of its files."""
    said = [
        tag("p", f"Left out, since {name} is damaged: {what}", class_="warning") for name, what in facts.wrong.items()
    ]
    if not facts.result and "result.json" not in facts.wrong:
        said.append(tag("p", "This run has not ended: the page shows what it has written so far.", class_="warning"))
    return join(*said)


def _figures(facts: RunRecord) -> list[Markup]:
    network = facts.network
    selecting = f"{selection_split(facts)}_accuracy"
    selected = {epoch: row[selecting] for epoch, row in facts.epochs.items() if selecting in row}
    best = f" ({max(selected, key=lambda epoch: (selected[epoch], -epoch))})" if selected else ""
    found = [
        ("accuracy, last epoch", _percent(facts.result.get("accuracy")), "main"),
        (f"accuracy, best epoch{best}", _percent(facts.result.get("best_accuracy")), "main"),
        ("parameters", f"{network.total_parameters:,}" if network else "", ""),
        ("MACs per time-step", format_short(network.total_macs) if network else "", ""),
        ("time-steps", str(network.settings.steps) if network else "", ""),
    ]
    return [
        tag("div", tag("span", value, class_="value"), tag("span", label, class_="label"), class_=kind or None)
        for label, value, kind in found
        if value
    ]


def _percent(value: Any) -> str:
    return f"{value:.2%}" if isinstance(value, int | float) else ""


def selection_split(facts: RunRecord) -> str:
    """The samples by which the best epoch is chosen: ``validation`` or ``test``."""
    measured = any("validation_accuracy" in row for row in facts.epochs.values())
    return "validation" if measured or facts.recipe.get("validation") else "test"


def _choice(facts: RunRecord) -> str:
    """By which samples the best epoch was chosen, and what that means."""
    if "best_accuracy" not in facts.result:
        return ""
    said = "Both accuracies are over the test samples. The best epoch was chosen on"
    if selection_split(facts) == "validation":
        share = facts.recipe.get("validation")
        part = f"{share:.0%} of the training samples" if isinstance(share, float) else "a part of the training samples"
        return f"{said} {part}, which no weight was trained on."
    return (
        f"{said} them too, as papers do, so its figure flatters: the last epoch's is the honest one. "
        "'validation 0.1' in the recipe chooses on other samples."
    )


def format_duration(seconds: float) -> str:
    """Seconds as people say them: ``28 s``, ``4 min 10 s``, ``3 h 5 min``."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 -- a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 -- an hour
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_short(number: int) -> str:
    """A number to three digits: ``1.85 M``."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return str(number)
