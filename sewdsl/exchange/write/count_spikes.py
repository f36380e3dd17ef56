"""Networks of counts as networks of binary spikes, with several time-steps for each of their time-steps.

A count n of 0..D becomes n spikes in D time-steps, a *window*, as in the inference of Luo et al. 2024 (SpikeYOLO) and
Yao et al. 2025 (SDT-v3). Weighted sums are linear: the sum over a window of the sums of spikes is the sum of counts. A
neuron adds up the input over a window, computes the equations once, and outputs the count in the next window. Each
neuron layer therefore delays its output by a window, and shortcuts are delayed accordingly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from sewdsl.compiler import compile, read
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.read.build_network import ImportedNetwork, build_network
from sewdsl.exchange.read.draft import Draft, SourcePart
from sewdsl.ir.op import Activation, KnowsSteps
from sewdsl.ops.equation_neurons import EquationKind, defined_kind
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.delay import MAX_DELAY, Delay
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout, Scale
from sewdsl.ops.layers.shapes import Flatten, Reshape, Upsample
from sewdsl.ops.merges import Concatenation
from sewdsl.ops.read_equations import input_names
from sewdsl.source import Source
from sewdsl.syntax.tree import Assignment, Gives, StateDeclaration, names_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from sewdsl.ir.node import Node
    from sewdsl.lower import SpikingNetwork

CONSTANTS = {
    Conv: ("bias",),
    TransposedConv: ("bias",),
    Linear: ("bias",),
    BatchNorm: ("bias", "running_mean"),
    **dict.fromkeys(
        (Add, AvgPool, Concatenation, Dropout, Flatten, GlobalAvgPool, MaxPool, Reshape, Scale, Upsample), ()
    ),
}
"""Kinds that can compute window by window, with their tensors that are added to the output."""
ORDERED = Concatenation, Dropout, Flatten, MaxPool, Reshape, Upsample
"""Kinds whose output has its spikes in the first time-steps of a window if their inputs have.

Maxima of such counts are maxima of their spikes. The spikes of a sum of counts are not in order.
"""


def write(model: SpikingNetwork, _inputs: str = "") -> bytes:
    """Return the text of the network with spikes."""
    return to_spikes(model).text.encode()


def weights(model: SpikingNetwork) -> dict[str, Tensor]:
    """Return the weights of the network with spikes."""
    return to_spikes(model).tensors


def run(text: bytes, x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the output of the network with spikes for an input of the network with counts."""
    network = read(Source("spikes.net", text.decode())).result()
    model = compile(network, optimize=0).to(x.dtype).eval()
    model.load_state_dict(dict(tensors))
    if network.settings.encode == "none":
        scale = network.nodes[1].op
        assert isinstance(scale, Scale)  # noqa: S101 -- the first layer divides the input by the length of a window
        x = x.repeat_interleave(round(1 / scale.value), 0)
        x = torch.cat([x, x.new_zeros(network.settings.steps - len(x), *x.shape[1:])])
    y: Tensor = model(x)
    return y


def to_spikes(model: SpikingNetwork) -> ImportedNetwork:
    """Return the network with binary spikes that equals a network with counts, in evaluation mode.

    With T time-steps, counts up to D, and m neuron layers on the longest path, it has (T + m) · D time-steps. An input
    sequence must repeat each time-step D times and end with zeros. The outputs are equal up to rounding.

    Raises:
        ExportError: If a layer has no equal in spikes. The message names the layer.
    """
    network = model.network
    nodes, settings = network.nodes, network.settings
    if settings.inputs or network.outputs or network.graph.loops or network.users:
        raise ExportError("networks with several inputs or outputs, loops or parts cannot be converted to spikes")
    D = 1
    for node in nodes:
        if isinstance(node.op, Activation):
            if (count := node.output.values.count) is None:
                raise ExportError(f"{node.name}: {node.op.kind} outputs neither counts nor spikes")
            D = max(D, count)
    if D == 1:
        raise ExportError("no neuron outputs counts, as ILIF does")
    draft = Draft(settings.input, varies=settings.encode == "none")
    scale = draft.add(Scale(value=1 / D), (0,), SourcePart("input", "input"))
    items, windows, silent, ordered = {0: scale}, {0: 0}, {0: False}, {0: False}
    for index, node in enumerate(nodes[1:], 1):
        origin = SourcePart(node.name, node.op.kind)
        tensors = {key: value.detach().clone() for key, value in model.get_submodule(node.name).state_dict().items()}
        windows[index] = max(windows[source] for source in node.sources)
        sources = []
        for source in node.sources:
            late, item = windows[index] - windows[source], items[source]
            # A static value needs no delay, because neurons ignore the windows before their first input.
            is_late = late and draft.items[item].output.varies
            if late * D > MAX_DELAY:
                raise ExportError(f"{node.name}: a shortcut would be delayed by {late * D:,} time-steps")
            sources.append(draft.add(Delay(steps=late * D), (item,), origin) if is_late else item)
        op, constants = node.op, CONSTANTS.get(type(node.op))
        is_count = node.output.values.count is not None
        ordered[index] = is_count and isinstance(op, ORDERED) and all(ordered[source] for source in node.sources)
        if isinstance(op, Activation):
            op = _spiking(node, D, windows[index])
            windows[index], silent[index], ordered[index] = windows[index] + 1, True, True
        else:
            if constants is None or (isinstance(op, MaxPool) and not ordered[index]):
                counts = "counts" if constants is None else "sums of counts"
                values = "currents" if nodes[node.inputs[0]].output.values.count is None else counts
                raise ExportError(f"{node.name}: {op.kind} of {values} has no equal in spikes")
            added = [key for key in constants if key in tensors]
            silent[index] = all(silent[source] for source in node.sources) and not added
            for key in added:
                tensors[key] /= D
        items[index] = draft.add(op, sources, origin, **tensors)
    last = network.output
    if not isinstance(nodes[last].op, Linear) or not silent[nodes[last].inputs[0]] or settings.readout == "last":
        raise ExportError(
            f"{nodes[last].name}: the output must be the sum or mean of FC after a neuron, without a norm"
        )
    windows_in_all = settings.steps + windows[last]
    head: dict[str, Tensor] = dict(draft.items[items[last]].tensors)
    head["weight"] = head["weight"] / (settings.steps if settings.readout == "mean" else 1)
    if "bias" in head:
        # The bias is added in each time-step, also in those before the first spikes arrive.
        head["bias"] = head["bias"] * ((1 if settings.readout == "mean" else settings.steps) / windows_in_all)
    draft.change(items[last], tensors=head)
    draft.outputs[""] = items[last]
    initial = {"init": "default", "part_init": (), "zero_init": False}
    changed = {"steps": windows_in_all * D, "readout": "sum", "neuron": None, **initial}
    return build_network(draft, network.name, settings.model_copy(update=changed))


def _spiking(node: Node, D: int, windows: int) -> Activation:
    """Return the neuron with the equations of a neuron, computed once in a window, and their count as spikes.

    Args:
        windows: Number of windows before the first input arrives.
    """
    op = node.op
    if not isinstance(op, EquationKind) or isinstance(op, KnowsSteps):
        raise ExportError(f"{node.name}: {op.kind} has no equations, or learns numbers for each time-step")
    definition = op.definition
    used = {word.text for word in names_in(definition.equations)} | {*op.arguments}
    start, sum_, step, rest, go, spike, count = (
        next(name for name in (base, *(f"{base}{i}" for i in range(len(used) + 1))) if name not in used)
        for base in ("start", "sum", "step", "rest", "go", "spike", "count")
    )
    states = {"v"} | {each.name.text for each in definition.equations if isinstance(each, StateDeclaration)}
    (x,) = input_names(definition)
    renamed, updates = {x: sum_}, list[str]()
    # Time-steps count from the first input, and from D to 2D - 1 in each later window. Clipping bounds them and the
    # remaining spikes, so that networks in integers store them exactly.
    lines = [f"state {sum_} = 0", f"state {step} = -{D}*{start}", f"state {rest} = 0"]
    computed = [f"{go} = fire({step} - {D}) * (1 - fire({step} - {D + 1}))"]
    # The printed definition has one equation in each line.
    for each, line in zip(definition.equations, op.definition_text().splitlines()[1:-1], strict=True):
        words = re.compile(rf"\b({'|'.join(map(re.escape, renamed))})\b")
        value = words.sub(lambda match: renamed[match[0]], line.strip().partition(" ")[2].removeprefix("= "))
        if isinstance(each, Gives):
            computed.append(f"{count} = {value}")
        elif not isinstance(each, Assignment):
            lines.append(line.strip())
        elif each.name.text in states:
            name = each.name.text
            renamed[name] = f"{name}_{go}"
            computed.append(f"{renamed[name]} = {value}")
            updates.append(f"{name} = {renamed[name]}*{go} + {name}*(1 - {go})")
        else:
            computed.append(f"{each.name.text} = {value}")
    lines += [
        *computed,
        *updates,
        f"{spike} = fire({count}*{go} + {rest}*(1 - {go}) - 1)",
        f"{rest} = round(clip({count}*{go} + {rest}*(1 - {go}) - {spike}, 0, {D}))",
        f"{sum_} = {x} + {sum_}*fire({step} - 1)*(1 - {go})",
        f"{step} = round(clip({step} + 1 - {D}*fire({step} - {2 * D - 1}), -{D}*{start}, {2 * D - 1}))",
        f"give {spike}",
    ]
    parameters = ", ".join(f"{name}={value!r}" for name, value in {**op.defaults, start: 0}.items())
    kind = defined_kind(f"neuron {op.kind}Spikes({parameters}) {{\n    " + "\n    ".join(lines) + "\n}")
    return kind.model_validate({**dict(op), start: windows})  # type: ignore[return-value]
