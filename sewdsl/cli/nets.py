"""``sewdsl nets``: the networks that come with sewdsl, and the names of the language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sewdsl.cli.completion import complete_network
from sewdsl.cli.console import console
from sewdsl.cli.options import Json, exit_with_usage_error
from sewdsl.cli.output import echo_json, write_output
from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.recipe import Transform

if TYPE_CHECKING:
    from sewdsl.cli.json_output import ListedName, ListedNetwork

_NETWORK = re.compile(r'^network\s+"([^"]*)"', re.MULTILINE)
_COMMENT = re.compile(r"(?:^#.*\n)+", re.MULTILINE)
_SENTENCE = re.compile(r"(?:\([^)]*\)|.)*?(?=: |[.;] [A-Z]|\.$|$)")
_BLOCK = re.compile(r"^block\s+([^(=]+)", re.MULTILINE)


NEURON_FAMILIES = {"LinearNeuron": "neuron", "ParallelNeuron": "neuron"}
"""Families that are one to a user."""
RESERVED_NAMES = {
    "SN": "The neuron of the file, or the one nearest before.",
    "g": "The join of the file, as in g[ branch | shortcut ].",
    "id": "The identity, as a shortcut.",
}


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this network's file.", autocompletion=complete_network)
    ] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List the layers, neurons, surrogates and joins.")] = False,
    json_: Json = False,
) -> None:
    """List the shipped networks, print one, or list every name that a .net file can use."""
    if json_ and name is not None:
        exit_with_usage_error("--json goes with a list; the file of a network is printed as it is")
    if kinds:
        named = list_names()
        if json_:
            echo_json(named)
            return
        table = Table("name", "family", "what it is", header_style="bold", box=None)
        for each in named:
            table.add_row(each["name"], each["family"], each["meaning"])
        console().print(table)
    elif name is not None:
        files = shipped_networks()
        if name not in files:
            exit_with_usage_error(f"no network '{name}' is shipped; {did_you_mean(name, files) or 'see sewdsl nets'}")
        write_output(files[name].read_text(encoding="utf-8"))
    else:
        found = list_networks(shipped_networks())
        if json_:
            echo_json(found)
            return
        table = Table("name", "network", "source", header_style="bold", box=None)
        for network in found:
            table.add_row(network["name"], network["network"] or "(library)", network["source"])
        console().print(table)


def list_networks(files: dict[str, Path]) -> list[ListedNetwork]:
    """Each file with what it says of itself, which is read without compiling it."""
    found: list[ListedNetwork] = []
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        title = _NETWORK.search(text)
        # the source is the first sentence of the first comment
        comment = _COMMENT.search(text)
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        sentence = _SENTENCE.match(words)
        source = sentence[0] if sentence else words
        found.append({"name": name, "network": title[1] if title else None, "source": source})
    return found


def list_names() -> list[ListedName]:
    """Every name that a file can use: kinds by family, words of the language, neurons and blocks."""
    from sewdsl.elaborate.neuron_kinds import shipped_neurons  # noqa: PLC0415 -- only this form needs the vocabulary
    from sewdsl.ops import catalogue, plugins  # noqa: PLC0415

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
