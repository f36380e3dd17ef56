"""``expect`` lines that must hold, and ``claim`` lines that are compared with what is computed."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import parse_figure
from sewdsl.ir.settings import Expectation

QUANTITIES = ("parameters", "macs", "output")


def quantities(network: Network) -> tuple[str, ...]:
    """What can be expected of a network: of several outputs, each by its name."""
    names = tuple(name for name, _ in network.outputs) or QUANTITIES[-1:]
    return (*QUANTITIES[:-1], *names)


def compute_quantity(network: Network, quantity: str) -> str | int:
    """The value of a quantity: a number, or a shape such as ``11`` or ``32x4x4`` for an output."""
    outputs = {"output": network.output} if not network.outputs else dict(network.outputs)
    if quantity in outputs:
        return network.nodes[outputs[quantity]].output.size
    return network.total_parameters if quantity == "parameters" else network.total_macs


def agrees_with_figure(expectation: Expectation, value: str | int) -> bool | None:
    """Whether a value agrees with the figure as written; None: that is no figure."""
    if isinstance(value, str):
        return expectation.value == value
    figure = parse_figure(expectation.value)
    return None if figure is None else figure.holds(value)


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 -- the signature of all rules
    """Compares every figure with the network's; nothing is compared in a network that is not whole."""
    known = quantities(network)
    for expectation in network.expectations:
        if expectation.quantity not in known:
            message = f"unknown quantity '{expectation.quantity}'"
            near = advice(expectation.quantity, known, expectation.span, f"quantities: {', '.join(known)}")
            yield Diagnostic("unknown-setting", Severity.ERROR, message, expectation.span, **near)
        elif whole:
            yield from _compare(expectation, compute_quantity(network, expectation.quantity))


def _compare(expectation: Expectation, value: str | int) -> Iterator[Diagnostic]:
    agrees = agrees_with_figure(expectation, value)
    shown = f"{value:,}" if isinstance(value, int) else value
    if agrees is None:
        message = f"'{expectation.value}' is not a figure"
        yield Diagnostic(
            "invalid-argument", Severity.ERROR, message, expectation.span, help="write a number such as 130938 or 0.13M"
        )
    elif not agrees and expectation.binding:
        yield Diagnostic(
            "expectation-failed",
            Severity.ERROR,
            f"{expectation.quantity}: expected {expectation.value}, but it is {shown}",
            expectation.span,
            label=f"computed: {shown}",
            help="correct the network or the figure; what a source misprints is a 'claim', not an 'expect'",
        )
    elif not agrees:
        said = f"{expectation.source} prints" if expectation.source else "the source prints"
        yield Diagnostic(
            "claim-differs",
            Severity.NOTE,
            f"{expectation.quantity}: {said} {expectation.value}, computed is {shown}",
            expectation.span,
            label=f"computed: {shown}",
        )
