"""What is compiled: a SPEC, which is a path, the name of a shipped network or a compact string, and its options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.overrides import Override
from sewdsl.elaborate.suggestions import did_you_mean, nearest_name
from sewdsl.elaborate.text_files import ON_DISK, FileAccess, read_text, similar_siblings
from sewdsl.elaborate.vocabulary import Meanings, Vocabulary
from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.ops import find as find_kind
from sewdsl.paths import RUNS, SPEC_FILE, is_file, is_folder, is_link, is_there
from sewdsl.reporter import Reported
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span

if TYPE_CHECKING:
    from sewdsl.dialects import Conventions

_STATEMENT = re.compile(r"^\ufeff?(?:sewdsl|body|block)[ \t]", re.MULTILINE)
"""The first word of a line in a file; a compact string has no such line. A byte order mark may precede the first."""
_NETWORK = re.compile(r"^(?:body|outputs)\b", re.MULTILINE)
_NOTATION = re.compile(r"[{}<>()\[\]|*]")
_ENDING = re.compile(r"^[^\s]*[A-Za-z_][^\s]*\.[A-Za-z]\w*$")
"""Of a file's name; in the notation, numbers follow dots."""
_NAME = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*")
SHORTEST_PART = 4
"""Characters of a part of a network's name that it is known by."""
MAX_NAMED = 3
"""Networks that a message names."""
MAX_NAME_LENGTH = 200
"""Characters of a string that may be the name of a file or a network."""


@dataclass(frozen=True)
class SpecSource:
    """A text to compile.

    Attributes:
        source: The text, named as the user typed it.
        file: Where it lies; None for a string.
        name: The network's name unless the text says one.
        dialect: What a bare expression is written in; None: in our own language.
        reach: Where the files lie that it may use.
    """

    source: Source
    file: Path | None
    name: str
    dialect: Conventions | None = None
    reach: FileAccess = ON_DISK

    @property
    def compact(self) -> bool:
        """Whether it is a bare expression rather than a file."""
        return self.file is None and not _STATEMENT.search(self.source.text)

    def in_dialect(self, dialect: Conventions | None) -> Reported[SpecSource]:
        """Return the same text, to be read in a dialect; it may have no statements, which no dialect has."""
        found = _STATEMENT.search(self.source.text) if dialect else None
        same = replace(self, dialect=dialect)
        if found is None:
            return Reported(same)
        statement = Diagnostic(
            "other-notation",
            Severity.ERROR,
            f"'{self.source.name}' is a file in sewdsl's own language, not in a dialect",
            Span(self.source, found.start(), found.end() - 1),
            label="a statement of ours",
            help="leave out --dialect",
        )
        return Reported(same, (statement,))


def shipped_networks() -> dict[str, Path]:
    """Return the networks that come with sewdsl, by name; libraries of blocks and recipes among them."""
    return {path.stem: path for path in sorted(resource_folder("nets").glob("*.net"), key=lambda path: path.stem)}


def networks() -> list[str]:
    """Return the names of all shipped networks, sorted; libraries of blocks and settings are left out."""
    files = shipped_networks().items()
    return [name for name, path in files if _NETWORK.search(path.read_text(encoding="utf-8"))]


def trained_networks() -> dict[str, Path]:
    """Return the files of the trained weights of shipped networks, by the network's name."""
    files = resource_folder("nets").glob("*.safetensors")
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def find_source(
    spec: str | Path | Source, limits: Limits = DEFAULT_LIMITS, *, dialect: bool = False
) -> SpecSource | Diagnostic:
    """Return the text that a spec names, or what is said where it names none.

    A file of that name comes first, then a shipped network, then the string itself. A source is taken as it is.

    Args:
        dialect: Whether a string may be in another language, of whose words nothing is known here.
    """
    if isinstance(spec, Source):
        return SpecSource(spec, None, "network")
    text = str(spec)
    path = Path(text)
    if isinstance(spec, Path) or _looks_like_path(text):
        return _read(path, spec, text, limits)
    known = shipped_networks()
    if text in known:
        return _read(known[text], spec, f"{text}.net", limits)
    return _check_missing(text, dialect=dialect) or SpecSource(Source("<string>", text), None, "network")


def _check_missing(text: str, *, dialect: bool) -> Diagnostic | None:
    """What is said of a string that is no notation, but the name of a file, a run or a network that is not there."""
    if not _NAME.fullmatch(text) or len(text) > MAX_NAME_LENGTH:
        return None
    vocabulary = Vocabulary(library=shipped_blocks())
    words = text.split("-")
    if all(map(vocabulary.complete, words)):
        return None
    cutoff = 0.6 if "-" in text else 0.8  # a word alone is more often a layer
    near = nearest_name(text, networks(), cutoff)
    file = similar_siblings(Path(f"{text}.net"), lambda other: other.suffix == ".net" and other.is_file(), cutoff)
    run = similar_siblings(RUNS / text, lambda other: is_file(other / SPEC_FILE))
    if file is not None:
        return _missing(text, f"there is no '{text}'", f"did you mean '{file}'?")
    if run is not None and run.name == text:
        return _missing(text, f"there is no '{text}'", f"did you mean the run '{run}'?")
    if near is not None:
        hint = f"did you mean '{near}'? 'sewdsl nets' lists all"
        return _missing(text, f"no network '{text}' is shipped", hint)
    if not (dialect or words[0].isdigit() or any(_may_be_layer(word, vocabulary) for word in words)):
        part = text.casefold().replace("-", "").replace("_", "")
        names = [name for name in networks() if part in name.replace("-", "")] if len(part) >= SHORTEST_PART else []
        quoted = " or ".join(f"'{name}'" for name in names[:MAX_NAMED]) + (", …" if names[MAX_NAMED:] else "")
        hint = f"did you mean {quoted}?" if names else "'sewdsl nets' lists networks, 'sewdsl nets --kinds' layers"
        hint = f"did you mean the run '{run}'?" if run else hint
        return _missing(text, f"there is no file, run, network or layer '{text}'", hint)
    return None


def _may_be_layer(word: str, vocabulary: Vocabulary) -> bool:
    """Return whether a word is a name of the language, like one, or several with a lost hyphen."""
    known = vocabulary.complete(word) or find_kind(word) is not None or any(vocabulary.splits(word))
    return known or Meanings(vocabulary.layers, vocabulary.blocks).of(word) is not None


def _looks_like_path(text: str) -> bool:
    if not text or "\n" in text or len(text) > 4096:  # noqa: PLR2004 -- longer than any path
        return False
    if text.endswith(".net") or (
        not _NOTATION.search(text) and ("/" in text or os.sep in text or _ENDING.search(text))
    ):
        return True
    path = Path(text)
    return is_there(path) and not (
        is_folder(path) and text in shipped_networks()
    )  # such as the folder of a run of that name


def _read(path: Path, spec: str | Path, shown: str, limits: Limits) -> SpecSource | Diagnostic:
    if is_folder(path) and is_file(path / SPEC_FILE):  # of a run, or exported
        path, shown = path / SPEC_FILE, str(Path(shown) / SPEC_FILE)
    try:
        text = read_text(path, shown, _nowhere(shown), limits)
    except OSError as error:
        hint = _hint(path, known=isinstance(spec, str))
        return _missing(shown, f"cannot read '{shown}': {error.strerror}", hint)
    return text if isinstance(text, Diagnostic) else SpecSource(Source(shown, text), path, path.stem)


def _hint(path: Path, *, known: bool) -> str:
    """What to give in place of a path that cannot be read, where shipped networks are known by name or not."""
    if is_folder(path):
        files = [str(file) for file in sorted(filter(is_file, path.glob("*.net")))[:4]]
        named = ", ".join(files[:3]) + (", …" if files[3:] else "")
        return f"give one of its files: {named}" if files else "give a .net file"
    if is_link(path):
        return "give the file itself"
    if is_there(path) and not is_file(path):
        return "give a file, or '-' for the standard input"
    # folders of data are no networks
    lies = similar_siblings(
        path, lambda other: other.suffix == ".net" or (is_folder(other) and any(other.glob("*.net")))
    )
    if lies is not None:
        return f"did you mean '{lies}'?"
    near = nearest_name(path.name.removesuffix(".net"), networks(), 0.7) if known else None
    return f"a network named '{near}' is shipped: use the name alone" if near else "'sewdsl nets' lists what is shipped"


def _missing(shown: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic("spec-not-found", Severity.ERROR, message, _nowhere(shown), help=hint)


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)


class Options(TypedDict, total=False):
    """What can be said in addition to a spec.

    Attributes:
        input: Shape of the input, ``"2x128x128"`` or ``(2, 128, 128)``.
        steps: Time-steps.
        neuron: What ``SN`` means, ``"PLIF(tau=2.0)"``.
        classes: Number of classes: the width of the last linear layer.
        set: Overrides by key: ``{"join": "IAND", "train.optimizer.lr": 0.03}``.
        limit: Limits by name: ``{"nodes": 1_000_000}``.
        dialect: What a string is written in, ``"he"`` or ``"he(norm=BN)"``; None: in our own language.
    """

    input: str | tuple[int, ...] | None
    steps: int | str | None
    neuron: str | None
    classes: int | None
    set: Mapping[str, object] | None
    limit: Mapping[str, int] | None
    dialect: str | None


LIMIT_CEILINGS = {
    "source_bytes": 10**9, "nesting": 1000, "repeat": 10**9, "nodes": 10**9, "digits": 18, "imports": 1000,
    "boxes": 10**9,
}  # fmt: skip
"""How far each limit can be raised."""


def overrides(options: Options) -> list[Override]:
    """Return the options that change the file, as overrides; ``set`` comes last and wins.

    Raises:
        TypeError: a key of ``set`` is no string.
    """
    others = ("set", "limit", "dialect")
    direct: dict[str, object] = {key: value for key, value in options.items() if key not in others}
    found = [Override(key, format_value(value), f"--{key}") for key, value in direct.items() if value is not None]
    for key, value in (options.get("set") or {}).items():
        if not isinstance(key, str):
            raise TypeError(f"a key of 'set' is a string such as 'train.epochs', not {key!r}")
        found.append(Override(key, format_value(value)))
    return found


def limits(options: Options) -> Reported[Limits]:
    """Return the limits in force, and which names and values of limits are wrong."""
    result, found = Limits(), list[Diagnostic]()
    names = {item.name.removesuffix("_bytes"): item.name for item in fields(Limits)}
    for name, value in (options.get("limit") or {}).items():
        source = Source(f"--limit {name}", str(value))
        span = Span(source, 0, len(source.text))
        attribute = names.get(name)
        if attribute is None:
            hint = did_you_mean(name, names) or f"limits: {', '.join(names)}"
            message = f"there is no limit '{name}'"
            found.append(Diagnostic("unknown-setting", Severity.ERROR, message, span, help=hint))
        elif type(value) is not int or not 1 <= value <= LIMIT_CEILINGS[attribute]:
            message = f"the limit '{name}' must be a whole number from 1 to {LIMIT_CEILINGS[attribute]:,}"
            label = f"got {value}"[:40]
            found.append(Diagnostic("invalid-argument", Severity.ERROR, message, span, label=label))
        else:
            result = replace(result, **{attribute: value})
    return Reported(result, tuple(found))
