"""What is assumed of a model of another library where nothing says it."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron


def header_assumptions(network: Network, *, steps: bool, readout: bool) -> tuple[str, ...]:
    """What to say of the header that was made up; a network without neurons is the same at every time-step.

    Args:
        network: As it was read.
        steps: Whether nothing said how many time-steps there are.
        readout: Whether nothing said how they become one output.
    """
    if not any(isinstance(node.op, Neuron) for node in network):
        return ()
    steps_said = "steps is 1, since nothing says how many time-steps there are; --steps says it"
    readout_said = "readout is mean, since nothing says how the time-steps become one output; --readout says it"
    return (steps_said,) * steps + (readout_said,) * readout
