"""Screenshots for the documentation: ``python -m docs.site.screenshots``.

It requires Chromium, and trains a network for half a minute, to show its report and a notebook.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from playwright.sync_api import Browser, Page, sync_playwright
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STYLE = """
body { font: 14px sans-serif; margin: 1.2em; width: 1040px; }
table { border-collapse: collapse; font-size: 12px; } td, th { text-align: right; padding: .3em .7em; }
tr:nth-child(even) { background: #f5f5f5; } .in { background: #f5f5f5; border: 1px solid #e0e0e0; padding: .5em; }
pre { margin: 0; font-size: 13px; } .cell { margin: .7em 0; } .out { margin: .6em 0 0 .6em; } img { max-width: 100%; }
progress { width: 100%; }
"""


@contextmanager
def served(file: Path, browser: Browser) -> Iterator[Page]:
    """Serve the live page of a file, and open it in the browser."""
    command = [sys.executable, "-m", "sewdsl", "serve", str(file), "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 -- sewdsl itself
        match = re.search(r"http://\S+", server.stdout.readline() if server.stdout else "")
        page = browser.new_page(viewport={"width": 1400, "height": 800}, bypass_csp=True)
        try:
            page.goto(match[0] if match else "")
            page.wait_for_selector("#picture svg")
            yield page
        finally:
            server.terminate()


def live(browser: Browser, folder: Path) -> None:
    """Take screenshots of 7B-Net with its diagram, and of SEW ResNet-18 as a table with an error."""
    nets = folder / "nets"
    shutil.copytree(ROOT / "nets", nets)
    with served(nets / "7b-net.net", browser) as page:
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "page.png")
    with served(nets / "sew-resnet-18.net", browser) as page:
        page.click("#tab-table")
        page.get_by_text("-BN-SN-MP").first.wait_for()
        text = (nets / "sew-resnet-18.net").read_text(encoding="utf-8").replace("-BN-SN-", "-BNSN-")
        page.click(".cm-content")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(text)
        page.wait_for_selector("#problems li")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "page-problems.png")


def report(browser: Browser, folder: Path) -> None:
    """Take a screenshot of the top of a run's report."""
    run = folder / "run"
    command = [sys.executable, "-m", "sewdsl", "train", "mnist5k", "--set", "train.epochs=3", "--out", str(run)]
    subprocess.run(command, check=True)  # noqa: S603 -- sewdsl itself
    page = browser.new_page(viewport={"width": 1000, "height": 1100})
    page.goto((run / "report.html").as_uri())
    page.screenshot(path=PICTURES / "report.png")


def notebook(browser: Browser, folder: Path) -> None:
    """Take a screenshot of the example notebook with its outputs."""
    example: Any = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(example, resources={"metadata": {"path": str(folder)}}).execute()
    style = STYLE + str(HtmlFormatter().get_style_defs())  # type: ignore[no-untyped-call]
    cells = "".join(map(_cell, example.cells[:5]))
    page = browser.new_page(viewport={"width": 1100, "height": 600})
    page.set_content(f"<meta charset=utf-8><style>{style}</style>{cells}")
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / "notebook.png", full_page=True)


def _cell(cell: Any) -> str:
    if cell.cell_type == "markdown":
        return str(MarkdownIt().render(cell.source))
    source = highlight(cell.source, PythonLexer(), HtmlFormatter())
    outputs = "".join(f'<div class="out">{_output(output)}</div>' for output in cell.outputs)
    return f'<div class="cell"><div class="in">{source}</div>{outputs}</div>'


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>"
    return str(output.data.get("text/html") or f"<pre>{escape(output.data.get('text/plain', ''))}</pre>")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for show in (live, report, notebook):
            show(chromium, Path(folder))
