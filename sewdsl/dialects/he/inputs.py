"""``1024FC10`` says that 1024 values arrive: whether they do is known only of the whole network."""

from __future__ import annotations

from sewdsl.diagnostics import Diagnostics
from sewdsl.dialects.he.words import NumberSlot
from sewdsl.ir.network import Network
from sewdsl.source import Span

Inputs = tuple[tuple[Span, NumberSlot], ...]
"""The places of layers whose text says how many values they read, and these numbers."""


def check_inputs(network: Network, stated: Inputs, diagnostics: Diagnostics) -> None:
    """Reports layers that read another number of values than their text says.

    Args:
        network: What became of the text.
        stated: What it says.
        diagnostics: Where to report.
    """
    said = dict(stated)
    for node in network:
        number = said.get(node.span) if node.op.kind == "FC" else None
        if number is None:
            continue
        found = network.nodes[node.inputs[0]].output
        if found.elements != int(number.text):
            diagnostics.report(
                "inputs-mismatch",
                f"'{node.span.text}' reads {number.text} values, but {found.elements} arrive",
                number.span,
                label=f"its input is {found.size}",
                help="another padding may be meant, see --dialect 'he(padding=none)', or another --input, or "
                f"{number.text}FC-{node.span.text.rpartition('C')[2] or 'N'}",
                path=node.where,
            )
