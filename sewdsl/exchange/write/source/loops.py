"""Loops in exported Python files: layers with a state, and step-by-step execution."""

from __future__ import annotations

from collections.abc import Sequence

from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.ir.node import Node

NAMES = frozenset({"Memory", "Feedback", "Delay", "stepwise", "step"})
"""Names in files with loops."""
ATTRIBUTES = frozenset({"in_loop", "loop_time", "loop_state", "keep_state"})
"""Attributes of layers with a state. Parameters of neurons must not have these names."""
BASE = "Memory"
"""Base class of layers with a state in a file with loops."""
MEMORY = '''\
class Memory(nn.Module):
    """Layer that keeps a state between calls while a loop runs.

    Attributes:
        in_loop: Whether a loop runs.
        loop_time: Number of time-steps of the loop so far.
        loop_state: State after these time-steps.
    """

    in_loop: bool = False
    loop_time: int = 0
    loop_state: tuple[Tensor, ...] = ()

    def keep_state(self, *state: Tensor) -> None:
        """Store a state for the next time-step."""
        if self.in_loop:
            self.loop_state, self.loop_time = state, self.loop_time + 1
'''
FEEDBACK = '''\
class Feedback(Memory):
    """Value of one or more time-steps before, zeros at first.

    Args:
        shape: Shape of the value without T and N.
        steps: Number of time-steps.
    """

    def __init__(self, *shape: int, steps: int = 1) -> None:
        super().__init__()
        self.shape, self.steps = shape, steps

    def forward(self, x: Tensor) -> Tensor:
        """Return one time-step, [1, N, *], with the batch size of x."""
        if not self.loop_state:
            zeros = x.new_zeros(self.steps, x.shape[1], *self.shape)
            self.loop_state = (zeros,)
        return self.loop_state[0][:1]

    def keep_state(self, *state: Tensor) -> None:
        """Store a value, in place of the oldest one."""
        super().keep_state(torch.cat((self.loop_state[0][1:], *state)))
'''
STEPWISE = '''\
def stepwise(
    part: nn.Module,
    step: Callable[..., tuple[Tensor, ...]],
    *inputs: Tensor,
) -> tuple[Tensor, ...]:
    """Call step for each time-step, starting from initial states."""
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
    """Delay by one or more time-steps, with zeros at first: [T, N, *]."""

    def __init__(self, steps: int = 1) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        before = torch.zeros_like(x[:1]).expand(self.steps, *x.shape[1:])
{state}        return torch.cat((before, x))[: len(x)]
'''
DELAY_STATE = """\
        if self.loop_state:
            before = self.loop_state[0]
        self.keep_state(torch.cat((before, x))[len(x) :])
"""


def delay_call(node: Node) -> PyCall:
    """Return the constructor call of a delay. A delay in a cycle is a ``Feedback``."""
    steps = Arg("steps", Literal(node.op.delay_steps), 1, positional=bool(node.inputs))
    if node.inputs:
        return PyCall("Delay", (steps,))
    source = node.output
    channels = Arg("channels", Literal(source.channels), positional=True, channels="out")
    sizes = (Arg(name, Literal(size), positional=True) for name, size in zip("hw", source.shape[1:], strict=False))
    return PyCall("Feedback", (channels, *sizes, steps))


def definitions(used: set[str], reset: Sequence[str], *, looped: bool) -> list[str]:
    """Return the definitions that a file needs for its delays and loops.

    Args:
        used: Classes in use.
        reset: Statements that reset the states of library layers.
    """
    texts = [MEMORY, STEPWISE.format(reset="".join(f"    {line}\n" for line in reset))] if looped else []
    texts += [FEEDBACK] if "Feedback" in used else []
    base, state = (BASE, DELAY_STATE) if looped else ("nn.Module", "")
    return [*texts, *([DELAY.format(base=base, state=state)] if "Delay" in used else [])]
