"""Contents of exported files, apart from their outputs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.write.source.document import module_from_source
from tests.exchange.source.files import SOURCES
from tests.words import check_words

ROOT = Path(__file__).parents[3]
LIBRARIES = {"python": {"torch"}, "spikingjelly": {"torch", "spikingjelly"}}


def export(*arguments: object) -> Result:
    """Export a network, and return the output of the command."""
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize("dialect", SOURCES)
def test_imports(dialect: str) -> None:
    text = SOURCES[dialect](sewdsl.load("sew-resnet-18"))
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found - set(sys.stdlib_module_names) == LIBRARIES[dialect]


def test_the_same_network_gives_the_same_file() -> None:
    program = "import sewdsl; from sewdsl.exchange.write import python, spikingjelly; "
    program += "net = sewdsl.load('tdbn-resnet-19'); "
    program += "print(python.source(net), spikingjelly.source(net), sep='')"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}  # that of this process is drawn
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "".join(source(sewdsl.load("tdbn-resnet-19")) for source in SOURCES.values()) + "\n"


def test_no_torch_is_needed_to_write_a_file() -> None:
    program = (
        "import sys, sewdsl; from sewdsl.exchange.write import python, spikingjelly; net = sewdsl.load('7b-net'); "
    )
    program += "python.source(net); spikingjelly.source(net); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_one_class_for_all_blocks_of_a_kind() -> None:
    text = SOURCES["spikingjelly"](sewdsl.load("sew-resnet-152"))
    classes = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    assert classes == ["GlobalAvgPool", "SEWBottleneck", "SEWResNet152"]


def test_a_forward_leaves_nothing_behind() -> None:
    network = sewdsl.load("tiny")
    x = torch.rand(3, 2, 1, 8, 8)
    for source in SOURCES.values():
        model = module_from_source(source(network)).eval()
        assert torch.equal(model(x), model(x))
        assert torch.equal(model(x[0]), model(x[0].expand(3, *x[0].shape)))


def test_potentials_are_kept_in_32_bits() -> None:
    network = sewdsl.load("c16k3-BN-PLIF(v_threshold=0.3)-FC20-PLIF(v_threshold=0.1)", input=(1, 8, 8), steps=3)
    ours = sewdsl.compile(network, seed=0, optimize=0)
    model = module_from_source(SOURCES["python"](network))
    model.load_state_dict(ours.state_dict())
    x = 3 * torch.rand(8, 8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = model(x), ours(x)
    assert found.dtype is wanted.dtype is torch.bfloat16
    assert wanted.any()
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(("dialect", "arguments"), [("python", ()), ("spikingjelly", ("--to", "spikingjelly"))])
def test_command(dialect: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "net.py"
    run = export("tiny", out, *arguments, "--check")
    text = out.read_text(encoding="utf-8")
    assert text == SOURCES[dialect](sewdsl.load("tiny"))
    said, checked, *_ = run.stdout.splitlines()
    assert said == f"{out}: Tiny as {dialect}, {len(text):,} bytes"
    assert checked.startswith("outputs differ by ")
    assert float(checked.split()[5]) < 1e-6
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_run_by_itself_shows_its_network(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SOURCES["python"](sewdsl.load("tiny")), encoding="utf-8")
    run = subprocess.run([sys.executable, "net.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == f"{sewdsl.load('tiny').total_parameters} parameters, [3, 2, 1, 8, 8] to [2, 10]\n"


def test_weights_lie_beside_the_file(tmp_path: Path) -> None:
    ours, out = sewdsl.compile("tiny", seed=5), tmp_path / "net.py"
    torch.save(ours.state_dict(), tmp_path / "weights.pt")
    lines = export("tiny", out, "--weights", tmp_path / "weights.pt", "--check").stdout.splitlines()
    assert f"{out.with_suffix('.safetensors')}: weights" in lines
    assert float(next(line for line in lines if line.startswith("outputs")).split()[5]) < 1e-6
    model = module_from_source(out.read_text(encoding="utf-8"))
    model.load_state_dict(load_file(out.with_suffix(".safetensors")))
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(model(x), ours(x))
    ours.load_state_dict(model.state_dict())


def test_weights_in_double_precision_are_named(tmp_path: Path) -> None:
    weights = sewdsl.compile("tiny", seed=5).state_dict()
    weights["conv1.weight"] = weights["conv1.weight"].double()
    torch.save(weights, tmp_path / "weights.pt")
    lines = export("tiny", tmp_path / "net.py", "--weights", tmp_path / "weights.pt").stdout.splitlines()
    assert "  rounded from float64 to float32: conv1.weight" in lines


def test_a_refusal(tmp_path: Path) -> None:
    neuron = "IF(surrogate=ATan(alpha=2.0, scale=3.0))"
    arguments = ["--to", "spikingjelly", "--input", "1x8x8", "--neuron", neuron]
    run = export("c4k3-SN-FC3", tmp_path / "net.py", *arguments)
    assert run.exit_code == 1
    check_words(run.stderr)
    assert list(tmp_path.iterdir()) == []
