"""Parts of a network: blocks, branches and repeats as PyTorch modules, with hooks and replacement."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn

from sewdsl.analysis.named_parts import part_names, parts_around
from sewdsl.ir.network import Network
from sewdsl.snn.time_steps import expand_all
from sewdsl.syntax.suggestions import did_you_mean


class Group(nn.Module):
    """Module with groups of layers as children: the network, or a group. Groups cannot be removed."""

    def __setattr__(self, name: str, value: Any) -> None:
        self._check_replacement(name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._check_replacement(name, None)
        super().__delattr__(name)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        self._check_replacement(name, module)
        super().add_module(name, module)

    def _check_replacement(self, name: str, value: object) -> None:
        """Raise TypeError unless the replacement of a group has a forward method or the same layers."""
        old = self.__dict__.get("_modules", {}).get(name)
        if not isinstance(old, ModuleGroup) or (isinstance(value, nn.Module) and not isinstance(value, ModuleGroup)):
            return
        if not (isinstance(value, ModuleGroup) and {*old.layers} <= {*value.layers}):
            raise TypeError(
                f"cannot replace the group {old.path}; expected a module with the same inputs and output, "
                "e.g. torch.nn.Identity(), or a group of the same layers"
            )


class ModuleGroup(Group):
    """A repeat, block or branch: a named part of the network without a computation of its own.

    The network calls the layers one by one. It calls the forward hooks of the group before its first and after its last
    layer. The group can be replaced by another module.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @property
    def layers(self) -> list[str]:
        """Names of all layers in the group and its subgroups, in topological order."""
        names: list[str] = []
        # named_children would skip a module that occurs twice.
        for name, module in self._modules.items():
            names += [f"{name}.{layer}" for layer in module.layers] if isinstance(module, ModuleGroup) else [name]
        return names

    def forward(self, *_: Any, **__: Any) -> NoReturn:
        """Raise TypeError: a group has no forward."""
        raise TypeError(f"{self.path} is a group of layers without a forward; call the network or a layer")

    def _reject_hook(self) -> NoReturn:
        """Raise TypeError for a backward hook, and suggest the last layer instead."""
        raise TypeError(
            f"{self.path} is a group of layers, on which backward hooks are never called; hook its last layer: "
            f"model.get_submodule('{self.path}.{self.layers[-1]}')"
        )

    def register_full_backward_hook(self, *_: Any, **__: Any) -> NoReturn:
        self._reject_hook()

    register_full_backward_pre_hook = register_backward_hook = register_full_backward_hook


class PartNodes(NamedTuple):
    """Nodes of a layer or group, the outside nodes that it reads, in order, and its output node."""

    path: str
    nodes: frozenset[int]
    reads: tuple[int, ...]
    gives: int


def find_part(network: Network, path: str) -> PartNodes:
    """Return a layer or group by name.

    Raises:
        ValueError: If there is no part of this name, if it does not have exactly one output, or if it is inside a loop,
            whose layers are computed together at each time-step.
    """
    nodes = frozenset(i for i, node in enumerate(network.nodes) if i and path in parts_around(node))
    if not nodes:
        suggestion = (
            did_you_mean(path, part_names(network)) or f"its layers: {', '.join(n.name for n in network.layers[:8])}, …"
        )
        raise ValueError(f"{network.name} has no layer or group '{path}'; {suggestion}")
    graph = network.graph
    reads = dict.fromkeys(i for index in sorted(nodes) for i in network.nodes[index].inputs if i not in nodes)
    gives = [
        index
        for index in sorted(nodes)
        if index in network.output_indices or not nodes.issuperset(graph.consumers[index])
    ]
    # Values inside a loop exist for one time-step at a time.
    if len(nodes) > 1 and any(not nodes.isdisjoint(loop) and not nodes.issuperset(loop) for loop in graph.loops):
        message = f"{path} is inside a loop, whose layers are computed together at each time-step; use a single layer"
        raise ValueError(message)
    if len(gives) != 1:
        names = ", ".join(network.nodes[index].name for index in gives) or "none"
        raise ValueError(f"{path} does not have exactly one output; layers that are read outside it: {names}")
    return PartNodes(path, nodes, tuple(reads), gives[0])


def find_calls(network: Network, path: str) -> tuple[PartNodes, ...]:
    """Return a part for each call that uses the modules of the part with the given name, in order.

    Raises:
        ValueError: If the part does not have exactly one output in each call, or is inside a loop.
    """
    inside = next(i for i, node in enumerate(network.nodes) if i and node.name.startswith(f"{path}."))
    inner = network.nodes[inside].name.removeprefix(path)
    users = network.users.get(inside, (inside,))
    return tuple(find_part(network, network.nodes[user].name.removesuffix(inner)) for user in users)


class PartCall:
    """Call of a hooked or replaced part in a forward pass.

    Args:
        module: The group with the hooks, or its replacement.
        replaced: Whether the module is a replacement.
    """

    def __init__(self, part: PartNodes, module: nn.Module, *, replaced: bool) -> None:
        self.part, self.replaced, self._module = part, replaced, module
        self._inputs: tuple[Tensor, ...] | None = None

    def begin(self, values: dict[int, Tensor]) -> None:
        """Record the inputs before the first layer is computed, and call the forward pre-hooks.

        Raises:
            TypeError: If a hook returns new inputs, since they cannot be passed to the layers.
        """
        # A part has several steps, and the hooks are called before the first one.
        if self._inputs is not None:
            return
        self._inputs = tuple(values[i] for i in self.part.reads)
        if self.replaced:
            return
        module = self._module
        for key, hook in [*module._forward_pre_hooks.items()]:  # noqa: SLF001 -- same order as nn.Module
            with_names = key in module._forward_pre_hooks_with_kwargs  # noqa: SLF001
            result: Any = hook(module, self._inputs, {}) if with_names else hook(module, self._inputs)
            if result is not None:
                raise TypeError(
                    f"a pre-hook of {self.part.path} returned inputs, but inputs of a group cannot be replaced; "
                    "return None, or hook the layer that outputs the input"
                )

    def finish(self, value: Tensor) -> Tensor:
        """Call the forward hooks, and return the output."""
        module, inputs = self._module, self._inputs or ()
        for key, hook in [*module._forward_hooks.items()]:  # noqa: SLF001 -- same order as nn.Module
            with_names = key in module._forward_hooks_with_kwargs  # noqa: SLF001
            result: Any = hook(module, inputs, {}, value) if with_names else hook(module, inputs, value)
            value = value if result is None else result
        return value

    def compute(self, T: int | None) -> Tensor:
        """Call the replacement with the inputs of the part, expanded by :func:`expand_all`."""
        value: Tensor = self._module(*expand_all(self._inputs or (), T))
        return value
