"""A search among the variants of a study: what is chosen, what ends early, what is remembered, and what is left."""

import importlib.util
import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.compiler import Compilation, CompiledVariant, compile_trial, compile_variants
from sewdsl.elaborate.study_section import Search
from sewdsl.source import Source
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunDiverged, RunError, RunFolder, RunInterrupted, RunPruned
from sewdsl.train.study import plots, search
from sewdsl.train.study.outcome import Outcome, SearchOutcome, StudyFolder, Trial, table_to_csv, table_to_markdown
from sewdsl.train.study.pool import SequentialPool
from sewdsl.train.study.repeats import finish_run
from sewdsl.train.study.run_study import run_study
from sewdsl.train.study.search import SearchRuns, should_prune, suggest_values
from sewdsl.train.study.worker import Watch
from sewdsl.train.training_plan import TrainingPlan
from tests.words import raises

from .conftest import SMALL
from .made import result

VARY = ["vary train.optimizer.lr log 1e-3 1", "vary train.batch linear 100 200", "vary join ADD IAND"]
EPOCHS = 3


def text(*lines: str) -> str:
    return (
        SMALL.replace("epochs 2", f"epochs {EPOCHS}") + "study {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"
    )


def compiled(*lines: str) -> tuple[Compilation, CompiledVariant]:
    base, found = compile_variants(Source("small.net", text(*lines)))
    assert base.valid, base.diagnostics
    return base, found[0]


class Runs:
    """Stands in for training: a run is the better the nearer its learning rate is to 0.1, and the later its epoch."""

    def __init__(self, stop: str = "", diverge: str = "") -> None:
        self.started: list[str] = []
        self.stop, self.diverge = stop, diverge

    def finish(self, compilation: Compilation, planned: TrainingPlan, folder: RunFolder, watch: Watch | None) -> Result:
        def start(compilation: Compilation, planned: TrainingPlan, folder: RunFolder) -> Result:
            folder.spec.write_text(compilation.standalone_text(), "utf-8")
            return self._train(planned, folder, watch)

        def go_on(folder: RunFolder) -> Result:
            base, _ = compile_variants(folder.spec)
            recipe = base.result().recipe
            assert recipe is not None
            return self._train(TrainingPlan(base.result(), recipe, None), folder, watch)  # type: ignore[arg-type]

        return finish_run(compilation, planned, folder, start, go_on)

    def _train(self, planned: TrainingPlan, folder: RunFolder, watch: Watch | None) -> Result:
        name = f"{folder.path.parent.name}/{folder.path.name}"
        self.started.append(name)
        if name == self.diverge:
            message = "the loss is nan"
            raise RunDiverged(message)
        last = 1 / (1 + abs(planned.recipe.optimizer.lr - 0.1)) - planned.recipe.seed / 100
        epochs = {epoch: last * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)}
        lines = "".join(f"{epoch},1,{accuracy},0.5\n" for epoch, accuracy in epochs.items())
        folder.metrics.write_text(f"epoch,train_loss,test_accuracy,train_accuracy\n{lines}", "utf-8")
        for epoch in range(1, EPOCHS):
            if watch and not watch({each: epochs[each] for each in range(1, epoch + 1)}):
                message = "stopped early"
                raise RunPruned(message)
        if name == self.stop:
            raise RunInterrupted(2)
        found = result(seed=planned.recipe.seed, accuracy=last, best_accuracy=last)
        folder.result.write_text(found.model_dump_json(), "utf-8")
        return found

    def all(self, path: Path, *lines: str, drawn: bool = False) -> Outcome:
        base, example = compiled(*lines)
        folder = StudyFolder(path)
        with pytest.MonkeyPatch.context() as patch:
            if not drawn:
                patch.setattr(plots, "draw", lambda *_: None)
            turns = SearchRuns(base.study, folder, None, partial(compile_trial, base), example)
            outcome, died = run_study(turns, folder, SequentialPool(self.finish), lambda *_: None)
            assert not died
            return outcome


class TestChoice:
    def test_in_range_and_by_its_seed_alone(self) -> None:
        base, _ = compiled(*VARY, "search TPE(trials=20)")
        trials: list[Trial] = []
        for number in range(20):
            values = suggest_values(Search(method="TPE", trials=20), base.study.axes, number, trials)
            assert values == suggest_values(Search(method="TPE", trials=20), base.study.axes, number, trials)
            assert 1e-3 <= float(values["train.optimizer.lr"]) <= 1
            assert 100 <= int(values["train.batch"]) <= 200
            assert values["join"] in {"ADD", "IAND"}
            lr = float(values["train.optimizer.lr"])
            trials.append(Trial(number=number, values=values, state="ended", epochs={1: 0.5}, accuracy=1 / (1 + lr)))
        others = suggest_values(Search(method="TPE", trials=20, seed=1), base.study.axes, 0, [])
        assert others != trials[0].values

    def test_tpe_comes_nearer_than_random(self) -> None:
        base, _ = compiled("vary train.optimizer.lr log 1e-4 1", "search TPE(trials=40)")

        def late(method: str) -> float:
            """The mean of the last trials of what is best at 0.01."""
            found: list[Trial] = []
            for number in range(40):
                search = Search(method=method, trials=40)  # type: ignore[arg-type]
                values = suggest_values(search, base.study.axes, number, found)
                accuracy = 1 / (1 + 100 * abs(float(values["train.optimizer.lr"]) - 0.01))
                found.append(
                    Trial(number=number, values=values, state="ended", epochs={1: accuracy}, accuracy=accuracy)
                )
            return sum(trial.accuracy or 0 for trial in found[20:]) / 20

        assert late("TPE") > late("Random") + 0.1

    def test_diverging_trials_are_avoided(self) -> None:
        base, _ = compiled("vary train.optimizer.lr log 1e-3 1", "search TPE(trials=40)")
        found: list[Trial] = []
        for number in range(40):
            values = suggest_values(Search(method="TPE", trials=40), base.study.axes, number, found)
            hot = float(values["train.optimizer.lr"]) > 0.03
            accuracy = None if hot else 1 / (1 + 100 * float(values["train.optimizer.lr"]))
            found.append(Trial(number=number, values=values, state="diverged" if hot else "ended", accuracy=accuracy))
        early, late = found[:10], found[20:]
        share = [sum(trial.state == "diverged" for trial in part) / len(part) for part in (early, late)]
        assert share[1] < share[0] / 2

    def test_pruning(self) -> None:
        base, _ = compiled(*VARY, "search TPE(trials=20, prune=median)")
        search, axes = base.study.search, base.study.axes
        assert search is not None
        values = suggest_values(search, axes, 0, [])
        others = [
            Trial(number=n, values=values, state="ended", epochs={1: n / 10, 2: 0.6}, accuracy=0.6) for n in range(1, 6)
        ]
        bad, good = (Trial(number=9, values=values, epochs={1: accuracy}) for accuracy in (0.29, 0.31))
        assert should_prune(search, axes, bad, others)
        assert not should_prune(search, axes, good, others)
        assert not should_prune(search, axes, bad, others[:4])
        assert not should_prune(search.model_copy(update={"prune": None}), axes, bad, others)

    def test_without_optuna(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with raises(RunError):
            Runs().all(tmp_path / "out", *VARY, "search TPE(trials=2)")
        assert not (tmp_path / "out").exists()


LINES = (*VARY, "search TPE(trials=8, prune=median)")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that nobody stopped."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(place: Path) -> Outcome:
    """Return the results of a search."""
    return Runs().all(place, *LINES, drawn=True)


class TestRun:
    def test_all(self, place: Path, whole: Outcome) -> None:
        search = whole.search
        assert search is not None
        assert whole.complete
        assert [trial.number for trial in search.history] == list(range(8))
        assert {trial.state for trial in search.history} == {"ended", "pruned"}
        ended = {trial.number: trial.accuracy for trial in search.history if trial.accuracy is not None}
        assert search.best == max(ended, key=lambda number: ended[number] or 0)
        assert whole.axes == ["trial", "train.optimizer.lr", "train.batch", "join"]
        assert [row.folder for row in whole.rows] == [f"trial-{number}" for number in range(8)]
        folder = StudyFolder(place)
        assert Outcome.model_validate_json(folder.outcome.read_bytes()) == whole
        assert folder.search.read_bytes().startswith(b"\x89PNG")
        assert not folder.curves.exists()
        table = table_to_markdown(whole).splitlines()
        assert table[0].startswith("| trial | train.optimizer.lr | train.batch | join | state | test accuracy |")
        assert {line.count("|") for line in table} == {table[0].count("|")}
        assert sum("| best |" in line for line in table[1:]) == 1
        lines = table_to_csv(whole).splitlines()
        assert {line.count(",") for line in lines} == {lines[0].count(",")}
        assert ",pruned,," in "".join(lines)

    @pytest.mark.parametrize("stop", [0, 7])
    def test_one_that_was_stopped_finds_the_same(self, tmp_path: Path, whole: Outcome, stop: int) -> None:
        assert whole.search is not None
        stop = next(t.number for t in whole.search.history[stop:] + whole.search.history if t.state == "ended")
        with pytest.raises(RunInterrupted):
            Runs(stop=f"trial-{stop}/seed-0").all(tmp_path, *LINES)
        again = Runs()
        assert again.all(tmp_path, *LINES) == whole
        assert again.started[0] == f"trial-{stop}/seed-0"

    def test_one_that_has_ended_is_kept(self, place: Path, whole: Outcome) -> None:
        runs = Runs()
        assert runs.all(place, *LINES) == whole
        assert runs.started == []

    def test_each_epoch_is_judged_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A long run reports each epoch with all epochs before it."""
        judged: list[int] = []

        def judge(_search: Search, _axes: object, trial: Trial, _others: object) -> bool:
            judged.append(max(trial.epochs))
            return False

        monkeypatch.setattr(search, "should_prune", judge)
        Runs().all(tmp_path, *VARY, "search TPE(trials=2, prune=median)")
        assert judged == [*range(1, EPOCHS)] * 2

    def test_more_trials_can_be_added(self, tmp_path: Path) -> None:
        few = Runs().all(tmp_path, *VARY, "search TPE(trials=3)").search
        runs = Runs()
        more = runs.all(tmp_path, *VARY, "search TPE(trials=5)").search
        assert few is not None
        assert more is not None
        assert more.history[:3] == few.history
        assert runs.started == ["trial-3/seed-0", "trial-4/seed-0"]
        fresh = Runs().all(tmp_path / "again", *VARY, "search TPE(trials=5)").search
        assert fresh == more

    @pytest.mark.parametrize(
        "lines",
        [
            (*VARY, "search TPE(trials=8, seed=1, prune=median)"),
            (*VARY, "search Random(trials=8, prune=median)"),
            ("vary train.optimizer.lr log 1e-3 2", *VARY[1:], "search TPE(trials=8, prune=median)"),
        ],
    )
    @pytest.mark.usefixtures("whole")
    def test_another_search_is_refused(self, place: Path, lines: tuple[str, ...]) -> None:
        with raises(RunError):
            Runs().all(place, *lines)

    def test_damaged(self, tmp_path: Path) -> None:
        Runs().all(tmp_path, *VARY, "search TPE(trials=2)")
        StudyFolder(tmp_path).outcome.write_text("{", "utf-8")
        with pytest.raises(RunError, match=r"study.json' \(search\) is damaged"):
            Runs().all(tmp_path, *VARY, "search TPE(trials=2)")

    def test_seeds_of_a_trial_are_one_mean(self, tmp_path: Path) -> None:
        runs = Runs()
        outcome = runs.all(tmp_path, *VARY, "vary seed 0 2", "search Random(trials=2)")
        assert runs.started == [f"trial-{number}/seed-{seed}" for number in (0, 1) for seed in (0, 2)]
        assert outcome.search is not None
        for trial, row in zip(outcome.search.history, outcome.rows, strict=True):
            assert row.accuracy is not None
            assert trial.accuracy == pytest.approx(row.accuracy.mean)
            assert trial.epochs[EPOCHS] == pytest.approx(row.accuracy.values[0])

    def test_one_that_diverges_and_one_that_is_no_network(self, tmp_path: Path) -> None:
        lines = ('variant "a" "steps=3"', 'variant "b" "steps=4"', "vary train.T_train 3 4", "search Random(trials=8)")
        outcome = Runs(diverge="trial-1/seed-0").all(tmp_path, *lines)
        assert outcome.search is not None
        assert outcome.complete
        states = {trial.number: trial.state for trial in outcome.search.history}
        wrong = {
            t.number for t in outcome.search.history if (t.values["variant"], t.values["train.T_train"]) == ("a", "4")
        }
        assert wrong
        assert 1 not in wrong
        assert states == {n: "invalid" if n in wrong else "diverged" if n == 1 else "ended" for n in range(8)}
        assert [row.folder for row in outcome.rows] == [f"trial-{n}" for n in range(8) if n not in wrong]
        assert outcome == Runs().all(tmp_path, *lines).model_copy(update={"rows": outcome.rows})


class TestCommand:
    def test_it_trains_and_goes_on(self, tmp_path: Path) -> None:
        """The last trial, which is added later, learns next to nothing and is left after its first epoch."""
        spec = tmp_path / "small.net"
        lines = ("vary train.optimizer.lr log 1e-6 0.1", "search Random(trials=6, seed=2, prune=median)")
        whole = text(*lines).replace("epochs 3", "epochs 2\n    validation 0.2").replace("{SEW Block-MPk2s2}*2", "MPk4")
        spec.write_text(whole.replace("trials=6", "trials=5"), "utf-8")
        command = ["study", str(spec), "--out", str(tmp_path / "out")]
        listed = CliRunner().invoke(app, [*command, "--list"])
        assert listed.stdout.splitlines() == [
            f"{tmp_path / 'out'}: Random(trials=5, seed=2, prune=median)",
            "    train.optimizer.lr: log 1e-6 0.1",
        ]
        first = CliRunner().invoke(app, command)
        assert first.exit_code == 0, first.output
        spec.write_text(whole, "utf-8")
        done = CliRunner().invoke(app, [*command, "--json"])
        assert done.exit_code == 0, done.output
        search = json.loads(done.stdout)["search"]
        assert search["metric"] == "validation"
        assert [trial["state"] for trial in search["history"]] == ["ended"] * 5 + ["pruned"]
        for trial in search["history"]:
            run = RunFolder(tmp_path / "out" / f"trial-{trial['number']}" / "seed-0")
            assert run.result.exists() == (trial["state"] == "ended")
            assert len(trial["epochs"]) == (2 if trial["state"] == "ended" else 1)
        assert "seed 0: stopped early after epoch 1 of 2" in done.stderr
        assert f"best: trial {search['best']}, validation accuracy" in done.stderr
        assert (tmp_path / "out" / "search.png").exists()

    @pytest.mark.parametrize(
        ("options", "said"), [(["--only", "ADD"], "--only"), (["--list", "--json"], "--list --json")]
    )
    def test_there_is_no_list_of_variants(self, tmp_path: Path, options: list[str], said: str) -> None:
        spec = tmp_path / "small.net"
        spec.write_text(text(*VARY, "search TPE(trials=2)"), "utf-8")
        done = CliRunner().invoke(app, ["study", str(spec), "--out", str(tmp_path / "out"), *options])
        assert done.exit_code == 2
        assert f"{said} is not supported for searches" in " ".join(done.stderr.split())


def test_without_an_accuracy(tmp_path: Path) -> None:
    body = SMALL[: SMALL.index("body")] + "body    c1k3\n" + SMALL[SMALL.index("\ntrain") :]
    spec = (
        body.replace("epochs 2", "epochs 2\n    loss MSE(to=input)") + "study {\n    " + "\n    ".join(LINES) + "\n}\n"
    )
    base, found = compile_variants(Source("small.net", spec))
    assert base.valid, base.diagnostics
    with raises(RunError):
        SearchRuns(base.study, StudyFolder(tmp_path), None, lambda *_: found[0], found[0])


def test_labels_of_a_logarithmic_axis_do_not_overlap() -> None:
    rates = ("0.0027", "0.004", "0.0049", "0.083")
    trials = [Trial(number=index, values={"lr": rate}, state="ended", accuracy=0.5) for index, rate in enumerate(rates)]
    space = {"lr": "log 0.0001 0.1"}
    outcome = SearchOutcome(method="TPE", trials=4, seed=0, metric="test", space=space, history=trials)
    figure = Figure(figsize=plots.SEARCH_PANEL)
    axes = figure.subplots()
    plots._plot_by_axis(axes, outcome, "lr", space["lr"])
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    labels = [label for label in axes.get_xticklabels(which="both") if label.get_text()]
    low, high = axes.get_xlim()
    boxes = sorted(
        (label.get_window_extent() for label in labels if low <= label.get_position()[0] <= high),
        key=lambda box: box.x0,
    )
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
