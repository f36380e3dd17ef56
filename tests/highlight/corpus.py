"""Every text of the language in this repository: files, compact strings, and inputs that are wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNCLOSED = {"unclosed-parameters-of-a-neuron"}
"""Texts that editors highlight otherwise, because a definition of a neuron has closed parameters in its first line."""
_FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _wrong() -> dict[str, str]:
    cases = tomllib.loads((ROOT / "tests" / "invalid" / "corpus.toml").read_text(encoding="utf-8"))["case"]
    return {f"invalid/{case['name']}": case["text"] for case in cases if case["name"] not in UNCLOSED}


def _documented() -> dict[str, tuple[str, str]]:
    """Return the texts between fences, with their languages."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {
        f"{page.relative_to(ROOT)}#{number}": (language, text)
        for page in pages
        for number, (language, text) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")))
    }


def files() -> dict[str, str]:
    """Texts of ``.net`` files by where they are."""
    shipped = sorted(path for folder in ("nets", "tests") for path in (ROOT / folder).rglob("*.net"))
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in shipped}
    found |= {
        name: text
        for name, (language, text) in _documented().items()
        if language == "net" or (language == "sewdsl" and text.startswith("sewdsl 1"))
    }
    return found | {name: text for name, text in _wrong().items() if text.startswith("sewdsl")}


def strings() -> dict[str, str]:
    """Compact strings by where they are."""
    found = {
        name: text.strip()
        for name, (language, text) in _documented().items()
        if language in {"compact", "sewdsl-compact"}
    }
    return found | {name: text for name, text in _wrong().items() if not text.startswith("sewdsl")}
