"""The site: built without a warning, with every page in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # whether mkdocs has a successor is no matter of ours
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


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
    assert {"codes/index.md", "decisions/index.md", "catalogue.md", "networks.md"} <= set(nav)
    assert len(nav) == len(set(nav))


@pytest.mark.parametrize(
    ("page", "held"),
    [
        (
            "catalogue",
            ["H[t] = (1 - 1/tau) V[t-1]", "surrogate=ATan(alpha=2.0)", "block SEW Block", "Random temporal", "T_train"],
        ),
        ("networks", ["130,938", "spiking-resnet-152", "17.4M (Tab. 6)"]),
        ("differences", ["23.23M", "2,322,891", "differs"]),
        ("data", ["cifar10-dvs", "dvs128-gesture", "mnist5k"]),
        ("codes", ["join-needs-spikes", "missing-hyphen"]),
        ("decisions", ["Surrogate"]),
    ],
)
def test_what_is_made_from_the_code(site: Path, page: str, held: list[str]) -> None:
    html = (site / page / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", html).replace("&#39;", "'").replace("&quot;", '"')
    assert "<!-- made" not in html
    for words in held:
        assert words.casefold() in text.casefold(), words


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://[^\"]+", html), path
