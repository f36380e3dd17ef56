"""Values inside a network, as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sewdsl.lower import SpikingNetwork


@contextmanager
def capture_outputs(model: SpikingNetwork, names: Iterable[str], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Shows the output of some nodes in each forward within.

    A watched node is computed by itself, not in one kernel with others, so that it has an output. What nodes in loops
    give at each time-step is put together, and shown after the forward.

    Args:
        see: Takes a name and the output ``[T, N, *]``.
    """
    steps = _Steps(model, lambda name, found: see(name, torch.cat(found)))

    def show(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if not steps.take(name, output):
            see(name, output)

    with ExitStack() as hooks:
        hooks.enter_context(steps.shown())
        for name in dict.fromkeys(names):
            hooks.callback(model.get_submodule(name).register_forward_hook(partial(show, name)).remove)
        yield


@contextmanager
def capture_inputs(
    model: SpikingNetwork, names: Iterable[str], see: Callable[[str, tuple[Tensor, ...]], None]
) -> Iterator[None]:
    """Shows the inputs of some nodes, as :func:`capture_outputs` does their output.

    Args:
        see: Takes a name and the inputs, each ``[T, N, *]``, or ``[1, N, *]`` where they are the same at all
            time-steps and the node is computed once.
    """
    steps = _Steps(model, lambda name, found: see(name, tuple(map(torch.cat, zip(*found, strict=True)))))

    def show(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not steps.take(name, inputs):
            see(name, inputs)

    with ExitStack() as hooks:
        hooks.enter_context(steps.shown())
        for name in dict.fromkeys(names):
            hooks.callback(model.get_submodule(name).register_forward_pre_hook(partial(show, name)).remove)
        yield


class _Steps:
    """What passes in loops, time-step by time-step.

    Args:
        see: Takes the name of a node in a loop and what passed at each time-step of a forward.
    """

    def __init__(self, model: SpikingNetwork, see: Callable[[str, list[Any]], None]) -> None:
        self._model, self._see = model, see
        self._looped = {model.network.nodes[index].name for index in model.network.graph.looped}
        self._found: dict[str, list[Any]] = {}

    def take(self, name: str, passed: object) -> bool:
        """Keeps what passes at a time-step, if the node is in a loop."""
        if name in self._looped:
            self._found.setdefault(name, []).append(passed)
        return name in self._looped

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows, after each forward within, what passed in it."""
        if not self._looped:
            yield
            return
        hook = self._model.register_forward_hook(self._show)
        try:
            yield
        finally:
            hook.remove()

    def _show(self, *_: Any) -> None:
        for name, found in self._found.items():
            self._see(name, found)
        self._found.clear()
