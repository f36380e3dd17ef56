"""Catalogue of shipped networks and of the names of the language."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sewdsl.compiler.front_end import read
from sewdsl.compiler.spec import shipped_networks
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue, plugins

# Regular expressions instead of the parser, because listing all networks must be fast.
_NETWORK = re.compile(r'^network\s+"([^"]*)"', re.MULTILINE)
_COMMENT = re.compile(r"(?:^#.*\n)+", re.MULTILINE)
_SENTENCE = re.compile(r"(?:\([^)]*\)|.)*?(?=[.;] [A-Z]|\.$|$)")
_DATA = re.compile(r"^train\s+on\s+([\w-]+)", re.MULTILINE)
_PARAMETERS = re.compile(r"^expect\s+parameters\s+(\d+)\s*(?:#|$)", re.MULTILINE)
_USE = re.compile(r'^use\s+"([^"/]+)\.net"', re.MULTILINE)
_STUDY = re.compile(r"^study\b", re.MULTILINE)
_BLOCK = re.compile(r"^block\s+([^(=]+)", re.MULTILINE)

RESERVED_NAMES = {
    "SN": "The neuron of the file, or the nearest preceding neuron.",
    "g": "The join of the file, as in g[ branch | shortcut ].",
    "id": "The identity, as a shortcut.",
}


@dataclass(frozen=True)
class ListedNetwork:
    """A shipped file."""

    name: str
    network: str | None
    """Title, or None for a library of blocks or neurons."""
    data: str | None
    """Dataset of the recipe, or None without a recipe."""
    parameters: int | None
    """Number of parameters, or None for libraries and studies."""
    source: str
    """First sentence of the first comment."""

    def contains(self, text: str) -> bool:
        """Return whether the name, title, dataset or source contains a text, ignoring case."""
        words = (self.name, self.network, self.data, self.source)
        return any(text.casefold() in word.casefold() for word in words if word)


def list_networks() -> list[ListedNetwork]:
    """Return an entry for each shipped file."""
    networks = []
    texts = {name: path.read_text(encoding="utf-8") for name, path in shipped_networks().items()}
    for name, text in texts.items():
        title = _NETWORK.search(text)
        comment = _COMMENT.search(text)
        comment_text = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        sentence = _SENTENCE.match(comment_text)
        expected = _PARAMETERS.search(text)
        parameters = None if expected is None else int(expected[1])
        # Compiling takes longer than reading, so it is limited to networks that do not state their size.
        if title is not None and parameters is None and not _STUDY.search(text):
            network = read(name).network
            parameters = None if network is None else network.total_parameters
        source = sentence[0] if sentence else comment_text
        networks.append(ListedNetwork(name, title[1] if title else None, _dataset(name, texts), parameters, source))
    return networks


def _dataset(name: str, texts: Mapping[str, str]) -> str | None:
    """Return the dataset of the recipe in a file or its used files."""
    data = _DATA.search(texts.get(name, ""))
    if data is not None:
        return data[1]
    return next((dataset for used in _USE.findall(texts.get(name, "")) if (dataset := _dataset(used, texts))), None)


@dataclass(frozen=True)
class ListedName:
    """A name of the language."""

    name: str
    family: str
    meaning: str


def list_names() -> list[ListedName]:
    """Return all names that a file can use: kinds by family, reserved names, neurons and blocks."""
    plugins()
    kinds = []
    for name, kind in catalogue().items():
        if name != "input":
            kinds.append(ListedName(name, kind.noun, (kind.__doc__ or "").strip().partition("\n")[0]))
    blocks = _BLOCK.findall(shipped_networks()["blocks"].read_text(encoding="utf-8"))
    return [
        *sorted(kinds, key=lambda each: (each.family, each.name)),
        # Some shipped neurons are both a kind and a definition.
        *(ListedName(name, "language", meaning) for name, meaning in RESERVED_NAMES.items()),
        *(
            ListedName(name, "neuron", "see 'sewdsl nets neurons'")
            for name in shipped_neurons()
            if name not in catalogue()
        ),
        *(ListedName(block.strip(), "block", "see 'sewdsl nets blocks'") for block in blocks),
    ]
