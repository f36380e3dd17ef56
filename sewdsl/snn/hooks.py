"""Whether a module may run as a part of others, or has to be called by itself."""

from __future__ import annotations

from typing import TypeGuard, TypeVar

from torch import nn
from torch.nn.modules import module as torch_module

_OF_ALL = [f"_global_{when}_hooks" for when in ("forward", "forward_pre", "backward", "backward_pre")]
"""Where torch keeps the hooks of all modules."""

Some = TypeVar("Some", bound=nn.Module)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody waits for it to be called: by hooks, its own or those of all modules, or by a ``forward`` of it.

    They may change what it is given and gives, so it has to run by itself, not as a part of others.
    """
    own = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks  # noqa: SLF001 -- torch has no other way to ask
    return any(own) or "forward" in module.__dict__ or any(getattr(torch_module, name) for name in _OF_ALL)


def is_ours(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether it does what a kind of module does: anything may be in its place, or in that of its ``forward``."""
    return isinstance(module, kind) and type(module).forward is kind.forward and "forward" not in module.__dict__


def fusible(module: nn.Module, kind: type[Some]) -> TypeGuard[Some]:
    """Whether it does what a kind of module does, and no hook waits for it to be called."""
    return is_ours(module, kind) and not has_hooks(module)
