"""Transforms of functions run in plain PyTorch, and agree with calls and gradients; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, func, nn

import sewdsl
from sewdsl.snn import kernels
from sewdsl.snn.unsupported import SECOND_DERIVATIVES, TRAINING_BATCH_NORM

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")  # ``func.jvp`` uses it too

NET = "c8k3-BN-LIF-MPk2-c8k3-BN-PLIF-APk2-SEW Block (c8)-c4k3-BN-KLIF-FC3"
T, SHAPE = 3, (2, 8, 8)


@pytest.fixture(params=[0, 1, 2])
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A network in evaluation mode, at each level."""
    return sewdsl.compile(NET, input=SHAPE, steps=T, optimize=request.param, seed=0).double().eval()


def sample(*leading: int, seed: int = 0) -> Tensor:
    """Return a random input, ``[*leading, T, 2, C, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*leading, T, 2, *SHAPE, generator=generator, dtype=torch.float64)


def test_vmap(model: nn.Module) -> None:
    x = sample(3)
    torch.testing.assert_close(func.vmap(model)(x), torch.stack([model(each) for each in x]))


@pytest.mark.parametrize("encode", ["none", "direct"])
def test_vmap_of_single_time_steps(encode: str) -> None:
    """One time-step of one sample has several memory formats, also inside the gradient of a sample."""
    body = "c4k3-BN-MEAN(over=time)-c4k3-BN-LIF-GAP-FC3"
    model = sewdsl.compile(body, input=SHAPE, steps=T, seed=0, set={"encode": encode}).double().eval()
    x = torch.rand(3, *([T] if encode == "none" else []), 1, *SHAPE, dtype=torch.float64)
    torch.testing.assert_close(func.vmap(model)(x), torch.stack([model(each) for each in x]))
    gradients = func.vmap(func.grad(lambda each: model(each).square().sum()))(x)
    for each, gradient in zip(x, gradients, strict=True):
        each.requires_grad_()
        torch.testing.assert_close(gradient, torch.autograd.grad(model(each).square().sum(), each)[0])


def test_grad(model: nn.Module) -> None:
    parameters, x = dict(model.named_parameters()), sample()
    gradients = func.grad(lambda p: func.functional_call(model, p, (x,)).square().sum())(parameters)
    expected = torch.autograd.grad(model(x).square().sum(), list(parameters.values()))
    for name, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(gradients[name], gradient)


def test_jvp_is_the_adjoint_of_the_gradient(model: nn.Module) -> None:
    x, v = sample().requires_grad_(), sample(seed=1)
    y, tangent = func.jvp(model, (x.detach(),), (v,))
    u = torch.rand_like(y)
    (gradient,) = torch.autograd.grad(model(x), x, u)
    torch.testing.assert_close((tangent * u).sum(), (gradient * v).sum())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_trace(model: nn.Module) -> None:
    x = sample()
    traced = torch.jit.trace(model, (x,), check_trace=False)  # type: ignore[no-untyped-call]
    assert torch.equal(traced(sample(seed=1)), model(sample(seed=1)))


def gradient_penalty(model: nn.Module, x: Tensor) -> Tensor:
    """Return the gradient of the squared gradient."""
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    return second


PARTS: dict[str, Callable[[], nn.Module]] = {
    "neurons": lambda: sewdsl.compile("LIF", input=(4, 4, 4), steps=T, optimize=0),
    "equations": lambda: sewdsl.compile("CUBA", input=(4, 4, 4), steps=T, optimize=0),
    "norm and neurons": lambda: sewdsl.compile("BN-LIF", input=(4, 4, 4), steps=T),
    "max pooling": lambda: sewdsl.compile("MPk2", input=(4, 4, 4), steps=T),
    "average pooling": lambda: sewdsl.compile("APk2", input=(4, 4, 4), steps=T),
}


@pytest.mark.parametrize("part", PARTS)
def test_second_derivatives(part: str) -> None:
    """Kernels reject second derivatives, and plain PyTorch computes them."""
    model, x = PARTS[part](), torch.rand(T, 2, 4, 4, 4)
    with pytest.raises(NotImplementedError) as refusal:
        gradient_penalty(model, x)
    assert str(refusal.value) == SECOND_DERIVATIVES
    with kernels.use_kernels("reference"):
        assert gradient_penalty(model, x).isfinite().all()


def test_a_graph_of_the_first_derivative_is_no_second_derivative(model: nn.Module) -> None:
    x = sample().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("transform", [func.vmap, lambda f: lambda x: func.jvp(f, (x,), (x,))], ids=["vmap", "jvp"])
def test_batch_norm_in_training_mode_is_refused(transform: Callable[[nn.Module], Callable[[Tensor], object]]) -> None:
    model = sewdsl.compile("BN-LIF", input=SHAPE, steps=T)
    with pytest.raises(NotImplementedError) as refusal:
        transform(model)(torch.rand(3, T, 2, *SHAPE) if transform is func.vmap else torch.rand(T, 2, *SHAPE))
    assert str(refusal.value) == TRAINING_BATCH_NORM
