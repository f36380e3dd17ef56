"""Parts of a network, blocks, branches and repeats: their layers, what they read, and which value they give."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn

from sewdsl.analysis.named_parts import match_nodes, part_names
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.network import Network


class Group(nn.Module):
    """What holds groups of layers: the network, and the groups themselves. No group can be taken out."""

    def __setattr__(self, name: str, value: Any) -> None:
        self._keep(name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._keep(name, None)
        super().__delattr__(name)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        self._keep(name, module)
        super().add_module(name, module)

    def _keep(self, name: str, new: object) -> None:
        """Refuses to put anything in place of a group of layers but a module that computes, or the same layers.

        Raises:
            TypeError: the network would find nothing to run in its place.
        """
        old = self.__dict__.get("_modules", {}).get(name)
        if not isinstance(old, ModuleGroup) or (isinstance(new, nn.Module) and not isinstance(new, ModuleGroup)):
            return
        if not (isinstance(new, ModuleGroup) and {*old.layers} <= {*new.layers}):
            raise TypeError(
                f"{old.path} is a group of layers, whose place nothing can take but a module that reads what it reads "
                "and gives what it gives, or a group of the same layers; torch.nn.Identity() passes all on"
            )


class ModuleGroup(Group):
    """A repeat, a block or a branch: a part of the network with a name, which computes nothing itself.

    The network runs its layers one by one; the hooks that wait for it to be called are called before the first of them,
    and after the last, as if it was. Another module may take its place.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @property
    def layers(self) -> list[str]:
        """The names of its layers, in it and in the groups in it, in order of computation."""
        found: list[str] = []
        for name, module in self._modules.items():  # named_children would hide a child that occurs twice
            found += [f"{name}.{layer}" for layer in module.layers] if isinstance(module, ModuleGroup) else [name]
        return found

    def forward(self, *_: Any, **__: Any) -> NoReturn:
        """It has none."""
        raise TypeError(f"{self.path} is a group of layers that computes nothing itself; call the network, or a layer")

    def _refuse(self) -> NoReturn:
        """Says what to hook in its place."""
        raise TypeError(
            f"{self.path} is a group of layers, through which gradients pass layer by layer, so that such a hook on it "
            "would never be called; hook its last layer, which gives what it gives: "
            f"model.get_submodule('{self.path}.{self.layers[-1]}')"
        )

    def register_full_backward_hook(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse()

    register_full_backward_pre_hook = register_backward_hook = register_full_backward_hook


class PartNodes(NamedTuple):
    """A layer or a part of a network.

    Attributes:
        reads: Of the nodes outside it whose values it reads, in order.
        gives: Index of the node whose value it gives.
    """

    path: str
    nodes: frozenset[int]
    reads: tuple[int, ...]
    gives: int


def find_part(network: Network, path: str) -> PartNodes:
    """A layer or a part by its name.

    Raises:
        ValueError: the network has none of the name, it gives no value or several, or it lies in a loop, of which the
            layers are computed together for each time-step.
    """
    nodes = match_nodes(network, path) if path in {*part_names(network)} else frozenset[int]()
    if not nodes:
        near = (
            did_you_mean(path, part_names(network)) or f"its layers: {', '.join(n.name for n in network.nodes[1:9])}, …"
        )
        raise ValueError(f"{network.name} has no layer or part '{path}'; {near}")
    graph = network.graph
    reads = dict.fromkeys(i for index in sorted(nodes) for i in network.nodes[index].inputs if i not in nodes)
    gives = [
        index
        for index in sorted(nodes)
        if index in network.output_indices or not nodes.issuperset(graph.consumers[index])
    ]
    if len(nodes) > 1 and any(not nodes.isdisjoint(loop) and not nodes.issuperset(loop) for loop in graph.loops):
        message = f"{path} lies in a loop, whose layers are computed together for each time-step; take a layer of it"
        raise ValueError(message)
    if len(gives) != 1:
        names = ", ".join(network.nodes[index].name for index in gives) or "none"
        raise ValueError(f"{path} does not give one value; layers whose values are read outside it: {names}")
    return PartNodes(path, nodes, tuple(reads), gives[0])


class PartCall:
    """A part that is hooked or replaced, in one forward pass.

    Args:
        module: The group that has the hooks, or what takes its place.
        replaced: Whether it does.
    """

    def __init__(self, part: PartNodes, module: nn.Module, *, replaced: bool) -> None:
        self.part, self.replaced, self._module = part, replaced, module
        self._inputs: tuple[Tensor, ...] | None = None

    def begin(self, values: dict[int, Tensor]) -> None:
        """Notes what it reads before its first layer is computed, and calls the hooks that wait for that.

        Raises:
            TypeError: a hook gives something else to read, which no layer would.
        """
        if self._inputs is not None:
            return
        self._inputs = tuple(values[i] for i in self.part.reads)
        if self.replaced:
            return
        module = self._module
        for key, hook in [*module._forward_pre_hooks.items()]:  # noqa: SLF001 -- as torch calls them
            with_names = key in module._forward_pre_hooks_with_kwargs  # noqa: SLF001
            found: Any = hook(module, self._inputs, {}) if with_names else hook(module, self._inputs)
            if found is not None:
                raise TypeError(
                    f"a hook of {self.part.path} gives other inputs, but the layers in it read those of the network; "
                    "let it return nothing, or hook the layer that gives the input"
                )

    def finish(self, value: Tensor) -> Tensor:
        """What it gives, after its hooks."""
        module, inputs = self._module, self._inputs or ()
        for key, hook in [*module._forward_hooks.items()]:  # noqa: SLF001 -- as above
            with_names = key in module._forward_hooks_with_kwargs  # noqa: SLF001
            found: Any = hook(module, inputs, {}, value) if with_names else hook(module, inputs, value)
            value = value if found is None else found
        return value

    def compute(self, expand: Any) -> Tensor:
        """What takes its place, called with what it reads.

        Args:
            expand: Gives a value all its time-steps.
        """
        value: Tensor = self._module(*map(expand, self._inputs or ()))
        return value
