"""The lowered network: what goes in, what comes out, what its parts are called, and what torch can do with it."""

from __future__ import annotations

import copy
import io
import pickle
import shutil
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.lower import SpikingNetwork, lower
from tests.words import raises

Build = Callable[..., SpikingNetwork]


def test_keys_follow_the_text(build: Build) -> None:
    keys = list(build("c4k3-BN-PLIF-{SEW Block (c4)}*2-FC5").state_dict())
    assert keys[:7] == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
        "plif1.w",
    ]
    assert "repeat1.2.sew_block1.branch.conv2.weight" in keys
    assert keys[-2:] == ["fc1.weight", "fc1.bias"]


def test_shortcuts_have_keys_of_their_own(build: Build) -> None:
    keys = build("c4k3-BN-IF-SEW Block (c6s2)-FC5").state_dict()
    assert {key.split(".")[1] for key in keys if key.startswith("sew_block1.")} == {"branch", "shortcut"}


def test_it_prints_readably(build: Build) -> None:
    text = str(build("c4k3-BN-PLIF-FC5"))
    assert "input=2x16x16, steps=4, readout=mean" in text
    assert "(conv1): Conv2d(2, 4, kernel_size=(3, 3)" in text
    assert "(plif1): Neuron(PLIF(" in text


@pytest.mark.parametrize("T", [1, 4, 7])
def test_any_number_of_steps(build: Build, T: int) -> None:
    x = torch.randn(T, 3, 2, 16, 16)
    model = build()
    assert model(x).shape == (3, 5)
    assert model(x, return_sequence=True).shape == (T, 3, 5)


@pytest.mark.parametrize("readout", ["mean", "sum", "last"])
def test_readout(build: Build, frames: Tensor, readout: str) -> None:
    model = build(readout=readout)
    sequence = model(frames, return_sequence=True)
    expected = {"mean": sequence.mean(0), "sum": sequence.sum(0), "last": sequence[-1]}[readout]
    assert torch.equal(model(frames), expected)


def test_a_static_input_is_shown_at_every_step(build: Build, frames: Tensor) -> None:
    model = build()
    repeated = frames[0].repeat(4, 1, 1, 1, 1)
    assert torch.equal(model(frames[0], return_sequence=True), model(repeated, return_sequence=True))


def test_vectors_are_inputs_too(build: Build) -> None:
    model = build("FC20-LIF-FC3", size="12")
    assert model(torch.randn(4, 2, 12)).shape == (2, 3)
    assert model(torch.randn(2, 12)).shape == (2, 3)
    with raises(ValueError):
        model(torch.randn(2, 13))


def test_networks_without_spikes(build: Build) -> None:
    model = build("c4k3-BN-ReLU-Basic Block-Bottleneck (c3)-GAP-FC5", neuron="ReLU")
    assert model(torch.randn(1, 2, 2, 16, 16)).shape == (2, 5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 2, 16, 17), r"\[T, N, C=2, H=16, W=16\].*got \[4, 3, 2, 16, 17\]$"),
        ((4, 3, 1, 16, 16), r"got \[4, 3, 1, 16, 16\]$"),
        ((3, 2, 256), r"\[N, C=2, H=16, W=16\] if it is static, got \[3, 2, 256\]$"),
        ((2, 16, 16), r"for a single sample, add the axis N: x\[None\]"),
        ((1, 4, 3, 2, 16, 16), r"got \[1, 4, 3, 2, 16, 16\]$"),
        ((4, 3, 16, 16, 2), r"channels come before height and width: x.movedim\(-1, -3\)"),
        ((3, 16, 16, 2), r"channels come before height and width: x.movedim\(-1, -3\)"),
        ((3, 2, 4, 16, 16), r"time is the first axis: x.movedim\(2, 0\)"),
        ((0, 3, 2, 16, 16), r"at least one time-step"),
    ],
)
def test_an_input_that_does_not_fit_is_explained(build: Build, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()(torch.randn(shape))


def test_other_number_formats_are_explained(build: Build, frames: Tensor) -> None:
    with raises(ValueError):
        build()(frames.double())
    with pytest.raises(ValueError, match=r"expected a real input"):
        build()(frames.to(torch.complex64))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
@pytest.mark.parametrize("parameters", [torch.float32, torch.float64])
def test_integer_frames_are_converted_as_they_are(build: Build, dtype: torch.dtype, parameters: torch.dtype) -> None:
    model = build().to(parameters)
    x = torch.randint(0, 2, (4, 3, 2, 16, 16), generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(model(x), model(x.to(parameters)))


def test_a_network_without_parameters(build: Build) -> None:
    model = build("IF-GAP", size="2x4x4")
    assert model(torch.ones(3, 2, 4, 4, dtype=torch.uint8)).tolist() == [[1, 1]] * 3
    assert model(torch.ones(3, 2, 4, 4, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_parameters(build: Build, frames: Tensor, dtype: torch.dtype) -> None:
    y = build().to(dtype)(frames.to(dtype))
    assert y.dtype == dtype
    assert y.isfinite().all()


def test_mixed_precision_trains(build: Build, frames: Tensor) -> None:
    model = build().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(frames)
    gradients = torch.autograd.grad(y.float().sum(), list(model.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_an_empty_batch(build: Build) -> None:
    model = build()
    assert model(torch.zeros(4, 0, 2, 16, 16)).shape == (0, 5)
    with raises(ValueError):
        model.train()(torch.zeros(4, 0, 2, 16, 16))


@pytest.mark.parametrize("neuron", ["IF", "LIF", "PLIF(v_reset=none)"])
def test_no_state_survives_a_forward(build: Build, frames: Tensor, neuron: str) -> None:
    model = build(neuron=neuron)
    first = model(frames)
    model(torch.randn(6, 5, 2, 16, 16))
    assert torch.equal(model(frames), first)
    buffers = {name.rsplit(".", 1)[-1] for name, _ in model.named_buffers()}
    assert buffers == {"running_mean", "running_var", "num_batches_tracked"}


def test_values_are_dropped_behind_their_last_reader(build: Build, frames: Tensor) -> None:
    model = build("c4k3-BN-IF-{SEW Block (c4)}*4-FC5")
    given: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def count(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        given.append(weakref.ref(output))
        alive.append(sum(reference() is not None for reference in given))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(frames)
    assert len(alive) == 3 + 4 * 7 + 1
    assert max(alive) == 3  # the identity, the input of a layer and its output


def test_it_pickles_copies_and_loads(build: Build, frames: Tensor) -> None:
    model = build()
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = lower(model.network).eval()
    missing = loaded.load_state_dict(model.state_dict(), strict=True)
    assert not missing.missing_keys
    for other in (
        pickle.loads(pickle.dumps(model)),  # noqa: S301 -- its own bytes
        torch.load(file, weights_only=False),
        copy.deepcopy(model),
        loaded,
    ):
        assert torch.equal(other(frames), model(frames))
        assert other.network == model.network


def test_seeded_weights_leave_the_generator_alone(build: Build) -> None:
    network = build().network
    before = torch.get_rng_state()
    first, second, other = (lower(network, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_compile_takes_a_network() -> None:
    network = sewdsl.load("c4k3-BN-IF-FC5", input="2x16x16", steps=3)
    model = sewdsl.compile(network)
    assert model.network is network
    assert sum(parameter.numel() for parameter in model.parameters()) == network.total_parameters


def test_one_graph(build: Build, frames: Tensor) -> None:
    model = build("c4k3-BN-SN-SEW Block (c6s2)-DP0.25-FC5").train()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = []
    for run in (compiled, model):
        torch.manual_seed(0)
        y = run(frames)
        found.append([y, *torch.autograd.grad(y.square().sum(), [*model.parameters()])])
    torch.testing.assert_close(*found)


@pytest.mark.deep  # the graph is that of test_one_graph; a compiler takes ten seconds for it
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_kernel(build: Build, frames: Tensor) -> None:
    model = build("c4k3-BN-PLIF-SEW Block (c4)-FC5").double()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(frames.double()), model(frames.double()))


def test_it_exports_with_a_batch_of_any_size(build: Build, frames: Tensor) -> None:
    model = build()
    samples = torch.export.Dim("N", min=1, max=64)
    exported = torch.export.export(model, (frames,), dynamic_shapes=({1: samples},)).module()
    for N in (1, 3, 8):
        x = torch.randn(4, N, 2, 16, 16)
        torch.testing.assert_close(exported(x), model(x))
