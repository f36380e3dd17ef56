"""A network that torch compiles: how often, for which batches, and as which graphs on a GPU that is not there."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch import Tensor, nn
from torch._dynamo import lookup_backend

from sewdsl.compiler import Compilation, compile, read
from sewdsl.source import Source
from sewdsl.train.fit import execution, train_run
from sewdsl.train.fit.execution import CompiledNetwork, compile_network
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import resume_run, start_run
from sewdsl.train.store.run_folder import RunDiverged, RunFolder, RunInterrupted
from sewdsl.train.training_plan import plan_training
from tests.words import raises

from .conftest import SMALL

CHAIN = SMALL.replace("{SEW Block-MPk2s2}*2", "MPk2s2")
"""Network that is traced a second faster than :data:`BLOCK`."""
BLOCK = SMALL.replace("{SEW Block-MPk2s2}*2", "SEW Block")
FULL = 2
"""Batches of 500 of the 1,438 training samples; a third has the rest."""


@pytest.fixture(autouse=True)
def _a_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(execution, "find_spec", lambda _name: object())
    monkeypatch.setenv("CXX", sys.executable)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


Trains = Callable[..., dict[str, Tensor]]


def spec(**changes: object) -> Compilation:
    """The network with 1,438 training samples in batches of 500, and a last one of 438."""
    settings = {f"train.{key}": value for key, value in {"batch": 500, **changes}.items()}
    return read(Source("text.net", CHAIN), set=settings)


@pytest.fixture
def weights(tmp_path_factory: pytest.TempPathFactory) -> Trains:
    """Train the network, and return its last weights and statistics."""

    def train(**changes: object) -> dict[str, Tensor]:
        compilation = spec(**changes)
        folder = RunFolder(tmp_path_factory.mktemp("run"))
        start_run(compilation, plan_training(compilation), folder)
        return load_file(folder.last)

    return train


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shape of the input of every graph that is compiled from here on; each is run as it was traced."""
    found: list[torch.Size] = []
    usual = nn.Module.compile

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        found.append(next(each.shape for each in inputs if not isinstance(each, nn.Parameter)))
        return lookup_backend("eager")(graph, inputs)

    monkeypatch.setattr(nn.Module, "compile", lambda model, **how: usual(model, backend=count, **how))
    return found


@pytest.mark.parametrize("changes", [{}, {"T_train": 2, "accumulate": 2}], ids=str)
def test_one_graph_for_all_epochs(
    changes: dict[str, object], weights: Trains, compilations: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the last batch of an epoch nor the pass that judges makes another; what is learnt is the same."""
    ran: list[int] = []
    forward = execution.CompiledNetwork.for_batch

    def note(network: CompiledNetwork, samples: int, compiled: int) -> Callable[..., Tensor]:
        ran.append(samples)
        return forward(network, samples, compiled)

    monkeypatch.setattr(CompiledNetwork, "for_batch", note)
    found, plain = weights(compile="on", **changes), weights(**changes)
    assert ran == [500, 500, 438] * 2
    assert [500 in shape for shape in compilations] == [True]
    assert found.keys() == plain.keys()
    for name, values in plain.items():
        assert torch.allclose(found[name].double(), values.double(), rtol=1e-3, atol=1e-4), name
    counts = [name for name in found if name.endswith("num_batches_tracked")]
    assert counts
    assert {int(found[name]) for name in counts} == {3 * 2}


def test_a_run_that_goes_on_with_its_last_batch(tmp_path: Path, compilations: list[torch.Size]) -> None:
    """The size of a batch decides whether it is compiled, not its position."""

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == FULL:
                signal.raise_signal(signal.SIGINT)

    compilation, folder = spec(compile="on", epochs=1), RunFolder(tmp_path)
    with pytest.raises(RunInterrupted):
        start_run(compilation, plan_training(compilation), folder, RunOptions([Stop()]))
    assert len(compilations) == 1
    torch._dynamo.reset()
    resume_run(folder)
    assert len(compilations) == 1


def test_a_step_of_a_compiled_network_is_that_of_the_network() -> None:
    found = []
    x, y = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10
    for gpu in (None, False):
        model = compile(BLOCK, seed=0)
        if gpu is not None:
            nn.Module.compile(model, dynamic=False, backend="aot_eager")
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in model.parameters()]
        found.append([loss.detach(), *gradients, *(each.double() for each in model.buffers())])
    for plain, compiled in zip(*found, strict=True):
        assert plain is not None
        assert compiled is not None
        assert torch.allclose(plain, compiled, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("gpu", "asked"), [(True, {"dynamic": False, "mode": "reduce-overhead"}), (False, {"dynamic": False})]
)
def test_what_torch_is_asked_for(gpu: bool, asked: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 -- a parameter
    told: list[dict[str, object]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda _model, **how: told.append(how))
    found = compile_network(compile(CHAIN, seed=0), gpu=gpu)
    assert told == [asked]
    assert found is not None
    assert found.graphs == gpu


class GraphMemory:
    """The memory of graphs that are not there: when a step begins, gradients that still lie in it are lost.

    Attributes:
        begun: How many steps have begun.
        lost: How many gradients were lost when one did.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun = self.lost = 0
        self._made: dict[Tensor, int] = {}
        self._gradients: list[Tensor] = []
        patch.setattr(nn.Module, "compile", lambda model, **_: self._watch(model))
        patch.setattr(torch.compiler, "cudagraph_mark_step_begin", self._begin)
        patch.setattr(train_run, "device_type", lambda _: "cuda")

    def _watch(self, model: nn.Module) -> None:
        for weight in model.parameters():
            weight.register_hook(partial(self._find, weight))  # type: ignore[no-untyped-call]
            weight.register_post_accumulate_grad_hook(self._note)  # type: ignore[no-untyped-call]

    def _find(self, weight: Tensor, gradient: Tensor) -> None:
        self._made[weight] = gradient.data_ptr()

    def _note(self, weight: Tensor) -> None:
        """Record a gradient that was assigned directly. The memory of an accumulated one differs."""
        assert weight.grad is not None
        if weight.grad.data_ptr() == self._made[weight]:
            self._gradients.append(weight.grad)

    def _begin(self) -> None:
        self.begun += 1
        self.lost += len(self._gradients)
        for gradient in self._gradients:
            gradient.fill_(float("nan"))
        self._gradients.clear()


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_gradients_outlive_the_graph_that_made_them(
    accumulate: int, weights: Trains, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = weights(batch=300, accumulate=accumulate)
    memory = GraphMemory(monkeypatch)
    found = weights(batch=300, accumulate=accumulate, compile="on")
    assert memory.begun == 4 * 2  # the fifth batch of an epoch has fewer samples
    assert memory.lost
    assert all(torch.equal(found[name], values) for name, values in plain.items())


def test_no_gradient_is_copied_without_need(weights: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[bool] = []
    monkeypatch.setattr(CompiledNetwork, "keep_gradients", lambda *_: copied.append(True))
    GraphMemory(monkeypatch)
    weights(compile="on")
    assert copied == []


def test_where_numbers_end_is_found_in_a_compiled_network(tmp_path: Path, compilations: list[torch.Size]) -> None:
    """Hooks look for it, which what was compiled would not run."""
    compilation = spec(compile="on", optimizer="SGD(lr=1e38)")
    with raises(RunDiverged):
        start_run(compilation, plan_training(compilation), RunFolder(tmp_path))
    assert len(compilations) == 1


def test_a_run_of_a_compiled_network_can_be_judged_again(tmp_path: Path, compilations: list[torch.Size]) -> None:
    compilation, folder = spec(compile="on", epochs=1), RunFolder(tmp_path)
    result = start_run(compilation, plan_training(compilation), folder)
    assert train_run.evaluate_run(folder)[1] == result
    assert len(compilations) == 1
