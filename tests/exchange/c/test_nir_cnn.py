"""The network for N-MNIST of Pedersen et al. 2024, "Neuromorphic intermediate representation", from NIR to C.

The graph has the layers of the file that the article publishes (``paper/02_cnn/mnist_sinabs_to_nir.py`` in
neuromorphs/NIR), with random weights: convolutions and fully connected layers without bias, IF neurons with r = 1, and
sums over windows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.write.c.run_file import differing_steps, find_compiler, run_c, run_reference
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.integers.build import build_integer_network
from sewdsl.train.data import load
from sewdsl.train.fit.integer_run import input_scaling, to_integers
from tests.exchange.incoming.graphs import conv, fires, flatten, graph, pool
from tests.train.data import writers

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

NOTATION = "c16k5s2p1b0-IF-c16k3s1b0-IF-c16k2s2p0g16b0-c8k3s1b0-IF-c8k2s2p0g8b0-FC256b0-IF-FC10b0-IF"
STEPS = 5


def cnn() -> nir.NIRGraph:
    """The graph, whose nodes have numbers as sinabs numbers them."""
    random = np.random.default_rng(0)

    def without_bias(before: int, after: int, kernel: int, scale: float, **options: Any) -> nir.Conv2d:
        weight = random.normal(0, scale, (after, before, kernel, kernel))
        return conv(before, after, kernel, weight=weight, bias=np.zeros(after), padding=(1, 1), **options)

    nodes = [
        *(without_bias(2, 16, 5, 0.2, stride=(2, 2), input_shape=(34, 34)), fires(16, 16, 16, r=1.0)),
        *(without_bias(16, 16, 3, 0.2, input_shape=(16, 16)), fires(16, 16, 16, r=1.0), pool(nir.SumPool2d, 2)),
        *(without_bias(16, 8, 3, 0.1, input_shape=(8, 8)), fires(8, 8, 8, r=1.0), pool(nir.SumPool2d, 2)),
        *(flatten(8, 4, 4), nir.Linear(random.normal(0, 0.1, (256, 128))), fires(256, r=1.0)),
        *(nir.Linear(random.normal(0, 0.2, (10, 256))), fires(10, r=1.0)),
    ]
    return graph((2, 34, 34), {str(number): node for number, node in enumerate(nodes)})


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_the_network_of_the_article_from_nir_to_c(tmp_path: Path) -> None:
    nir.write(tmp_path / "cnn.nir", cnn())
    run("import", tmp_path / "cnn.nir", tmp_path / "cnn.net", "--steps", STEPS, "--readout", "sum")
    assert NOTATION in (tmp_path / "cnn.net").read_text("utf-8")
    weights = tmp_path / "cnn.safetensors"
    lines = run("export", tmp_path / "cnn.net", tmp_path / "cnn.c", "--weights", weights, "--check").output.splitlines()
    assert "8 samples: C and the reference agree in every value and potential" in lines[-1]

    # Recordings as N-MNIST stores them, read as counts of events.
    for label in range(10):
        for part, number in (("Train", 0), ("Test", 1), ("Test", 2)):
            path = writers.folder(tmp_path / "NMNIST" / part / str(label) / f"{number:05}.bin")
            writers.nmnist_bin(path, writers.some_events(3000, 34, 10 * label + number))
    samples = load("nmnist", tmp_path / "NMNIST", steps=STEPS, subset=True).test
    batch = samples.batch(torch.arange(len(samples.y)))

    model = sewdsl.compile(tmp_path / "cnn.net").double().eval()
    model.load_state_dict(load_file(weights))
    with torch.no_grad():
        floats = model(batch.x.double()).numpy()
    # Random weights: a sum of rounded products never equals the threshold, so both conventions fire alike.
    in_nir = NirExecutor(cnn(), dt=1.0).run(batch.x.double()).sum(0).numpy()
    assert np.array_equal(in_nir, floats)

    network = build_integer_network(model, input_scaling(model))
    n = to_integers(batch.x, network)
    trace = run_reference(network, n)
    assert not differing_steps(network, run_c(network, n), trace)
    # Rounded weights shift spikes by a time-step, and classes of random weights have nearly equal counts.
    assert np.corrcoef(trace.outputs.ravel(), floats.ravel())[0, 1] > 0.75
