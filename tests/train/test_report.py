"""``report.html``: whole, self-contained, true to the files, and safe whatever they hold."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.diagnostics import SewdslError
from sewdsl.tensor_file import encode_tensors
from sewdsl.train import report
from sewdsl.train.fit.load_run import find_refusals
from sewdsl.train.fit.run_weights import read_weights
from sewdsl.train.fit.train_run import evaluate_run
from sewdsl.train.report.pictures import svg_element
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunError, RunFolder
from tests.effort import examples
from tests.words import raises

from .conftest import LIGHT, SMALL, Run
from .made import LIVELY, NEURONS, finished, unfinished

VOID = {"meta", "img", "wbr"}
HEADINGS = [
    "Curves",
    "Firing rates",
    "Neurons",
    "Confusion",
    "Network",
    "Recipe",
    "Layers",
    "Specification",
    "Machine and versions",
]
EVIL = "<script>alert('\"&')</script>"


class Page(HTMLParser):
    """Fails where an element is not closed in its turn; collects what a test looks at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, "only in SVG may an element close itself"
        self.note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)
        if "style" not in self.open:
            self.words += data if "pre" in self.open else self.collapsed(data)

    def collapsed(self, data: str) -> str:
        """White space as a browser shows it."""
        words = re.sub(r"\s+", " ", data)
        return words.lstrip(" ") if self.words[-1:].isspace() else words

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]


def written(folder: RunFolder) -> Page:
    """The page, after what holds for every page was looked at."""
    report.write(folder)
    text = folder.report.read_text("utf-8")
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert not {"script", "link", "iframe", "object", "embed", "foreignobject", "a"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    for name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {"href", "src"} or value.startswith(("#", "data:image/png;base64,"))
    assert re.findall(r"https?:|@import|url\((?!#)", text) == []
    used = {value for _, text in page.attributes for value in re.findall(r"url\(#(.*?)\)", text)}
    used |= {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    assert used <= set(page.ids)
    return page


@pytest.fixture(scope="module")
def figures_matter() -> bool:
    return True


class TestRun:
    def test_has_its_page(self, run: Run) -> None:
        assert run.folder.report.is_file()

    def test_says_what_came_out(self, run: Run, tmp_path: Path) -> None:
        shutil.copytree(run.folder.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "lock"))
        page = written(RunFolder(tmp_path / "run"))
        assert page.headings == HEADINGS
        result = run.result
        for text in (
            f"{result.accuracy:.2%}",
            f"{result.best_accuracy:.2%}",
            f"{result.parameters:,}",
            *result.firing_rates,
            *(f"{rate:.2%}" for rate in result.firing_rates.values()),
            *result.versions.values(),
            "Adam(lr=0.05, weight_decay=0.0)",
        ):
            assert text in page.words
        assert run.folder.spec.read_text("utf-8") in page.words
        assert page.tags.count("svg") == 4 + 1 + 2 * len(result.firing_rates)


class TestMadeUp:
    def test_numbers(self, tmp_path: Path) -> None:
        page = written(finished(tmp_path / "run"))
        assert page.headings == HEADINGS
        for text in ("76.54%", "87.65%", "best epoch (2)", "1 min 15 s", "2 of 2 epochs", "seed 7", "2.6.0"):
            assert text in page.words
        assert "The best epoch was selected on the test samples as well" in page.words
        assert "0 classified as 1 (1 of 10)" in page.words
        assert page.words.count("90.0%") == 9

    def test_how_to_repeat_it(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run", processes=2)
        assert "in the run folder: sewdsl train spec.net --devices 2 --out RUN" in written(folder).words
        folder.local.write_text('{"folder": "/my data"}', "utf-8")
        folder.processes.write_text('{"strategy": "ddp"}', "utf-8")
        folder.start.parent.mkdir()
        folder.start.touch()
        command = "sewdsl train spec.net --data DIR --weights checkpoints/start.safetensors --devices 2"
        assert f"in the run folder: {command} --strategy ddp --out RUN" in written(folder).words

    def test_the_same_files_give_the_same_page(self, tmp_path: Path, curves: dict[str, str | bytes]) -> None:
        folder = finished(tmp_path / "run")
        report.write(folder)
        first = folder.report.read_bytes()
        curves.clear()
        report.write(folder)
        assert folder.report.read_bytes() == first

    def test_epochs_are_whole_numbers(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run", epochs=1)
        folder.metrics.write_text("epoch,train_loss,test_loss\n1,2.0,1.5\n", "utf-8")
        assert [name for name in written(folder).ids if "-xtick_" in name] == ["curve1-xtick_1"]

    def test_a_validation_part(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        recipe = json.loads(folder.recipe.read_text("utf-8"))
        folder.recipe.write_text(json.dumps({**recipe, "validation": 0.1}), "utf-8")
        assert "selected on 10% of the training samples" in written(folder).words

    def test_many_classes_are_a_picture(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        counts = [[int(i == j) for j in range(100)] for i in range(100)]
        folder.confusion.write_text(json.dumps({"counts": counts}), "utf-8")
        page = written(folder)
        assert page.tags.count("img") == 1
        assert "Every sample is classified correctly." in page.words

    def test_classes_have_names(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        counts = json.loads(folder.confusion.read_text("utf-8"))["counts"]
        measurements.write_confusion(folder.confusion, counts, ["cat", "dog", EVIL])
        page = written(folder)
        assert (
            f"cat classified as dog (1 of 10), dog classified as {EVIL} (1 of 10), {EVIL} classified as 3" in page.words
        )
        assert page.words.count(EVIL) == 2 + 2, "a row and a column"
        assert ("class", "upright") in page.attributes

    def test_a_network_without_an_accuracy(self, tmp_path: Path) -> None:
        text = LIGHT.replace("c4k3-BN-PLIF-MPk4s4-FC10", "c1k3").replace("epochs 2", "epochs 2\n    loss MSE(to=input)")
        scores = {"accuracy": 0, "best_accuracy": 0, "accuracies": {"exit": 0.25}, "loss": 0.5, "best_loss": 0.375}
        page = written(finished(tmp_path / "run", text, **scores))
        assert "0.5000 loss, last epoch" in page.words
        assert "0.3750 loss, best epoch" in page.words
        assert "25.00% accuracy, last epoch, accuracy.exit" in page.words
        assert " 0.00% accuracy" not in page.words

    def test_many_layers_are_folded_away(self, tmp_path: Path) -> None:
        rates = {f"if{index}": 0.001 if index == 3 else 0.1 + index / 1000 for index in range(50)}
        page = written(finished(tmp_path / "run", firing_rates=rates))
        assert "all 50 layers, from 0.10% (if3) to 14.90% (if49)" in page.words
        assert page.words.count("below 1%") == 2
        assert "dead" not in page.words, "a dead neuron never fires"


class TestFiring:
    @pytest.mark.parametrize(
        ("join_", "dead", "said"),
        [
            ("ADD", NEURONS[2], "a silent layer makes its block an identity"),
            ("IAND", NEURONS[2], "a silent layer makes its block an identity"),
            ("AND", NEURONS[2], "a silent layer silences its AND block"),
            ("ADD", NEURONS[1], ""),
        ],
    )
    def test_dead(self, tmp_path: Path, join_: str, dead: str, said: str) -> None:
        text = SMALL.replace("encode", f"join    {join_}\nencode").replace("-MPk2s2", "")
        page = written(finished(tmp_path / "run", text, firing_rates={**dict.fromkeys(NEURONS, 0.2), dead: 0.004}))
        assert f"{dead} fires at less than 1%: " in page.words
        assert ("At the end of a branch" in page.words) == bool(said)
        assert said in page.words
        assert ("class", "dead") in page.attributes

    def test_saturated(self, tmp_path: Path) -> None:
        page = written(finished(tmp_path / "run", firing_rates=dict.fromkeys(NEURONS, 0.95)))
        assert "5 layers fire at more than 90%: " in page.words
        assert page.attributes.count(("class", "saturated")) == 5

    def test_nothing_to_say(self, tmp_path: Path) -> None:
        assert ("class", "warning") not in written(finished(tmp_path / "run")).attributes


class TestMissing:
    def test_not_ended(self, tmp_path: Path) -> None:
        page = written(unfinished(tmp_path / "run"))
        assert "This run is not finished" in page.words
        ended = {"Neurons", "Confusion", "Machine and versions"}
        assert page.headings == [title for title in HEADINGS if title not in ended]
        assert "10.00%" in page.words

    @pytest.mark.parametrize(
        ("name", "damage"),
        [
            ("spec.net", b"{"),
            ("spec.net", b"\x80"),
            ("recipe.json", b"[]"),
            ("result.json", b"{"),
            ("metrics.csv", b"epoch\nx"),
            ("metrics.csv", b"a,b\n1,2\n"),
            ("confusion.json", b'{"counts": [[1, 2], [3]]}'),
            ("confusion.json", b'{"counts": [["1"]]}'),
            ("confusion.json", b'{"classes": ["a"]}'),
            ("confusion.json", b'{"classes": 3, "counts": [[1]]}'),
            ("diagram.svg", b"<svg><a>"),
        ],
    )
    def test_damaged(self, tmp_path: Path, name: str, damage: bytes) -> None:
        folder = finished(tmp_path / "run")
        (folder.path / name).write_bytes(damage)
        assert len(written(folder).headings) >= 5

    def test_the_spec_alone(self, tmp_path: Path) -> None:
        folder = unfinished(tmp_path / "run")
        for path in (folder.recipe, folder.metrics, folder.diagram):
            path.unlink()
        assert written(folder).headings == ["Network", "Recipe", "Layers", "Specification"]

    def test_no_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # the message names the runs of the current folder
        with raises(RunError):
            report.write(RunFolder(tmp_path / "nowhere"))
        with raises(RunError, "2"):
            report.write(RunFolder(tmp_path))
        assert list(tmp_path.iterdir()) == []


class TestEscapes:
    def test_names(self, tmp_path: Path) -> None:
        rates, neurons = {EVIL: 0.001}, {EVIL: LIVELY}
        folder = finished(tmp_path / "run", network=EVIL, versions={EVIL: EVIL}, firing_rates=rates, neurons=neurons)
        folder.recipe.write_text(json.dumps({EVIL: EVIL, "on": EVIL}), "utf-8")
        folder.spec.write_text(f"{folder.spec.read_text('utf-8')}# {EVIL}\n", "utf-8")
        assert written(folder).words.count(EVIL) >= 9

    def test_the_name_in_the_diagram(self, tmp_path: Path) -> None:
        name = "<script>alert('&')</script>"
        page = written(finished(tmp_path / "run", SMALL.replace("Small", name)))
        assert name in page.words
        assert "Network" in page.headings

    def test_a_diagram_from_anywhere_is_not_shown(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        first = written(folder)
        folder.diagram.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>', "utf-8")
        assert written(folder).tags == first.tags


class TestSvg:
    def test_names_are_its_own(self) -> None:
        document = (
            '<svg width="9pt" height="8" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
            '<defs><style>*{color: red}</style><path id="a"/></defs><use xlink:href="#a" clip-path="url(#a)"/>'
            '<a xlink:title="&lt;tip"><text>kept</text></a></svg>'
        )
        assert svg_element(document, "p-", '"') == (
            '<svg width="9" height="8" role="img" aria-label="&quot;">'
            '<defs><path id="p-a" /></defs><use href="#p-a" clip-path="url(#p-a)" />'
            "<g><title>&lt;tip</title><text>kept</text></g></svg>"
        )


def test_command(run: Run, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(run.folder.path, folder.path)
    done = CliRunner().invoke(app, ["report", str(folder.path)])
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{folder.report}\n{folder.card}\n", "")
    Page(folder.report.read_text("utf-8"))
    refused = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << (at % 8)
    path.write_bytes(data)


SPEC, LAST, BEST = "spec.net", "checkpoints/last.safetensors", "checkpoints/best.safetensors"
DAMAGES: dict[str, Callable[[Path, int], object]] = {
    "missing": lambda path, _: path.unlink(),
    "cut": lambda path, at: path.write_bytes(path.read_bytes()[: at % path.stat().st_size]),
    "flipped": _flip,
    "wider": lambda path, _: path.write_bytes(
        path.read_bytes().replace(b"c4k3", b"c5k3")
        if path.suffix == ".net"
        else encode_tensors({name: torch.cat([x, x]) if x.ndim else x for name, x in read_weights(path).items()})
    ),
    "whole": lambda *_: None,
}


@pytest.fixture(scope="module")
def damaged(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, int], RunFolder]:
    """Copy a run and damage one of its files."""

    def copy(name: str, damage: str, at: int = -3) -> RunFolder:
        folder = RunFolder(tmp_path_factory.mktemp("damaged") / "run")
        shutil.copytree(run.folder.path, folder.path, ignore=shutil.ignore_patterns("tensorboard"))
        DAMAGES[damage](folder.path / name, at)
        return folder

    return copy


class TestOfWhatEvalRefuses:
    @given(st.sampled_from([SPEC, LAST, BEST]), st.sampled_from([*DAMAGES]), st.integers(0, 10_000))
    @examples(25)
    def test_both_refuse_the_same(
        self, damaged: Callable[[str, str, int], RunFolder], name: str, damage: str, at: int
    ) -> None:
        folder = damaged(name, damage, at)
        refusals = [*map(str, find_refusals(folder).values())]
        raised = None
        try:
            evaluate_run(folder)
        except (RunError, SewdslError) as error:
            raised = str(error)
        assert (raised in refusals) if raised else (refusals == [])

    @pytest.mark.parametrize("damage", ["missing", "flipped", "wider"])
    @pytest.mark.parametrize("name", [SPEC, LAST, BEST])
    def test_it_is_on_the_page_and_the_card(
        self, damaged: Callable[[str, str], RunFolder], name: str, damage: str
    ) -> None:
        folder = damaged(name, damage)
        refused = CliRunner().invoke(app, ["eval", str(folder.path)])
        done = CliRunner().invoke(app, ["report", str(folder.path)])
        assert (refused.exit_code, done.exit_code) == (1, 0)
        assert done.stdout == f"{folder.report}\n{folder.card}\n"
        assert "warning: 'sewdsl eval' rejects this run: " in done.stderr
        assert refused.stderr.removeprefix("error: ").split("\n")[0] in done.stderr
        page, card = Page(folder.report.read_text("utf-8")), folder.card.read_text("utf-8")
        assert "sewdsl eval rejects this run: " in page.words
        assert "**Not reproducible.** `sewdsl eval` rejects this run:" in card
        assert str(folder.path) not in page.words + card
        assert "sewdsl eval ." not in card
        assert ("load_trained" in card) == ("sewdsl export . network.py" in card) == (name == BEST)
        unreadable = name == SPEC and damage != "wider"  # only its weights are of another network
        assert ("sewdsl train spec.net" in card) == (not unreadable)
        assert ("sewdsl train spec.net" in page.words) == (not unreadable)

    def test_a_run_that_has_not_ended_has_no_weights(self, tmp_path: Path) -> None:
        assert find_refusals(unfinished(tmp_path / "run")) == {}

    def test_an_exported_folder_has_weights_of_its_own(self, run: Run, tmp_path: Path) -> None:
        out = tmp_path / "exported"
        assert CliRunner().invoke(app, ["export", str(run.folder.path), str(out), "--to", "folder"]).exit_code == 0
        assert find_refusals(RunFolder(out)) == {}
        DAMAGES["cut"](out / "weights.safetensors", 1000)
        assert [*find_refusals(RunFolder(out))] == ["weights.safetensors"]
