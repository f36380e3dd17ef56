"""Hooks of mkdocs: adapt pages, which are written for a checkout, to the site."""

from __future__ import annotations

import posixpath
import re
from html import escape
from typing import Any

# Links that leave docs/, which the site cannot show.
_OUT = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
# Opening fences of the examples of diagnostics.
_EXAMPLE = re.compile(r"^```(net|compact|spec)( [^\n]+)?$", re.MULTILINE)
# Inline code with an escaped bar.
_BAR = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
_LEXERS = {"net": "sewdsl", "compact": "sewdsl-compact", "spec": "text"}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 -- mkdocs's hook
    """Replace the languages of diagnostic examples, links out of docs/, and escaped bars in tables."""
    folder = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        return f"{match[1]} (`{path[3:]}` in the repository)" if path.startswith("../") else match[0]

    return _BAR.sub(_bar, _OUT.sub(link, _EXAMPLE.sub(_example, markdown)))


def _bar(match: re.Match[str]) -> str:
    """Return inline code with its escaped bars as entities.

    GitHub removes the backslash of an escaped bar in a table. Python's Markdown does not.
    """
    return f"<code>{escape(match[1]).replace(chr(92) + '|', '&#124;')}</code>"


def _example(match: re.Match[str]) -> str:
    """Return the opening fence with the Pygments name of the language, and the remaining words as title."""
    words = (match[2] or "").split()
    title = f' title="{", ".join(words)}"' if words else ""
    return f"```{_LEXERS[match[1]]}{title}"
