"""Errors for uses without kernels: function transforms, tracing and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

SECOND_DERIVATIVES = (
    "kernels do not support second derivatives; set the environment variable SEWDSL_KERNELS=reference, or run the "
    "forward and the backward pass inside \"with sewdsl.snn.kernels.use_kernels('reference'):\" to use plain PyTorch"
)
TRAINING_BATCH_NORM = (
    "batch norm in training mode updates its running statistics, which func.grad, func.vmap and func.jvp do not "
    "support; call model.eval() first, or compute gradients with loss.backward()"
)


def is_transformed() -> bool:
    """Return whether a transform of ``torch.func`` is active, e.g. ``vmap``, ``grad`` or ``jvp``."""
    # torch.autograd.Function uses the same private function. torch.compile cannot trace it, and has no transforms.
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()  # noqa: SLF001


def is_batched(x: Tensor) -> bool:
    """Return whether a tensor is computed by ``vmap``, also inside other transforms of ``torch.func``."""
    if not is_transformed():
        return False
    transforms = torch._C._functorch  # noqa: SLF001 -- torch.func itself uses the module
    while not transforms.is_batchedtensor(x):
        if not transforms.is_functorch_wrapped_tensor(x):
            return False
        x = transforms.get_unwrapped(x)
    return True


def needs_plain_torch() -> bool:
    """Return whether ``torch.func``, forward-mode AD or ``jit.trace`` is active.

    Only plain PyTorch has rules for them.
    """
    if torch.compiler.is_compiling():
        return False
    return is_transformed() or forward_ad._current_level >= 0 or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # noqa: SLF001


def refuse_second_derivative(*_: Any) -> NoReturn:
    """Raise the error of a second derivative. Registered as the backward pass of backward passes."""
    raise NotImplementedError(SECOND_DERIVATIVES)


class _RefuseSecond(torch.autograd.Function):
    """Identity of the first ``count`` tensors that raises if it is differentiated."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004 -- torch's signature
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> NoReturn:  # noqa: ARG004 -- torch's signature
        refuse_second_derivative()


Backward = Callable[..., tuple[Tensor | None, ...]]


def first_derivative_only(backward: Backward) -> Backward:
    """Decorate the backward pass of a function that has no second derivative.

    Like ``torch.autograd.function.once_differentiable``, with an error message that states the remedy.
    """

    @wraps(backward)
    def once(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            results = backward(ctx, *gradients)
        if not torch.is_grad_enabled():
            return results
        inputs = [tensor for tensor in (*gradients, *ctx.saved_tensors) if tensor is not None and tensor.requires_grad]
        nonempty = [result for result in results if result is not None]
        if not (inputs and nonempty):
            return results
        # Raise only if the second derivative depends on these results: create_graph=True alone must not fail.
        marked = iter(cast("Any", _RefuseSecond.apply)(len(nonempty), *nonempty, *inputs))
        return tuple(None if result is None else next(marked) for result in results)

    return once
