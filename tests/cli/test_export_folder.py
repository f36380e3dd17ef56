"""``sewdsl export --to folder``: a network that a stranger can load, with sewdsl and without."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunError
from tests.words import check_words, raises

TEXT = """\
sewdsl 1
network "Small one"
input   1x8x8
steps   2
encode  direct
body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10

train on digits {
    epochs 1
    batch 200
    optimizer Adam(lr=0.05)
}
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("secret-place")
    (place / "small.net").write_text(TEXT, "utf-8")
    done = run("train", place / "small.net", "--out", place / "run", "--device", "cpu")
    assert done.exit_code == 0, done.output
    return place / "run"


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    done = run("export", trained, trained.parent / "out", "--to", "folder", "--license", "cc-by-4.0", "--check")
    assert done.exit_code == 0, done.output
    assert "outputs differ by" in done.stdout
    return trained.parent / "out"


def head(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])
    return found


def test_what_is_in_it(exported: Path) -> None:
    assert sorted(file.name for file in exported.iterdir()) == [
        *("README.md", "diagram.svg", "energy.json", "network.py", "result.json", "spec.net", "terms.json"),
        "weights.safetensors",
    ]
    assert head(exported)["license"] == "cc-by-4.0"
    for file in exported.iterdir():
        assert b"secret-place" not in file.read_bytes(), file.name


def test_sewdsl_loads_it(trained: Path, exported: Path) -> None:
    assert sewdsl.load(exported).total_parameters == sewdsl.load(trained / "spec.net").total_parameters
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(sewdsl.load_trained(exported)(x), sewdsl.load_trained(trained)(x))
    assert not sewdsl.load_trained(exported).training


def test_pytorch_alone_loads_it(trained: Path, exported: Path, tmp_path: Path) -> None:
    texts = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text("utf-8"), re.DOTALL)
    x = torch.rand(2, 1, 8, 8)
    torch.save(x, tmp_path / "x.pt")
    code = f"{texts[1]}import sys, torch\ntorch.save(model(torch.load(sys.argv[1])), sys.argv[2])\n"
    code += "assert 'sewdsl' not in sys.modules\n"
    command = [sys.executable, "-c", code, str(tmp_path / "x.pt"), str(tmp_path / "y.pt")]
    subprocess.run(command, cwd=exported, check=True)
    expected = sewdsl.load_trained(trained, optimize=0)(x)
    assert torch.allclose(torch.load(tmp_path / "y.pt"), expected, atol=1e-5)


def test_it_is_judged_again(trained: Path, exported: Path) -> None:
    reported = json.loads((trained / "result.json").read_text("utf-8"))
    done = run("eval", exported, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert f"accuracy {reported['accuracy']:.2%}, on all 359 test samples of digits" in done.stdout


def test_another_accuracy_is_an_error(trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, tmp_path / "out", "--to", "folder").exit_code == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    (tmp_path / "out" / "result.json").write_text(json.dumps({**result, "accuracy": 0.999}), "utf-8")
    done = run("eval", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 1
    assert "error: the accuracy differs from the result of the run: 99.90%" in done.stderr


def test_other_commands_take_it(exported: Path, tmp_path: Path) -> None:
    for words in (
        ("check", exported),
        ("export", exported, tmp_path / "net.onnx"),
        ("probe", "rates", exported, "--batches", 1, "--device", "cpu"),
        ("train", exported, "--weights", exported, "--out", tmp_path / "run", "--device", "cpu"),
    ):
        done = run(*words)
        assert done.exit_code == 0, done.output


def test_of_the_best_epoch(trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, tmp_path / "out", "--to", "folder", "--best").exit_code == 0
    assert "those of the best epoch of a run" in (tmp_path / "out" / "README.md").read_text("utf-8")
    (model,) = head(tmp_path / "out")["model-index"]
    assert [metric["name"] for metric in model["results"][0]["metrics"]] == ["accuracy on the test samples, best epoch"]
    assert not (tmp_path / "out" / "energy.json").exists(), "operations were counted with the last weights"
    assert run("eval", tmp_path / "out", "--device", "cpu").exit_code == 0


def test_of_a_file_of_weights(trained: Path, tmp_path: Path) -> None:
    weights = trained / "checkpoints" / "last.safetensors"
    done = run("export", trained / "spec.net", tmp_path / "out", "--to", "folder", "--weights", weights)
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "The weights come from the file `last.safetensors`, SHA-256" in card
    assert "secret-place" not in card
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(sewdsl.load_trained(tmp_path / "out")(x), sewdsl.load_trained(trained)(x))
    assert run("eval", tmp_path / "out", "--device", "cpu").exit_code == 0


def test_not_trained(tmp_path: Path) -> None:
    done = run("export", "c4k3-BN-PLIF-FC10", tmp_path / "out", "--to", "folder", "--input", "1x8x8", "--seed", 3)
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "**Untrained**: the weights are initial weights with seed 3." in card
    assert "sewdsl eval" not in card, "it names no data"


def test_a_folder_with_something_in_it_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    done = run("export", exported, tmp_path, "--to", "folder")
    assert done.exit_code == 1
    check_words(done.stderr)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert run("export", exported, tmp_path / "empty", "--to", "folder").exit_code == 0


def test_whole_or_not_at_all(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = run("export", exported, tmp_path / "out", "--to", "folder")
    assert done.exit_code == 1
    check_words(done.stderr)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--license", "mitt", "--to", "folder"), "did you mean 'mit'?"),
        (("--license", "mit"), "--license requires --to folder"),
        (("--to", "folder", "--overwrite"), "--overwrite cannot replace a folder"),
    ],
)
def test_usage(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run("export", "mnist5k", tmp_path / "out.py", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_damaged_weights(exported: Path, trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, tmp_path / "out", "--to", "folder").exit_code == 0
    (tmp_path / "out" / "weights.safetensors").write_bytes(b"\0" * 40)
    done = run("eval", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 1
    assert "weights.safetensors' are damaged" in done.stderr
    with pytest.raises(RunError):
        sewdsl.load_trained(tmp_path / "out")
    with raises(RunError):
        sewdsl.load_trained(exported, best=True)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "spec.net").write_text(TEXT, "utf-8")
    with pytest.raises(RunError, match=r"last\.safetensors' are missing"):
        sewdsl.load_trained(tmp_path / "alone")
