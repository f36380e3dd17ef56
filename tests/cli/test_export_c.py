"""``sewdsl export``: a network as C in integers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.export_c import count_vectors
from sewdsl.exchange.write.c.run_file import find_compiler
from sewdsl.train.fit.integer_run import score_batches

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
    options = "--state", "16", "--prefix", "tiny", "--hoist", "--pack"
    lines = printed(run("export", tmp_path / "run", out, "--check", *options))
    assert lines[0].startswith(f"{out}: Small one as C99, ")
    assert "potentials of 16 bits" in lines[0]
    # Spikes are bits, and sums of spikes are bytes.
    assert "uint8_t bytes[320]" in (tmp_path / "tiny.h").read_text("utf-8")
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


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_ranges_of_currents_are_measured_on_training_samples(tmp_path: Path) -> None:
    body = "c4k3-BN-ReLU-c4k3-BN-SN-FC10"
    (tmp_path / "small.net").write_text(TEXT.replace("c4k3-BN-SN-SEW Block-MPk2-FC10", body), encoding="utf-8")
    printed(run("train", tmp_path / "small.net", "--out", tmp_path / "run", "--device", "cpu"))
    refused = run("export", tmp_path / "run", tmp_path / "net.c")
    assert refused.exit_code == 1
    assert "relu1: ReLU reads currents" in refused.output
    lines = printed(run("export", tmp_path / "run", tmp_path / "net.c", "--calibrate", 40, "--check"))
    assert lines[2] == "note: conv2 reads currents, rounded to 16 bits of their measured range"
    right, *_ = re.findall(r"[\d.]+(?=% in integers)", lines[3])
    assert float(right) > 50
    saturated = re.fullmatch(r"conv2: (\d+) of 4,096 rounded currents saturate", lines[5])
    assert saturated
    assert int(saturated[1]) < 41


def test_a_spec_has_random_test_vectors(tmp_path: Path) -> None:
    lines = printed(
        run("export", "c4k3-LIF-FC5", tmp_path / "net.c", "--input", "2x6x6", "--steps", "2", "--bits", "4")
    )
    assert lines[2].startswith("the same class as in floats for ")
    assert lines[2].endswith(" of 8 random inputs")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("c4k3-IF-FC5", "potentials of 16 bits"),
        ("c4k3-KLIF-FC5", "potentials of 32 bits"),
        ("c4k3-IF-c4k3-KLIF-FC5", "potentials of 16 and 32 bits"),
        ("c4k3-IF-DELAY-FC5", "potentials and delays of 8 and 16 bits"),
        ("FC5", "potentials"),
    ],
)
def test_potentials_have_the_bits_that_are_printed(body: str, expected: str, tmp_path: Path) -> None:
    arguments = body, tmp_path / "net.c", "--input", "2x4x4", "--steps", "2", "--state", "16"
    line, *_ = printed(run("export", *arguments))
    kept, what = re.findall(r"RAM [\d,]+ bytes \(([\d,]+) for ([^,]+), ", line)[0]
    assert what == expected
    header = (tmp_path / "net.h").read_text("utf-8")
    members = re.findall(r"u?int(\d+)_t \w*(?:if|klif|delay)1\[(\d+)\];", header)
    assert {*re.findall(r"\d+", what)} == {bits for bits, _ in members}
    assert int(kept.replace(",", "")) == sum(int(bits) // 8 * int(count) for bits, count in members)


def test_each_output_has_a_line(tmp_path: Path) -> None:
    header, recipe = TEXT.split("body", 1)[0], TEXT[TEXT.index("train on") :]
    # The third output learns no class.
    body = "let stem = c4k3-BN-PLIF\nlet early = stem-GAP-FC10\nlet last = stem-FC10\nlet other = stem-FC10\n"
    losses = "loss last CrossEntropy\n    loss early CrossEntropy 0.3x\n    loss other MSE(to=last)\n    optimizer"
    text = f"{header}{body}outputs early last other\n{recipe.replace('optimizer', losses)}"
    (tmp_path / "several.net").write_text(text, encoding="utf-8")
    printed(run("train", tmp_path / "several.net", "--out", tmp_path / "run", "--device", "cpu"))
    lines = printed(run("export", tmp_path / "run", tmp_path / "net.c"))
    assert [line.partition(" on ")[0] for line in lines[2:]] == ["early: accuracy", "last: accuracy"]
    accuracies = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert f": {accuracies['accuracies']['early']:.2%} in floats" in lines[2]
    assert f": {accuracies['accuracy']:.2%} in floats" in lines[3]
    comment = (tmp_path / "net.c").read_text("utf-8").partition("*/")[0]
    assert all(f"   {line}.\n" in comment for line in lines[2:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--state", "8"), "--state must be 16 or 32, got 8"),
        *(
            (
                ("--prefix", prefix),
                (
                    "--prefix must be lower-case letters, digits and single underscores between them, and begin with "
                    f"a letter, got '{prefix}'"
                ),
            )
            for prefix in ("1net", "Net", "_stdint", "my__net", "net_", "")
        ),
        (("--calibrate", "4"), "--calibrate requires a RUN, whose training samples it reads"),
        (("--hoist", "--set", "encode=none"), "--hoist requires static inputs ('encode direct'); remove --hoist"),
        (("--to", "onnx"), "--bits, --state, --prefix, --hoist, --pack, --calibrate require a C file; use --to c"),
    ],
)
def test_wrong_options(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run("export", "tiny", tmp_path / "net.c", "--bits", "4", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("LN", "layer_norm1: LN cannot be computed in integers"),
        ("MAP{tanh(x)}", "map1: MAP{tanh(x)} computes tanh of a potential, which integers cannot express"),
        ("MAP{1}", "map1: MAP{1} has a constant output, which integers cannot express"),
    ],
)
def test_a_layer_without_a_law_is_named(layer: str, message: str, tmp_path: Path) -> None:
    result = run("export", f"c4k3-{layer}-LIF-FC5", tmp_path / "net.c", "--input", "2x6x6")
    assert result.exit_code == 1
    assert f"{message}; export net.onnx instead" in result.output
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["net.c", "net.onnx"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(number: float, name: str, tmp_path: Path) -> None:
    weights = {key: tensor.contiguous() for key, tensor in sewdsl.compile("tiny").state_dict().items()}
    weights["fc1.weight"][0, 0] = number
    save_file(weights, tmp_path / "weights.safetensors")
    result = run("export", "tiny", tmp_path / name, "--weights", tmp_path / "weights.safetensors")
    assert result.exit_code == 1
    assert "error: the weights 'fc1.weight' contain infinity or NaN" in result.output
    assert not (tmp_path / name).exists()


ODD_NAMES = """\
sewdsl 1
network "a/*b*/ ??/ é"
input 1x4x4
steps 2
encode direct
neuron IF
let int = c4k3-SN
let class = int-c4k3-SN
let NET_T = class-c4k3-SN
let net_state = NET_T-c2k3-SN
let uint8_t = net_state-SN
let INT32_MIN = uint8_t-SN
let state = INT32_MIN-SN
let {long} = state-SN
body {long}-FC3
""".replace("{long}", "n" * 200)


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_odd_names_and_two_prefixes_in_one_program(tmp_path: Path) -> None:
    (tmp_path / "odd.net").write_text(ODD_NAMES, encoding="utf-8")
    run("export", tmp_path / "odd.net", tmp_path / "first.c", "--prefix", "first")
    assert " net_state.if1: " in (tmp_path / "first.c").read_text("utf-8")
    run("export", "c4k3-LIF-FC5", tmp_path / "second.c", "--input", "2x6x6", "--steps", "2", "--prefix", "class")
    main = """\
#include "first.h"
#include "second.h"
static first_state one;
static class_state two;
static uint8_t in[FIRST_IN + 2 * CLASS_IN];
int main(void) {
    int32_t outputs[FIRST_OUT + CLASS_OUT];
    return first_run(&one, in, outputs) + class_run(&two, in, outputs) < 0;
}
"""
    warnings = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unused-function"]
    compiler = find_compiler() or ""
    (tmp_path / "main.c").write_text(main, encoding="utf-8")
    command = [compiler, "-std=c99", "-Wconversion", *warnings, "main.c", "first.c", "second.c", "-o", "both"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "both")], check=True)
    if shutil.which("c++"):
        (tmp_path / "main.cpp").write_text(main, encoding="utf-8")
        subprocess.run([compiler, "-std=c99", "-c", "first.c", "second.c"], cwd=tmp_path, check=True)
        command = ["c++", "-std=c++17", *warnings, "main.cpp", "first.o", "second.o", "-o", "both"]
        subprocess.run(command, cwd=tmp_path, check=True)


def test_files_do_not_depend_on_hash_seeds(tmp_path: Path) -> None:
    files = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.c"
        command = [sys.executable, "-m", "sewdsl", "export", "c4k3-LIF-SEW Block-FC5", str(out), "--input", "2x6x6"]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        files.append(out.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(("name", "count"), [("mnist5k", 8), ("mnist5k-dvs", 8), ("7b-net", 1), ("sew-resnet-18", 1)])
def test_large_inputs_have_fewer_test_samples(name: str, count: int) -> None:
    assert count_vectors(sewdsl.load(name)) == count


@pytest.mark.parametrize(("name", "samples"), [("mnist5k", 1000), ("7b-net", 41), ("sew-resnet-18", 37)])
def test_large_networks_have_fewer_samples(name: str, samples: int) -> None:
    batch, batches = score_batches(sewdsl.load(name))
    assert batch * batches == samples


def test_integers_are_not_scaled(tmp_path: Path) -> None:
    out = tmp_path / "net.c"
    printed(run("export", "mnist5k", out, "--input", "1x28x28 of 16"))
    assert "in[28][28][1]: from 0 to 15, the same at all time-steps" in out.with_suffix(".h").read_text("utf-8")
    refused = run("export", "mnist5k", tmp_path / "other.c", "--input", "1x28x28 of 1600")
    assert refused.exit_code == 1
    assert "reads integers up to 1,599" in refused.output
