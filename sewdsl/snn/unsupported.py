"""Uses of a network that its kernels have no rules for: transforms of functions, tracing and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

SECOND_DERIVATIVES = (
    "kernels have no second derivatives: set SEWDSL_KERNELS=reference in the environment, or compute the forward and "
    "the backward pass in a block \"with sewdsl.snn.kernels.use_kernels('reference'):\", where plain PyTorch has them"
)
TRAINING_BATCH_NORM = (
    "batch norm in training mode changes its running statistics, which func.grad, func.vmap and func.jvp do not "
    "support: call model.eval() first, or take gradients by loss.backward()"
)


def is_transformed() -> bool:
    """Return whether a transform of ``torch.func`` is active, e.g. ``vmap``, ``grad`` or ``jvp``."""
    # torch.autograd.Function uses the same private function. Its compiler cannot trace it, and has no transforms.
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()  # noqa: SLF001


def needs_plain_torch() -> bool:
    """Return whether only plain PyTorch has the rules: transforms of functions, forward-mode AD and ``jit.trace``."""
    if torch.compiler.is_compiling():
        return False
    return is_transformed() or forward_ad._current_level >= 0 or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # noqa: SLF001


def refuse_second_derivative(*_: Any) -> NoReturn:
    """Raise the error of a second derivative, as the backward pass of a backward pass."""
    raise NotImplementedError(SECOND_DERIVATIVES)


class _RefuseSecond(torch.autograd.Function):
    """Passes the first tensors on, and raises if these are differentiated by any of the others."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004 -- torch's signature
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> NoReturn:  # noqa: ARG004 -- as above
        refuse_second_derivative()


Backward = Callable[..., tuple[Tensor | None, ...]]


def first_derivative_only(backward: Backward) -> Backward:
    """Decorate the backward pass of a function that has no second derivative.

    It does what torch's ``once_differentiable`` does, with an error that says what does work.
    """

    @wraps(backward)
    def once(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            results = backward(ctx, *gradients)
        if not torch.is_grad_enabled():
            return results
        read = [tensor for tensor in (*gradients, *ctx.saved_tensors) if tensor is not None and tensor.requires_grad]
        present = [result for result in results if result is not None]
        if not (read and present):
            return results
        # The error is raised only where a second derivative passes through here.
        marked = iter(cast("Any", _RefuseSecond.apply)(len(present), *present, *read))
        return tuple(None if result is None else next(marked) for result in results)

    return once
