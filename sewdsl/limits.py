"""Compiler limits that bound time and memory for any input.

Work is counted in steps, so the limits are the same on every machine.
"""

from __future__ import annotations

from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class Limits:
    """Inclusive upper bounds. ``--limit NAME=N`` raises a bound.

    Attributes:
        source_bytes: Length of a source in UTF-8 (option ``source``).
        nesting: Depth of nested brackets, and number of operators in one ``$(…)``.
        repeat: Count after ``*``.
        nodes: Nodes of the expanded network.
        digits: Digits of an integer.
        imports: Depth of files that use other files.
        boxes: Layers in a drawing.
    """

    source_bytes: int = 256 * 1024
    nesting: int = 32
    repeat: int = 10_000
    nodes: int = 200_000
    digits: int = 9
    imports: int = 16
    boxes: int = 10_000


DEFAULT_LIMITS = Limits()
"""Limits without options."""


def raise_limit_help(option: str) -> str:
    """Return the help text that explains how to raise a limit."""
    return f"raise the limit with --limit {option}=N if this is intended"


FOR_EACH_NODE = 4
"""Steps per node of the limit. A layer, a join, ``id``, a block call and a copy of a repeat take one step each."""
AT_LEAST = 20_000
"""Additional steps, so that a source can be compiled even with a low limit of nodes."""
FOR_EACH_CALL, CHARACTERS_PER_STEP = 6, 16
"""Steps of the first expansion of a call, and number of characters of its text per additional step."""


@dataclass
class Budget:
    """Work budget of a compilation. The number of steps left is negative once the budget is spent."""

    left: int

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        """Return the budget of one compilation: body, uncalled blocks and all variants of a study."""
        return cls(FOR_EACH_NODE * limits.nodes + AT_LEAST)

    @property
    def spent(self) -> bool:
        """Whether the budget is exceeded."""
        return self.left < 0

    def spend(self, steps: int) -> bool:
        """Subtract steps, and return whether the budget allows them."""
        self.left -= steps
        return self.left >= 0

    def spend_on_call(self, characters: int, parameters: int = 0) -> None:
        """Subtract the steps of the first expansion of a call, or of an expansion with other outer arguments."""
        self.spend(FOR_EACH_CALL + characters // CHARACTERS_PER_STEP + parameters)
