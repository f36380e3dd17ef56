"""Values inside a network, as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def capture_outputs(model: nn.Module, names: Iterable[str], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Shows the output of some nodes in each forward within.

    A watched node is computed by itself, not in one kernel with others, so that it has an output.

    Args:
        model: The network.
        names: Of the nodes.
        see: Takes a name and the output ``[T, N, *]``.
    """

    def show(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        see(name, output)

    with ExitStack() as hooks:
        for name in dict.fromkeys(names):
            hooks.callback(model.get_submodule(name).register_forward_hook(partial(show, name)).remove)
        yield


@contextmanager
def capture_inputs(
    model: nn.Module, names: Iterable[str], see: Callable[[str, tuple[Tensor, ...]], None]
) -> Iterator[None]:
    """Shows the inputs of some nodes, as :func:`capture_outputs` does their output.

    Args:
        model: The network.
        names: Of the nodes.
        see: Takes a name and the inputs, each ``[T, N, *]``, or ``[1, N, *]`` where they are the same at all
            time-steps and the node is computed once.
    """

    def show(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        see(name, inputs)

    with ExitStack() as hooks:
        for name in dict.fromkeys(names):
            hooks.callback(model.get_submodule(name).register_forward_pre_hook(partial(show, name)).remove)
        yield
