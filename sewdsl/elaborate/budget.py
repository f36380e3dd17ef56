"""How much work one reading of a text may make, counted in steps, so that it is the same on every machine."""

from __future__ import annotations

from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits

FOR_EACH_NODE = 4
"""Steps for each node of the limit; a layer, a join, ``id``, the call of a block or a copy of a repeat takes one."""
AT_LEAST = 20_000
"""Steps in addition to these, so that a low limit of the nodes does not keep a text from being read."""
CALL = 6
"""Steps that a call takes when it comes by for the first time, or with other arguments around it."""
CHARACTERS = 16
"""Of the text of a call, that take another step then."""
DEPTH = 16
"""Steps of the way to an item that take another step."""


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
        """Takes some steps; whether there were as many left."""
        self.left -= steps
        return self.left >= 0
