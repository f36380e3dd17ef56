"""Values inside a network, as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sewdsl.lower import SpikingNetwork


def capture_outputs(
    model: SpikingNetwork, names: Iterable[str], see: Callable[[str, Tensor], None]
) -> AbstractContextManager[None]:
    """Shows the output of some nodes in each forward within.

    A watched node is computed by itself, not in one kernel with others, so that it has an output. What nodes in loops
    give at each time-step is put together, and shown after the forward.

    Args:
        see: Takes a name and the output ``[T, N, *]``.
    """
    return _capture(model, names, "register_forward_hook", see, torch.cat)


def capture_inputs(
    model: SpikingNetwork, names: Iterable[str], see: Callable[[str, tuple[Tensor, ...]], None]
) -> AbstractContextManager[None]:
    """Shows the inputs of some nodes, as :func:`capture_outputs` does their output.

    Args:
        see: Takes a name and the inputs, each ``[T, N, *]``, or ``[1, N, *]`` where they are the same at all
            time-steps and the node is computed once.
    """
    return _capture(
        model, names, "register_forward_pre_hook", see, lambda steps: tuple(map(torch.cat, zip(*steps, strict=True)))
    )


@contextmanager
def _capture(
    model: SpikingNetwork,
    names: Iterable[str],
    register: str,
    see: Callable[[str, Any], None],
    join: Callable[[list[Any]], Any],
) -> Iterator[None]:
    """Show what passes at some nodes.

    Args:
        register: Method of a module that registers a hook, whose last argument is shown.
        join: Joins what passed at the time-steps of a node in a loop.
    """
    network = model.network
    looped = {network.nodes[index].name for index in network.graph.looped}
    by_step: dict[str, list[Any]] = {}

    def show(name: str, *arguments: Any) -> None:
        if name in looped:
            by_step.setdefault(name, []).append(arguments[-1])
        else:
            see(name, arguments[-1])

    def show_looped(*_: Any) -> None:
        for name, steps in by_step.items():
            see(name, join(steps))
        by_step.clear()

    with ExitStack() as hooks:
        if looped:
            hooks.callback(model.register_forward_hook(show_looped).remove)
        for name in dict.fromkeys(names):
            hooks.callback(getattr(model.get_submodule(name), register)(partial(show, name)).remove)
        yield
