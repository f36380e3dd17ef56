"""The site: built without a warning, with every page in it."""

import re
from pathlib import Path

import pytest

from docs.site.c_networks import c_networks
from docs.site.pages import PAGES, made

ROOT = Path(__file__).parents[2]


def test_every_page_is_in_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        way = page.relative_to(ROOT / "docs").with_suffix("")
        where = site / way / "index.html" if way.name != "index" else site / way.with_suffix(".html")
        assert where.is_file(), page


def test_every_page_can_be_reached() -> None:
    """By the navigation; codes and decisions by their index."""
    nav = re.findall(r"^\s+- (?:[\w ]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert written <= set(nav)
    assert {"decisions/index.md"} <= set(nav)
    assert len(nav) == len(set(nav))


def test_each_decision_has_a_date_and_a_status() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert records
    for record in records:
        number, heading = int(record.name[:4]), record.read_text(encoding="utf-8").splitlines()[:3]
        assert heading[0].startswith(f"# {number}. "), record.name
        assert re.fullmatch(r"\*20\d\d-\d\d-\d\d · (accepted|superseded)( · .+)?\*", heading[2]), record.name


@pytest.mark.parametrize("page", PAGES)
def test_what_is_made_from_the_code_is_as_the_code_is_now(page: str) -> None:
    """Otherwise ``python -m docs.site.pages`` writes it again."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == made(page)


@pytest.mark.deep
def test_rows_of_large_networks_are_as_the_code_is_now() -> None:
    """Otherwise ``python -m docs.site.c_networks`` writes them again."""
    assert (ROOT / "docs" / "c-networks.md").read_text(encoding="utf-8") == c_networks(whole=True)


@pytest.mark.parametrize(
    ("page", "held"),
    [
        (
            "catalogue",
            ["H[t] = (1 - 1/tau) V[t-1]", "surrogate=ATan(alpha=2.0)", "block SEW Block"],
        ),
        ("reference", ["Random temporal", "T_train", "c#k#s#p#d#g#b#", "200,000", 'sequence "or" sequence']),
        ("networks", ["130,938", "spiking-resnet-152", "17.4M (Tab. 6)"]),
        ("differences", ["23.23M", "2,322,891", "differs"]),
        ("data", ["cifar10-dvs", "dvs128-gesture", "mnist5k"]),
        ("diagnostics", ["join-needs-spikes", "missing-hyphen"]),
        ("decisions", ["Surrogate"]),
    ],
)
def test_what_it_holds(site: Path, page: str, held: list[str]) -> None:
    html = (site / page / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", html).replace("&#39;", "'").replace("&quot;", '"')
    for words in held:
        assert words.casefold() in text.casefold(), words


def test_every_fence_is_one(site: Path) -> None:
    """mkdocs reads a fence with unknown attributes as prose."""
    assert [path for path in site.rglob("*.html") if "```" in path.read_text(encoding="utf-8")] == []


def test_bars_in_tables(site: Path) -> None:
    html = (site / "reference" / "index.html").read_text(encoding="utf-8")
    assert "<code>ADD[ a | b ]</code>" in html.replace("&#124;", "|")
    assert "\\|" not in html


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://[^\"]+", html), path
