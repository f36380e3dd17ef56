"""The shipped weights have the accuracy in integers that they have in floats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sewdsl
from sewdsl.integers.build import IntegerFormat, build_integer_network
from sewdsl.train.data import load
from sewdsl.train.fit.integer_run import input_scaling, to_integers
from tests.effort import factor

NETS = Path(sewdsl.__file__).parents[1] / "nets"

SAMPLES = 1000 if factor() > 1 else 100


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize(("name", "state_bits"), [("mnist5k", 32), ("mnist5k", 16), ("mnist5k-dvs", 32)])
def test_accuracy(name: str, state_bits: Literal[16, 32]) -> None:
    model = sewdsl.compile(name).eval()
    model.load_state_dict(load_file(NETS / f"{name}.safetensors"))
    network = build_integer_network(model, input_scaling(model), IntegerFormat(state_bits=state_bits))
    splits = load(name, steps=model.network.settings.steps)
    batch = splits.test.batch(torch.arange(SAMPLES))
    with torch.no_grad():
        floats = model(batch.x).argmax(1).numpy()
    (outputs,) = network.run(to_integers(batch.x, network)).values()
    integers, classes = outputs.argmax(1), batch.y.numpy()
    assert np.mean(floats == classes) > 0.9
    # 5 of 1,000 samples, or one in a small part of them.
    assert abs(np.sum(integers == classes) - np.sum(floats == classes)) <= max(1, 0.005 * SAMPLES)
