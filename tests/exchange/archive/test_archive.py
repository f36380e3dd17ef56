"""Archives of ``torch.export``: what is in them, and that they give the same with nothing but torch."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from torch import Tensor
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.archive import METADATA_FILE, PlainNetwork, export_program, write_archive
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import Program
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.source import Source
from tests.effort import examples
from tests.exchange.narrow import narrow
from tests.exchange.onnx.own import announced
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, build, expected

ALONE = """
import sys, torch
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sewdsl", "lightning", "numba"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nothing())
module = torch.export.load(sys.argv[1]).module()
inputs, outputs = torch.load(sys.argv[2])
with torch.no_grad():
    for x, y in zip(inputs, outputs):
        torch.testing.assert_close(module(x), y, rtol=1e-10, atol=1e-10)
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "sewdsl"), "the same")
"""
"""A process that cannot have sewdsl."""
NETWORKS = {
    "nmnist": None,
    "c8k3-BN-PLIF-{SEW Block (c8, g=IAND)-MPk2s2}*2-FC5": "2x16x16",
    "c8k3-BN-IF-MPk3s2p1-SEW Block (c8)-SEW Block (c8s2)-GAP-FC10": "3x16x16",
}
"""With an input, where they say none."""


def used(name: str, size: str | None = None, **settings: object) -> SpikingNetwork:
    """A module in float64, with norms that let neurons fire."""
    model = sewdsl.compile(narrow(sewdsl.load(name, input=size, set=settings)), seed=0).double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, BatchNorm):
                norm.weight.copy_(1 + torch.rand(norm.weight.shape, generator=generator))
                norm.bias.copy_(2 * torch.rand(norm.bias.shape, generator=generator))
                norm.running_var.fill_(0.3)
    return model


def noise(model: SpikingNetwork, N: int) -> Tensor:
    options = model.network.settings
    steps = [] if options.encode == "direct" else [options.steps]
    x = torch.rand(*steps, N, *options.input, generator=torch.Generator().manual_seed(N), dtype=torch.float64)
    return 3 * x - 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_same_outputs(name: str) -> None:
    """For another number of samples than what was traced."""
    model = used(name, NETWORKS[name], steps=2)
    x = noise(model, 3)
    with torch.no_grad():
        y, found = model(x), export_program(model).module()(x)
    torch.testing.assert_close(found, y, rtol=1e-10, atol=1e-10)
    assert (y[0] - y[1]).abs().max() > 1e-3  # silence would agree with anything


@examples(2)
@given(drawn=nets())
def test_same_outputs_of_random_networks(drawn: Drawn) -> None:
    direct = dict(drawn.settings)["encode"] == "direct"
    assume(drawn.static is not False or not direct)
    drawn = drawn.exported
    model = build(drawn, Program.of(drawn.network)).eval()
    assume(model.example is not None)  # nothing else says that float64 is wanted
    wanted, margin = expected(drawn, DOUBLE, training=False)
    program = export_program(model).module()
    found = program(drawn.x) if isinstance(drawn.x, Tensor) else program(**drawn.x)
    y = wanted.y.mean(0) if dict(drawn.settings)["readout"] == "mean" else wanted.y[-1]
    wrong = (found - y).abs().max() > 1e-10 * (1 + y.abs().max())
    assume(not wrong or margin > 1e-10)
    assert not wrong


def test_memory_layouts_are_those_of_the_values() -> None:
    """The strides of a value can differ from those of its trace: batch norm keeps the strides of its input."""
    model = used("c10k1-Swap-BN-Swap-c5k1-FC3", "4x6", steps=3)
    x = noise(model, 3)
    with torch.no_grad():
        torch.testing.assert_close(export_program(model).module()(x), model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("body", ["c4k3-LOOP[SN | c4k3]-FC3", "ADD[BN-SN | id]-LOOP[id | id]-FC3"])
def test_loops(body: str) -> None:
    """Neurons in a loop start each time-step from the potential of the time-step before."""
    model = sewdsl.compile(body, input="2x6x6", steps=3, neuron="PLIF", seed=0).eval()
    x = 2 * torch.rand(3, 2, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(export_program(model).module()(x), model(x), rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def tiny() -> tuple[SpikingNetwork, bytes]:
    """A network and its archive."""
    model = used("tiny")
    return model, write_archive(model)


def test_torch_alone(tiny: tuple[SpikingNetwork, bytes], tmp_path: Path) -> None:
    """Any number of samples, also one."""
    model, archive = tiny
    inputs = [noise(model, N) for N in (1, 2, 5)]
    with torch.no_grad():
        torch.save((inputs, [model(x) for x in inputs]), tmp_path / "pairs.pt")
    (tmp_path / "tiny.pt2").write_bytes(archive)
    # PyTorch before 2.13 warns that it reads weights from a buffer that is not writable.
    strict = ["-W", "error", "-W", "ignore:The given buffer is not writable:UserWarning"]
    command = [sys.executable, *strict, "-c", ALONE, "tiny.pt2", "pairs.pt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the same\n", "")


def test_operations_and_names(tiny: tuple[SpikingNetwork, bytes]) -> None:
    """Nothing but torch's operations; the weights under the names that they have here."""
    model, archive = tiny
    program = torch.export.load(BytesIO(archive))
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert {str(call).partition(".")[0] for call in calls} <= {"aten", "<built-in function getitem>"}
    assert list(map(str, calls)).count("aten.conv2d.default") == 5
    state = model.state_dict()
    assert sorted(program.state_dict) == sorted(state)
    assert all(torch.equal(program.state_dict[name], value) for name, value in state.items())


def test_a_file_says_what_it_is_of(tiny: tuple[SpikingNetwork, bytes]) -> None:
    model, archive = tiny
    extra = {METADATA_FILE: ""}
    torch.export.load(BytesIO(archive), extra_files=extra)
    stated = json.loads(extra[METADATA_FILE])
    assert (stated["name"], stated["steps"], stated["encode"], stated["readout"]) == ("Tiny", "3", "direct", "mean")
    assert sewdsl.read(Source("tiny", stated["spec"])).result().nodes == model.network.nodes


@pytest.mark.parametrize("encode", ["none", "direct"])
def test_the_number_of_steps_is_fixed(encode: str) -> None:
    model = used("c4k3-BN-IF-FC3", "2x8x8", encode=encode, steps=2)
    module = export_program(model).module()
    x = noise(model, 3)
    with torch.no_grad():
        torch.testing.assert_close(module(x), model(x), rtol=1e-10, atol=1e-10)
    with pytest.raises(AssertionError, match="Guard failed"):
        module(torch.zeros(4, 3, *model.network.settings.input, dtype=torch.float64))


@pytest.mark.parametrize(
    "body", ["c4k3-BN-QIF-FC3", "c4k3-BN-FIF(v_reset=none)-LARGEST[c4k3-BN-FIF(v_reset=-0.5)|id]-MISH-SAME-FC3"]
)
def test_kinds_of_ones_own(body: str) -> None:
    """Whatever torch can trace."""
    with announced():
        model = sewdsl.compile(body, input="2x8x8", seed=0, set={"encode": "direct", "steps": 5}).double().eval()
    x = noise(model, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)  # so that there are spikes
        torch.testing.assert_close(export_program(model).module()(x), model(x), rtol=1e-10, atol=1e-10)


def test_what_cannot_be_traced() -> None:
    with announced():
        model = sewdsl.compile("c4k3-BALKS-FC3", input="2x8x8", steps=2)
    with pytest.raises(ExportError, match=r"^torch.export cannot trace network: "):
        write_archive(model)


def test_command(tmp_path: Path) -> None:
    """The same bytes each time, whether or not they are checked with what is read back."""
    net = tmp_path / "little.net"
    net.write_text('sewdsl 1\nnetwork "Little"\ninput 2x8x8\nsteps 2\nbody IF-c4k3-BN-FC3\n', "utf-8")
    files = [tmp_path / str(number) / "little.pt2" for number in range(2)]
    for file, check in zip(files, ([], ["--check"]), strict=True):
        file.parent.mkdir()
        result = CliRunner().invoke(app, ["export", str(net), str(file), *check])
        assert result.exit_code == 0, result.output
        said = result.output.splitlines()
        assert said[0] == f"{file}: Little as torch-export, {file.stat().st_size:,} bytes"
    assert said[1].startswith("outputs differ by ")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_views_of_the_exported_network_return_its_values() -> None:
    model = used("c8k3-BN-PLIF-GAP-FC5", "2x8x8", steps=3)
    x = torch.rand(3, 2, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(PlainNetwork(model).at("plif1", "gap1")(x), model.at("plif1", "gap1")(x))
