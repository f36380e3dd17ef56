"""Files and folders of the wrong kind, and names with typing errors: what is there is named, and what was meant."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from tests.systems import make_fifo, make_link
from tests.words import check_words

NET = "sewdsl 1\ninput 1x8x8\nbody c4k3-BN-IF-GAP-FC3\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.net").write_text(NET, "utf-8")
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/spec.net").write_text(NET, "utf-8")
    Path("run/checkpoints/best.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    Path("empty").mkdir()
    Path("x.nir").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300_000))
    Path("x.onnx").write_bytes(b"\x08\x08\x12\0")
    Path("x.pt2").write_bytes(b"PK\x03\x04\0")
    Path("paper.pdf").write_bytes(b"%PDF-1.4\n")
    Path("x.ckpt").write_bytes(b"PK\x03\x04\0")
    Path("code.py").write_text("def Model(): ...\n", "utf-8")
    Path("zeros").write_bytes(bytes(300_000))
    for name in ("runs/tiny-1", "runs/other-9"):
        Path(name).mkdir(parents=True)
        Path(name, "spec.net").write_text(NET, "utf-8")
    make_link(Path("loop"), "loop")
    make_link(Path("loop.net"), "loop.net")
    make_link(Path("lost"), "nofile")
    make_fifo(Path("fifo"))


LONG = f"{'x' * 300}.net"
LISTED = "run 'sewdsl nets' to list networks, 'sewdsl nets --kinds' to list layers"
ONLY_WRITTEN = "sewdsl cannot read this format; 'sewdsl import' reads NIR files and PyTorch modules"


@pytest.mark.parametrize(
    ("spec", "code", "said", "hint"),
    [
        ("x.nir", "not-utf8", "'x.nir' is a NIR file, expected", "convert it with 'sewdsl import x.nir OUT.net'"),
        ("x.onnx", "not-utf8", "'x.onnx' is an ONNX model, expected", ONLY_WRITTEN),
        ("x.pt2", "not-utf8", "'x.pt2' is a torch.export archive, expected", ONLY_WRITTEN),
        (
            "x.ckpt",
            "not-utf8",
            "'x.ckpt' is a weights file, expected",
            "use it with --weights x.ckpt of 'sewdsl train'",
        ),
        ("paper.pdf", "not-utf8", "'paper.pdf' is a PDF file, expected", "copy the layer string from it"),
        (".", "spec-not-found", "cannot read '.': it is a folder", "use one of its files: mine.net"),
        ("empty", "spec-not-found", "cannot read 'empty': it is a folder", "use a .net file"),
        (
            "mine",
            "spec-not-found",
            "no file, run, shipped network or layer is named 'mine'",
            "did you mean 'mine.net'?",
        ),
        ("mine.ne", "spec-not-found", "cannot read 'mine.ne': there is no such file", "did you mean 'mine.net'?"),
        ("mime.net", "spec-not-found", "cannot read 'mime.net': there is no such file", "did you mean 'mine.net'?"),
        (
            "minee",
            "spec-not-found",
            "no file, run, shipped network or layer is named 'minee'",
            "did you mean 'mine.net'?",
        ),
        ("tinny", "spec-not-found", "no shipped network is named 'tinny'", "did you mean 'tiny'?"),
        ("zzzz.net", "spec-not-found", "cannot read 'zzzz.net'", "run 'sewdsl nets' to list shipped networks"),
        (
            "nofolder/zzzz.net",
            "spec-not-found",
            "cannot read 'nofolder/zzzz.net': there is no folder 'nofolder'",
            "run 'sew",
        ),
        ("mine.net/x", "spec-not-found", "cannot read 'mine.net/x': 'mine.net' is not a folder", "run 'sewdsl nets'"),
        (LONG, "spec-not-found", f"cannot read '{LONG}': its name is too long", "run 'sewdsl nets'"),
        ("loop", "spec-not-found", "cannot read 'loop': it is a link that leads to itself", "use a regular file"),
        (
            "loop.net",
            "spec-not-found",
            "cannot read 'loop.net': it is a link that leads to itself",
            "use a regular file",
        ),
        (
            "lost",
            "spec-not-found",
            "cannot read 'lost': it is a link to 'nofile', which does not exist",
            "use a regular file",
        ),
        ("fifo", "spec-not-found", "cannot read 'fifo': it is a FIFO", "use a regular file, or '-' for standard input"),
        ("/dev/zero", "spec-not-found", "cannot read '/dev/zero': it is a device", "use a regular file, or '-'"),
        (
            "vgg11",
            "spec-not-found",
            "no file, run, shipped network or layer is named 'vgg11'",
            "did you mean 'spiking-vgg-11'?",
        ),
        ("nope", "spec-not-found", "no file, run, shipped network or layer is named 'nope'", LISTED),
        ("not-here", "spec-not-found", "no file, run, shipped network or layer is named 'not-here'", LISTED),
        (
            "tiny-1",
            "spec-not-found",
            "no file, run, shipped network or layer is named 'tiny-1'",
            "did you mean the run 'runs/tiny-1'?",
        ),
        (
            "other_9",
            "spec-not-found",
            "no file, run, shipped network or layer is named 'other_9'",
            "did you mean the run 'runs/other-9'?",
        ),
        ("lif", "unknown-name", "unknown name 'lif'", "did you mean 'LIF'?"),
        ("BNN", "unknown-name", "unknown name 'BNN'", "did you mean 'BN'?"),
        ("conv3", "unknown-name", "unknown name 'conv3'", "use the form c32k3s1"),
    ],
)
@pytest.mark.parametrize("command", ["check _", "show _", "probe rates _", "train _", "export _ out.py", "diff tiny _"])
def test_a_spec(command: str, spec: str, code: str, said: str, hint: str) -> None:
    if command.split(maxsplit=1)[0] in {"probe", "export"} and Path(spec[:99]).is_dir():
        pytest.skip("it takes the folder of a run")
    result = run(*(spec if word == "_" else word for word in command.split()))
    head, *_ = result.stderr.splitlines()
    name = spec if code != "unknown-name" else "<string>"
    assert result.exit_code == (2 if command.startswith("diff") else 1)
    assert head.startswith(f"{name}:1:1: error[{code}]: {said}")
    assert f"\n   help: {hint}" in result.stderr


@pytest.mark.parametrize("spec", ["784", "512-10"])
def test_a_string_of_another_notation_is_no_name(spec: str) -> None:
    assert "spec-not-found" not in run("check", spec).stderr
    assert "spec-not-found" not in run("check", spec, "--dialect", "he", "--input", "784").stderr
    assert "spec-not-found" not in run("check", "vgg", "--dialect", "he", "--input", "784").stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("weights show _", "cannot read '_': {}"),
        ("import _ out.net", "cannot read '_': {}"),
        ("export tiny out.py --weights _", "cannot read '_': {}"),
    ],
)
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("fifo", "it is a FIFO"),
        ("/dev/zero", "it is a device"),
        ("loop", "it is a link that leads to itself"),
        ("empty", "it is a folder"),
        ("nofolder/x", "there is no folder 'nofolder'"),
        ("x" * 300, "its name is too long"),
    ],
)
def test_what_is_no_file(command: str, said: str, path: str, reason: str) -> None:
    pytest.importorskip("h5py")
    result = run(*(path if word == "_" else word for word in command.split()))
    assert (result.exit_code, result.stderr) == (1, f"error: {said.replace('_', path).format(reason)}\n")


@pytest.mark.parametrize("command", ["eval", "report", "runs"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("fifo", "not |expected a run folder"),
        ("loop", "broken link|not a folder"),
        ("nofolder/x", "no folder"),
        ("x" * 300, "no folder"),
    ],
)
def test_what_is_no_folder(command: str, path: str, reason: str) -> None:
    result = run(command, path)
    assert result.exit_code == 1
    assert re.match(rf"error: .*{path}.*({reason})|error: there is no folder '{path}'", result.stderr)


def test_used_files() -> None:
    for name in ("loop.net", "lost", "fifo"):
        Path("using.net").write_text(NET.replace("input", f'use "{name}"\ninput', 1), "utf-8")
        said = run("check", "using.net").stderr
        assert f"error[use-not-found]: cannot read '{name}': it is a" in said


@pytest.mark.parametrize("name", ["lock", "recipe.json", "metrics.csv", "result.json"])
def test_a_run_of_fifos(name: str) -> None:
    """Nothing waits for what nothing writes."""
    Path("runs/tiny-1/recipe.json").write_text("{}", "utf-8")
    Path("runs/tiny-1", name).unlink(missing_ok=True)
    make_fifo(Path("runs/tiny-1", name))
    assert "tiny-1" in run("runs").stdout
    assert run("report", "runs/tiny-1").exit_code in {0, 1}


def test_no_runs_yet() -> None:
    shutil.rmtree("runs")
    result = run("runs")
    assert result.exit_code == 0
    check_words(result.stderr)
    assert (run("runs", "--json").exit_code, run("runs", "--json").stdout) == (0, "[]\n")
    check_words(run("runs", "other").stderr, "2")


def test_what_is_large_and_no_text_is_not_called_too_long() -> None:
    assert "error[source-too-long]" in run("check", "zeros").stderr
    assert "error[not-utf8]" in run("check", "x.nir").stderr


@pytest.mark.parametrize("text", ["c4k3", "c4k3-BN-IF", "gap", "DP0.25"])
def test_a_layer_is_no_file(text: str) -> None:
    Path(f"{text}.net").write_text(NET, "utf-8")
    assert "spec-not-found" not in run("check", text, "--input", "1x8x8").stderr or text == "gap"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x.onnx", f"'x.onnx' is an ONNX model, expected a NIR file: {ONLY_WRITTEN}"),
        ("x.pt2", f"'x.pt2' is a torch.export archive, expected a NIR file: {ONLY_WRITTEN}"),
        ("y.nir", "cannot read 'y.nir': there is no such file"),
        ("x.nr", "cannot read 'x.nr': there is no such file; did you mean 'x.nir'?"),
    ],
)
def test_import(source: str, said: str) -> None:
    pytest.importorskip("h5py")
    result = run("import", source, "out.net")
    assert (result.exit_code, result.stderr) == (1, f"error: {said}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["code.py:Model"], "sewdsl import --python code:Model OUT.net --input CxHxW"),
        (["code.py"], "sewdsl import --python code:CALLABLE OUT.net --input CxHxW"),
        (["code.py:Model", "--python"], "--python requires a module, not a file; use code:Model"),
        (
            ["lib/code.py:Model", "--python"],
            "--python requires a module, not a file; use code:Model from the folder lib",
        ),
        (["code", "--python"], "--python requires MODULE:CALLABLE, got 'code'"),
    ],
)
def test_import_of_python(arguments: list[str], said: str) -> None:
    result = run("import", arguments[0], "out.net", *arguments[1:])
    words = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, said in words) == (2, True), words


def test_our_own_text_in_pytorch_names_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    assert run("export", "mine.net", "ours_as_text.py").exit_code == 0
    result = run("import", "--python", "ours_as_text:Mine", "out.net", "--input", "1x8x8")
    assert result.exit_code == 1
    check_words(result.stderr)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("run", "cannot read 'run': it is a folder; it contains run/checkpoints/best.safetensors"),
        ("y.ckpt", "cannot read 'y.ckpt': there is no such file"),
        ("x.ckp", "cannot read 'x.ckp': there is no such file; did you mean 'x.ckpt'?"),
        ("x.onnx", "'x.onnx' is an ONNX model, expected a weights file"),
        ("paper.pdf", "'paper.pdf' is a PDF file, expected a weights file"),
        ("mine.net", "'mine.net' is a .net file, expected a weights file"),
        ("x.ckpt", "'x.ckpt' is damaged or not a weights file"),
    ],
)
def test_weights(source: str, said: str) -> None:
    if source == "x.ckp":
        Path("x.pt2").unlink()
    result = run("weights", "convert", source, "out.pt", "--net", "mine.net")
    assert (result.exit_code, result.stderr) == (1, f"error: {said}\n")
    trained = run(
        "train", "tiny", "--set", "train.on=digits", "--set", "train.optimizer=SGD(lr=1)", "--weights", source
    )
    assert (trained.exit_code, trained.stderr) == (1, f"error: {said}\n")


def test_weights_of_another_network_are_counted_first(tmp_path: Path) -> None:
    (tmp_path / "other.net").write_text(NET.replace("c4k3", "c8k3"), "utf-8")
    assert run("export", "other.net", "other.py", "--seed", "3").exit_code == 0
    from safetensors.torch import save_file  # noqa: PLC0415 -- with torch

    import sewdsl  # noqa: PLC0415 -- as above

    save_file(sewdsl.compile("other.net").state_dict(), "other.safetensors")
    result = run("export", "mine.net", "out.py", "--weights", "other.safetensors")
    first, *rest = result.stderr.splitlines()
    assert first == "error: the weights do not fit mine in scheme sewdsl (6 of another shape or dtype):"
    assert len(rest) == 6
