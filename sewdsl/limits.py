"""How much a text may ask for, so that no input, hostile or mistaken, makes the compiler slow or big.

Work is counted in steps, so that it is the same on every machine.
"""

from __future__ import annotations

from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class Limits:
    """Upper bounds, each inclusive; ``--limit NAME=NUMBER`` raises one.

    Attributes:
        source_bytes: Length of a source in UTF-8 (option ``source``).
        nesting: Brackets inside brackets, and operators in one ``$(…)`` (``nesting``).
        repeat: The count after ``*`` (``repeat``).
        nodes: Nodes of the expanded network (``nodes``).
        digits: Digits of an integer (``digits``).
        imports: Files that use files that use files (``imports``).
        boxes: Layers that a drawing shows (``boxes``).
    """

    source_bytes: int = 256 * 1024
    nesting: int = 32
    repeat: int = 10_000
    nodes: int = 200_000
    digits: int = 9
    imports: int = 16
    boxes: int = 10_000


DEFAULT_LIMITS = Limits()
"""The limits in force unless an option raises one."""


def raise_limit_help(option: str) -> str:
    """How a limit is raised, for a diagnostic's help."""
    return f"raise the limit with --limit {option}=NUMBER if this is intended"


FOR_EACH_NODE = 4
"""Steps for each node of the limit; a layer, a join, ``id``, the call of a block or a copy of a repeat takes one."""
AT_LEAST = 20_000
"""Steps in addition to these, so that a low limit of the nodes does not keep a text from being read."""
FOR_EACH_CALL, CHARACTERS_PER_STEP = 6, 16
"""Steps that a call takes when it comes by for the first time, and characters of its text that take another one."""


@dataclass
class Budget:
    """Steps that may still be taken.

    Attributes:
        left: How many; less than 0 once it is spent.
    """

    left: int

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        """That of one reading: of the body, the blocks that nothing calls, and the variants of a study together."""
        return cls(FOR_EACH_NODE * limits.nodes + AT_LEAST)

    @property
    def spent(self) -> bool:
        """Whether more steps were taken than there are."""
        return self.left < 0

    def spend(self, steps: int) -> bool:
        """Take some steps; whether there were as many left."""
        self.left -= steps
        return self.left >= 0

    def spend_on_call(self, characters: int, parameters: int = 0) -> None:
        """Take the steps of a call that comes by for the first time, or with other arguments around it."""
        self.spend(FOR_EACH_CALL + characters // CHARACTERS_PER_STEP + parameters)
