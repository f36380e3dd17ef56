"""A network one time-step at a time, its state in the caller's hands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, final

from torch import Tensor, nn

from sewdsl.lower import inputs
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.layers import Dropout
from sewdsl.snn.neuron import Neuron, Potential

if TYPE_CHECKING:
    from sewdsl.lower.spiking_network import SpikingNetwork


@final
class State(Mapping[str, Tensor]):
    """The membrane potentials between two time-steps: ``[N, *]`` by the name of the neuron's node. Never changes."""

    def __init__(self, potentials: Mapping[str, Tensor]) -> None:
        self._potentials = dict(potentials)

    def __getitem__(self, name: str) -> Tensor:
        return self._potentials[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._potentials)

    def __len__(self) -> int:
        return len(self._potentials)

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name}: {list(v.shape)}' for name, v in self.items())})"

    def detach(self) -> State:
        """The same potentials, cut off from the steps that led to them (truncated backpropagation through time)."""
        return State({name: v.detach() for name, v in self.items()})


@final
class Stream:
    """Takes a network through time step by step; gives what the network gives on the whole sequence.

    ::

        stream, state = model.eval().stream(), None
        for x_N in frames:
            y_N, state = stream(x_N, state)

    It holds no state of its own: calls may interleave several sequences.
    """

    def __init__(self, model: SpikingNetwork) -> None:
        self._model = model

    def __call__(self, x_N: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One time-step.

        Args:
            x_N: The input of this step, ``[N, C, H, W]`` or ``[N, F]``.
            state: What the call for the step before returned; None: the first step.

        Returns:
            The output of this step ``[N, classes]``, and the state after it.

        Raises:
            ValueError: the input does not fit, or the state belongs to another network or batch.
            RuntimeError: a layer in training mode needs all time-steps at once.
        """
        self._refuse_training()
        model = self._model
        x_N = inputs.to_time_step(x_N, model.network.settings, model.example)
        after: dict[str, Tensor] = {}

        def integrate(name: str, neuron: nn.Module, x_TN: Tensor) -> Tensor:
            if not isinstance(neuron, Neuron):
                message = f"{name} is {type(neuron).__name__}, not one of our neurons: a stream cannot keep its state"
                raise TypeError(message)
            v_N = neuron.initial(x_TN[0]) if state is None else _potential(state, name, x_TN[0])
            potential = Potential(v_N)
            spikes_TN: Tensor = neuron(x_TN, potential=potential)
            if potential.after is None:
                message = f"{name} has a forward of its own, which leaves no potential for the next step of a stream"
                raise TypeError(message)
            after[name] = potential.after
            return spikes_TN

        y_TN = model.run(x_N[None], integrate)
        return y_TN[0], State(after)

    def _refuse_training(self) -> None:
        for name, module in self._model.named_modules():
            if module.training and isinstance(module, BatchNorm | Dropout):
                why = "takes its statistics over" if isinstance(module, BatchNorm) else "draws one mask for"
                message = (
                    f"{name} is in training mode and {why} all time-steps of a sequence, but a stream sees one at a "
                    "time; call model.eval() first, or train on whole sequences"
                )
                raise RuntimeError(message)

    def __repr__(self) -> str:
        return f"Stream({self._model.network.name!r})"


def _potential(state: State, name: str, x_N: Tensor) -> Tensor:
    if name not in state:
        message = f"the state has no potential for {name}: it belongs to another network"
        raise ValueError(message)
    v_N = state[name]
    if v_N.shape != x_N.shape:
        message = f"the state of {name} is {list(v_N.shape)}, but this step needs {list(x_N.shape)}"
        raise ValueError(message)
    return v_N
