"""Loops in files of Python: what keeps a state between time-steps, and what runs a part step by step."""

from __future__ import annotations

from collections.abc import Sequence

from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.ir.node import Node

NAMES = frozenset({"Memory", "Feedback", "Delay", "stepwise", "step"})
"""Names that files with loops use."""
ATTRIBUTES = frozenset({"in_loop", "loop_time", "loop_state", "keep_state"})
"""Attributes of layers that keep a state, which no parameter of a neuron may have the name of."""
BASE = "Memory"
"""The base class of layers in a file with loops that keep a state."""
MEMORY = '''\
class Memory(nn.Module):
    """Keeps a state from one call to the next while a loop runs, and else none.

    Attributes:
        in_loop: Whether a loop runs.
        loop_time: Time-steps of the loop so far.
        loop_state: What is kept of them.
    """

    in_loop: bool = False
    loop_time: int = 0
    loop_state: tuple[Tensor, ...] = ()

    def keep_state(self, *state: Tensor) -> None:
        """Keep a state for the next time-step."""
        if self.in_loop:
            self.loop_state, self.loop_time = state, self.loop_time + 1
'''
FEEDBACK = '''\
class Feedback(Memory):
    """Gives the value that was kept at the time-step before, zeros at first.

    Args:
        shape: Sizes of the value without T and N.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """One time-step, [1, N, *], for as many samples as x has."""
        if self.loop_state:
            return self.loop_state[0]
        return x.new_zeros(1, x.shape[1], *self.shape)
'''
STEPWISE = '''\
def stepwise(
    part: nn.Module,
    step: Callable[..., tuple[Tensor, ...]],
    *inputs: Tensor,
) -> tuple[Tensor, ...]:
    """Call a step of a part for each time-step in turn; all states start anew."""
    memories = [module for module in part.modules() if isinstance(module, Memory)]
    for memory in memories:
        memory.in_loop, memory.loop_time, memory.loop_state = True, 0, ()
{reset}    each = zip(*(x.split(1) for x in inputs), strict=True)
    steps = [step(*values) for values in each]
    for memory in memories:
        memory.in_loop, memory.loop_time, memory.loop_state = False, 0, ()
{reset}    return tuple(torch.cat(values) for values in zip(*steps, strict=True))
'''
DELAY = '''\
class Delay({base}):
    """Gives each time-step the value of the one before, zeros at first: [T, N, *]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        {body}
'''


def delay(*, looped: bool) -> str:
    """Return the class of a delay outside of a cycle."""
    if not looped:
        return DELAY.format(base="nn.Module", body="return torch.cat((torch.zeros_like(x[:1]), x[:-1]))")
    lines = (
        "before = self.loop_state[0] if self.loop_state else torch.zeros_like(x[:1])",
        "self.keep_state(x[-1:])",
        "return torch.cat((before, x[:-1]))",
    )
    return DELAY.format(base=BASE, body="\n        ".join(lines))


def delay_call(node: Node) -> PyCall:
    """Return the call that makes a delay: in a cycle one that gives a value back, else one that reads its value."""
    if node.inputs:
        return PyCall("Delay")
    source = node.output
    channels = Arg("channels", Literal(source.channels), positional=True, channels="out")
    sizes = (Arg(name, Literal(size), positional=True) for name, size in zip("hw", source.shape[1:], strict=False))
    return PyCall("Feedback", (channels, *sizes))


def definitions(used: set[str], reset: Sequence[str], *, looped: bool) -> list[str]:
    """Return the texts that a file needs for its delays and loops.

    Args:
        used: Classes whose calls were asked for.
        reset: Statements that make layers of the library forget their states.
    """
    texts = [MEMORY, STEPWISE.format(reset="".join(f"    {line}\n" for line in reset))] if looped else []
    texts += [FEEDBACK] if "Feedback" in used else []
    texts += [delay(looped=looped)] if "Delay" in used else []
    return texts
