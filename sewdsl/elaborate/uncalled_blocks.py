"""Blocks that nothing calls: what is wrong with them whatever a call would give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import field

from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.block_definitions import default_number
from sewdsl.elaborate.budget import Budget
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, Walker
from sewdsl.elaborate.header import HeaderReader
from sewdsl.elaborate.named_values import NamedValue
from sewdsl.elaborate.node_builder import NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits
from sewdsl.reporter import Reporter

CALL_DEPENDENT_CODES = frozenset(
    {"invalid-formula", "missing-neuron", "zero-count", "nesting-too-deep", "repeat-too-large"}
)
"""Codes that depend on the call."""
PLACEHOLDER_VALUE = 16
"""Value of every parameter but those that are a fraction by default; a power of 2, so that most divisions are exact."""


@dataclass(frozen=True)
class _AnyCall:
    """The blocks, and how they are walked without a call.

    Attributes:
        expanded: The blocks that were walked: each once, however many others call it.
    """

    vocabulary: Vocabulary
    header: HeaderReader
    limits: Limits
    budget: Budget
    expanded: set[str] = field(default_factory=set)

    def check(self, name: str) -> tuple[Diagnostic, ...]:
        """What is wrong with a block, sorted."""
        self.expanded.add(name)
        definition, reporter = self.vocabulary.blocks[name], Reporter(self.limits)
        parameters = {
            parameter.name: default if isinstance(default := default_number(parameter), float) else PLACEHOLDER_VALUE
            for parameter in definition.parameters
        }
        neuron = self.header.neuron()
        operands = {word.text: NamedValue(word.span, computed=True) for word in definition.operands}
        frame = CallFrame(self.header.join(), neuron, neuron, parameters, calls=(name,), names=operands)
        calls = CallResolver(self.vocabulary, neuron, reporter)
        walker = Walker(NodeBuilder(), calls, self.budget, self.expanded)
        with suppress(ExpansionLimitExceeded):
            walker.scope(definition.lets, definition.expression, None, frame)
        return reporter.sorted


def check_uncalled_blocks(
    names: Iterable[str], vocabulary: Vocabulary, header: HeaderReader, limits: Limits, budget: Budget
) -> Iterator[Diagnostic]:
    """Complains of unknown names, letters and parameters in blocks that no call has reached."""
    anyhow = _AnyCall(vocabulary, header, limits, budget)
    for name in names:
        yield from (said for said in anyhow.check(name) if said.code not in CALL_DEPENDENT_CODES)
        if budget.spent:
            break
