"""The texts of the nodes of one network."""

from __future__ import annotations

from collections.abc import Iterable

from sewdsl.elaborate.builder import Followers, Graph
from sewdsl.elaborate.names import OWN_JOIN
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Op
from sewdsl.notation.unwritable import UnwritableNetwork
from sewdsl.notation.words import kind_text


class NodeTexts:
    """Knows what the header and the surroundings of a node make superfluous.

    Args:
        network: The network.
        order: Its nodes but the input as the compiler will order them: where a node has several readers, what follows
            from the nearest of them depends on it.
    """

    def __init__(self, network: Network, order: Iterable[int]) -> None:
        self._network, self._header = network, network.settings
        rank = {index: place for place, index in enumerate(order)}
        in_order = [sorted(group, key=rank.__getitem__) for group in network.readers]
        self._graph = Graph([node.op for node in network], in_order)
        self._known: dict[Op, str] = {}

    def node(self, index: int) -> str:
        """The text of the node at an index: ``c32k3s1``; the name of a join.

        Raises:
            Unwritable: there is none.
        """
        op = self._network.nodes[index].op
        try:
            if isinstance(op, Join):
                return self.join(op)
            if type(op).settle is Op.settle:
                return self.alone(op)
            followers = Followers(self._graph, index)
            return kind_text(op, lambda left: left.settle(followers), self._header.neuron)
        except ValueError as error:
            raise UnwritableNetwork(self._network.nodes[index], str(error)) from error

    def alone(self, op: Op) -> str:
        """The text of an op wherever it stands, before anything is filled in that depends on what follows.

        Raises:
            ValueError: there is none.
        """
        if op not in self._known:
            self._known[op] = self.join(op) if isinstance(op, Join) else kind_text(op, default=self._header.neuron)
        return self._known[op]

    def join(self, op: Join) -> str:
        """``ADD``; ``g`` for the header's join with arguments of its own.

        Raises:
            ValueError: it is another join with arguments.
        """
        if kind_text(op) == op.kind:
            return op.kind
        if op == self._header.join:
            return OWN_JOIN
        message = "a join takes no arguments where it stands, other than the header's"
        raise ValueError(message)
