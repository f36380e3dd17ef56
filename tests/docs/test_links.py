"""Links lead somewhere in a checkout, and as far as the site is concerned, in the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token  # noqa: TC002 -- it is no import of its own

ROOT = Path(__file__).parents[2]
WRITTEN = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
PAGES = [*sorted(WRITTEN), *(ROOT / "editors").glob("*/README.md")]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def _tokens(page: Path) -> Iterator[Token]:
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def links(page: Path) -> Iterator[str]:
    """Return the targets of links and pictures of a page, without other sites."""
    for token in _tokens(page):
        way = str(token.attrGet("href") or token.attrGet("src") or "")
        if way and not re.match(r"https?://|mailto:", way):
            yield unquote(way)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The headings of a page as GitHub and mkdocs name them."""
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_in_a_checkout(page: Path) -> None:
    for link in links(page):
        way, _, anchor = link.partition("#")
        target = (page.parent / way).resolve() if way else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_there_are_links() -> None:
    found = [link for page in PAGES for link in links(page)]
    assert len(found) > 150
    assert "weights.md#conversion-limits" in found
    assert any(link.endswith(".png") for link in found)


def test_in_the_site(site: Path) -> None:
    """In the pages of mkdocs, every link and picture is a file of the site, and every anchor exists in its page."""
    for path in site.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        for link in re.findall(r"<(?:a|img|link|script)[^>]+?(?:href|src)=\"([^\"]*)\"", html):
            if re.match(r"https?:|mailto:|data:|/", link) or path.name == "404.html":
                continue
            way, _, anchor = unquote(link).partition("#")
            target = (path.parent / way).resolve() if way else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (path, link)
            if anchor and target.suffix == ".html":
                assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), (path, link)
