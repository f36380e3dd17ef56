"""``sewdsl nets``: the networks that come with sewdsl, and the names of the language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sewdsl.cli.console import console
from sewdsl.cli.options import exit_with_usage_error
from sewdsl.cli.output import write_output
from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.suggestions import did_you_mean

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
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this network's file.")] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List the layers, neurons, surrogates and joins.")] = False,
) -> None:
    """List the shipped networks, print one, or list every name that a .net file can use."""
    if kinds:
        _print_kinds()
    elif name is not None:
        files = shipped_networks()
        if name not in files:
            exit_with_usage_error(f"no network '{name}' is shipped; {did_you_mean(name, files) or 'see sewdsl nets'}")
        write_output(files[name].read_text(encoding="utf-8"))
    else:
        _print_networks(shipped_networks())


def _print_networks(files: dict[str, Path]) -> None:
    table = Table("name", "network", "source", header_style="bold", box=None)
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        title = _NETWORK.search(text)
        # the source is the first sentence of the first comment
        comment = _COMMENT.search(text)
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        sentence = _SENTENCE.match(words)
        table.add_row(name, title[1] if title else "(library)", sentence[0] if sentence else words)
    console().print(table)


def _print_kinds() -> None:
    from sewdsl.elaborate.neuron_kinds import shipped_neurons  # noqa: PLC0415 -- only this form needs the vocabulary
    from sewdsl.ops import catalogue, plugins  # noqa: PLC0415

    plugins()
    table = Table("name", "family", "what it is", header_style="bold", box=None)
    kinds = []
    for name, kind in catalogue().items():
        if name != "input":  # the family is the nearest base that the intermediate representation defines
            base = next(base.__name__ for base in kind.__mro__[1:] if base.__module__.startswith("sewdsl.ir."))
            kinds.append((NEURON_FAMILIES.get(base, base.lower()), name, kind))
    for family, name, kind in sorted(kinds, key=lambda item: item[:2]):
        table.add_row(name, family, (kind.__doc__ or "").strip().partition("\n")[0])
    for name, meaning in RESERVED_NAMES.items():
        table.add_row(name, "language", meaning)
    for name in shipped_neurons():
        if name not in catalogue():
            table.add_row(name, "neuron", "see 'sewdsl nets neurons'")
    for path in shipped_networks().values():
        for block in _BLOCK.findall(path.read_text(encoding="utf-8")) if path.stem == "blocks" else ():
            table.add_row(block.strip(), "block", "see 'sewdsl nets blocks'")
    console().print(table)
