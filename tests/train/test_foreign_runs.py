"""Run folders from anywhere: whatever their files hold, each command gives a result, or a sentence that says why."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train import records, report
from sewdsl.train.fit.processes import Processes, restore_processes
from sewdsl.train.records import MAX_THREADS
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_notes import read_data_path
from sewdsl.train.store.run_record import load_record, summarize_run
from tests.effort import examples

from .conftest import Run
from .made import NEURONS, counted, finished

HOSTILE: tuple[Any, ...] = (
    0, -1, 1.5, -0.5, nan, inf, -inf, 1e308, 5e-324, 10**6, 2**63, 10**30, 10**4000, True, False, None,
    "", "1", "\0", "\x1b[2J", "\ud800", "x" * 300_000, [], [[]], [nan], {}, {"a": {}}, {"": 1},
)  # fmt: skip
CELLS = (
    "", "nan", "inf", "-inf", "1e308", "1e-320", "-1", "0", "1.5", "9" * 400, "9" * 5000, "x", '"', "a,b",
    "\0", "²", "\n",
)  # fmt: skip
NAMES = (
    "result.json",
    "recipe.json",
    "local.json",
    "energy.json",
    "terms.json",
    "README.md",
    "confusion.json",
    "metrics.csv",
    "processes.json",
    "spec.net",
    "diagram.svg",
    "lock",
)
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "eval": lambda path: ["eval", str(path)],
    "probe": lambda path: ["probe", "rates", str(path), "--batches", "1"],
    "export": lambda path: ["export", str(path), str(path / "out.py")],
    "report": lambda path: ["report", str(path)],
    "runs": lambda path: ["runs", str(path)],
    "runs, as JSON": lambda path: ["runs", str(path), "--json"],
    "resume": lambda path: ["train", "--resume", str(path)],
}


@st.composite
def places(draw: st.DrawFn, value: Any) -> tuple[Any, ...]:
    """The way to a value in a JSON document: as likely to an outer one as to all within it."""
    at: tuple[Any, ...] = ()
    while isinstance(value, dict | list) and value and draw(st.integers(0, 2)):
        step = draw(st.sampled_from([*value] if isinstance(value, dict) else range(len(value))))
        at, value = (*at, step), value[step]
    return at


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A document with another value in one place; an ellipsis takes the place away."""
    if not at:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and new is ...:
        del changed[at[0]]
    else:
        changed[at[0]] = put(value[at[0]], at[1:], new)
    return changed


@st.composite
def foreign_json(draw: st.DrawFn, text: str) -> bytes:
    document = json.loads(text)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(places(document))
        new = draw(st.sampled_from(HOSTILE if not at else (*HOSTILE, ...)))
        document = put(document, at, new)
        if not isinstance(document, dict):
            break
        if draw(st.integers(0, 9)) == 0:
            document = {**document, "energy": draw(st.sampled_from(HOSTILE))}
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def foreign_csv(draw: st.DrawFn, text: str) -> bytes:
    rows = [line.split(",") for line in text.splitlines()]
    row = draw(st.integers(0, len(rows) - 1))
    cell = draw(st.integers(0, len(rows[row]) - 1))
    words = [
        "",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "1e-320",
        "-1",
        "0",
        "1.5",
        "9" * 400,
        "9" * 5000,
        "x",
        '"',
        "a,b",
        "\0",
        "²",
        "\n",
    ]
    rows[row][cell] = draw(st.sampled_from(words))
    return "\n".join(map(",".join, rows)).encode()


@st.composite
def foreign_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    first, last = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    middle = draw(st.sampled_from([b"", b"\xff", b"\0", b"[" * 2000, b"<g>" * 2000, b"{", b"9" * 5000, data[:50]]))
    kept = draw(st.sampled_from([data[last:], data[first:], b""]))
    return data[:first] + middle + kept


@st.composite
def foreign(draw: st.DrawFn, folder: Path) -> tuple[str, bytes]:
    """The name of a file of a run, and what it holds instead."""
    name = draw(st.sampled_from(NAMES))
    data = (folder / name).read_bytes()
    kinds = [foreign_bytes(data)]
    if name.endswith(".json"):
        kinds += 2 * [foreign_json(data.decode())]
    if name.endswith(".csv"):
        kinds += 2 * [foreign_csv(data.decode())]
    return name, draw(st.one_of(kinds))


def sane(value: Any) -> bool:
    """Return whether a value can be printed, summed and drawn."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, int):
        return abs(value) < 2**64
    if isinstance(value, str):
        value.encode()
    return True


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no run has made, with every file but checkpoints."""
    path = tmp_path_factory.mktemp("made") / "run"
    folder = finished(path, start={"file": "a.safetensors", "sha256": "0" * 64})
    folder.local.write_text('{"folder": "/data"}', "utf-8")
    folder.processes.write_text('{"strategy": "ddp"}', "utf-8")
    folder.lock.write_text("12\n", "utf-8")
    folder.energy.write_text(counted(folder).model_dump_json(), "utf-8")
    folder.terms.write_text('{"license": "mit"}', "utf-8")
    report.write_card(folder)
    return path


def warnings(stderr: str) -> list[str]:
    """Return all warnings except those about missing checkpoints."""
    return [line for line in stderr.splitlines() if not line.endswith(".safetensors' are missing")]


@pytest.fixture
def spoil(made: Path, tmp_path: Path) -> Callable[[str, bytes], RunFolder]:
    """Copy a run with one other file."""

    def copy(name: str, data: bytes) -> RunFolder:
        path = tmp_path / "run"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(made, path)
        (path / name).write_bytes(data)
        return RunFolder(path)

    return copy


@pytest.fixture(scope="module")
def figures_matter() -> bool:
    return True


class TestFiles:
    @examples(50)
    @given(data=st.data())
    def test_what_is_read_is_in_bounds(
        self, made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        name, contents = data.draw(foreign(made))
        path = tmp_path_factory.mktemp("x") / "run"
        shutil.copytree(made, path)
        (path / name).write_bytes(contents)
        folder = RunFolder(path)
        run = summarize_run(folder)
        assert all(sane(getattr(run, field.name)) for field in fields(run))
        try:
            found = load_record(folder)
            assert all(sane(value) for value in (*found.result.values(), *found.recipe.values()))
            read_data_path(folder)
            restore_processes(folder, Processes())
            folder.read_result()
        except RunError as error:
            said = str(error)
        else:
            said = str(path)
        assert str(path) in said
        assert len(said) < 1000
        shutil.rmtree(path)

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("threads", 100_000, f"threads is 100000, expected at most {MAX_THREADS}"),
            ("threads", 0, "threads is 0, expected at least 1"),
            ("threads", -1, "threads is -1, expected at least 1"),
            ("threads", 1.5, "threads is 1.5, expected a valid integer"),
            ("threads", True, "threads is True, expected a valid integer"),
            ("accuracy", nan, "accuracy is nan, expected a finite number"),
            ("accuracy", "0.5", "accuracy is '0.5', expected a valid number"),
            ("best_accuracy", 1.01, "best_accuracy is 1.01, expected at most 1"),
            ("epochs", -1, "epochs is -1, expected at least 0"),
            ("parameters", 10**30, "parameters is 1000000000000000000000000000000, expected at most 9007199254740992"),
            ("seconds", nan, "seconds is nan, expected a finite number"),
            ("seconds", -1, "seconds is -1, expected at least 0"),
            ("seed", 2**64, "seed is 18446744073709551616, expected less than 18446744073709551616"),
            ("processes", 0, "processes is 0, expected at least 1"),
            ("device", "tpu", "device is 'tpu', expected 'cpu', 'cuda' or 'mps'"),
            ("machine", "\x1b[2J", r"machine is '\x1b[2J', expected text that matches ^[^\x00-\x1f\x7f-\x9f]*$"),
            ("network", "x" * 300_000, f"network is '{'x' * 39}…, expected at most 262144 characters"),
            ("firing_rates", {"if1": 2}, "firing_rates.if1 is 2, expected at most 1"),
            ("start", {"file": "a", "sha256": "0"}, "start.sha256 is '0', expected text that matches ^[0-9a-f]{64}$"),
            ("energy", 3, "'energy' is unknown"),
        ],
    )
    def test_a_result(self, spoil: Callable[[str, bytes], RunFolder], field: str, value: object, said: str) -> None:
        """A result is rejected by field, value and bound. The page shows the remaining fields."""
        good = json.loads(spoil("lock", b"").result.read_text("utf-8"))
        folder = spoil("result.json", json.dumps({**good, field: value}).encode())
        with pytest.raises(RunError, match=re.escape(f"result.json' is damaged or from another version: {said}")):
            folder.read_result()
        found = load_record(folder)
        assert found.wrong == {"result.json": said}
        assert found.result.keys() == good.keys() - {field}
        assert summarize_run(folder).state == "broken"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"dead": 1}, "expected 256 neurons in all bins, got 257"),
            ({"always": 1}, "always is 1, expected at most 0"),
            ({"dead_channels": 5}, "dead_channels is 5, expected at most 4"),
            ({"dead_places": 65}, "dead_places is 65, expected at most 64"),
            ({"shape": [4, 8, 0]}, "shape.2 is 0, expected at least 1"),
            ({"shape": []}, "shape is [], expected at least 1 values"),
            ({"histogram": [256]}, "expected at least 13 values"),
        ],
    )
    def test_neurons_that_cannot_be(
        self, spoil: Callable[[str, bytes], RunFolder], change: dict[str, object], said: str
    ) -> None:
        good = json.loads(spoil("lock", b"").result.read_text("utf-8"))
        good["neurons"][NEURONS[0]].update(change)
        with pytest.raises(RunError, match=re.escape(said)):
            spoil("result.json", json.dumps(good).encode()).read_result()

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("recipe.json", b'{"on": "digits", "epochs": 0, "seed": 0}', "epochs is 0, expected at least 1"),
            ("recipe.json", b"[1]", "expected an object with fields, got [1]"),
            ("recipe.json", b'{"on": "digits", "epochs": 1, "seed": 0, "clip": NaN}', "clip"),
            (
                "metrics.csv",
                b"epoch,test_accuracy\n1,2\n",
                "line 2: test_accuracy is '2', expected a number from 0 to 1",
            ),
            ("metrics.csv", b"epoch,train_loss\n0,2\n", "line 2: epoch is '0', expected an integer from 1"),
            (
                "metrics.csv",
                b"epoch,train_loss\n1,x\n",
                "line 2: train_loss is 'x', expected a number from 0 to 1e+100",
            ),
            ("metrics.csv", b"epoch,train_loss\n1\n", "line 2: expected 2 values, got 1"),
            ("metrics.csv", b"epoch\n" + b"9" * 200_000, "line 2: field larger than field limit (131072)"),
            ("metrics.csv", b"", "the file has no epochs"),
            ("confusion.json", b'{"counts": [[1, 2], [3]]}', "expected 2 counts in each of 2 rows"),
            ("confusion.json", b'{"counts": [[-1]]}', "counts.0.0 is -1, expected at least 0"),
            ("spec.net", b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ],
    )
    def test_what_is_wrong_with_the_others(
        self, spoil: Callable[[str, bytes], RunFolder], name: str, data: bytes, said: str
    ) -> None:
        found = load_record(spoil(name, data)).wrong
        assert list(found) == [name]
        assert said in found[name]

    def test_figures_that_a_run_may_have_seen(self, spoil: Callable[[str, bytes], RunFolder]) -> None:
        folder = spoil("metrics.csv", b"epoch,train_loss,test_loss,gradient_norm/total\n1,inf,nan,3\n2,1,,inf\n")
        assert load_record(folder).wrong == {}
        done = CliRunner().invoke(app, ["report", str(folder.path)])
        assert (done.exit_code, warnings(done.stderr)) == (0, [])

    def test_a_file_that_is_too_long(
        self, spoil: Callable[[str, bytes], RunFolder], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = spoil("metrics.csv", b"epoch\n1\n")
        monkeypatch.setattr(records, "MAX_BYTES", 7)
        assert load_record(folder).wrong["metrics.csv"] == "the file is larger than 7 bytes"

    def test_the_page_and_the_command_say_what_is_left_out(self, spoil: Callable[[str, bytes], RunFolder]) -> None:
        folder = spoil("metrics.csv", b"epoch\n0\n")
        said = "line 2: epoch is '0', expected an integer from 1"
        done = CliRunner().invoke(app, ["report", str(folder.path)])
        assert warnings(done.stderr) == [
            f"warning: omitted '{folder.metrics}', which is damaged or from another version: {said}"
        ]
        assert "metrics.csv is damaged or from another version, and was omitted: line 2" in folder.report.read_text(
            "utf-8"
        )


class TestCommands:
    @pytest.mark.parametrize("value", [100_000, 0, -1, nan])
    @pytest.mark.parametrize("command", ["eval", "probe", "export"])
    def test_threads(self, spoil: Callable[[str, bytes], RunFolder], command: str, value: float) -> None:
        good = json.loads(spoil("lock", b"").result.read_text("utf-8"))
        folder = spoil("result.json", json.dumps({**good, "threads": value}).encode())
        done = CliRunner().invoke(app, COMMANDS[command](folder.path))
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: '{folder.result}' is damaged or from another version: threads is ")

    @examples(12)
    @given(data=st.data())
    def test_a_result_or_a_sentence(
        self, run: Run, made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.mktemp("x") / "run"
        shutil.copytree(run.folder.path, path, ignore=shutil.ignore_patterns("tensorboard"))
        for name in ("local.json", "processes.json", "terms.json"):
            shutil.copy(made / name, path)
        name, contents = data.draw(foreign(path))
        (path / name).write_bytes(contents)
        asked = data.draw(st.sampled_from(sorted(COMMANDS)))
        threads = torch.get_num_threads()
        try:
            done = CliRunner().invoke(app, COMMANDS[asked](path))
        finally:
            torch.set_num_threads(threads)
        assert done.exception is None or isinstance(done.exception, SystemExit), (name, contents[:200], asked)
        assert done.exit_code in {0, 1}
        assert done.exit_code == 0 or done.stderr.strip()
        shutil.rmtree(path)
