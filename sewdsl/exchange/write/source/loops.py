"""Loops in exported Python files: layers with a state, and step-by-step execution."""

from __future__ import annotations

from collections.abc import Sequence

from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.ir.node import Node

NAMES = frozenset({"Memory", "Feedback", "Delay", "LongFeedback", "LongDelay", "stepwise", "step"})
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
    """Value of the previous time-step, zeros at first.

    Args:
        shape: Shape of the value without T and N.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return one time-step, [1, N, *], with the batch size of x."""
        if self.loop_state:
            return self.loop_state[0]
        return x.new_zeros(1, x.shape[1], *self.shape)
'''
LONG_FEEDBACK = '''\
class LongFeedback(Feedback):
    """Value of several time-steps before, zeros at first.

    Args:
        steps: Number of time-steps.
        shape: Shape of the value without T and N.
    """

    def __init__(self, steps: int, *shape: int) -> None:
        super().__init__(*shape)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Return one time-step, [1, N, *], with the batch size of x."""
        if not self.loop_state:
            zeros = super().forward(x)
            self.loop_state = (zeros.expand(self.steps, *zeros.shape[1:]),)
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
    """Delay by one time-step, with zeros at first: [T, N, *]."""

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        {body}
'''


LONG_DELAY = '''\
class LongDelay({base}):
    """Delay by several time-steps, with zeros at first: [T, N, *]."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        before = torch.zeros_like(x[:1]).expand(self.steps, *x.shape[1:])
{state}        return torch.cat((before, x))[: len(x)]
'''
LONG_STATE = """\
        if self.loop_state:
            before = self.loop_state[0]
        self.keep_state(torch.cat((before, x))[len(x) :])
"""


def delay(*, looped: bool) -> str:
    """Return the class of a delay outside of cycles."""
    if not looped:
        return DELAY.format(base="nn.Module", body="return torch.cat((torch.zeros_like(x[:1]), x[:-1]))")
    lines = (
        "before = self.loop_state[0] if self.loop_state else torch.zeros_like(x[:1])",
        "self.keep_state(x[-1:])",
        "return torch.cat((before, x[:-1]))",
    )
    return DELAY.format(base=BASE, body="\n        ".join(lines))


def delay_call(node: Node) -> PyCall:
    """Return the constructor call of a delay. A delay in a cycle is a ``Feedback``."""
    steps = node.op.delay_steps
    count = (Arg("steps", Literal(steps), positional=True),) if steps > 1 else ()
    if node.inputs:
        return PyCall("LongDelay" if count else "Delay", count)
    source = node.output
    channels = Arg("channels", Literal(source.channels), positional=True, channels="out")
    sizes = (Arg(name, Literal(size), positional=True) for name, size in zip("hw", source.shape[1:], strict=False))
    return PyCall("LongFeedback" if count else "Feedback", (*count, channels, *sizes))


def definitions(used: set[str], reset: Sequence[str], *, looped: bool) -> list[str]:
    """Return the definitions that a file needs for its delays and loops.

    Args:
        used: Classes in use.
        reset: Statements that reset the states of library layers.
    """
    texts = [MEMORY, STEPWISE.format(reset="".join(f"    {line}\n" for line in reset))] if looped else []
    texts += [FEEDBACK] if {"Feedback", "LongFeedback"} & used else []
    texts += [LONG_FEEDBACK] if "LongFeedback" in used else []
    texts += [delay(looped=looped)] if "Delay" in used else []
    base, state = (BASE, LONG_STATE) if looped else ("nn.Module", "")
    texts += [LONG_DELAY.format(base=base, state=state)] if "LongDelay" in used else []
    return texts
