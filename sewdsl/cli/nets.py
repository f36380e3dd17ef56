"""``sewdsl nets``: shipped networks, and kinds of the language."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from rich.table import Table
from rich.text import Text

from sewdsl.cli.console import console
from sewdsl.cli.options import HelpPanel, Json, argument, complete_network, exit_with_usage_error, require
from sewdsl.cli.output import echo_json, write_output
from sewdsl.compiler import shipped_networks
from sewdsl.compiler.catalogue import ListedNetwork, list_names, list_networks
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import is_terminal

NO_RECIPE, LIBRARIES = "without a recipe", "libraries"
"""Headings for networks without a dataset, and for files without a network."""
MIN_SOURCE = 30
"""Smallest width in characters of a line after the name, even on narrow terminals."""


def command(
    name: Annotated[
        str | None,
        argument(
            "NAME",
            "Shipped network to print, or text to search for in the list.",
            "list all",
            autocompletion=complete_network,
        ),
    ] = None,
    kinds: Annotated[
        bool,
        HelpPanel.OUTPUT.option("--kinds", "List layers, neurons, surrogates, joins and merges instead of networks."),
    ] = False,
    json_: Json = False,
) -> None:
    """List the shipped networks, or print one of them."""
    files = shipped_networks()
    require((json_, name not in files, "--json is not supported for a single network"))
    if kinds:
        kind_names = list_names()
        if json_:
            echo_json([asdict(kind) for kind in kind_names])
            return
        table = Table("name", "family", "description", header_style="bold", box=None)
        for kind in kind_names:
            table.add_row(kind.name, kind.family, kind.meaning)
        console().print(table)
    elif name in files:
        write_output(files[name].read_text(encoding="utf-8"))
    else:
        networks = [network for network in list_networks() if name is None or network.contains(name)]
        if not networks:
            hint = did_you_mean(name or "", files) or "run 'sewdsl nets' for a list"
            exit_with_usage_error(f"no shipped network is named '{name}' or contains this text; {hint}")
        if json_:
            echo_json([asdict(network) for network in networks])
        else:
            print_networks(networks)


def print_networks(networks: list[ListedNetwork]) -> None:
    """Print one line per network, grouped by dataset, and cut at the width of a terminal."""
    out = console()
    groups: dict[str, list[ListedNetwork]] = {}
    for network in networks:
        group = LIBRARIES if network.network is None else network.data or NO_RECIPE
        groups.setdefault(group, []).append(network)
    width = max(map(len, [NO_RECIPE, *(network.name for network in networks)]))
    for index, group in enumerate(sorted(groups, key=lambda group: (group == LIBRARIES, group == NO_RECIPE, group))):
        if index:
            out.print()
        out.print(f"{group:<{width}}  parameters  source", style="bold", soft_wrap=True)
        for network in groups[group]:
            parameters = network.parameters
            count = "–" if parameters is None else compact_count(parameters)
            line = Text(f"{network.name:<{width}}  {count:>10}  {network.source}")
            # Pipes and files get whole lines, so that other programs can search them.
            if is_terminal():
                line.truncate(max(out.width, width + MIN_SOURCE), overflow="ellipsis")
            out.print(line, soft_wrap=True)


def compact_count(count: int) -> str:
    """Format a count with three significant digits: ``131k``, ``25.6M``.

    >>> [compact_count(count) for count in (822, 43119, 130938, 25557032)]
    ['822', '43.1k', '131k', '25.6M']
    """
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:#.3g}".rstrip(".") + name
    return str(count)
