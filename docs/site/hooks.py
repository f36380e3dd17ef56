"""What mkdocs runs while it builds the site: adds pages made from the code, and mends links out of docs/."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig  # noqa: TC002 -- mkdocs reads annotations
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs runs this file by itself

import pages

_OUT = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
_NET = re.compile(r"^```net (?:in)?valid$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made whole."""
    for name, make in pages.PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- mkdocs's hook
    """Puts in the parts that are made; what links to a file of the repository outside docs/ says which one."""
    text = _NET.sub("```sewdsl", pages.with_parts(markdown))
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        way = posixpath.normpath(posixpath.join(here, match[2]))
        return f"{match[1]} (`{way[3:]}` in the repository)" if way.startswith("../") else match[0]

    return _OUT.sub(link, text)
