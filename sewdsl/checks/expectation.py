"""``expect`` lines that must hold, and ``claim`` lines that are compared with what is computed or measured."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import PrintedNumber, parse_energy, parse_figure, parse_share
from sewdsl.ir.settings import Expectation

QUANTITIES = ("parameters", "macs", "output")
MEASURED = {
    "accuracy": "the share of test samples that a network gets right: 'sewdsl train' and 'sewdsl eval' measure it",
    "energy": "what one sample takes, by the usual estimate: 'sewdsl probe energy' measures it",
}
"""What only a claim can be about, since no text says it, and who measures it."""
_PARSERS = {"accuracy": parse_share, "energy": parse_energy}
_FORMS = {"accuracy": "a percentage such as 97.5%, at most 100%", "energy": "a number with a unit such as 11.577mJ"}


def quantities(network: Network) -> tuple[str, ...]:
    """What can be computed of a network: of several outputs, each by its name."""
    names = tuple(name for name, _ in network.outputs) or QUANTITIES[-1:]
    return (*QUANTITIES[:-1], *names)


def is_measured(network: Network, figure: Expectation) -> bool:
    """Whether a line is about what has to be measured; an output of that name is computed."""
    return figure.quantity in MEASURED and figure.quantity not in quantities(network)


def measured_claims(network: Network, quantity: str) -> tuple[Expectation, ...]:
    """The claims about a quantity that is measured, ``accuracy`` or ``energy``."""
    return tuple(one for one in network.expectations if one.quantity == quantity and is_measured(network, one))


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


def claimed_value(claim: Expectation) -> PrintedNumber | None:
    """What a claim says of a measured quantity, in J or as a share in [0, 1]; None: that is no figure of it."""
    return _PARSERS[claim.quantity](claim.value)


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Compares every figure with the network's; nothing is compared in a network that is not whole."""
    known = quantities(network)
    for expectation in network.expectations:
        if is_measured(network, expectation):
            yield from _check_measured(expectation)
        elif expectation.quantity not in known:
            message = f"unknown quantity '{expectation.quantity}'"
            possible = known if expectation.binding else (*known, *MEASURED)
            near = advice(expectation.quantity, possible, expectation.span, f"quantities: {', '.join(possible)}")
            yield Diagnostic("unknown-setting", Severity.ERROR, message, expectation.span, **near)
        elif whole:
            yield from _compare(expectation, compute_quantity(network, expectation.quantity))


def _check_measured(figure: Expectation) -> Iterator[Diagnostic]:
    """A figure that is not compared here has at least to be one, and no promise."""
    if figure.binding:
        word = figure.span.part(0, len("expect"))
        yield Diagnostic(
            "expectation-not-computed",
            Severity.ERROR,
            f"'{figure.quantity}' cannot be expected: the text of a network does not say it",
            figure.span,
            label=MEASURED[figure.quantity],
            help=f"record it as a claim: claim {figure.quantity} {figure.value}",
            fixes=(Fix("write 'claim'", (Edit(word, "claim"),)),),
        )
    if claimed_value(figure) is None:
        message = f"'{figure.value}' is not a figure of {figure.quantity}"
        form = f"write {_FORMS[figure.quantity]}"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, figure.span, help=form)


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
