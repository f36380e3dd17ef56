"""Which neurons a network has, in words: weights do not tell, as far as neurons learn nothing."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.notation.kind_text import kind_text


def neurons(network: Network) -> str:
    """How many of each kind: ``17 IF``, ``1 IF and 16 LIF(tau=3.0)``; empty where there are none."""
    counted = [f"{len(names)} {text}" for text, names in _by_text(network).items()]
    return " and ".join(filter(None, (", ".join(counted[:-1]), *counted[-1:])))


def mixture(network: Network) -> str:
    """What there is to say of neurons that are not all alike, with the first of each kind; empty where they are."""
    found = _by_text(network)
    if len(found) <= 1:
        return ""
    counted = ", ".join(
        f"{len(names)} {text} ({names[0]}{', …' if len(names) > 1 else ''})" for text, names in found.items()
    )
    return f"its neurons are of {len(found)} kinds: {counted}"


def _by_text(network: Network) -> dict[str, list[str]]:
    """Names of the neurons by what they are."""
    found: dict[str, list[str]] = {}
    for node in network:
        if isinstance(node.op, Activation):
            found.setdefault(_text(node.op), []).append(node.name)
    return found


def _text(op: Activation) -> str:
    try:
        return kind_text(op)
    except ValueError:  # such as an unannounced kind
        return str(op)
