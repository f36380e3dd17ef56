"""What a graph says in addition to its nodes and edges: the keys under which it is found again.

All lies under ``metadata["sewdsl"]``, of the graph and of each node, so that nothing of anybody else's is touched. In a
file, numbers come back as NumPy's and text as text; :meth:`GraphMetadata.of` and :meth:`NodeMetadata.of` take either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, Literal, Self

from sewdsl.light_dataclass import dataclass

KEY = "sewdsl"
"""The key in ``metadata`` of a graph and of a node."""
DEFAULT_DT = 1e-4
"""Seconds of a time-step, as SpikingJelly and snnTorch take it."""


class _Entry:
    """Text and numbers under :data:`KEY`, by the names of a dataclass's fields."""

    def to_dict(self) -> dict[str, Any]:
        """What is put into a ``metadata``."""
        return {KEY: asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """What a ``metadata`` says; None where it says nothing, as that of another library's graph.

        Raises:
            ValueError: it says something else than we write.
        """
        said = metadata.get(KEY)
        if said is None:
            return None
        try:
            known = [f for f in fields(cls) if f.name in said or f.default is MISSING]  # type: ignore[arg-type]
            types = {"int": int, "float": float}
            return cls(**{field.name: types.get(str(field.type), str)(said[field.name]) for field in known})
        except (KeyError, TypeError, ValueError) as error:
            message = f"metadata[{KEY!r}] is not what sewdsl writes: {error}"
            raise ValueError(message) from error


@dataclass(frozen=True)
class GraphMetadata(_Entry):
    """Of a graph.

    Attributes:
        name: The network's.
        steps: Time-steps that it is to run for.
        encode: ``direct``: a static input is shown at each of them. ``none``: the input is a sequence.
        readout: How the outputs of the time-steps become one: ``mean``, ``sum`` or ``last``.
        dt: Seconds of a time-step: what ``tau`` and ``r`` of the neurons are to be divided and multiplied by.
        fires: ``at``: a neuron whose potential has reached its threshold fires. ``above``: it must exceed it. For
            ``Threshold`` it is always ``above``.
        spec: The text that the network was written in, without what it was changed by: for readers, not for programs.
        inputs: How they are scaled, in words; empty: unknown.
    """

    name: str
    steps: int
    encode: Literal["none", "direct"]
    readout: Literal["mean", "sum", "last"]
    dt: float = DEFAULT_DT
    fires: Literal["at", "above"] = "at"
    spec: str = ""
    inputs: str = ""


@dataclass(frozen=True)
class NodeMetadata(_Entry):
    """Of a node.

    Attributes:
        node: Name of the node of the network that it was written for; several may represent one.
        op: What that does, with every value in force: ``c32k3s1p1d1g1b0``, ``PLIF(tau=2.0, …)``.
    """

    node: str
    op: str
