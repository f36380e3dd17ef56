"""Classes of an exported file: one for all blocks that differ in constants only."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from sewdsl.analysis.residual_blocks import branch_end, is_residual
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.class_parameters import IN, OUT, PARAMS, PROJECTION, STRIDE, Column, Scope
from sewdsl.exchange.write.source.comments import Notation
from sewdsl.exchange.write.source.expressions import (
    Arg,
    Expr,
    Literal,
    Note,
    PyCall,
    Unset,
    class_name,
    merge_copies,
    strip_numbers,
    unify_args,
    variables,
)
from sewdsl.exchange.write.source.value_flow import Leaf, SourceItem, SourceSection
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import Norm
from sewdsl.ops.merges import Product


class Layers(Protocol):
    """Layers of one network in a library."""

    def module_call(self, node: Node) -> PyCall:
        """Return the constructor call of a node's module, or raise UnsupportedLayer if the library has none."""

    def definitions(self) -> Sequence[str]:
        """Return the functions and classes that the calls so far require, in order."""


@dataclass(frozen=True)
class ClassSpec:
    """Class of an exported file."""

    name: str
    section: SourceSection
    """First instance of the class."""
    params: dict[str, Column]
    """Constructor parameters, with the value of each instance."""
    attributes: tuple[Arg, ...]
    """Modules, with their comments."""
    starts: tuple[Arg, ...]
    """Initial biases of batch norms by relative name. Their initial weight is 0."""
    optional: frozenset[str]
    """Modules that exist only with a projection."""
    shapes: tuple[str, str]
    """Input and output shape."""


@dataclass(frozen=True)
class _Instance:
    section: SourceSection
    attributes: tuple[Arg, ...]
    starts: tuple[Arg, ...]

    @property
    def shortcuts(self) -> frozenset[str]:
        """Shortcuts of joins that have layers. A class may omit them."""
        keys = {step.key: step.kind for step in self.section.items if isinstance(step, SourceSection)}
        return frozenset(
            key for step in self.section.flow for key in step.keys[1:] if key and keys.get(key) == "shortcut"
        )

    def form(self, network: Network, *, bare: bool) -> Hashable:
        """Return the properties that instances of a class share. ``bare`` ignores shortcuts."""
        merges = [None if step.merge is None else network.nodes[step.merge] for step in self.section.flow]
        # Shortcuts are optional attributes of a class, so that they do not distinguish blocks.
        omitted = self.shortcuts if bare else frozenset()
        attributes = tuple((a.name, strip_numbers(a.value)) for a in self.attributes if a.name not in omitted)
        flow = tuple(
            (
                merge and (merge.op, isinstance(merge.op, Product) and has_groups(network.inputs(merge))),
                *(None if key in omitted else key for key in step.keys),
                step.reads,
                step.gives,
                step.module,
            )
            for step, merge in zip(self.section.flow, merges, strict=True)
        )
        starts = tuple(start.name for start in self.starts)
        section = self.section
        loops = section.loops, section.delays
        return section.kind, section.title, section.variables, attributes, flow, loops, starts


def has_groups(operands: Iterable[Signal]) -> bool:
    """Return whether a product has operands with a number of channels between 1 and that of another operand."""
    return len({operand.channels for operand in operands} - {1}) > 1


class ClassFinder:
    """Finder of the classes of a network.

    Args:
        taken: Names that no class may have.

    Attributes:
        classes: The classes, each after those that it uses. The last one is the network.
    """

    def __init__(self, network: Network, root: SourceSection, layers: Layers, taken: set[str]) -> None:
        self._network, self._layers = network, layers
        self._variables = {*taken, "self", "x"}
        self._notation = Notation(network)
        self._params: frozenset[str] = frozenset()
        self._calls: dict[int, PyCall] = {}  # By identity: sections with equal content have different calls.
        self.classes: list[ClassSpec] = []
        root_name = class_name(network.name, "Network", taken)
        heights: dict[int, list[SourceSection]] = {}
        self._height(root, heights)
        for _, level in sorted(heights.items()):
            for group in self._groups([self._instance(section) for section in level if section is not root]):
                first_section = group[0].section
                title = first_section.title or {"copy": "Repeat", "value": first_section.key}.get(
                    first_section.kind, first_section.kind.title()
                )
                self._make(group, class_name(title, "Block" if first_section.kind == "block" else "Part", taken))
        self._make([self._instance(root)], root_name)

    def _height(self, section: SourceSection, by_height: dict[int, list[SourceSection]]) -> int:
        """Return the nesting depth of classes in a section, and collect the sections that become classes."""
        inner = [self._height(item, by_height) for item in section.items if isinstance(item, SourceSection)]
        height = max(inner, default=0)
        # nn.Sequential expresses a straight sequence without a class.
        needs_no_class = section.kind == "repeat" or (section.straight and not section.merges)
        if section.inlined:
            return height
        if section.kind == "block" or (not needs_no_class and section.kind != "network"):
            by_height.setdefault(height, []).append(section)
            return height + 1
        return height

    # --- instances -----------------------------------------------------------------------------------------

    def _instance(self, section: SourceSection) -> _Instance:
        self._params = PARAMS if section.kind != "network" else frozenset()  # Names that loop variables must not have.
        return _Instance(section, tuple(self._attributes(section)), tuple(self._starts(section)))

    def _attributes(self, section: SourceSection) -> Iterator[Arg]:
        """Yield the modules of a section. Each group of modules has one comment."""
        groups = list(_comment_groups(section.items, self._network))
        for group in groups:
            note = None if section.kind == "copy" and len(groups) == 1 else self._note(group)
            for item in group:
                yield Arg(item.key, self._expr(item), note=note if item is group[0] else None)

    def _note(self, group: Sequence[SourceItem]) -> Note | None:
        """Return the comment on consecutive items, or None for branches, whose layers have comments."""
        last = group[-1]
        if isinstance(last, SourceSection) and last.kind in {"branch", "shortcut", "operand", "loop"}:
            return None
        output = last.index if isinstance(last, Leaf) else last.output
        return Note(self._notation.of(*group), (self._network.nodes[output].output,))

    def _expr(self, item: SourceItem) -> Expr:
        if isinstance(item, Leaf):
            return self._layers.module_call(self._network.nodes[item.index])
        if id(item) in self._calls:
            return self._calls[id(item)]
        if item.kind == "repeat":
            return merge_copies([self._expr(copy) for copy in item.items], self._params)
        return PyCall("layers", tuple(self._attributes(item)))

    def _starts(self, section: SourceSection) -> Iterator[Arg]:
        """Yield the batch norms that make branches neutral initially."""
        if not self._network.settings.zero_init:
            return
        from sewdsl.lower.build_module import neutral_current  # Imports PyTorch, which takes seconds.

        for merge in section.merges:
            node = self._network.nodes[merge]
            if not is_residual(self._network, merge):
                continue
            end = branch_end(self._network, node)
            if end.norm is None or not isinstance(node.op, Join):
                raise UnsupportedLayer(node, f"cannot be initialised as an identity: its branch ends in {end.why}")
            if self._network.shared_name(end.norm):
                raise UnsupportedLayer(node, "cannot be initialised as an identity: its branch ends in a part")
            relative_name = end.norm.name.removeprefix(node.name.rpartition(".")[0]).removeprefix(".")
            yield Arg(relative_name, Literal(neutral_current(end.activation, node.op.neutral_branch)))

    # --- classes -------------------------------------------------------------------------------------------

    def _groups(self, instances: Sequence[_Instance]) -> Iterator[list[_Instance]]:
        by_form: dict[Hashable, dict[Hashable, list[_Instance]]] = {}
        for instance in instances:
            bare, full = (instance.form(self._network, bare=bare) for bare in (True, False))
            by_form.setdefault(bare, {}).setdefault(full, []).append(instance)
        for forms in by_form.values():
            groups = list(forms.values())
            shortcuts = {bool(group[0].shortcuts) for group in groups}
            # One form with and one without a projection can share a class. More forms differ elsewhere.
            if len(groups) == len(shortcuts) and groups[0][0].section.kind == "block":
                yield sorted(chain(*groups), key=lambda instance: instance.section.output)
            else:
                yield from groups

    def _make(self, group: Sequence[_Instance], name: str) -> None:
        """Add the class of a group, and the constructor calls of its instances."""
        instances = [instance.section for instance in group]
        with_shortcuts = [i for i, instance in enumerate(group) if instance.shortcuts]
        everywhere = list(range(len(group)))
        has_optional = with_shortcuts not in ([], everywhere)
        first = group[with_shortcuts[0] if has_optional else 0]
        bound = set[str]().union(*(variables(attribute.value) for i in group for attribute in i.attributes))
        sources = [self._network.nodes[section.source].output for section in instances]
        scope = Scope(sources, [section.arguments for section in instances], self._variables | bound)
        attributes = []
        for module in first.attributes:
            positions = with_shortcuts if has_optional and module.name in first.shortcuts else everywhere
            arguments = [next(arg for arg in group[i].attributes if arg.name == module.name) for i in positions]
            attributes.append((unify_args(arguments, scope.at(positions)), positions))
        starts = []
        for args in zip(*(instance.starts for instance in group), strict=True):
            # An initial bias that differs becomes a parameter named "start".
            start = unify_args([replace(arg, name="start") for arg in args], scope.at(everywhere))
            starts.append(replace(start, name=args[0].name))
        if has_optional:
            scope.add(PROJECTION, tuple(i in with_shortcuts for i in everywhere))
        endpoints = zip(*((section.source, *section.others, section.output) for section in instances), strict=True)
        *input_shapes, output_shape = (
            scope.shape([self._network.nodes[i].output for i in end], everywhere) for end in endpoints
        )
        optional = first.shortcuts if has_optional else frozenset()
        commented = tuple(_commented(arg, scope, positions) for arg, positions in attributes)
        spec = ClassSpec(
            name,
            first.section,
            scope.params,
            commented,
            tuple(starts),
            optional,
            (" and ".join(input_shapes), output_shape),
        )
        self.classes.append(spec)
        for i, section in enumerate(instances):
            self._calls[id(section)] = constructor_call(spec, i)


def _comment_groups(items: Iterable[SourceItem], network: Network) -> Iterator[list[SourceItem]]:
    """Yield consecutive items that share a comment: a convolution, its norm and its neuron."""
    group: list[SourceItem] = []
    for item in items:
        op = network.nodes[item.index].op if isinstance(item, Leaf) else None
        # A comment covers a layer with its norm and neuron.
        if group and not (isinstance(op, Norm | Activation) and _accepts_more(group, network)):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _accepts_more(group: Sequence[SourceItem], network: Network) -> bool:
    """Return whether a norm or neuron may join a group."""
    ops = [network.nodes[item.index].op for item in group if isinstance(item, Leaf)]
    return bool(ops) and isinstance(ops[0], Conv | Linear | Norm) and not isinstance(ops[-1], Activation)


def _commented(arg: Arg, scope: Scope, positions: Sequence[int]) -> Arg:
    """Return an argument with the final text of its comments: notation and shape."""
    value = arg.value
    if isinstance(value, PyCall):
        value = replace(value, args=tuple(_commented(inner, scope, positions) for inner in value.args))
    elif not isinstance(value, Literal):
        value = replace(
            value,
            runs=tuple(replace(run, body=_commented(Arg("", run.body), scope, positions).value) for run in value.runs),
        )
    if arg.note is None:
        return replace(arg, value=value)
    shape = scope.shape(arg.note.signals, positions)
    return replace(arg, value=value, note=Note(f"{arg.note.text} -> {shape}".lstrip(), ()))


def order_parameters(params: Iterable[str]) -> list[str]:
    """Return the parameters in the order of the signature."""
    first = [name for name in (IN, OUT) if name in params]
    return [*first, *(name for name in params if name not in first)]


def parameter_default(spec: ClassSpec, name: str) -> object:
    """Return the default of a parameter, or UNSET."""
    if name == PROJECTION:
        return False
    return 1 if name == STRIDE and 1 in spec.params[name] else Unset.UNSET


def constructor_call(spec: ClassSpec, instance: int) -> PyCall:
    """Return the constructor call of an instance."""
    channels = {IN: "in", OUT: "out"}
    return PyCall(
        spec.name,
        tuple(
            Arg(
                name,
                Literal(spec.params[name][instance]),
                parameter_default(spec, name),
                name in channels,
                channels.get(name, ""),
            )
            for name in order_parameters(spec.params)
        ),
    )
