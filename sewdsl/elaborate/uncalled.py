"""Blocks that nothing calls: what is wrong with them whatever a call would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.builder import Builder
from sewdsl.elaborate.calls import Calls
from sewdsl.elaborate.expressions import TooLarge, Walker
from sewdsl.elaborate.frame import Frame
from sewdsl.elaborate.header import Header
from sewdsl.elaborate.names import Vocabulary
from sewdsl.syntax.limits import Limits

OPEN = frozenset(
    {"invalid-formula", "missing-neuron", "zero-count", "nesting-too-deep", "repeat-too-large", "network-too-large"}
)
"""Codes that depend on the call."""
STAND_IN = 16
"""Value of every parameter; a power of 2, so that most divisions are exact."""


@dataclass(frozen=True)
class _AnyCall:
    """The blocks, and how they are walked without a call."""

    vocabulary: Vocabulary
    header: Header
    limits: Limits

    def check(self, name: str, diagnostics: Diagnostics) -> None:
        definition = self.vocabulary.blocks[name]
        parameters: Mapping[str, int] = {parameter.name: STAND_IN for parameter in definition.parameters}
        neuron = self.header.neuron()
        frame = Frame(self.header.join(), neuron, neuron, parameters, calls=(name,))
        calls = Calls(self.vocabulary, neuron, diagnostics)
        walker = Walker(Builder(), calls, self.vocabulary, diagnostics, self.limits)
        try:
            walker.sequence(definition.expression, None, frame)
        except TooLarge:
            return


def check_blocks(
    names: Iterable[str], vocabulary: Vocabulary, header: Header, diagnostics: Diagnostics, limits: Limits
) -> None:
    """Reports unknown names, letters and parameters in blocks that no call has reached."""
    anyhow = _AnyCall(vocabulary, header, limits)
    for name in names:
        found = Diagnostics()
        anyhow.check(name, found)
        diagnostics.extend(d for d in found if d.code not in OPEN)
