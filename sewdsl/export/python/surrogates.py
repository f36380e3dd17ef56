"""The derivatives that stand for the step function's, in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

from sewdsl.export.refusal import UnsupportedLayer
from sewdsl.export.source.code import Code
from sewdsl.ir.network import Node
from sewdsl.ir.op import Surrogate
from sewdsl.ops.surrogates.atan import ATan
from sewdsl.ops.surrogates.constant import Constant
from sewdsl.ops.surrogates.rectangular import Rectangular
from sewdsl.ops.surrogates.sigmoid import Sigmoid
from sewdsl.ops.surrogates.triangle import Triangle

TEXTS: dict[type[Surrogate], str] = {
    ATan: '''\
def atan(u: Tensor, {arguments}) -> Tensor:
    """The derivative of arctan(pi / 2 * alpha * u) / pi + 1 / 2{times}."""
    slope = math.pi / 2 * alpha * u
    return {factor}alpha / 2 / (1 + slope * slope)
''',
    Constant: '''\
def constant(u: Tensor, {arguments}) -> Tensor:
    """The same everywhere: straight through."""
    return torch.full_like(u, value)
''',
    Rectangular: '''\
def rectangular(u: Tensor, {arguments}) -> Tensor:
    """1 / width in a window of that width around 0, else 0."""
    return (u.abs() < width / 2).to(u.dtype) / width
''',
    Sigmoid: '''\
def sigmoid(u: Tensor, {arguments}) -> Tensor:
    """The derivative of 1 / (1 + exp(-alpha * u))."""
    falling = torch.exp(-alpha * u.abs())
    return alpha * falling / ((1 + falling) * (1 + falling))
''',
    Triangle: '''\
def triangle(u: Tensor, {arguments}) -> Tensor:
    """Height alpha at 0, falling to 0 at 1 / alpha on either side."""
    return alpha * (1 - alpha * u.abs()).clamp(min=0)
''',
}
"""The function of each kind; its name is the kind's in lower case."""
SURROGATE_NAMES = frozenset(kind.kind.lower() for kind in TEXTS)


class Surrogates:
    """The surrogates of a network, those that its neurons have.

    Args:
        found: All of them, in order.
    """

    def __init__(self, found: Iterable[Surrogate]) -> None:
        self._found = list(dict.fromkeys(found))
        self._first = {type(surrogate): surrogate for surrogate in reversed(self._found)}

    def name(self, node: Node, surrogate: Surrogate) -> Code:
        """What a neuron is given: ``atan``, or ``partial(atan, alpha=3.0)``.

        Raises:
            Refused: it is a kind of somebody else's.
        """
        if type(surrogate) not in TEXTS:
            raise UnsupportedLayer(node, f"has the surrogate {surrogate.kind}, whose formula no file can have")
        usual = dict(self._first[type(surrogate)])
        special = [f"{name}={value!r}" for name, value in surrogate if value != usual[name]]
        name = surrogate.kind.lower()
        return Code(f"partial({', '.join([name, *special])})" if special else name)

    def definitions(self) -> list[str]:
        """The functions, each with the values of the first neuron that has it as the default ones."""
        return [self._function(surrogate) for surrogate in reversed(self._first.values())]

    def _function(self, surrogate: Surrogate) -> str:
        values = dict(surrogate)
        scaled = any(getattr(other, "scale", 1.0) != 1 for other in self._found)
        if not scaled:
            values.pop("scale", None)
        arguments = ", ".join(f"{name}: float = {value!r}" for name, value in values.items())
        times, factor = (", times scale", "scale * ") if scaled else ("", "")
        return TEXTS[type(surrogate)].format(arguments=arguments, times=times, factor=factor)
