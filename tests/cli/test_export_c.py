"""``sewdsl export``: a network as C in integers."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.exchange.write.c.run_file import find_compiler

TEXT = """\
sewdsl 1
network "Small one"
input   1x8x8
steps   2
encode  direct
neuron  LIF
body    c4k3-BN-SN-SEW Block-MPk2-FC10

train on digits {
    epochs 1
    batch 200
    optimizer Adam(lr=0.05)
}
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def printed(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_a_run_is_checked_on_its_test_samples(tmp_path: Path) -> None:
    (tmp_path / "small.net").write_text(TEXT, encoding="utf-8")
    printed(run("train", tmp_path / "small.net", "--out", tmp_path / "run", "--device", "cpu"))
    out = tmp_path / "tiny.c"
    options = "--state", "16", "--prefix", "tiny", "--hoist"
    lines = printed(run("export", tmp_path / "run", out, "--check", *options))
    assert lines[0].startswith(f"{out}: Small one as C99, ")
    assert "potentials of 16 bits" in lines[0]
    assert lines[1] == f"{tmp_path / 'tiny.h'}: interface"
    assert lines[2].startswith("accuracy on 359 test samples: ")
    assert "8 samples: C and the reference agree in every value and potential" in lines[3]
    source, header = out.read_text("utf-8"), (tmp_path / "tiny.h").read_text("utf-8")
    assert header.strip() in source
    assert "net_run" not in source
    assert "if (!state->started) {" in source
    assert "tiny_run" in header
    compiler = find_compiler() or ""
    subprocess.run([compiler, "-std=c99", "-DTINY_MAIN", "-o", tmp_path / "tiny", out], check=True)
    done = subprocess.run([tmp_path / "tiny"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("8 samples equal")
    again = printed(run("export", tmp_path / "run", out, *options, "--overwrite"))
    assert again[0] == lines[0]
    assert out.read_text("utf-8") == source


def test_a_spec_has_random_test_vectors(tmp_path: Path) -> None:
    lines = printed(
        run("export", "c4k3-LIF-FC5", tmp_path / "net.c", "--input", "2x6x6", "--steps", "2", "--bits", "4")
    )
    assert lines[2].startswith("the same class as in floats for ")
    assert lines[2].endswith(" of 8 random inputs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--state", "8"), "--state must be 16 or 32, got 8"),
        (("--prefix", "1net"), "--prefix must be a C identifier, got '1net'"),
        (("--to", "onnx"), "--bits, --state, --prefix, --hoist require a C file; use --to c"),
    ],
)
def test_wrong_options(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run("export", "tiny", tmp_path / "net.c", "--bits", "4", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_layer_without_a_law_is_named(tmp_path: Path) -> None:
    result = run("export", "c4k3-LN-LIF-FC5", tmp_path / "net.c", "--input", "2x6x6")
    assert result.exit_code == 1
    assert "layer_norm1: LN cannot be computed in integers" in result.output
    assert not [*tmp_path.iterdir()]
