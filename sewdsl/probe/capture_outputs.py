"""Capture of values inside a network during forward passes."""

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
    """Capture the outputs of nodes in each forward pass within a context.

    A captured node is not fused with others. Outputs of nodes in loops are concatenated over time-steps, and passed on
    after the forward pass.

    Args:
        see: Receives the name of a node and its output ``[T, N, *]``.
    """
    return _capture(model, names, "register_forward_hook", see, torch.cat)


def capture_inputs(
    model: SpikingNetwork, names: Iterable[str], see: Callable[[str, tuple[Tensor, ...]], None]
) -> AbstractContextManager[None]:
    """Capture the inputs of nodes, as :func:`capture_outputs` does their outputs.

    Args:
        see: Receives the name of a node and its inputs, each ``[T, N, *]``, or ``[1, N, *]`` if the node is static and
            computed once.
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
    """Register hooks that pass values of nodes on.

    Args:
        register: Method of a module that registers a hook. The last argument of the hook is passed on.
        join: Joins the values of a node in a loop over time-steps.
    """
    network = model.network
    # A node in a loop runs once per time-step, on one time-step of its input.
    looped = {network.nodes[index].name for index in network.graph.looped}
    by_step: dict[str, list[Any]] = {}

    def pass_on(name: str, *arguments: Any) -> None:
        if name in looped:
            by_step.setdefault(name, []).append(arguments[-1])
        else:
            see(name, arguments[-1])

    def pass_on_looped(*_: Any) -> None:
        for name, steps in by_step.items():
            see(name, join(steps))
        by_step.clear()

    with ExitStack() as hooks:
        if looped:
            # The hook of the whole network runs after the last time-step.
            hooks.callback(model.register_forward_hook(pass_on_looped).remove)
        # A node may be listed twice, e.g. as output of one block and input of the next.
        for name in dict.fromkeys(names):
            hooks.callback(getattr(model.get_submodule(name), register)(partial(pass_on, name)).remove)
        yield
