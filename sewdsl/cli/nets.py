"""``sewdsl nets``: the networks that come with sewdsl, and the names of the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from sewdsl.cli.completion import complete_network
from sewdsl.cli.console import console
from sewdsl.cli.options import Json, exit_with_usage_error, require
from sewdsl.cli.output import echo_json, write_output
from sewdsl.compiler import read, shipped_networks
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.recipe import Transform
from sewdsl.terminal import is_terminal

if TYPE_CHECKING:
    from sewdsl.cli.json_output import ListedName, ListedNetwork

_NETWORK = re.compile(r'^network\s+"([^"]*)"', re.MULTILINE)
_COMMENT = re.compile(r"(?:^#.*\n)+", re.MULTILINE)
_SENTENCE = re.compile(r"(?:\([^)]*\)|.)*?(?=[.;] [A-Z]|\.$|$)")
_DATA = re.compile(r"^train\s+on\s+([\w-]+)", re.MULTILINE)
_PARAMETERS = re.compile(r"^expect\s+parameters\s+(\d+)\s*(?:#|$)", re.MULTILINE)
_USE = re.compile(r'^use\s+"([^"/]+)\.net"', re.MULTILINE)
_STUDY = re.compile(r"^study\b", re.MULTILINE)
_BLOCK = re.compile(r"^block\s+([^(=]+)", re.MULTILINE)


NO_RECIPE, LIBRARIES = "without a recipe", "libraries"
"""Groups of networks without a dataset, and of files without a network."""
MIN_SOURCE = 30
"""Characters after a name that are printed however narrow the terminal is."""
NEURON_FAMILIES = {"LinearNeuron": "neuron", "ParallelNeuron": "neuron"}
"""Families that are one to a user."""
RESERVED_NAMES = {
    "SN": "The neuron of the file, or the one nearest before.",
    "g": "The join of the file, as in g[ branch | shortcut ].",
    "id": "The identity, as a shortcut.",
}


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of a network, whose file is printed, or text to list the networks that contain it.",
            autocompletion=complete_network,
        ),
    ] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List the layers, neurons, surrogates and joins.")] = False,
    json_: Json = False,
) -> None:
    """List the shipped networks, print one, or list every name that a .net file can use."""
    files = shipped_networks()
    require((json_, name not in files, "--json goes with a list; the file of a network is printed as it is"))
    if kinds:
        named = list_names()
        if json_:
            echo_json(named)
            return
        table = Table("name", "family", "what it is", header_style="bold", box=None)
        for each in named:
            table.add_row(each["name"], each["family"], each["meaning"])
        console().print(table)
    elif name in files:
        write_output(files[name].read_text(encoding="utf-8"))
    else:
        networks = [network for network in list_networks(files) if name is None or contains(network, name)]
        if not networks:
            hint = did_you_mean(name or "", files) or "see sewdsl nets"
            exit_with_usage_error(f"no network '{name}' is shipped, and none contains this text; {hint}")
        if json_:
            echo_json(networks)
        else:
            print_networks(networks)


def contains(network: ListedNetwork, text: str) -> bool:
    """Return whether a text is part of a network's name, title, dataset or source, in any case."""
    words = (network["name"], network["network"], network["data"], network["source"])
    return any(text.casefold() in word.casefold() for word in words if word)


def print_networks(networks: list[ListedNetwork]) -> None:
    """Print a line for each network, by dataset; libraries come last. On a terminal, sources end where its lines do."""
    out = console()
    groups: dict[str, list[ListedNetwork]] = {}
    for network in networks:
        group = LIBRARIES if network["network"] is None else network["data"] or NO_RECIPE
        groups.setdefault(group, []).append(network)
    width = max(map(len, [NO_RECIPE, *(network["name"] for network in networks)]))
    for number, group in enumerate(sorted(groups, key=lambda group: (group == LIBRARIES, group == NO_RECIPE, group))):
        if number:
            out.print()
        out.print(f"{group:<{width}}  parameters  source", style="bold", soft_wrap=True)
        for network in groups[group]:
            parameters = network["parameters"]
            count = "–" if parameters is None else compact_count(parameters)
            line = Text(f"{network['name']:<{width}}  {count:>10}  {network['source']}")
            if is_terminal():
                line.truncate(max(out.width, width + MIN_SOURCE), overflow="ellipsis")
            out.print(line, soft_wrap=True)


def compact_count(count: int) -> str:
    """Return a count with three digits, as tables have it: ``131k``, ``25.6M``.

    >>> [compact_count(count) for count in (822, 43119, 130938, 25557032)]
    ['822', '43.1k', '131k', '25.6M']
    """
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:#.3g}".rstrip(".") + name
    return str(count)


def list_networks(files: dict[str, Path]) -> list[ListedNetwork]:
    """Return each file with what it states of itself; a network is compiled if it states no number of parameters."""
    networks: list[ListedNetwork] = []
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    for name, text in texts.items():
        title = _NETWORK.search(text)
        # the source is the first sentence of the first comment
        comment = _COMMENT.search(text)
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        sentence = _SENTENCE.match(words)
        stated = _PARAMETERS.search(text)
        parameters = None if stated is None else int(stated[1])
        if title is not None and parameters is None and not _STUDY.search(text):
            network = read(name).network
            parameters = None if network is None else network.total_parameters
        networks.append(
            {
                "name": name,
                "network": title[1] if title else None,
                "data": _dataset(name, texts),
                "parameters": parameters,
                "source": sentence[0] if sentence else words,
            }
        )
    return networks


def _dataset(name: str, texts: Mapping[str, str]) -> str | None:
    """Return the dataset of a file's recipe, or of that of a file that it uses."""
    data = _DATA.search(texts.get(name, ""))
    if data is not None:
        return data[1]
    return next((found for used in _USE.findall(texts.get(name, "")) if (found := _dataset(used, texts))), None)


def list_names() -> list[ListedName]:
    """Every name that a file can use: kinds by family, words of the language, neurons and blocks."""
    from sewdsl.elaborate.neuron_kinds import shipped_neurons
    from sewdsl.ops import catalogue, plugins

    plugins()
    named: list[ListedName] = []

    def add(name: str, family: str, meaning: str) -> None:
        named.append({"name": name, "family": family, "meaning": meaning})

    kinds = []
    for name, kind in catalogue().items():
        if name != "input":  # the family is the nearest base that the intermediate representation defines
            base = next(base.__name__ for base in kind.__mro__[1:] if base.__module__.startswith("sewdsl.ir."))
            family = "transform" if issubclass(kind, Transform) else NEURON_FAMILIES.get(base, base.lower())
            kinds.append((family, name, kind))
    for family, name, kind in sorted(kinds, key=lambda item: item[:2]):
        add(name, family, (kind.__doc__ or "").strip().partition("\n")[0])
    for name, meaning in RESERVED_NAMES.items():
        add(name, "language", meaning)
    for name in shipped_neurons():
        if name not in catalogue():
            add(name, "neuron", "see 'sewdsl nets neurons'")
    for path in shipped_networks().values():
        for block in _BLOCK.findall(path.read_text(encoding="utf-8")) if path.stem == "blocks" else ():
            add(block.strip(), "block", "see 'sewdsl nets blocks'")
    return named
