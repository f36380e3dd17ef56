"""Delays that are longer than the input."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about delays of at least T time-steps, which read only the zeros before the first time-step."""
    steps = network.settings.steps
    for node in network:
        # A string without a number of time-steps has one.
        if 1 < steps <= node.op.longest_delay:
            delay = node.op.longest_delay
            message = f"{node.op.label} reads values of {delay:,} time-steps earlier, but the network has {steps:,}"
            hint = f"reduce the delay to at most {steps - 1:,} time-steps, or increase 'steps'"
            yield node.diagnostic("delay-beyond-steps", Severity.WARNING, message, "reads zeros", hint)
