"""What a SPEC is: a path, the name of a shipped network, or a compact string."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from sewdsl.diagnostics import Diagnostics
from sewdsl.dialects import Conventions
from sewdsl.elaborate.files import SAVED, Reach, read_text
from sewdsl.elaborate.suggestions import nearest
from sewdsl.resources import folder
from sewdsl.source import Source, Span
from sewdsl.syntax.limits import STANDARD, Limits

_STATEMENT = re.compile(r"^(?:sewdsl|body|block)[ \t]", re.MULTILINE)
"""What begins a line of a file but no compact string."""
_NOTATION = re.compile(r"[{}<>()\[\]|*]")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Found:
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
    reach: Reach = SAVED

    @property
    def compact(self) -> bool:
        """Whether it is a bare expression rather than a file."""
        return self.file is None and not _STATEMENT.search(self.source.text)

    def spoken(self, dialect: Conventions | None, diagnostics: Diagnostics) -> Found:
        """The same text, to be read in a dialect; that it has statements, which no dialect has, is reported."""
        found = _STATEMENT.search(self.source.text) if dialect else None
        if found is not None:
            diagnostics.report(
                "other-notation",
                f"'{self.source.name}' is a file in sewdsl's own language, not in a dialect",
                Span(self.source, found.start(), found.end() - 1),
                label="a statement of ours",
                help="leave out --dialect",
            )
        return replace(self, dialect=dialect)


def shipped() -> dict[str, Path]:
    """The networks that come with sewdsl, by name; libraries of blocks and recipes among them."""
    return {path.stem: path for path in sorted(folder("nets").glob("*.net"), key=lambda path: path.stem)}


def find(spec: str | Path | Source, diagnostics: Diagnostics, limits: Limits = STANDARD) -> Found | None:
    """The text that a spec names; None where there is none, which is reported.

    A file of that name comes first, then a shipped network, then the string itself. A source is taken as it is.
    """
    if isinstance(spec, Source):
        return Found(spec, None, "network")
    text = str(spec)
    path = Path(text)
    if isinstance(spec, Path) or _looks_like_path(text):
        return _read(path, spec, text, diagnostics, limits)
    known = shipped()
    if text in known:
        return _read(known[text], spec, f"{text}.net", diagnostics, limits)
    near = nearest(text, known) if _NAME.fullmatch(text) and "-" in text else None
    if near is not None:
        _missing(
            text, f"no network '{text}' is shipped", f"did you mean '{near}'? 'sewdsl nets' lists all", diagnostics
        )
        return None
    return Found(Source("<string>", text), None, "network")


def _looks_like_path(text: str) -> bool:
    if not text or "\n" in text or len(text) > 4096:  # noqa: PLR2004 -- longer than any path
        return False
    if text.endswith(".net") or ("/" in text and not _NOTATION.search(text)):
        return True
    try:
        path = Path(text)
        return path.exists() and not (path.is_dir() and text in shipped())  # such as the folder of a run of that name
    except (OSError, ValueError):
        return False


def _read(path: Path, spec: str | Path, shown: str, diagnostics: Diagnostics, limits: Limits) -> Found | None:
    try:
        text = read_text(path, shown, _nowhere(shown), diagnostics, limits)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        near = nearest(path.name.removesuffix(".net"), shipped()) if isinstance(spec, str) else None
        hint = (
            f"a network named '{near}' is shipped: use the name alone"
            if near
            else "see 'sewdsl nets' for what is shipped"
        )
        _missing(shown, f"cannot read '{shown}': {reason.lower()}", hint, diagnostics)
        return None
    return None if text is None else Found(Source(shown, text), path, path.stem)


def _missing(shown: str, message: str, hint: str, diagnostics: Diagnostics) -> None:
    diagnostics.report("spec-not-found", message, _nowhere(shown), help=hint)


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)
