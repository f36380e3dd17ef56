"""Blocks that nothing calls: what is wrong with them whatever a call would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.budget import Budget
from sewdsl.elaborate.builder import Builder
from sewdsl.elaborate.calls import Calls
from sewdsl.elaborate.expressions import TooLarge, Walker
from sewdsl.elaborate.frame import Frame
from sewdsl.elaborate.header import Header
from sewdsl.elaborate.names import Vocabulary
from sewdsl.syntax.limits import Limits

OPEN = frozenset({"invalid-formula", "missing-neuron", "zero-count", "nesting-too-deep", "repeat-too-large"})
"""Codes that depend on the call."""
STAND_IN = 16
"""Value of every parameter; a power of 2, so that most divisions are exact."""


@dataclass(frozen=True)
class _AnyCall:
    """The blocks, and how they are walked without a call.

    Attributes:
        expanded: The blocks that were walked: each once, however many others call it.
    """

    vocabulary: Vocabulary
    header: Header
    limits: Limits
    budget: Budget
    expanded: set[str] = field(default_factory=set)

    def check(self, name: str, diagnostics: Diagnostics) -> None:
        self.expanded.add(name)
        definition = self.vocabulary.blocks[name]
        parameters: Mapping[str, int] = {parameter.name: STAND_IN for parameter in definition.parameters}
        neuron = self.header.neuron()
        frame = Frame(self.header.join(), neuron, neuron, parameters, calls=(name,))
        calls = Calls(self.vocabulary, neuron, diagnostics)
        walker = Walker(Builder(), calls, self.vocabulary, diagnostics, self.limits, self.budget, self.expanded)
        with suppress(TooLarge):
            walker.sequence(definition.expression, None, frame)


def check_blocks(  # noqa: PLR0913 -- everything a walk needs
    names: Iterable[str],
    vocabulary: Vocabulary,
    header: Header,
    diagnostics: Diagnostics,
    limits: Limits,
    budget: Budget,
) -> None:
    """Reports unknown names, letters and parameters in blocks that no call has reached."""
    anyhow = _AnyCall(vocabulary, header, limits, budget)
    for name in names:
        found = Diagnostics()
        anyhow.check(name, found)
        diagnostics.extend(d for d in found if d.code not in OPEN)
        if budget.spent:
            break
