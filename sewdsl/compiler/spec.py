"""Specs and their options: a spec is a path, the name of a shipped network, or a layer string."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.overrides import Override
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
from sewdsl.syntax.suggestions import did_you_mean, nearest_name

if TYPE_CHECKING:
    from sewdsl.dialects import Conventions

_STATEMENT = re.compile(r"^\ufeff?(?:sewdsl|body|block)[ \t]", re.MULTILINE)
"""First word of a line in a file, after an optional byte order mark. Layer strings contain no such line."""
_NETWORK = re.compile(r"^(?:body|outputs)\b", re.MULTILINE)
_NOTATION = re.compile(r"[{}<>()\[\]|*]")
_ENDING = re.compile(r"^[^\s]*[A-Za-z_][^\s]*\.[A-Za-z]\w*$")
"""File name with a suffix. In layer strings, only digits follow a dot."""
_NAME = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*")
SHORTEST_PART = 4
"""Minimum length of a part of a network name that is used for suggestions."""
MAX_NAMED = 3
"""Maximum number of networks in a suggestion."""
MAX_NAME_LENGTH = 200
"""Maximum length of a string that is checked as the name of a file or network."""


@dataclass(frozen=True)
class SpecSource:
    """Source text to compile."""

    source: Source
    """Text, named as the user typed it."""
    file: Path | None
    """Path of the file, or None for a string."""
    name: str
    """Default name of the network."""
    dialect: Conventions | None = None
    """Dialect of a bare expression. None: the language of sewdsl."""
    reach: FileAccess = ON_DISK

    @property
    def compact(self) -> bool:
        """True for a bare expression, which is not a file."""
        return self.file is None and not _STATEMENT.search(self.source.text)

    def in_dialect(self, dialect: Conventions | None) -> Reported[SpecSource]:
        """Return the source with a dialect, and a diagnostic if the text contains statements, which no dialect has."""
        match = _STATEMENT.search(self.source.text) if dialect else None
        in_dialect = replace(self, dialect=dialect)
        if match is None:
            return Reported(in_dialect)
        diagnostic = Diagnostic(
            "other-notation",
            f"'{self.source.name}' is written in the language of sewdsl, expected a dialect",
            Span(self.source, match.start(), match.end() - 1),
            label="statement of sewdsl",
            help="remove --dialect",
        )
        return Reported(in_dialect, (diagnostic,))


def shipped_networks() -> dict[str, Path]:
    """Return the shipped files by name, including libraries of blocks and recipes."""
    return {path.stem: path for path in sorted(resource_folder("nets").glob("*.net"), key=lambda path: path.stem)}


def networks() -> list[str]:
    """Return the sorted names of all shipped networks, without libraries."""
    files = shipped_networks().items()
    return [name for name, path in files if _NETWORK.search(path.read_text(encoding="utf-8"))]


def trained_networks() -> dict[str, Path]:
    """Return the files of the trained weights of shipped networks, by name of the network."""
    files = resource_folder("nets").glob("*.safetensors")
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def find_source(
    spec: str | Path | Source, limits: Limits = DEFAULT_LIMITS, *, dialect: bool = False
) -> SpecSource | Diagnostic:
    """Find the source of a spec, or return a diagnostic.

    A file has precedence over a shipped network, and a network over a layer string. A source is returned unchanged.

    Args:
        dialect: Whether a string may be in a dialect, with unknown names.
    """
    if isinstance(spec, Source):
        return SpecSource(spec, None, "network")
    text = str(spec)
    path = Path(text)
    # A Path is never the name of a network.
    if isinstance(spec, Path) or _looks_like_path(text):
        return _read(path, spec, text, limits)
    shipped = shipped_networks()
    if text in shipped:
        return _read(shipped[text], spec, f"{text}.net", limits)
    return _check_missing(text, dialect=dialect) or SpecSource(Source("<string>", text), None, "network")


def _check_missing(text: str, *, dialect: bool) -> Diagnostic | None:
    """Return a diagnostic for the name of a missing file, run or network."""
    if not _NAME.fullmatch(text) or len(text) > MAX_NAME_LENGTH:
        return None
    vocabulary = Vocabulary(library=shipped_blocks())
    # A layer string of valid words is compiled. Its errors are reported by the compiler.
    words = text.split("-")
    if all(map(vocabulary.complete, words)):
        return None
    cutoff = 0.6 if "-" in text else 0.8  # a single word is usually a layer
    near = nearest_name(text, networks(), cutoff)
    file = similar_siblings(Path(f"{text}.net"), lambda other: other.suffix == ".net" and other.is_file(), cutoff)
    run = similar_siblings(RUNS / text, lambda other: is_file(other / SPEC_FILE))
    missing = f"no file, run, shipped network or layer is named '{text}'"
    if file is not None:
        return _missing(text, missing, f"did you mean '{file}'?")
    if run is not None and run.name == text:
        return _missing(text, missing, f"did you mean the run '{run}'?")
    if near is not None:
        hint = f"did you mean '{near}'? run 'sewdsl nets' to list all"
        return _missing(text, f"no shipped network is named '{text}'", hint)
    if not (dialect or words[0].isdigit() or any(_may_be_layer(word, vocabulary) for word in words)):
        part = text.casefold().replace("-", "").replace("_", "")
        names = [name for name in networks() if part in name.replace("-", "")] if len(part) >= SHORTEST_PART else []
        quoted = " or ".join(f"'{name}'" for name in names[:MAX_NAMED]) + (", …" if names[MAX_NAMED:] else "")
        listing = "run 'sewdsl nets' to list networks, 'sewdsl nets --kinds' to list layers"
        hint = f"did you mean {quoted}?" if names else listing
        hint = f"did you mean the run '{run}'?" if run else hint
        return _missing(text, missing, hint)
    return None


def _may_be_layer(word: str, vocabulary: Vocabulary) -> bool:
    """Return whether a word is a name of the language, a misspelt one, or several with a missing hyphen."""
    is_known = vocabulary.complete(word) or find_kind(word) is not None or any(vocabulary.splits(word))
    return is_known or Meanings(vocabulary.layers, vocabulary.blocks).of(word) is not None


def _looks_like_path(text: str) -> bool:
    # Layer strings may be longer than any path, and the file system would raise an error.
    if not text or "\n" in text or len(text) > 4096:  # noqa: PLR2004 -- longer than any path
        return False
    if text.endswith(".net") or (
        not _NOTATION.search(text) and ("/" in text or os.sep in text or _ENDING.search(text))
    ):
        return True
    path = Path(text)
    # A run folder may be named after a shipped network, which has precedence.
    return is_there(path) and not (is_folder(path) and text in shipped_networks())


def _read(path: Path, spec: str | Path, shown: str, limits: Limits) -> SpecSource | Diagnostic:
    if is_folder(path) and is_file(path / SPEC_FILE):  # a run folder or an exported folder
        path, shown = path / SPEC_FILE, str(Path(shown) / SPEC_FILE)
    try:
        text = read_text(path, shown, _nowhere(shown), limits)
    except OSError as error:
        hint = _hint(path, suggest_networks=isinstance(spec, str))
        return _missing(shown, f"cannot read '{shown}': {error.strerror}", hint)
    return text if isinstance(text, Diagnostic) else SpecSource(Source(shown, text), path, path.stem)


def _hint(path: Path, *, suggest_networks: bool) -> str:
    """Return the help for a path that cannot be read, with shipped networks if ``suggest_networks``."""
    if is_folder(path):
        files = [str(file) for file in sorted(filter(is_file, path.glob("*.net")))[:4]]
        listed = ", ".join(files[:3]) + (", …" if files[3:] else "")
        return f"use one of its files: {listed}" if files else "use a .net file"
    if is_link(path):
        return "use a regular file"
    if is_there(path) and not is_file(path):
        return "use a regular file, or '-' for standard input"
    # Only folders with .net files are suggested, not e.g. folders of datasets.
    similar = similar_siblings(
        path, lambda other: other.suffix == ".net" or (is_folder(other) and any(other.glob("*.net")))
    )
    if similar is not None:
        return f"did you mean '{similar}'?"
    near = nearest_name(path.name.removesuffix(".net"), networks(), 0.7) if suggest_networks else None
    return f"use the shipped network: '{near}'" if near else "run 'sewdsl nets' to list shipped networks"


def _missing(shown: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic("spec-not-found", message, _nowhere(shown), help=hint)


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)


class Options(TypedDict, total=False):
    """Compiler options of a spec."""

    input: str | tuple[int, ...] | None
    """Shape of the input, ``"2x128x128"`` or ``(2, 128, 128)``."""
    steps: int | str | None
    """Number of time-steps."""
    neuron: str | None
    """Neuron that ``SN`` refers to, ``"PLIF(tau=2.0)"``."""
    classes: int | None
    """Number of classes: outputs of the last linear layer."""
    set: Mapping[str, object] | None
    """Overrides by key: ``{"join": "IAND", "train.optimizer.lr": 0.03}``."""
    limit: Mapping[str, int] | None
    """Limits by name: ``{"nodes": 1_000_000}``."""
    dialect: str | None
    """Dialect of a string, ``"he"`` or ``"he(norm=BN)"``. None: the language of sewdsl."""


LIMIT_CEILINGS = {
    "source_bytes": 10**9, "nesting": 1000, "repeat": 10**9, "nodes": 10**9, "digits": 18, "imports": 1000,
    "boxes": 10**9,
}  # fmt: skip
"""Maximum value of each limit."""


def overrides(options: Options) -> list[Override]:
    """Return the options that change the file, as overrides. Those of ``set`` come last and have precedence.

    Raises:
        TypeError: If a key of ``set`` is not a string.
    """
    others = ("set", "limit", "dialect")
    direct: dict[str, object] = {key: value for key, value in options.items() if key not in others}
    result = [Override(key, format_value(value), f"--{key}") for key, value in direct.items() if value is not None]
    # 'set' may contain the keys of other options, which it overrides.
    for key, value in (options.get("set") or {}).items():
        if not isinstance(key, str):
            raise TypeError(f"keys of 'set' must be strings, e.g. 'train.epochs', got {key!r}")
        result.append(Override(key, format_value(value)))
    return result


def limits(options: Options) -> Reported[Limits]:
    """Return the limits in force, and diagnostics of invalid names and values."""
    result, diagnostics = Limits(), list[Diagnostic]()
    names = {item.name.removesuffix("_bytes"): item.name for item in fields(Limits)}
    for name, value in (options.get("limit") or {}).items():
        source = Source(f"--limit {name}", str(value))
        span = Span(source, 0, len(source.text))
        attribute = names.get(name)
        if attribute is None:
            hint = did_you_mean(name, names) or f"limits: {', '.join(names)}"
            message = f"unknown limit '{name}'"
            diagnostics.append(Diagnostic("unknown-setting", message, span, help=hint))
        # type() instead of isinstance: a bool is an int too.
        elif type(value) is not int or not 1 <= value <= LIMIT_CEILINGS[attribute]:
            message = f"limit '{name}' must be an integer from 1 to {LIMIT_CEILINGS[attribute]:,}"
            label = f"got {value}"[:40]
            diagnostics.append(Diagnostic("invalid-argument", message, span, label=label))
        else:
            result = replace(result, **{attribute: value})
    return Reported(result, tuple(diagnostics))
