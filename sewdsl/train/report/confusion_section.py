"""Which classes are taken for which, as a table or, of many classes, as a picture."""

from __future__ import annotations

import io
from base64 import b64encode
from math import sqrt
from typing import NamedTuple

import numpy as np
from matplotlib.image import imsave

from sewdsl.train.report.html import Markup, join, tag
from sewdsl.train.store.measurements import ConfusionFile

MAX_TABLE_CLASSES = 30
"""A table of more is too wide to read."""
MAX_MISTAKES = 5
"""Confusions that are named, at most."""

Counts = list[list[int]]


class Mistake(NamedTuple):
    """How many samples of one class are taken for another."""

    times: int
    true: int
    found: int


def confusion_section(confusions: ConfusionFile) -> list[Markup]:
    """A sentence, the picture, and what is confused most."""
    classes, counts = confusions
    total = sum(map(sum, counts))
    if not total:
        return []
    note = f"Of {total:,} test samples, by the last weights: rows are their classes, columns what the network finds."
    picture = _table(classes, counts) if len(counts) <= MAX_TABLE_CLASSES else _image(classes, counts)
    return [tag("p", note, class_="note"), tag("div", picture, class_="wide", tabindex="0"), _mistakes(classes, counts)]


def recall(counts: Counts, label: int) -> float | None:
    """Share of a class that is found; None where there is no sample of it."""
    row = counts[label]
    return row[label] / sum(row) if sum(row) else None


def _table(classes: list[str], counts: Counts) -> Markup:
    """Names that are longer than a number stand upright, so that columns stay narrow."""
    upright = "upright" if max(map(len, classes)) > 3 else None  # noqa: PLR2004 -- digits
    heads = [tag("th", tag("span", name), scope="col", class_=upright) for name in classes]
    top = tag("tr", tag("td"), *heads, tag("th", "recall", scope="col", class_="recall"))
    rows = []
    for label, row in enumerate(counts):
        cells = [_cell(count, sum(row), right=label == column) for column, count in enumerate(row)]
        share = recall(counts, label)
        found = "–" if share is None else f"{share:.1%}"
        rows.append(tag("tr", tag("th", classes[label], scope="row"), *cells, tag("td", found, class_="recall")))
    return tag("table", tag("thead", top), tag("tbody", *rows), class_="confusion")


def _cell(count: int, total: int, *, right: bool) -> Markup:
    """A count; the stronger its colour, the larger its share of the class. Few mistakes are made visible by a root."""
    if not count:
        return tag("td")
    share = count / total
    strength = share if right else sqrt(share)
    kinds = ("right" if right else "wrong") + (" strong" if strength > 0.55 else "")  # noqa: PLR2004 -- needs light text
    return tag("td", str(count), class_=kinds, style=f"--share:{strength:.3f}")


def _image(classes: list[str], counts: Counts) -> Markup:
    """A picture with a pixel, or a square of them, for each pair of classes."""
    matrix = np.asarray(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(1, 600 // len(counts))
    out = io.BytesIO()
    imsave(out, np.kron(np.sqrt(shares), np.ones((side, side))), cmap="Blues", vmin=0, vmax=1, format="png")
    source = f"data:image/png;base64,{b64encode(out.getvalue()).decode('ascii')}"
    picture = Markup(f'<img class="confusion" alt="confusion matrix of {len(counts)} classes" src="{source}">')
    return join(picture, _recalls(classes, counts))


def _recalls(classes: list[str], counts: Counts) -> Markup:
    rows = []
    for label, row in enumerate(counts):
        share = recall(counts, label)
        found = "–" if share is None else f"{share:.1%}"
        rows.append(tag("tr", tag("th", classes[label], scope="row"), tag("td", str(sum(row))), tag("td", found)))
    head = tag("tr", *(tag("th", title, scope="col") for title in ("class", "samples", "recall")))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="plain")
    return tag("details", tag("summary", f"recall of each of {len(counts)} classes"), table)


def _mistakes(classes: list[str], counts: Counts) -> Markup:
    """What is confused most often, in words."""
    mistakes = [
        Mistake(count, true, column)
        for true, row in enumerate(counts)
        for column, count in enumerate(row)
        if count and true != column
    ]
    if not mistakes:
        return tag("p", "No sample is taken for another class.", class_="note")
    worst = sorted(mistakes, key=lambda mistake: (-mistake.times, mistake.true, mistake.found))[:MAX_MISTAKES]
    said = ", ".join(
        f"{classes[true]} taken for {classes[found]} ({times} of {sum(counts[true])})" for times, true, found in worst
    )
    return tag("p", f"Most often confused: {said}.", class_="note")
