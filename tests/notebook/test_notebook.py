"""Networks and runs as a notebook shows them, and the example notebook, executed."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

import sewdsl
from sewdsl import notebook
from sewdsl.draw import RenderingError
from sewdsl.train.store.run_folder import RunError
from tests.words import raises

SMALL = """\
sewdsl 1
input   1x8x8
steps   2
encode  direct
body    c4k3-BN-PLIF-MPk4-FC10

train on digits {
    epochs 1
    batch 256
    optimizer SGD(lr=0.1)
}
"""
EXAMPLE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def test_a_network() -> None:
    network = sewdsl.load("c4k3-BN-PLIF-{SEW Block-MPk2}*2-FC10", input="2x8x8")
    html = network._repr_html_()
    assert f"<b>network</b>: {network.total_parameters:,} parameters" in html
    picture = b64decode(re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)[0]).decode()
    assert picture.count("PLIF</text>") == 2 + 1
    assert "<td>SEW Block (c4s1)</td><td>repeat1.2.sew_block1</td><td>4x4x4</td><td>count 0..3</td>" in html
    assert html.count("<tr>") == 10


def test_a_module_as_its_network() -> None:
    model = sewdsl.compile("c4k3-BN-PLIF-FC10", input="2x8x8")
    assert model._repr_html_() == model.network._repr_html_()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sewdsl.load('c4k3-FOO', input='1x8x8')", "SewdslError: "),
        ("sewdsl.load_trained('nowhere')", "SewdslError: "),
        ("sewdsl.evaluate('nowhere')", "RunError: "),
        ("sewdsl.dataset('dvs128-gesture')", "DataError: "),
    ],
)
def test_errors_show_no_frames_of_sewdsl(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.run_cell(f"import sewdsl\ndef mine():\n    {line}\nmine()")
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert message in said
    assert "in mine" in said
    assert line in said
    assert "/sewdsl/" not in said


def test_a_network_whose_name_is_html() -> None:
    network = sewdsl.load("BN-FC2", input="2x8x8")
    named = replace(network, name="<script>")
    assert "<script>" not in notebook.network_html(named)


def test_without_a_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise RenderingError

    monkeypatch.setattr(notebook, "render", fails)
    html = notebook.network_html(sewdsl.load("BN-FC2", input="2x8x8"))
    assert "<img" not in html
    assert "<td>FC2b1</td>" in html


def test_a_network_of_many_layers_is_not_drawn() -> None:
    text = "-".join(f"c{4 + i % 7}k3-BN-PLIF" for i in range(300)) + "-FC2"
    html = notebook.network_html(sewdsl.load(text, input="2x8x8"))
    assert "not drawn: 902 layers, more than 200" in html
    assert html.count("<tr>") == 1 + 200
    assert "702 lines more" in html
    assert len(html) < 100_000


def test_many_copies_are_not_even_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "NODES", 20)
    monkeypatch.delattr(notebook, "picture_items")
    html = notebook.network_html(sewdsl.load("c4k3-BN-IF-{SEW Block}*3-FC2", input="2x8x8"))
    assert "not drawn: more than 20 nodes" in html


def test_a_deep_network_is_drawn_folded_and_without_a_word_more() -> None:
    html = notebook.network_html(sewdsl.load("sew-resnet-152"))
    assert "data:image/svg+xml" in html
    assert "not drawn" not in html
    assert "lines more" not in html
    assert len(html) < 250_000


def test_a_cell_that_trains_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "small.net"
    spec.write_text(SMALL, encoding="utf-8")
    out = tmp_path / "run"
    first = notebook.train(spec, out, overwrite=True)
    (out / "notes.md").touch()
    with pytest.raises(RunError, match="overwrite=True"):
        notebook.train(spec, out)
    assert first.result == notebook.NotebookRun(out).result
    again = notebook.train(str(spec), str(out), overwrite=True, set={"train.epochs": "2"})
    assert again.result.epochs == 2
    assert repr(again).endswith(f"s; {out}")
    monkeypatch.chdir(tmp_path)
    assert repr(again).endswith("s; run")
    assert (out / "notes.md").exists()  # nothing is removed but what a run has left


def test_overwriting_removes_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with raises(RunError):
        notebook.train("mnist5k", tmp_path, overwrite=True)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        notebook.NotebookRun(tmp_path)


def executed_here(example: nbformat.NotebookNode, capsys: pytest.CaptureFixture[str]) -> dict[str, list[Any]]:
    """Run the cells in this process, as a kernel does; return their outputs by id."""
    shell = InteractiveShell.instance()
    shown: dict[str, list[Any]] = {}
    try:
        for cell in example.cells:
            shell.display_pub = CapturingDisplayPublisher()
            outputs = shown[cell["id"]] = shell.display_pub.outputs
            shell.display_trap.hook = CapturingDisplayHook(shell, outputs)
            if cell["cell_type"] == "code":
                shell.run_cell(cell["source"]).raise_error()
            outputs.append({"text": "".join(capsys.readouterr())})
    finally:
        InteractiveShell.clear_instance()
    return shown


def executed_in_a_kernel(example: nbformat.NotebookNode, _: object) -> dict[str, list[Any]]:
    """Run the cells in a kernel of their own; return their outputs by id."""
    NotebookClient(example, timeout=300, resources={"metadata": {"path": os.curdir}}).execute()
    return {cell["id"]: cell.get("outputs", []) for cell in example.cells}


@pytest.mark.parametrize("execute", [executed_here, pytest.param(executed_in_a_kernel, marks=pytest.mark.deep)])
def test_the_example(
    execute: Callable[..., dict[str, list[Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every cell runs; the network, the bar and the run show what they should."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE.parents[1]))  # the notebook runs in another folder
    monkeypatch.chdir(tmp_path)
    example = nbformat.read(EXAMPLE, as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") for cell in example.cells), "without outputs, which the test makes anew"
    (written,) = (cell for cell in example.cells if cell["source"].startswith("%%writefile"))
    assert "batch 32\n" in written["source"]
    written["source"] = written["source"].replace("batch 32\n", "batch 480\n")  # three steps an epoch
    shown = execute(example, capsys)
    html = ["".join(o["data"].get("text/html", "") for o in outs if "data" in o) for outs in shown.values()]
    assert "data:image/svg+xml" in html[1]
    assert re.search(r"epoch 3/3 +loss", str(shown["cell-4"]))
    bars = [output for output in shown["cell-4"] if "progress" in str(output.get("data", ""))]
    assert bars
    assert re.search(r"<progress[^>]* max='(\d+)' value='\1'", str(bars[-1]["data"]))
    assert "data:image/png" in html[4]
    assert "digits 8x8 on digits: " in html[4]
    assert "torch.Size([2, 10])" in str(shown["cell-6"])
    assert "repeat1.2.sew_block1: A " in str(shown["cell-7"])
    assert (tmp_path / "digits8-run" / "result.json").is_file()
