"""What nodes keep between time-steps, in loops and in streams, whose state the caller holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

from torch import Tensor, nn

from sewdsl.snn.layers import Dropout
from sewdsl.snn.neuron import Neuron, Potential
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class StepState:
    """What is kept around one time-step, of a stream or of a loop.

    Args:
        before: What nodes kept of the time-steps before, by name; None: this is the first.
        t: How many there were.
        masks: Of dropouts, which are the same at all time-steps of a loop; those that are missing are drawn.

    Attributes:
        after: What they keep of this time-step and those before, by name.
    """

    def __init__(self, before: Mapping[str, Tensor] | None, t: int, masks: dict[str, Tensor] | None = None) -> None:
        self._before, self._t, self._masks = before, t, {} if masks is None else masks
        self.after: dict[str, Tensor] = {}

    def advance(self, name: str, module: nn.Module, x_TN: Tensor) -> Tensor:
        """What a module that reads the past, such as a neuron, makes of the time-step ``[1, N, *]``.

        Raises:
            ValueError: what was kept is that of another network or batch.
            TypeError: it is not one of our modules, which leave what they keep.
        """
        if isinstance(module, Dropout):
            if name not in self._masks:
                self._masks[name] = module.draw_mask(x_TN)
            dropped: Tensor = module(x_TN, self._masks[name])
            return dropped
        if isinstance(module, ReadsPast):
            past = StreamedPast(self._t)
            if self._before is not None and module.keeps_inputs:
                past.before = self._kept(name, x_TN.shape[1:], 1)
            y_TN: Tensor = module(x_TN, past=past)
            if past.after is not None:
                self.after[name] = past.after
            return y_TN
        if not isinstance(module, Neuron):
            raise TypeError(f"{name} is {type(module).__name__}, not one of our neurons: nothing can keep its state")
        return self._fire(name, module, x_TN)

    def _fire(self, name: str, module: Neuron, x_TN: Tensor) -> Tensor:
        """Spikes of the time-step, and the potential after it."""
        potential = Potential(self._potential(name, module, x_TN))
        spikes_TN: Tensor = module(x_TN, potential=potential)
        if potential.after is None:
            raise TypeError(f"{name} has a forward of its own, which leaves no potential for the next time-step")
        self.after[name] = potential.after
        return spikes_TN

    def _potential(self, name: str, module: Neuron, x_TN: Tensor) -> Tensor:
        return module.initial(x_TN[0]) if self._before is None else self._kept(name, x_TN.shape[1:])

    def begin(self, masks: dict[str, Tensor]) -> StepState:  # noqa: ARG002 -- a stream has one time-step
        """What is kept around the first time-step of a loop."""
        return self

    def following(self, masks: dict[str, Tensor]) -> StepState:
        """What is kept around the next time-step of a loop."""
        return type(self)(self.after, self._t + 1, masks)

    def fed_back(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What a delay in a loop gives, ``[1, N, *]``: zeros at the first time-step.

        Args:
            shape: ``[N, *]``.
            like: A tensor of the dtype and device that zeros have.
        """
        return like.new_zeros((1, *shape)) if self._before is None else self._kept(name, shape, 1)

    def _kept(self, name: str, shape: tuple[int, ...], more: int = 0) -> Tensor:
        """What was kept of a node, shaped as a step of its input, with so many axes more in front."""
        if self._before is None or name not in self._before:
            raise ValueError(f"the state has nothing for {name}: it belongs to another network")
        kept = self._before[name]
        if kept.ndim != len(shape) + more or tuple(kept.shape[more:]) != tuple(shape):
            raise ValueError(f"the state of {name} is {list(kept.shape)}, but this step needs {list(shape)}")
        return kept


@final
class State(Mapping[str, Tensor]):
    """What is kept between two time-steps, by the name of the node. Never changes.

    Of neurons it is the membrane potential, ``[N, *]``; of parallel neurons the input currents that a window still
    reaches, ``[k, N, *]``, the newest last; of delays what they give next, ``[1, N, *]``.

    Attributes:
        t: How many time-steps it comes after.
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
        """The same state, cut off from the steps that led to it (truncated backpropagation through time)."""
        return State({name: v.detach() for name, v in self.items()}, self.t)
