"""Checks of whether a module may be computed as part of a fused step."""

from __future__ import annotations

from typing import TypeGuard, TypeVar

from torch import nn
from torch.nn.modules import module as torch_module

_GLOBAL_HOOKS = [f"_global_{when}_hooks" for when in ("forward", "forward_pre", "backward", "backward_pre")]
"""Attributes of torch.nn.modules.module with the hooks of all modules."""

Some = TypeVar("Some", bound=nn.Module)


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module has hooks (its own or global ones) or a replaced ``forward``.

    Hooks may change inputs and outputs, so the module must be called by itself and not in a fused step.
    """
    own = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks  # noqa: SLF001 -- PyTorch has no public interface for this
    return any(own) or "forward" in module.__dict__ or any(getattr(torch_module, name) for name in _GLOBAL_HOOKS)


def is_ours(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module has the unmodified ``forward`` of a class."""
    # Subclasses and instances may replace `forward`, e.g. quantisation wrappers.
    return isinstance(module, kind) and type(module).forward is kind.forward and "forward" not in module.__dict__


def fusible(module: nn.Module, kind: type[Some]) -> TypeGuard[Some]:
    """Return whether a module has the unmodified ``forward`` of a class and no hooks."""
    return is_ours(module, kind) and not has_hooks(module)
