"""What mkdocs runs while it builds the site: adapts what a page says for a checkout."""

from __future__ import annotations

import posixpath
import re
from html import escape
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
_EXAMPLE = re.compile(r"^```(net|compact|spec)( [^\n]+)?$", re.MULTILINE)
_BAR = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
_LEXERS = {"net": "sewdsl", "compact": "sewdsl-compact", "spec": "text"}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 -- mkdocs's hook
    """Shows the examples of a diagnostic, and says which file of the repository a link out of docs/ leads to."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        way = posixpath.normpath(posixpath.join(here, match[2]))
        return f"{match[1]} (`{way[3:]}` in the repository)" if way.startswith("../") else match[0]

    return _BAR.sub(_bar, _OUT.sub(link, _EXAMPLE.sub(_example, markdown)))


def _bar(match: re.Match[str]) -> str:
    """A bar within a cell of a table, whose backslash GitHub takes away and Python's Markdown does not."""
    return f"<code>{escape(match[1]).replace(chr(92) + '|', '&#124;')}</code>"


def _example(match: re.Match[str]) -> str:
    """The language by the name that Pygments has for it, and what is said of the example as its title."""
    words = (match[2] or "").split()
    title = f' title="{", ".join(words)}"' if words else ""
    return f"```{_LEXERS[match[1]]}{title}"
