"""Whether somebody looks at what a module is given and gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def watched(module: nn.Module) -> bool:
    """Whether hooks wait for it, which may change things: then it has to run by itself, not as a part of others."""
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks  # noqa: SLF001 -- torch has no other way to ask
    return any(hooks)
