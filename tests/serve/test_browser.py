"""The page in a real browser: one test by default, which starts both, and the others in a deep run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright import sync_api

from sewdsl.compiler import shipped_networks
from tests.serve import misbehaving
from tests.serve.test_end import SERVE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

NET = "sewdsl 1\ninput   2x16x16\nsteps   4\nbody    c8k3-BN-PLIF-{SEW Block-MPk2}*3-FC5\n"
ANSWERED = "Number(document.body.dataset.answered) > {}"


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Return the address of a server of one file, for all tests. A page shows the current file."""
    with serving([sys.executable, "-m", "sewdsl", "serve", str(folder / "a.net")]) as found:
        yield found


@pytest.fixture
def page(browser: sync_api.Browser, address: str, folder: Path) -> Iterator[sync_api.Page]:
    """The page of a file."""
    (folder / "a.net").write_text(NET)
    (folder / "other.net").write_text(NET.replace("c8", "c4"))
    with opened(browser, address) as page:
        yield page


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """The address of a server at a free port."""
    with subprocess.Popen([*command, "--no-open", "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            yield address[0]
        finally:
            server.terminate()


@contextmanager
def opened(browser: sync_api.Browser, address: str) -> Iterator[sync_api.Page]:
    """The page of a server; no request may go elsewhere, and no error be left."""
    errors: list[str] = []
    asked: set[str] = set()
    page = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True, bypass_csp=True)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    page.goto(address)
    page.wait_for_selector("#picture svg")
    yield page
    page.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("blob:", "data:", address))] == []


def put(page: sync_api.Page, text: str) -> None:
    """Types over everything, and waits for the answer."""
    before = page.evaluate("Number(document.body.dataset.answered)")
    page.click(".cm-content")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.wait_for_function(ANSWERED.format(before))


def layers(page: sync_api.Page) -> int:
    return int(page.locator("#picture svg g.node").count())


def test_what_is_typed_is_compiled(page: sync_api.Page) -> None:
    assert page.inner_text("#name") == "a.net"
    assert page.inner_text("#summary").startswith("a: ")
    assert [hint.inner_text() for hint in page.locator(".hint").all()] == ["8×16×16", "8×8×8 … 8×2×2", "5"]
    assert page.locator(".t-keyword").first.inner_text() == "sewdsl"
    put(page, NET.replace("BN-PLIF", "BNPLIF"))
    page.wait_for_selector("#problems li")
    assert "error[missing-hyphen] line 4" in page.inner_text("#problems")
    assert page.locator(".cm-lintRange-error, .cm-lintPoint-error").count() == 1
    assert "old" in (page.get_attribute("#picture", "class") or "")
    page.click("#problems button")
    page.wait_for_function("!document.querySelector('#problems li')")
    assert "BN-PLIF" in page.inner_text(".cm-content")
    page.wait_for_function("!document.querySelector('#picture').classList.contains('old')")


@pytest.mark.deep
def test_folding(page: sync_api.Page) -> None:
    folded = layers(page)
    page.locator('#picture g[id="fold:repeat1"] > :is(polygon, path)').first.click(position={"x": 12, "y": 12})
    page.wait_for_selector("#folds button")
    assert page.inner_text("#folds") == "fold repeat1"
    assert layers(page) > 1.5 * folded  # the legend has nodes too
    page.click("#folds button")
    page.wait_for_function("!document.querySelector('#folds button')")
    assert layers(page) == folded


@pytest.mark.deep
def test_hovering(page: sync_api.Page) -> None:
    page.locator("#picture g.node", has_text="c8 k3 s1").first.hover()
    page.wait_for_selector("#about:not([hidden])")
    assert "conv1: c8k3s1p1d1g1b0 outputs [8, 16, 16] real, 144 parameters" in page.inner_text("#about")
    page.get_by_text("neuron").or_(page.locator(".cm-line", has_text="body")).last.hover(position={"x": 90, "y": 8})
    page.wait_for_selector(".cm-tooltip .about")
    assert "parameters" in page.inner_text(".cm-tooltip .about")


@pytest.mark.deep
def test_completion(page: sync_api.Page) -> None:
    put(page, "sewdsl 1\ninput 2x16x16\nbody c8k3-BN-")
    page.keyboard.type("SEW B")
    page.wait_for_selector(".cm-tooltip-autocomplete li")
    assert page.locator(".cm-tooltip-autocomplete li").first.inner_text().startswith("SEW B")
    page.wait_for_timeout(100)  # an answer that comes at once is not taken for one that is meant
    page.keyboard.press("Enter")
    assert re.search(r"-BN-SEW B(lock|ottleneck)$", page.inner_text(".cm-content").replace("\n", ""))


@pytest.mark.deep
def test_table_direction_and_files(page: sync_api.Page, folder: Path) -> None:
    page.click("#tab-table")
    assert page.locator("#table tbody tr").count() == 11
    assert page.locator("#table tbody tr").nth(1).inner_text().split()[:3] == ["c8k3s1p1d1g1b0", "conv1", "8×16×16"]
    page.click("#tab-picture")
    tall = page.locator("#picture svg").get_attribute("viewBox")
    page.click("#direction")
    page.wait_for_function(f"document.querySelector('#picture svg').getAttribute('viewBox') !== '{tall}'")
    page.select_option("#files", "other.net")
    page.wait_for_function("document.querySelector('#name').textContent === 'other.net'")
    assert not page.is_visible("#save")
    page.select_option("#files", "a.net")
    page.wait_for_function("document.querySelector('#name').textContent === 'a.net'")
    put(page, NET.replace("c8", "c16"))
    page.keyboard.press("Control+s")
    page.wait_for_function("document.querySelector('#summary').textContent === 'saved a.net'")
    assert (folder / "a.net").read_text() == NET.replace("c8", "c16")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("kind", "name", "held"), [("net", "a.net", "SEW Block"), ("svg", "a.svg", "<svg"), ("py", "a.py", "import torch")]
)
def test_downloads(page: sync_api.Page, tmp_path: Path, kind: str, name: str, held: str) -> None:
    with page.expect_download() as waiting:
        page.select_option("#download", kind)
    assert waiting.value.suggested_filename == name
    waiting.value.save_as(tmp_path / "got")
    assert held in (tmp_path / "got").read_text()


@pytest.mark.deep
@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF-1.")])
def test_pictures_for_papers(page: sync_api.Page, tmp_path: Path, kind: str, begin: bytes) -> None:
    with page.expect_download() as waiting:
        page.select_option("#download", kind)
    assert waiting.value.suggested_filename == f"a.{kind}"
    waiting.value.save_as(tmp_path / "got")
    assert (tmp_path / "got").read_bytes().startswith(begin)


@pytest.mark.deep
def test_the_picture_is_dark_in_dark_mode(page: sync_api.Page, tmp_path: Path) -> None:
    ground = "document.querySelector('#picture svg polygon').getAttribute('fill')"
    assert page.evaluate(ground) == "white"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{ground} === '#101828'")
    assert page.evaluate("getComputedStyle(document.querySelector('#picture')).backgroundColor") == "rgb(16, 24, 40)"
    with page.expect_download() as waiting:
        page.select_option("#download", "svg")
    waiting.value.save_as(tmp_path / "got")
    assert 'fill="white"' in (tmp_path / "got").read_text()  # on paper
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{ground} === 'white'")


@pytest.mark.deep
def test_zoom_and_fit(page: sync_api.Page) -> None:
    def drawn() -> tuple[float, float, float, float]:
        box = "(() => { const [svg, panel] = ['#picture svg', '#picture'].map((s) => document.querySelector(s));"
        found = f"{box} return [svg.clientWidth, svg.clientHeight, panel.clientWidth, panel.clientHeight]; }})()"
        width, height, wide, high = page.evaluate(found)
        return width, height, wide, high

    width, height, wide, high = drawn()
    assert page.inner_text("#actual") == "100 %"
    assert (width <= wide, height > high) == (True, True)
    page.click("#whole")
    assert drawn()[1] <= high
    page.click("#larger")
    page.click("#actual")
    assert drawn()[0] == width
    page.click("#larger")
    assert page.inner_text("#actual") == "125 %"
    assert abs(drawn()[0] / width - 1.25) < 0.01
    page.click("#direction")
    page.wait_for_function("document.querySelector('#direction').textContent === 'Top to bottom'")
    page.click("#width")
    page.wait_for_function(
        "document.querySelector('#picture').scrollWidth <= document.querySelector('#picture').clientWidth"
    )
    page.click("#tab-table")
    assert not page.is_visible("#larger")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("network", "title"), [("sew-resnet-50", "SEW ResNet-50"), ("spikformer-8-512", "Spikformer-8-512")]
)
def test_nothing_is_cut_at_1280_pixels(page: sync_api.Page, network: str, title: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    before = page.evaluate("Number(document.body.dataset.answered)")
    page.select_option("#files", network)
    page.wait_for_function(f"document.querySelector('#summary').textContent.startsWith('{title}: ')")
    page.wait_for_function(ANSWERED.format(before))
    cut = """[...document.querySelectorAll('body, body *')].filter((each) => !each.closest('.cm-editor, svg'))
        .filter((each) => each.clientWidth && each.scrollWidth > each.clientWidth + 1)
        .map((each) => each.id || each.tagName)"""
    assert page.evaluate(cut) == []
    page.click("#tab-table")
    assert page.evaluate(cut) == []
    header = page.locator("header").bounding_box()
    assert header is not None
    assert header["height"] < 80


@pytest.mark.deep
def test_a_large_network(page: sync_api.Page) -> None:
    """Prints how long a keystroke takes from the browser's view, picture included."""
    page.select_option("#files", "sew-resnet-152")
    page.wait_for_function("document.querySelector('#summary').textContent.startsWith('SEW ResNet-152')")
    page.click(".cm-content")
    page.keyboard.press("Control+End")
    times = []
    for _ in range(3):
        before = page.evaluate("Number(document.body.dataset.answered)")
        page.keyboard.type("#")
        page.wait_for_function(ANSWERED.format(before))
        times.append(int(page.evaluate("document.body.dataset.took")))
    print(f"a keystroke, picture included: median {sorted(times)[1]} ms")  # noqa: T201
    assert "sew-resnet-152" in shipped_networks()


@pytest.mark.deep
def test_a_text_that_takes_too_long(browser: sync_api.Browser, tmp_path: Path) -> None:
    """The page says so, and what to do; the next text is answered, and so is another page meanwhile."""
    (tmp_path / "a.net").write_text(NET)
    command = [sys.executable, "-c", SERVE.format(begin=misbehaving.WHOLE), "serve", str(tmp_path / "a.net")]
    with serving([*command, "--timeout", "5"]) as address, opened(browser, address) as page:
        other = browser.new_page(bypass_csp=True)
        other.goto(page.url)
        other.wait_for_selector("#picture svg")
        page.click(".cm-content")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text("wait")
        put(other, NET.replace("c8", "c16"))
        assert page.locator("#problems button").count() == 0
        page.wait_for_selector("#problems button")
        assert page.inner_text("#problems").split("\n") == [
            "no answer: compiling the text was stopped after 5 s",
            "shorten the text, reduce its repeats, or raise the limit with 'sewdsl serve --timeout 10'",
            "try again",
        ]
        assert "old" in (page.get_attribute("#picture", "class") or "")
        page.keyboard.press("Control+Space")  # which would take as long
        put(page, NET)
        assert page.locator("#problems li").count() == 0
        page.wait_for_function("!document.querySelector('#picture').classList.contains('old')")
        other.close()


@pytest.mark.deep
def test_a_server_that_has_ended(page: sync_api.Page) -> None:
    page.route("**/api/look", lambda route: route.abort())
    page.click(".cm-content")
    page.keyboard.type("#")
    page.wait_for_selector("#problems button")
    assert page.inner_text("#problems").startswith("no answer: the server does not answer\nstart 'sewdsl serve' again")
    page.unroute("**/api/look")
    page.click("#problems button")
    page.wait_for_function("!document.querySelector('#problems button')")
