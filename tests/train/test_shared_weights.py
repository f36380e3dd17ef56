"""Training of parts: one set of weights, which is frozen, averaged, saved and resumed like any other."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import sewdsl
from sewdsl.exchange.weights import take_weights
from sewdsl.train.fit.load_run import load_model
from sewdsl.train.fit.train_run import evaluate_run
from sewdsl.train.store.run_folder import RunFolder

from . import test_survival
from .test_survival import At, start

TIED = """\
sewdsl 1
network "Tied"
input   1x8x8
steps   3
encode  direct
neuron  PLIF
part Cell = FC12-BN-SN
body    FC12-{Cell}*2-FC10

train on digits {
    epochs 2
    batch 200
    optimizer Adam(lr=0.05)
}
"""


@pytest.mark.parametrize("line", ["", "ema 0.9"])
def test_a_resumed_run_is_the_same(line: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.net"
    spec.write_text(TIED.replace("    epochs 2", f"    epochs 2\n    {line}"))
    test_survival.TestKilled.killed_and_whole(spec, tmp_path)
    folder = RunFolder(tmp_path / "whole")
    again = evaluate_run(folder)
    assert again.measured == again.reported
    model, last = load_model(folder.path), load_file(folder.last)
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = ("fc1.weight", "fc1.bias", "plif1.w", *(f"bn1.{key}" for key in norm))
    assert {key for key in last if "Cell" in key} == {f"Cell.{key}" for key in keys}
    assert all(torch.equal(value, last[key]) for key, value in model.state_dict().items())


def test_a_frozen_part_stays_as_it_is(tmp_path: Path) -> None:
    spec, before = tmp_path / "spec.net", dict[str, torch.Tensor]()

    def look(module: nn.Module) -> None:
        model = module.get_submodule("model")
        before.update({key: value.clone() for key, value in model.state_dict().items()})

    spec.write_text(TIED.replace("    epochs 2", "    epochs 1\n    freeze Cell.*"))
    (tmp_path / "run").mkdir()
    after = load_file(start(spec, tmp_path / "run", At(0, look)).last)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {key for key in after if not key.startswith("Cell.")}


def test_weights_fit_another_number_of_calls() -> None:
    """The weights of a part have one key each, so that they fit networks with more calls."""
    state = sewdsl.compile(sewdsl.load(TIED), seed=0).state_dict()
    network = sewdsl.load(TIED.replace("*2", "*3"))
    taken = take_weights(state, network).tensors
    assert taken.keys() == sewdsl.compile(network).state_dict().keys()
    assert all(torch.equal(value, taken[key]) for key, value in state.items())
