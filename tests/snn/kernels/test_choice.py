"""Choice of kernels."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sewdsl.snn import kernels
from sewdsl.snn.kernels import dispatch
from sewdsl.snn.kernels.neuron import on_cpu, on_cuda, operators, partition, reference
from sewdsl.snn.kernels.packed_bits import cuda_packed_bits
from sewdsl.snn.kernels.pooling import cuda_max_pool, max_pool
from tests.snn.kernels.cases import current, make
from tests.words import raises

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the kernels that ran, in order."""
    names: list[str] = []

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            names.append(name)
            return function(*args, **options)

        return noted

    monkeypatch.setattr(operators, "neurons", noting("fast", operators.neurons))
    monkeypatch.setattr(reference, "integrate", noting("reference", reference.integrate))
    return names


class Other:
    """A neuron with one thing changed."""

    def __init__(self, **changes: Any) -> None:
        self._spec = make("LIF")
        self.__dict__.update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)


def test_linear_neurons_run_fast(ran: list[str]) -> None:
    for kind, learned in (("IF", {}), ("LIF", {}), ("PLIF", {"w": torch.tensor(0.0)})):
        kernels.run_neurons(make(kind), current(3, 2, 4), learned)
    assert ran == ["fast"] * 3


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Triton as it would be on a GPU: the CPU's kernels are in its place."""
    monkeypatch.setattr(on_cuda, "forward", on_cpu.forward)
    monkeypatch.setattr(on_cuda, "backward", on_cpu.backward)
    monkeypatch.setattr(on_cuda, "statistics", partition.statistics)
    for name in ("forward", "backward"):
        monkeypatch.setattr(cuda_max_pool, name, getattr(max_pool, name))
    monkeypatch.setattr(cuda_packed_bits, "pack", lambda x, _bits: x)
    monkeypatch.setattr(cuda_packed_bits, "unpack", lambda octets, x, _bits: x.copy_(octets))
    dispatch._triton_runs.cache_clear()
    yield monkeypatch
    dispatch._triton_runs.cache_clear()


CPU = torch.device("cpu")


@pytest.mark.usefixtures("triton")
def test_triton_is_tried_before_it_is_used() -> None:
    """A kernel that launches and agrees with torch is used, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dispatch._triton_runs(CPU)


@pytest.mark.parametrize("function", ["forward", "backward"])
def test_triton_that_does_not_launch_is_not_used(triton: pytest.MonkeyPatch, function: str) -> None:
    def fails(*_: Any, **__: Any) -> None:
        message = "Failed to find C compiler.\nPlease specify via CC environment variable."
        raise RuntimeError(message)

    triton.setattr(on_cuda, function, fails)
    with pytest.warns(UserWarning, match=r"do not work on cpu \(RuntimeError: Failed to find C compiler\.\); .*slower"):
        assert not dispatch._triton_runs(CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert not dispatch._triton_runs(CPU)


@pytest.mark.parametrize("place", [0, 1])
def test_triton_that_gives_other_numbers_is_not_used(triton: pytest.MonkeyPatch, place: int) -> None:
    function = ("forward", "backward")[place]
    plain: Callable[..., Any] = (on_cpu.forward, on_cpu.backward)[place]

    def wrong(*arguments: Any, **named: Any) -> Any:
        found = plain(*arguments, **named)
        found[0][1, 1, 1] += 1
        return found

    triton.setattr(on_cuda, function, wrong)
    with pytest.warns(UserWarning, match="results differ from PyTorch"):
        assert not dispatch._triton_runs(CPU)


def test_the_switch(ran: list[str]) -> None:
    x_TN = current(3, 2, 4)
    with kernels.use_kernels("reference"):
        kernels.run_neurons(make("LIF"), x_TN, {})
        with kernels.use_kernels("fastest"):
            kernels.run_neurons(make("LIF"), x_TN, {})
        kernels.run_neurons(make("LIF"), x_TN, {})
    kernels.run_neurons(make("LIF"), x_TN, {})
    assert ran == ["reference", "fast", "reference", "fast"]


def test_an_unknown_choice_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(ValueError), kernels.use_kernels("turbo"):  # type: ignore[arg-type]
        pass
    monkeypatch.setattr(dispatch, "_choice", "turbo")
    with pytest.raises(ValueError, match="SEWDSL_KERNELS"):
        kernels.run_neurons(make("LIF"), current(3, 2, 4), {})


class Branching:
    """A surrogate that is more than plain arithmetic."""

    def derivative(self, u: Tensor) -> Tensor:
        return torch.exp(-u.abs())


ODD: dict[str, tuple[Any, Tensor, Tensor | None]] = {
    "a surrogate that cannot be traced": (Other(surrogate=Branching()), current(3, 2, 4), None),
    "a factor for each neuron": (
        Other(dynamics=lambda: (torch.full((4,), 0.5), 0.5, 0.0)),
        current(3, 2, 4),
        None,
    ),
    "a potential that broadcasts": (Other(), current(3, 2, 4), torch.zeros(1)),
    "a potential of another format": (Other(), current(3, 2, 4), torch.zeros(2, 4, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", ODD)
def test_the_reference_runs_the_rest(ran: list[str], name: str) -> None:
    spec, x_TN, v_N = ODD[name]
    x_TN = x_TN.clone().requires_grad_()
    spikes, _ = kernels.run_neurons_from(spec, x_TN, v_N, {})
    spikes.sum().backward()  # type: ignore[no-untyped-call]
    assert ran == ["reference"]
    assert x_TN.grad is not None


class Quadratic:
    """A neuron that does not charge linearly."""

    v_threshold, v_reset, detach_reset, rest = 1.0, 0.0, True, 0.0
    surrogate = make("LIF").surrogate

    def learnable(self) -> dict[str, float]:
        return {}

    def charge(self, v: Any, x: Any, **learned: Any) -> Any:  # noqa: ARG002 -- it learns nothing
        return v + 0.1 * v * v + x


def test_a_neuron_that_is_not_linear_runs(ran: list[str]) -> None:
    spikes = kernels.run_neurons(Quadratic(), current(3, 2, 4), {})
    assert ran == ["reference"]
    assert spikes.sum() > 0


@pytest.mark.parametrize("threshold", [torch.tensor(0.8, requires_grad=True), torch.tensor([0.8, 0.9])])
def test_a_threshold_that_is_no_number_is_refused(threshold: torch.Tensor) -> None:
    """Its gradient would be lost without a word."""
    spec = Quadratic()
    spec.v_threshold = threshold  # type: ignore[assignment]
    with kernels.use_kernels("reference"), raises(TypeError):
        kernels.run_neurons(spec, current(3, 2, 4), {})


PROGRAM = """
import sys
import sewdsl, sewdsl.lower, torch
model = sewdsl.compile("c4k3-BN-PLIF-FC3", input="2x8x8", steps=2)
assert not {"numba", "triton", "torch._dynamo"} & set(sys.modules)
model(torch.rand(2, 2, 2, 8, 8))
"""
THEN = """
assert "numba" not in sys.modules
with sewdsl.snn.kernels.use_kernels("fastest"):
    model(torch.rand(2, 2, 2, 8, 8))
assert "numba" in sys.modules
"""


def test_numba_is_loaded_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_KERNELS", "reference")
    command = [sys.executable, "-c", PROGRAM + THEN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_numba_the_reference_runs() -> None:
    program = "import sys\nsys.modules['numba'] = None\n" + PROGRAM.replace('"numba", ', "")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
