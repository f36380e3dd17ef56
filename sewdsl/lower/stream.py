"""State of nodes between time-steps, in loops and in streams. The caller owns the state of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

from torch import Tensor, nn

from sewdsl.snn.layers import Dropout
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class StepState:
    """State before and after one time-step of a stream or loop.

    Args:
        before: State of the previous time-steps, by node name. None: this is the first time-step.
        t: Number of previous time-steps.
        masks: Masks of dropout layers, shared by all time-steps of a loop. Missing masks are drawn.

    Attributes:
        after: State after this time-step, by node name.
    """

    def __init__(self, before: Mapping[str, Tensor] | None, t: int, masks: dict[str, Tensor] | None = None) -> None:
        self._before, self._t, self._masks = before, t, {} if masks is None else masks
        self.after: dict[str, Tensor] = {}

    def advance(self, name: str, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the output of a stateful module, such as a neuron, for a time-step ``[1, N, *]`` of its inputs.

        Raises:
            ValueError: If the state belongs to another network or batch.
            TypeError: If the module is not a stateful module of sewdsl.
        """
        x_TN = inputs[0]
        # All time-steps of a loop share one mask, as in a sequence.
        if isinstance(module, Dropout):
            if name not in self._masks:
                self._masks[name] = module.draw_mask(x_TN)
            dropped: Tensor = module(x_TN, self._masks[name])
            return dropped
        if not isinstance(module, ReadsPast):
            kind = type(module).__name__
            raise TypeError(f"{name}: expected a neuron of sewdsl, got {kind}, whose state cannot be stored")
        past = StreamedPast(self._t)
        if self._before is not None and module.keeps_inputs:
            past.before = self._stored(name, x_TN.shape[1:], module.state_axes)
        y_TN = self.call(module, inputs, past)
        if past.after is not None:
            self.after[name] = past.after
        elif isinstance(module, Neuron):
            raise TypeError(f"{name} has a custom forward, which does not store the membrane potential")
        return y_TN

    def call(self, module: ReadsPast, inputs: tuple[Tensor, ...], past: StreamedPast) -> Tensor:
        """Return the output of a module for a time-step, and store its state in ``past``."""
        y_TN: Tensor = module(*inputs, past=past)
        return y_TN

    def first_step(self, masks: dict[str, Tensor]) -> StepState:  # noqa: ARG002 -- a stream has one time-step
        """Return the state for the first time-step of a loop."""
        return self

    def next_step(self, masks: dict[str, Tensor]) -> StepState:
        """Return the state for the next time-step of a loop."""
        # The previous state is not changed, because autograd may still need it.
        return type(self)(self.after, self._t + 1, masks)

    def delayed_values(self, name: str, shape: tuple[int, ...], steps: int, like: Tensor) -> Tensor:
        """Return the next outputs of a delay in a loop, ``[steps, N, *]``, or zeros at the first time-step.

        Args:
            shape: ``[N, *]``.
            like: Tensor with the dtype and device of the zeros.
        """
        if self._before is not None:
            return self._stored(name, shape, 1)
        return like.new_zeros((1, *shape)).expand(steps, *shape)

    def _stored(self, name: str, shape: tuple[int, ...], leading_axes: int) -> Tensor:
        """Return the state of a node, and check its shape.

        Args:
            shape: Shape of one time-step of the input, ``[N, *]``.
            leading_axes: Number of additional leading axes.
        """
        if self._before is None or name not in self._before:
            raise ValueError(f"the state does not contain {name}; it belongs to another network")
        stored = self._before[name]
        if stored.ndim != len(shape) + leading_axes or tuple(stored.shape[leading_axes:]) != tuple(shape):
            raise ValueError(f"expected state {list(shape)} of {name}, got {list(stored.shape)}")
        return stored


@final
class State(Mapping[str, Tensor]):
    """Immutable state between two time-steps, by node name.

    For a neuron, the membrane potential, ``[N, *]``. For a parallel neuron, the input currents inside the
    window, ``[k, N, *]``, the newest last. For a delay by n time-steps, the next outputs, ``[n, N, *]``.

    Attributes:
        t: Number of previous time-steps.
    """

    def __init__(self, potentials: Mapping[str, Tensor], t: int = 1) -> None:
        self._potentials, self.t = dict(potentials), t

    def __getitem__(self, name: str) -> Tensor:
        return self._potentials[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._potentials)

    def __len__(self) -> int:
        return len(self._potentials)

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name}: {list(v.shape)}' for name, v in self.items())})"

    def detach(self) -> State:
        """Return the state, detached from the previous steps (truncated backpropagation through time)."""
        return State({name: v.detach() for name, v in self.items()}, self.t)
