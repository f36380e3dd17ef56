"""Comparison of ``expect`` and ``claim`` lines with computed values."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import PrintedNumber, parse_energy, parse_figure, parse_share
from sewdsl.ir.settings import Expectation
from sewdsl.syntax.suggestions import advice

QUANTITIES = ("parameters", "macs", "output")
MEASURED = {
    "accuracy": "fraction of correctly classified test samples, measured by 'sewdsl train' and 'sewdsl eval'",
    "energy": "estimated energy per sample, measured by 'sewdsl probe energy'",
}
"""Quantities that depend on trained weights and data, with their descriptions. Only a claim can state them."""
_PARSERS = {"accuracy": parse_share, "energy": parse_energy}
_FORMS = {"accuracy": "a percentage of at most 100%, e.g. 97.5%", "energy": "a number with a unit, e.g. 11.577mJ"}


def quantities(network: Network) -> tuple[str, ...]:
    """Return the quantities that can be computed for a network, with the names of several outputs."""
    names = tuple(name for name, _ in network.outputs) or QUANTITIES[-1:]
    return (*QUANTITIES[:-1], *names)


def is_measured(network: Network, figure: Expectation) -> bool:
    """Return whether a line states a measured quantity, unless an output has that name."""
    return figure.quantity in MEASURED and figure.quantity not in quantities(network)


def measured_claims(network: Network, quantity: str) -> list[tuple[Expectation, PrintedNumber]]:
    """Return the claims about ``accuracy`` or ``energy`` with their values, in [0, 1] or in J."""
    claims = (item for item in network.expectations if item.quantity == quantity and is_measured(network, item))
    values = ((claim, _PARSERS[quantity](claim.value)) for claim in claims)
    # A malformed claim is an error of the spec.
    return [(claim, value) for claim, value in values if value is not None]


def compute_quantity(network: Network, quantity: str) -> str | int:
    """Return the value of a quantity: a number, or the shape of an output, e.g. ``11`` or ``32x4x4``."""
    outputs = {"output": network.output} if not network.outputs else dict(network.outputs)
    if quantity in outputs:
        return network.nodes[outputs[quantity]].output.size
    return network.total_parameters if quantity == "parameters" else network.total_macs


def agrees_with_figure(expectation: Expectation, value: str | int) -> bool | None:
    """Return whether a value rounds to the written one, or None if that is not a number."""
    if isinstance(value, str):
        return expectation.value == value
    figure = parse_figure(expectation.value)
    return None if figure is None else figure.holds(value)


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Compare the written values with those of the network, if the network is complete."""
    known = quantities(network)
    for expectation in network.expectations:
        if is_measured(network, expectation):
            yield from _check_measured(expectation)
        elif expectation.quantity not in known:
            message = f"unknown quantity '{expectation.quantity}'"
            possible = known if expectation.binding else (*known, *MEASURED)
            near = advice(expectation.quantity, possible, expectation.span, f"expected one of: {', '.join(possible)}")
            yield Diagnostic("unknown-setting", message, expectation.span, **near)
        elif whole:
            yield from _compare(expectation, compute_quantity(network, expectation.quantity))


def _check_measured(figure: Expectation) -> Iterator[Diagnostic]:
    """Report an ``expect`` line of a measured quantity, and a value that cannot be parsed."""
    if figure.binding:
        # The fix only replaces the keyword, so comments and spacing stay.
        word = figure.span.part(0, len("expect"))
        yield Diagnostic(
            "expectation-not-computed",
            f"cannot check '{figure.quantity}' at compile time",
            figure.span,
            label=MEASURED[figure.quantity],
            help=f"use 'claim {figure.quantity} {figure.value}'",
            fixes=(Fix("write 'claim'", (Edit(word, "claim"),)),),
        )
    if _PARSERS[figure.quantity](figure.value) is None:
        message = f"invalid {figure.quantity} '{figure.value}'"
        form = f"use {_FORMS[figure.quantity]}"
        yield Diagnostic("invalid-argument", message, figure.span, help=form)


def _compare(expectation: Expectation, value: str | int) -> Iterator[Diagnostic]:
    agrees = agrees_with_figure(expectation, value)
    shown = f"{value:,}" if isinstance(value, int) else value
    if agrees is None:
        message = f"expected a number for '{expectation.quantity}', got '{expectation.value}'"
        yield Diagnostic("invalid-argument", message, expectation.span, help="use a number, e.g. 130938 or 0.13M")
    elif not agrees and expectation.binding:
        yield Diagnostic(
            "expectation-failed",
            f"expected {expectation.quantity} {expectation.value}, got {shown}",
            expectation.span,
            label=f"computed: {shown}",
            help="correct the network or the value, or use 'claim' for a misprint in a paper",
        )
    elif not agrees:
        origin = f"{expectation.source} claims" if expectation.source else "claimed"
        yield Diagnostic(
            "claim-differs",
            f"{origin} {expectation.quantity} {expectation.value}, computed {shown}",
            expectation.span,
            label=f"computed: {shown}",
            severity=Severity.NOTE,
        )
