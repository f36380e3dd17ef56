"""Input texts of a snapshot: shipped, generated, invalid, and strings of other papers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from .generated import network

GENERATED, BROKEN = 300, 200
_OPTIONS = ("input", "steps", "neuron", "dialect")
_EXAMPLE = re.compile(r"^```(net|compact|spec)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_USE = re.compile(r'^use\s+"([^"]+)"', re.MULTILINE)


class Text(NamedTuple):
    """Input text.

    Attributes:
        name: Stem of the files written for the text.
        group: ``nets``, ``generated``, ``wrong`` or ``dialect``.
        text: Text to compile. Bytes that are not UTF-8 are surrogates.
        options: Options by their command-line names.
        is_file: Whether to write the text to a file instead of passing it as an argument.
        used: Other files in its folder.
    """

    name: str
    group: str
    text: str
    options: Mapping[str, str]
    is_file: bool
    used: Mapping[str, str] = {}

    def write(self, folder: Path) -> None:
        """Write the files of the text into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {**self.used, **({self.spec: self.text} if self.is_file else {})}.items():
            (folder / name).write_bytes(text.encode(errors="surrogateescape"))

    @property
    def spec(self) -> str:
        """Argument of the command line."""
        return f"{self.name}.net" if self.is_file else self.text

    @property
    def arguments(self) -> list[str]:
        """Options of the command line."""
        arguments: list[str] = []
        for name, value in self.options.items():
            if name in _OPTIONS:
                arguments += [f"--{name}", value]
            else:
                kind, _, key = name.partition(" ")
                arguments += [f"--{kind}", f"{key}={value}"]
        return arguments


def texts(tree: Path) -> Iterator[Text]:
    """Yield all texts. Shipped networks and invalid examples come from a checkout."""
    shipped = {file.name: file.read_text(encoding="utf-8") for file in sorted((tree / "nets").glob("*.net"))}
    for name, text in shipped.items():
        yield Text(name.removesuffix(".net"), "nets", text, {}, is_file=True, used=dict(_used(text, shipped)))
    for index in range(GENERATED):
        generated = network(index)
        yield Text(f"g{index:03}", "generated", generated.text, generated.options, is_file=not generated.options)
    yield from _corpus(tree)
    yield from _examples(tree)
    yield from _broken()
    for index, (text, options) in enumerate(DIALECT):
        yield Text(f"he{index:02}", "dialect", text, options, is_file=False)


def _used(text: str, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files that a text uses, directly or indirectly."""
    for name in _USE.findall(text):
        if name in files:
            yield name, files[name]
            yield from _used(files[name], files)


def _corpus(tree: Path) -> Iterator[Text]:
    """Yield the corpus of invalid inputs."""
    cases = tomllib.loads((tree / "tests/invalid/corpus.toml").read_text(encoding="utf-8"))["case"]
    for case in cases:
        options: dict[str, str] = {}
        for key, value in case.get("options", {}).items():
            if isinstance(value, Mapping):
                options |= {f"{key} {name}": str(each) for name, each in value.items()}
            else:
                options[key] = str(value)
        is_file = case["text"].lstrip().startswith("sewdsl")
        yield Text(f"corpus-{case['name']}", "wrong", case["text"], options, is_file)


def _examples(tree: Path) -> Iterator[Text]:
    """Yield the examples on the pages of diagnostic codes."""
    for page in sorted((tree / "docs/codes").glob("*.md")):
        examples = [
            (language, words.split(), _bytes(text) if "escaped" in words else text)
            for language, words, text in _EXAMPLE.findall(page.read_text(encoding="utf-8"))
        ]
        named = {word[5:]: text for _, words, text in examples for word in words if word.startswith("file=")}
        for index, (language, words, text) in enumerate(examples):
            pairs = [word.split("=", 1) for word in words if "=" in word and not word.startswith("file=")]
            options = {key.replace("limit.", "limit "): value for key, value in pairs}
            is_file = language == "net"
            yield Text(f"page-{page.stem}-{index}", "wrong", text if is_file else text.strip(), options, is_file, named)


def _bytes(text: str) -> str:
    """Decode the escapes of an example."""
    return text.strip().encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def _broken() -> Iterator[Text]:
    """Yield generated networks with one or two typical typing or PDF extraction mistakes."""
    for index in range(BROKEN):
        generated, random = network(1000 + index), Random(f"broken:{index}")  # noqa: S311 -- not for secrets
        text = generated.text
        for _ in range(1 + index % 2):
            text = _MISTAKES[(index + random.randrange(2)) % len(_MISTAKES)](text, random)
        yield Text(f"b{index:03}", "wrong", text, generated.options, is_file=not generated.options)


def _at(text: str, random: Random, characters: str) -> int:
    """Return a random index of one of the characters, or of any character."""
    indices = [i for i, c in enumerate(text) if c in characters] or range(len(text))
    return random.choice(list(indices))


def _lost(text: str, random: Random) -> str:
    i = _at(text, random, "-[]{}|,()*=\n")
    return text[:i] + text[i + 1 :]


def _added(text: str, random: Random) -> str:
    i = random.randrange(len(text))
    return text[:i] + random.choice('-[]{}|,()*=$#"§é–×\t07aZ ') + text[i:]


def _dash(text: str, random: Random) -> str:
    i = _at(text, random, "-*")
    return text[:i] + random.choice("–—−×→") + text[i + 1 :]


def _misspelt(text: str, random: Random) -> str:
    words = list(re.finditer(r"[A-Za-z]{2,}", text))
    match = random.choice(words)
    word = match[0]
    i = random.randrange(len(word))
    other = random.choice((word[:i] + word[i + 1 :], word[:i] + "x" + word[i:], word.swapcase(), word[::-1]))
    return text[: match.start()] + other + text[match.end() :]


def _number(text: str, random: Random) -> str:
    match = random.choice(list(re.finditer(r"\d+(\.\d+)?", text)))
    other = random.choice(("0", "-1", "7", "99999999999", "1.5e3", "none", "2x3", "64"))
    return text[: match.start()] + other + text[match.end() :]


def _twice(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True)
    i = random.randrange(len(lines))
    return "".join([*lines[: i + 1], *lines[i:]])


def _line(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True)
    i = random.randrange(1, len(lines) + 1)
    return "".join([*lines[:i], random.choice(_LINES), *lines[i:]])


_MISTAKES = (_lost, _added, _dash, _misspelt, _number, _twice, _line)
_LINES = (
    "expect parameters 7\n", "expect output 999\n", "expect macs\n", "claim parameters 1M\n", 'use "missing.net"\n',
    "expect energy 4mJ\n", "claim accuracy 101%\n",
    'use "../outside.net"\n', "colour red\n", "steps 0\n", "steps many\n", "neuron LIFF(tau=2.0)\n",
    "neuron LIF(tau=0.5)\n", "neuron LIF(tau=2.0, tau=3.0)\n", "neuron LIF(leak=2.0)\n", "join XOR\n", "init zeros\n",
    "readout max\n", "encode rate\n", 'allow nothing-such "why"\n', "allow cropped-input\n", "train on digits {\n",
    "train on nowhere {\n    epochs 1\n}\n", "train on digits {\n    epochs -1\n    optimiser SGD(lr=0.1)\n}\n",
    "train on digits {\n    optimizer SGD(lr=-1)\n    schedule Sine\n    batch 2.5\n}\n",
    "study {\n    vary nothing 1 2\n}\n", 'study {\n    vary steps\n    variant "x"\n}\n', "block A(c) = A (c1)\n",
    "block SEW Block(c) = c$(c)k3\n", "block B(c=in) = c$(c/0)k3\n", "input 3x0x3\n", "input 2x2x2x2\n", "sewdsl 2\n",
    "body\n", "body c4k3-\n", "body {BN}*0\n", "body {BN}*99999\n",
)  # fmt: skip
DIALECT: tuple[tuple[str, dict[str, str]], ...] = (
    ("MP4-64C3-128C3-AP2-128C3-AP2-256FC-11", {"dialect": "he", "input": "2x128x128"}),
    ("128C3(Encoding)-256C3-AP2-512C3-AP2-1024FC-512FC-Voting", {"dialect": "he(classes=8)", "input": "3x32x32"}),
    ("128C3(Encoding)-256C3-AP2-512C3-AP2-1024FC-512FC-Voting", {"dialect": "he(classes=10)", "input": "3x32x32"}),
    ("15C5-P2-40C5-P2-300", {"dialect": "he(padding=none, classes=10)", "input": "1x28x28"}),
    ("96C3-256C3-P2-384C3-P2-384C3-256C3-1024-1024", {"dialect": "he(classes=10)", "input": "3x32x32"}),
    ("15C5-P2-40C5-P2-300-10", {"dialect": "he", "input": "1x28x28"}),
    ("784-800-10", {"dialect": "he"}),
    ("20C5-P2-50C5-P2-200-10", {"dialect": "he(pool=MP)", "input": "1x28x28", "steps": "4"}),
    ("28x28-12c5-2s-64c5-2s-10o", {"dialect": "he(padding=none, norm=none, neurons=conv, output=current)"}),
    ("28x28-12c5-2a-64c5-2a-10o", {"dialect": "he"}),
    ("32C3-P2-32C3-P2-128-10", {"dialect": "he(norm=BN, neurons=both)", "input": "1x28x28"}),
    ("64C3-128C3-AP2-256C3-256C3-AP2-FC", {"dialect": "he(norm=tdBN, classes=100)", "input": "3x32x32"}),
    ("12C5-MP2-64C5-MP2-1024FC10", {"dialect": "he(padding=none, neurons=pool)", "input": "1x28x28"}),
    ("12C5-MP2-64C5-MP2-1024FC10", {"dialect": "he", "input": "1x28x28"}),
    ("(2×128C3)−MP2−(2×256C3)−MP2−10SVM", {"dialect": "he", "input": "3x32x32"}),
    ("2×(128C3)-MP2-1024FC-10SSE", {"dialect": "he", "input": "3x32x32"}),
    ("Input-{64C3S2P1-BN-PLIF}*2-0.2DP-GAP-FC10-SoftMax", {"dialect": "he", "input": "3x32x32"}),
    ("34x34x2-<16Conv3-AvgPool2>*2-Dropout0.2-10", {"dialect": "he(output=spikes)", "neuron": "IF"}),
    ("64C3-AP2-128C3-AP2-10FC", {"dialect": "he"}),
    ("64C3AP2-128C3-AP2-10FC", {"dialect": "he", "input": "3x32x32"}),
    ("64C3-XP2-128Q3-10FC", {"dialect": "he", "input": "3x32x32"}),
    ("64C3-AP2-(128C3-AP2-10FC", {"dialect": "he", "input": "3x32x32"}),
    ("c64k3-BN-LIF-APk2-FC10", {"dialect": "he", "input": "3x32x32"}),
    ("64C3-AP2-10FC", {"dialect": "she", "input": "3x32x32"}),
    ("64C3-AP2-10FC", {"dialect": "he(padding=odd, colour=1)", "input": "3x32x32"}),
    ("64C3-AP2-10FC", {"input": "3x32x32"}),
    ("", {"dialect": "he", "input": "3x32x32"}),
    ("64C3-64C3-AP64-10FC", {"dialect": "he", "input": "3x32x32"}),
)
