"""Where numbers that are none begin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def is_finite(tensor: Tensor) -> bool:
    """Whether every element is a number."""
    return bool(torch.isfinite(tensor).all())


def first_nonfinite(model: nn.Module, x: Tensor, loss: Callable[[], Tensor]) -> str:
    """What is the first to be not finite: the input, weights, a layer's output, the loss, or a layer's gradient.

    The batch is run once more, forward and backward, and each layer is looked at as its turn comes. What is drawn
    anew in it, such as dropout masks, can hide what is looked for.

    Args:
        model: The network; its gradients are overwritten.
        x: Its input.
        loss: Runs it on the input.
    """
    if not is_finite(x):
        return "the input"
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            return f"the {name.rpartition('.')[2]} of '{name.rpartition('.')[0]}'"
    found: list[str] = []
    layers = {name: module for name, module in model.named_modules() if name and not any(module.children())}
    hooks = [module.register_forward_hook(partial(_look, name, found)) for name, module in layers.items()]
    for name, weight in model.named_parameters():
        layer = name.rpartition(".")[0]
        hooks.append(weight.register_hook(partial(_note, found, f"the gradient of '{layer}'")))  # type: ignore[no-untyped-call]
    try:
        value = loss()
        if not found and not is_finite(value):
            return "the loss itself"
        if not found:
            value.backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else "something that did not come back when the batch was run again"


def _look(name: str, found: list[str], _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    """Looks at an output, and later at its gradient."""
    _note(found, f"the output of '{name}'", output.detach())
    if output.requires_grad:
        output.register_hook(partial(_note, found, f"the gradient of '{name}'"))  # type: ignore[no-untyped-call]


def _note(found: list[str], what: str, values: Tensor) -> None:
    if not is_finite(values):
        found.append(what)
