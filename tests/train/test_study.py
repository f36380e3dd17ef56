"""``sewdsl study``: variants one after another, what has ended is kept, and the table of it all."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.compiler import Compilation, CompiledVariant, compile_variants
from sewdsl.elaborate.study_section import StudyVariant
from sewdsl.source import Source
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunDiverged, RunError, RunFolder, RunInterrupted
from sewdsl.train.study import plots
from sewdsl.train.study.outcome import (
    MAX_FOLDER_NAME_LENGTH,
    Outcome,
    StudyFolder,
    VariantResult,
    folder_name,
    row_cells,
    table_to_csv,
    table_to_markdown,
)
from sewdsl.train.study.pool import SequentialPool
from sewdsl.train.study.repeats import Spread, finish_run
from sewdsl.train.study.run_study import AllRuns, plan_runs, run_study
from sewdsl.train.training_plan import TrainingPlan
from tests.words import check_words, raises

from .conftest import SMALL
from .made import METRICS, result

LOSSES = "epoch,train_loss,test_loss\n1,2.0,1.5\n2,1.0,1.25\n"
"""Metrics of a network without an accuracy."""
STUDY = SMALL + "\nstudy {\n    vary join ADD IAND\n    vary seed 1 2\n}\n"


def varied(text: str = STUDY) -> tuple[CompiledVariant, ...]:
    base, found = compile_variants(Source("small.net", text))
    assert base.valid
    return found


class Runs:
    """Stands in for training; notes what it was asked to do, and stops or diverges where it is told to."""

    def __init__(self, stop: str = "", diverge: str = "", loss: float | None = None, metrics: str = METRICS) -> None:
        self.started: list[str] = []
        self.went_on: list[str] = []
        self.told: list[str] = []
        self.stop, self.diverge = stop, diverge
        self.loss, self.metrics = loss, metrics

    def start(self, compilation: Compilation, planned: TrainingPlan, folder: RunFolder) -> Result:
        name = f"{folder.path.parent.name}/{folder.path.name}"
        self.started.append(name)
        folder.spec.write_text(compilation.standalone_text(), "utf-8")
        if name == self.stop:
            raise RunInterrupted(2)
        if name == self.diverge:
            message = "the loss is nan"
            raise RunDiverged(message)
        return self._end(folder, planned.recipe.seed)

    def go_on(self, folder: RunFolder) -> Result:
        self.went_on.append(f"{folder.path.parent.name}/{folder.path.name}")
        return self._end(folder, int(folder.path.name.removeprefix("seed-")))

    def announce(self, number: int, total: int, one: CompiledVariant, planned: TrainingPlan) -> None:
        self.told.append(f"{number}/{total} {one.variant.title} {planned.recipe.seed}")

    def _end(self, folder: RunFolder, seed: int) -> Result:
        if self.loss is None:
            found = result(seed=seed, accuracy=0.5 + seed / 10, best_accuracy=0.9)
        else:
            found = result(seed=seed, accuracy=0, best_accuracy=0, loss=self.loss + seed / 10, best_loss=self.loss)
        folder.result.write_text(found.model_dump_json(), "utf-8")
        folder.metrics.write_text(self.metrics, "utf-8")
        return found

    def all(self, path: Path, text: str = STUDY, *, drawn: bool = False) -> Outcome:
        """Do all of a study."""
        folder = StudyFolder(path)
        with pytest.MonkeyPatch.context() as patch:
            if not drawn:
                patch.setattr(plots, "draw", lambda *_: None)
            turns = AllRuns(plan_runs(varied(text), folder, None))
            pool = SequentialPool(
                lambda compilation, planned, run, _: finish_run(compilation, planned, run, self.start, self.go_on)
            )
            outcome, died = run_study(turns, folder, pool, self.announce)
            assert not died
            return outcome


class TestRun:
    def test_all(self, tmp_path: Path) -> None:
        runs = Runs()
        outcome = runs.all(tmp_path)
        assert runs.started == ["join=ADD/seed-1", "join=IAND/seed-1", "join=ADD/seed-2", "join=IAND/seed-2"]
        assert runs.told == ["1/4 join ADD 1", "2/4 join IAND 1", "3/4 join ADD 2", "4/4 join IAND 2"]
        assert (outcome.network, outcome.data, outcome.runs, outcome.complete) == ("Small", "digits", 4, True)
        assert [row.labels for row in outcome.rows] == [{"join": "ADD"}, {"join": "IAND"}]
        for row in outcome.rows:
            assert row.seeds == [1, 2]
            assert row.accuracy == Spread.of([0.6, 0.7])
            assert row.train_accuracy == Spread.of([0.5, 0.5])
            assert row.parameters == varied()[0].compilations[0].result().total_parameters
        assert outcome.seconds == pytest.approx(4 * 75.4)

    def test_files(self, tmp_path: Path) -> None:
        outcome, folder = Runs().all(tmp_path, drawn=True), StudyFolder(tmp_path)
        assert Outcome.model_validate_json(folder.outcome.read_bytes()) == outcome
        with folder.csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [(row["join"], round(float(row["accuracy"]), 9), row["seeds"]) for row in rows] == [
            ("ADD", 0.65, "2"),
            ("IAND", 0.65, "2"),
        ]
        head, rule, first, _ = folder.table.read_text("utf-8").splitlines()
        assert head == "| join | parameters | seeds | train | last | best | seconds |"
        assert rule.count("|") == head.count("|")
        assert first.split(" | ")[2:5] == ["1, 2", "50.00% ± 0.00%", "65.00% ± 7.07%"]
        assert folder.curves.read_bytes().startswith(b"\x89PNG")
        assert not folder.trend.exists()

    def test_losses_replace_accuracies_without_a_class_as_target(self, tmp_path: Path) -> None:
        runs = Runs(loss=0.5, metrics=LOSSES)
        outcome, folder = runs.all(tmp_path, drawn=True), StudyFolder(tmp_path)
        assert [(row.accuracy, row.best_accuracy) for row in outcome.rows] == [(None, None)] * 2
        head, _, first, _ = folder.table.read_text("utf-8").splitlines()
        assert head == "| join | parameters | seeds | last loss | best loss | seconds |"
        assert first.split(" | ")[3:5] == ["0.6500 ± 0.0707", "0.5000 ± 0.0000"]
        assert "loss,loss_deviation,best_loss" in folder.csv.read_text("utf-8")

    @pytest.mark.parametrize(
        ("removed", "titles"),
        [
            ("", ["training loss", "training accuracy", "test accuracy"]),
            ("validation", ["training loss", "training accuracy", "validation accuracy"]),
            ("accuracy", ["training loss", "test loss"]),
        ],
    )
    def test_panels_have_lines(
        self, removed: str, titles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        metrics = METRICS.replace("test_", "validation_") if removed == "validation" else METRICS
        metrics = LOSSES if removed == "accuracy" else metrics
        figures: list[Figure] = []
        monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
        Runs(metrics=metrics).all(tmp_path, drawn=True)
        (figure,) = figures
        assert [axes.get_title() for axes in figure.axes] == titles
        assert all(list(line.get_xdata()) == [1, 2] for axes in figure.axes for line in axes.lines)  # type: ignore[arg-type]

    def test_what_has_ended_is_kept(self, tmp_path: Path) -> None:
        first, second = Runs(stop="join=IAND/seed-1"), Runs()
        with pytest.raises(RunInterrupted):
            first.all(tmp_path)
        known = Outcome.model_validate_json(StudyFolder(tmp_path).outcome.read_bytes())
        assert [row.seeds for row in known.rows] == [[1], []]
        assert not known.complete
        assert second.all(tmp_path).complete
        assert second.started == ["join=ADD/seed-2", "join=IAND/seed-2"]
        assert second.went_on == ["join=IAND/seed-1"]
        third = Runs()
        third.all(tmp_path)
        assert (third.started, third.went_on) == ([], [])

    def test_one_that_diverges_does_not_end_the_others(self, tmp_path: Path) -> None:
        runs = Runs(diverge="join=ADD/seed-1")
        outcome = runs.all(tmp_path)
        assert len(runs.started) == 4
        assert outcome.rows[0].diverged == {1: "the loss is nan"}
        assert (outcome.rows[0].seeds, outcome.rows[0].accuracy) == ([2], Spread.of([0.7]))
        assert outcome.complete
        assert "| 2, 1 diverged |" in table_to_markdown(outcome)

    def test_all_diverged(self, tmp_path: Path) -> None:
        text = SMALL + '\nstudy {\n    variant "hot" "train.optimizer.lr=100"\n}\n'
        outcome = Runs(diverge="variant=hot/seed-0").all(tmp_path, text)
        assert row_cells(outcome.rows[0], outcome.spreads)[2:] == ["1 diverged", "–", "–", "–", "0"]
        assert ",1,,,,,,,0.0\r\n" in table_to_csv(outcome)

    def test_no_cell_is_a_formula(self, tmp_path: Path) -> None:
        study = 'study {\n    variant "=1+1" "train.batch=50"\n    variant "-0.5" "train.batch=100"\n}\n'
        table = table_to_csv(Runs().all(tmp_path, f"{SMALL}\n{study}"))
        rows = list(csv.reader(io.StringIO(table)))
        assert [row[0] for row in rows] == ["variant", "'=1+1", "-0.5"]

    def test_more_can_be_added(self, tmp_path: Path) -> None:
        runs = Runs()
        runs.all(tmp_path, STUDY.replace("seed 1 2", "seed 1"))
        runs.all(tmp_path)
        assert runs.started == [f"join={join}/seed-{seed}" for seed in (1, 2) for join in ("ADD", "IAND")]


class TestFolder:
    def test_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with raises(RunError):
            Runs().all(tmp_path)
        with raises(RunError, "2"):
            Runs().all(tmp_path / "notes.txt")

    def test_of_another_study(self, tmp_path: Path) -> None:
        Runs().all(tmp_path)
        runs = Runs()
        with raises(RunError):
            runs.all(tmp_path, STUDY.replace("epochs 2", "epochs 3"))
        with raises(RunError, "2"):
            runs.all(tmp_path, STUDY.replace("ADD IAND", "ADD AND"))
        assert runs.started == []

    def test_names_are_safe_and_differ(self) -> None:
        labels = ["c8k3-BN", "c8k3/BN", "c8k3 BN", "../x", "é", "x" * 300, "x" * 301, "LIF(tau=2.0)"]
        names = [folder_name(StudyVariant({"body": label}, ())) for label in labels]
        assert len(set(names)) == len(labels)
        for name in names:
            assert "/" not in name
            assert name.isascii()
            assert len(name) <= MAX_FOLDER_NAME_LENGTH + 7
        assert names[0] == "body=c8k3-BN"
        assert folder_name(StudyVariant({}, ())) == "as-written"


class TestFigures:
    def test_an_axis_of_numbers(self, tmp_path: Path) -> None:
        text = STUDY.replace("vary seed 1 2", "vary train.batch 10 20 100")
        outcome = Runs().all(tmp_path, text, drawn=True)
        assert plots.numeric(outcome) == "train.batch"
        assert StudyFolder(tmp_path).trend.read_bytes().startswith(b"\x89PNG")

    def test_names_are_no_formulas(self, tmp_path: Path) -> None:
        study = 'study {\n    variant "$\\frac$" "join=ADD"\n    vary train.batch 10 20 100\n}\n'
        outcome = Runs().all(tmp_path, STUDY[: STUDY.index("study")] + study)
        plots.draw(outcome.model_copy(update={"network": r"$\frac$"}), StudyFolder(tmp_path))

    @pytest.mark.parametrize("labels", [["1", "2"], ["1", "2", "none"], ["1", "1", "2"]])
    def test_no_axis_of_numbers(self, labels: list[str]) -> None:
        rows = [VariantResult(labels={"x": label}, folder=label, parameters=1) for label in labels]
        assert plots.numeric(Outcome(network="", data="", runs=3, machine="", rows=rows)) is None

    @pytest.mark.parametrize(
        ("network", "title"), [("Small", "Small on digits"), ("Small, on digits", "Small, on digits")]
    )
    def test_title(self, network: str, title: str) -> None:
        assert Outcome(network=network, data="digits", runs=0, machine="", rows=[]).title == title


class TestCommand:
    @pytest.fixture
    def spec(self, tmp_path: Path) -> Path:
        path = tmp_path / "small.net"
        text = STUDY.replace("epochs 2", "epochs 1").replace("batch 200", "batch 500")
        path.write_text(text.replace("{SEW Block-MPk2s2}*2", "SEW Block-MPk4"), "utf-8")
        return path

    def test_list(self, spec: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        done = CliRunner().invoke(app, ["study", str(spec), "--out", str(out), "--list"])
        assert done.stdout.splitlines() == [f"{out}/join={g}: join {g}; seeds 1, 2" for g in ("ADD", "IAND")]
        assert not out.exists()

    def test_trains_each_and_then_none(self, spec: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"

        def study() -> list[str]:
            done = CliRunner().invoke(app, ["study", str(spec), "--out", str(out)])
            assert done.exit_code == 0, done.output
            return done.stdout.splitlines()

        lines = study()
        assert lines[-1].startswith("4 runs in ")
        rows = json.loads((out / "study.json").read_text("utf-8"))["rows"]
        for row in rows:
            found = [RunFolder(out / row["folder"] / f"seed-{seed}").read_result().accuracy for seed in (1, 2)]
            assert row["accuracy"]["values"] == found
        assert "join=IAND" in (out / "join=IAND" / "seed-1" / "spec.net").as_posix()
        assert "join    IAND" in (out / "join=IAND" / "seed-1" / "spec.net").read_text("utf-8")
        stamps = [path.stat().st_mtime_ns for path in sorted(out.glob("*/*/result.json"))]
        assert study()[:-1] == lines[:-1]
        assert stamps == [path.stat().st_mtime_ns for path in sorted(out.glob("*/*/result.json"))]

    def test_a_part_of_it(self, spec: Path, tmp_path: Path) -> None:
        """The remaining runs are added to the same folder."""
        out = tmp_path / "out"
        command = ["study", str(spec), "--out", str(out)]
        listed = CliRunner().invoke(app, [*command, "--only", "iand", "--seeds", "1", "--list"])
        assert listed.stdout.splitlines() == [f"{out}/join=IAND: join IAND; seeds 1"]
        done = CliRunner().invoke(app, [*command, "--only", "join iand", "--seeds", "1"])
        assert done.exit_code == 0, done.output
        assert sorted(path.parent.relative_to(out).as_posix() for path in out.glob("*/*/result.json")) == [
            "join=IAND/seed-1"
        ]
        done = CliRunner().invoke(app, [*command, "--only", "ADD", "--only", "AND", "--seeds", "1"])
        assert done.exit_code == 0, done.output
        assert len(list(out.glob("*/*/result.json"))) == 2
        done = CliRunner().invoke(app, [*command, "--only", "ADD", "--seeds", "1"])
        assert done.exit_code == 0, done.output
        assert [row["labels"] for row in json.loads((out / "study.json").read_text("utf-8"))["rows"]] == [
            {"join": "ADD"}
        ]
        none = CliRunner().invoke(app, [*command, "--only", "OR"])
        assert none.exit_code == 2
        check_words(none.stderr)

    def test_no_variants(self) -> None:
        done = CliRunner().invoke(app, ["study", "mnist5k"])
        assert done.exit_code == 1
        check_words(done.stderr)

    def test_a_wrong_variant_trains_nothing(self, spec: Path, tmp_path: Path) -> None:
        spec.write_text(spec.read_text("utf-8").replace("IAND", "XOR"), "utf-8")
        done = CliRunner().invoke(app, ["study", str(spec), "--out", str(tmp_path / "out")])
        assert done.exit_code == 1
        assert f"{spec}:16:19: error[invalid-argument]" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_check_looks_at_variants(self, spec: Path) -> None:
        good = CliRunner().invoke(app, ["check", str(spec)])
        assert good.exit_code == 0
        assert good.stdout.endswith("; 2 variants\n")
        spec.write_text(spec.read_text("utf-8").replace("IAND", "XOR"), "utf-8")
        done = CliRunner().invoke(app, ["check", str(spec)])
        assert done.exit_code == 1
        assert "error[invalid-argument]" in done.stderr


def test_accuracies_in_integers_are_a_column() -> None:
    spread = Spread.of([0.5, 0.7])
    made: dict[str, Any] = {"parameters": 1, "accuracy": spread}
    rows = [VariantResult(labels={"bits": bits}, folder=bits, **made) for bits in ("none", "int2")]
    rows[1] = rows[1].model_copy(update={"integers": Spread.of([0.4, 0.6])})
    outcome = Outcome(network="n", data="d", runs=2, machine="m", rows=rows)
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table_to_markdown(outcome).splitlines()]
    assert [row[table[0].index("integers")] for row in table[2:]] == ["–", "50.00% ± 14.14%"]
    first, second = csv.DictReader(io.StringIO(table_to_csv(outcome)))
    assert (first["integers"], second["integers"], second["accuracy"]) == ("", "0.5", "0.6")
    floats = outcome.model_copy(update={"rows": rows[:1]})
    assert "integers" not in table_to_markdown(floats) + table_to_csv(floats)
