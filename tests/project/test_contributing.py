"""The worked examples of CONTRIBUTING.md: put into files as it says, found as it says, and run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import sewdsl
from sewdsl.source import Source

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NEURON = re.findall(r'```sewdsl title="adaptive.net"\n(.*?)```', TEXT, re.DOTALL)[0]
EXAMPLES = dict(re.findall(r"`(sewdsl/\S+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL))

KINDS = """
import torch
import sewdsl

text = "c8k3-BN-FIF-XOR[DWk3-BN-FIF(decay=0.9) | id]-FC3"
network = sewdsl.load(text, input="2x8x8", steps=4)
print([str(node.output.values) for node in network if node.op.kind == "XOR"])

model = sewdsl.compile(network)
x = torch.rand(4, 5, 2, 8, 8)
y = model(x)
y.square().sum().backward()
gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
assert y.shape == (5, 3), y.shape
assert sum(parameter.numel() for parameter in model.parameters()) == network.total_parameters
assert all(gradient.abs().sum() > 0 for gradient in gradients.values()), gradients
print(sorted(name for name in gradients if name.endswith(".w")))
"""


RULE = """
import sewdsl
for text in ("c8k3-BN-PLIF-PLIF-FC3", "c8k3-BN-PLIF-FC5-PLIF-FC3", "c8k3-BN-PLIF-DP-PLIF-FC3"):
    print(*(f"{d.code}:{d.span.column}" for d in sewdsl.read(text, input="2x8x8").diagnostics))
"""

DATA = """
import sewdsl
from sewdsl.source import Source
from sewdsl.train.training_plan import plan_training
text = "sewdsl 1\\ninput 1x8x8\\nbody c4k3-BN-PLIF-FC2\\ntrain on stripes { optimizer SGD(lr=0.1) }\\n"
data = plan_training(sewdsl.read(Source("mine.net", text))).data
train, test = data.load()
print(len(train.y), len(test.y), tuple(test.x.shape[1:]) == data.shape, sorted(set(test.y.tolist())))
"""


FAMILIES = """
import torch
from torch import nn
import sewdsl
from sewdsl.ir.op import Layer, Neuron

shapes = []

class Quadratic(Neuron, kind="QIF"):
    def learnable(self):
        return {"a": 0.5}

    def charge(self, v, x, **learned):
        shapes.append((list(v.shape), list(x.shape), [*learned]))
        return v + learned["a"] * v * (v - 1) + x

class Noticed(nn.Module):
    def forward(self, x):
        shapes.append(list(x.shape))
        return x

class Same(Layer, kind="SAME"):
    def infer(self, *inputs):
        shapes.append(list(inputs[0].shape))
        return inputs[0]

    def build(self, runtime, *inputs):
        return Noticed()

model = sewdsl.compile("SAME-c4k3-QIF-SAME-FC3", input="2x8x8", steps=6, optimize=0)
given, *_ = shapes
shapes.clear()
model(torch.rand(6, 5, 2, 8, 8)).sum().backward()
print(given, shapes[0], shapes[1], shapes[-1], len(shapes), model.qif1.a.grad is not None)
"""


JOIN = """
import torch
from my_package.xor import Xor
a, s = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
print(Xor().combine(branch=a, identity=s).tolist())
print(torch.equal(Xor().combine(branch=torch.zeros(4), identity=s), s))
"""


TIME = """
import torch
import sewdsl

text = "c8k3-BN-LIF-CHANGE-MIN[c8k1-BN-LIF | c8k3-BN-LIF | id]-FC3"
model = sewdsl.compile(text, input="2x8x8", steps=4).double().eval()
x = torch.rand(4, 5, 2, 8, 8, dtype=torch.float64)
with torch.no_grad():
    stream, state, steps = model.stream(), None, []
    for step in x:
        y, state = stream(step, state)
        steps.append(y)
    print(torch.equal(torch.stack(steps), model(x, return_sequence=True)))
    changes = model.change1(x)
print(torch.equal(changes, torch.cat((x[:1], x[1:] - x[:-1]))))
a, b, c = torch.rand(3, 4, 5, 2)
print(torch.equal(model.min1(a, b, c), torch.stack((a, b, c)).amin(0)))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an installed package with the examples, announced as CONTRIBUTING.md says."""
    announced = tomllib.loads(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0])
    groups = announced["project"]["entry-points"]
    (package,) = groups["sewdsl.kinds"].values()
    site = tmp_path_factory.mktemp("site")
    (site / package).mkdir()
    (site / package / "__init__.py").write_text('"""Kinds of somebody\'s own."""\n', encoding="utf-8")
    for path, code in EXAMPLES.items():
        (site / package / Path(path).name).write_text(code, encoding="utf-8")
    metadata = site / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    lines = [line for group, entries in groups.items() for line in (f"[{group}]", *map(" = ".join, entries.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return site


def run(program: str, site: Path) -> list[str]:
    """Return the output of a program with the examples installed, in a process with its own catalogue."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def printed(home: Path) -> dict[str, list[str]]:
    """Return the output of each program, from one process that imports torch once."""
    programs = {"rule": RULE, "kinds": KINDS, "families": FAMILIES, "join": JOIN, "time": TIME, "data": DATA}
    each = "\n".join(f"print('# {name}')\nexec({program!r}, {{}})" for name, program in programs.items())
    parts = [part.splitlines() for part in "\n".join(run(each, home)).split("# ")[1:]]
    return {name: lines for name, *lines in parts}


def test_kinds_are_found_and_run(printed: dict[str, list[str]]) -> None:
    values, learned = printed["kinds"]
    assert values == "['binary']"
    assert learned.count("fif") == 2


def test_families_are_handed_what_is_said(printed: dict[str, list[str]]) -> None:
    (said,) = printed["families"]
    step = [5, 4, 8, 8]
    assert said == f"[2, 8, 8] [6, 5, 2, 8, 8] {(step, step, ['a'])} [6, 5, 4, 8, 8] 8 True"


def test_xor_is_an_exclusive_disjunction(printed: dict[str, list[str]]) -> None:
    assert printed["join"] == ["[0.0, 1.0, 1.0, 0.0]", "True"]


def test_time_steps_and_operands_are_mixed_as_said(printed: dict[str, list[str]]) -> None:
    assert printed["time"] == ["True", "True", "True"]


def test_neuron_in_a_text_trains() -> None:
    """Two states, and a number for each channel; its spikes are those of the equations, one step after the other."""
    model = sewdsl.compile(sewdsl.read(Source("adaptive.net", NEURON)).result()).double()
    neuron, x = model.get_submodule("tiring1"), 4 * torch.rand(4, 5, 8, 8, 8, dtype=torch.float64)
    v, tired, found = torch.zeros(()), torch.zeros(()), []
    for step in x:
        h = 0.5 * v + step - tired
        s = (h >= 1).double()
        v, tired = h * (1 - s), 0.8 * tired + 0.5 * s
        found.append(s)
    assert torch.equal(neuron(x), torch.stack(found))
    assert 0 < neuron(x).mean() < 1
    model(torch.rand(4, 5, 2, 8, 8, dtype=torch.float64)).sum().backward()
    gain = neuron.get_parameter("gain")
    assert gain.shape == (8,)
    assert gain.grad is not None
    assert gain.grad.abs().sum() > 0


def test_rule_is_found_and_applied(printed: dict[str, list[str]]) -> None:
    assert printed["rule"] == ["neuron-after-neuron:14", "", ""]


def test_data_set_is_found_and_loaded(printed: dict[str, list[str]]) -> None:
    assert printed["data"] == ["160 40 True [0, 1]"]


def test_examples_are_in_style(home: Path) -> None:
    of_their_folders = "--ignore=ARG001,ARG002,FBT001,INP001"  # sewdsl/ops and sewdsl/checks have these signatures
    command = [sys.executable, "-m", "ruff", "check", of_their_folders, f"--config={ROOT}/pyproject.toml", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
