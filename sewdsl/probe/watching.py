"""Values inside a network, as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def watching(model: nn.Module, names: Iterable[str], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Shows the output of some nodes in each forward within.

    A watched node is computed by itself, not in one kernel with others, so that it has an output.

    Args:
        model: The network.
        names: Of the nodes.
        see: Takes a name and the output ``[T, N, *]``.
    """

    def show(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        see(name, output)

    hooks = [model.get_submodule(name).register_forward_hook(partial(show, name)) for name in dict.fromkeys(names)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
