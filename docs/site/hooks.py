"""What mkdocs runs while it builds the site: mends what a page says for a checkout."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
_NET = re.compile(r"^```net (?:in)?valid$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 -- mkdocs's hook
    """Names the language as Pygments does; what links to a file of the repository outside docs/ says which one."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        way = posixpath.normpath(posixpath.join(here, match[2]))
        return f"{match[1]} (`{way[3:]}` in the repository)" if way.startswith("../") else match[0]

    return _OUT.sub(link, _NET.sub("```sewdsl", markdown))
