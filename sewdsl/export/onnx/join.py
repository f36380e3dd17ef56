"""Joins, as the arithmetic that they are."""

from __future__ import annotations

from sewdsl.export.onnx.place import NodeScope
from sewdsl.export.refusal import UnsupportedLayer
from sewdsl.snn.join import Join
from sewdsl.snn.kernels import joining

INSTRUCTIONS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "abs": "Abs",
    "less": "Less",
    "most": "LessOrEqual",
    "set": "Identity",
}
"""ONNX's names of what stands in the tape of a join, see :mod:`sewdsl.snn.kernels.tracing`."""


def translate_join(place: NodeScope, module: Join, branch: str, identity: str) -> str:
    """Puts g(A, S) into a graph, also that of a join of one's own; the name of what it gives.

    Raises:
        Refused: it is more than plain arithmetic.
    """
    tape = joining.trace_join(module.spec, branch=True)
    if tape is None:
        raise UnsupportedLayer(place.node, "computes more than plain arithmetic, and ONNX has no word for that")
    values, entries = {"s": branch, "z": identity}, tape.split("; ")
    for number, entry in enumerate(entries):
        instruction, *words = entry.split()
        operands = [values[word] if word in values else place.numbers(word, float(word)) for word in words]
        compares = instruction in {"less", "most"}
        last = number == len(entries) - 1
        found = (place.last if last and not compares else place.add)(INSTRUCTIONS[instruction], *operands)
        values[f"t{number}"] = place.add("Cast", found, to=place.graph.type) if compares else found
    return found
