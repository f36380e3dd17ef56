"""What a SPEC is: a path, the name of a shipped network, or a compact string."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.suggestions import nearest
from sewdsl.resources import folder
from sewdsl.source import Source, Span

_HDF5 = b"\x89HDF\r\n\x1a\n"
_STATEMENT = re.compile(r"^(?:sewdsl|body|block)[ \t]", re.MULTILINE)
"""What begins a line of a file but no compact string."""
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Found:
    """A text to compile.

    Attributes:
        source: The text, named as the user typed it.
        file: Where it lies; None for a string.
        name: The network's name unless the text says one.
    """

    source: Source
    file: Path | None
    name: str

    @property
    def compact(self) -> bool:
        """Whether it is a bare expression rather than a file."""
        return self.file is None and not _STATEMENT.search(self.source.text)


def shipped() -> dict[str, Path]:
    """The networks that come with sewdsl, by name; libraries of blocks and recipes among them."""
    return {path.stem: path for path in sorted(folder("nets").glob("*.net"))}


def find(spec: str | Path | Source, diagnostics: Diagnostics) -> Found | None:
    """The text that a spec names; None where there is none, which is reported.

    A file of that name comes first, then a shipped network, then the string itself. A source is taken as it is.
    """
    if isinstance(spec, Source):
        return Found(spec, None, "network")
    text = str(spec)
    path = Path(text)
    if isinstance(spec, Path) or _looks_like_path(text):
        return _read(path, text, diagnostics)
    known = shipped()
    if text in known:
        return _read(known[text], f"{text}.net", diagnostics)
    near = nearest(text, known) if _NAME.fullmatch(text) and "-" in text else None
    if near is not None:
        _missing(
            text, f"no network '{text}' is shipped", f"did you mean '{near}'? 'sewdsl nets' lists all", diagnostics
        )
        return None
    return Found(Source("<string>", text), None, "network")


def _looks_like_path(text: str) -> bool:
    if "\n" in text or len(text) > 4096:  # noqa: PLR2004 -- longer than any path
        return False
    if text.endswith(".net"):
        return True
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _read(path: Path, shown: str, diagnostics: Diagnostics) -> Found | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or "unreadable"
        near = nearest(path.name.removesuffix(".net"), shipped())
        hint = (
            f"a network named '{near}' is shipped: use the name alone"
            if near
            else "'sewdsl nets' lists what is shipped"
        )
        _missing(shown, f"cannot read '{shown}': {reason.lower()}", hint, diagnostics)
        return None
    if data.startswith(_HDF5):
        message = f"'{shown}' is a lava-dl network in HDF5, not a sewdsl file"
        diagnostics.report(
            "lava-file",
            message,
            _nowhere(shown),
            help="both end in .net; sewdsl reads text files that begin with 'sewdsl 1'",
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"'{shown}' is not UTF-8 text (byte {error.start})"
        diagnostics.report("not-utf8", message, _nowhere(shown), help="save it as UTF-8")
        return None
    return Found(Source(shown, text), path, path.stem)


def _missing(shown: str, message: str, hint: str, diagnostics: Diagnostics) -> None:
    diagnostics.report("spec-not-found", message, _nowhere(shown), help=hint)


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)
