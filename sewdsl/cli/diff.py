"""``sewdsl diff``: differences between two networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from sewdsl.cli.options import AS_WRITTEN, Json, SpecOptions, argument, complete_spec, load_network
from sewdsl.cli.output import echo_json
from sewdsl.compiler.spec import SpecSource, find_source
from sewdsl.ir.network import Network
from sewdsl.notation.item_text import UnwritableNetwork
from sewdsl.notation.network_diff import Change, Difference, diff_networks
from sewdsl.terminal import echo

EXIT_UNCOMPARABLE = 2
"""Exit code if a network cannot be read."""
MAX_CHANGE_WIDTH = 60
"""Longest change in characters for which paths are aligned in a column."""

One = Annotated[
    str,
    argument(
        "A",
        "Network A: a .net file, a shipped network, a layer string in quotes, or - for standard input.",
        autocompletion=complete_spec,
    ),
]
Other = Annotated[str, argument("B", "Network B.", autocompletion=complete_spec)]


def command(one: One, other: Other, spec_options: SpecOptions = AS_WRITTEN, json_: Json = False) -> None:
    """Compare two networks: settings, layers, joins, blocks and recipe.

    Exits with code 0 for equal networks, 1 for different networks, and 2 if a network cannot be read. Ignores network
    names and `expect` and `claim` lines. Options apply to both networks. --dialect applies only to layer strings.
    """
    before, after = _network(one, spec_options), _network(other, spec_options)
    try:
        difference = diff_networks(before, after)
    except UnwritableNetwork as error:
        echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_UNCOMPARABLE) from None
    if json_:
        echo_json(difference_to_json(before, after, difference))
    else:
        echo("\n".join(format_difference(before, after, difference)))
    raise typer.Exit(1 if difference else 0)


def _network(spec: str, options: SpecOptions) -> Network:
    source = find_source(spec, dialect=True)
    # One network may be a file and the other a layer string: files are never in a dialect.
    if isinstance(source, SpecSource) and source.file is not None:
        options = options._replace(dialect=None)
    try:
        return load_network(spec, options)
    except typer.Exit:
        raise typer.Exit(EXIT_UNCOMPARABLE) from None


def format_difference(before: Network, after: Network, difference: Difference) -> Iterator[str]:
    """Yield the lines of a difference."""
    yield f"{before.name} -> {after.name}" if difference else f"{before.name}, {after.name}: no difference"
    sections = (
        ("settings", difference.settings),
        ("layers", ()),
        ("recipe", difference.recipe),
        ("figures", difference.figures),
    )
    for title, values in sections:
        if title == "layers" and difference.changes:
            yield from ("", title, *_format_changes(difference.changes))
        elif values and difference:
            yield from ("", title)
            width = max(len(value.key) for value in values)
            yield from (f"  {value.key:{width}}  {value.before} -> {value.after}" for value in values)


def _format_changes(changes: Sequence[Change]) -> Iterator[str]:
    texts = []
    for change in changes:
        if change.before and change.after:
            texts.append(f"  {change.before} -> {change.after}")
        else:
            texts.append(f"- {change.before}" if change.before else f"+ {change.after}")
    width = max((len(text) for text in texts if len(text) <= MAX_CHANGE_WIDTH), default=0)
    for text, change in zip(texts, changes, strict=True):
        copies = f", in {in_copies(change.copies)}" if change.copies else ""
        yield f"{text:{width}}  {change.where} {change.node}{copies}"


def in_copies(copies: Sequence[Sequence[int]]) -> str:
    """Return ``copies 1 to 7``, or ``copy 2 > copies 1 and 3`` for nested repeats."""
    return " > ".join(f"{'copies' if len(level) > 1 else 'copy'} {_numbers(level)}" for level in copies)


def _numbers(numbers: Sequence[int]) -> str:
    """Return ``1, 3 to 5 and 7``."""
    words: list[str] = []
    # Value minus index is constant within a run of consecutive numbers.
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [str(value) for _, value in group]
        words += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run  # noqa: PLR2004 -- '1 and 2' is as short
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def difference_to_json(before: Network, after: Network, difference: Difference) -> dict[str, Any]:
    """Return a difference as plain data. Added layers have ``before`` None, removed layers ``after`` None."""
    values = asdict(difference)
    layers = [
        {**change, "before": change["before"] or None, "after": change["after"] or None} for change in values["changes"]
    ]
    return {
        "equal": not difference,
        "networks": [before.name, after.name],
        "settings": values["settings"],
        "layers": layers,
        "recipe": values["recipe"],
        "figures": values["figures"],
    }
