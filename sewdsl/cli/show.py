"""``sewdsl show``: tables of layers, memory or energy of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from sewdsl.analysis.energy import EnergyCosts, LayerCounts, operation_bounds
from sewdsl.analysis.listing import ListingRow, layer_rows
from sewdsl.checks.expectation import agrees_with_figure, compute_quantity, is_measured
from sewdsl.cli.network_tables import memory_to_json, print_energy, print_memory, print_network
from sewdsl.cli.options import AS_WRITTEN, HelpPanel, Spec, SpecOptions, costs_option, load_network, require
from sewdsl.cli.output import echo_json
from sewdsl.ir.kind import stated_fields
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.settings import Expectation
from sewdsl.notation.energy_forms import energy_to_json
from sewdsl.passes.step_report import predict_memory

if TYPE_CHECKING:
    from sewdsl.cli.json_output import Figure, ShownLayer, ShownNetwork


def command(
    spec: Spec,
    spec_options: SpecOptions = AS_WRITTEN,
    memory: Annotated[bool, HelpPanel.MEMORY.option("--memory", "Predict the memory of a training step.")] = False,
    batch: Annotated[
        int | None, HelpPanel.MEMORY.option("--batch N", "Batch size (requires --memory).", "from the recipe", min=1)
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"],
        HelpPanel.MEMORY.option("--device", "Device to predict for, which need not be available (requires --memory)."),
    ] = "cpu",
    energy: Annotated[bool, HelpPanel.ENERGY.option("--energy", "Show upper bounds on operations and energy.")] = False,
    costs: Annotated[tuple[float, float] | None, costs_option("requires --energy")] = None,
    expand: Annotated[
        bool, HelpPanel.OUTPUT.option("--expand", "List every layer instead of one row per block.")
    ] = False,
    json_: Annotated[bool, HelpPanel.OUTPUT.option("--json", "Print JSON, with every layer.")] = False,
) -> None:
    """Show the layers, shapes, value ranges, parameters and operations of a network.

    Also lists every setting in force, including defaults.
    """
    require(
        (batch, memory, "--batch requires --memory"),
        (device != "cpu", memory, "--device requires --memory"),
        (costs, energy, "--costs requires --energy"),
        (energy, not memory, "--energy and --memory cannot be combined"),
    )
    network = load_network(spec, spec_options)
    if memory:
        peak = predict_memory(network, batch, device)
        if json_:
            echo_json(memory_to_json(network, peak))
        else:
            print_memory(network, peak, expand=expand)
    elif energy:
        _show_energy(network, EnergyCosts(*costs or ()), json_=json_)
    elif json_:
        echo_json(network_to_json(network))
    else:
        print_network(network, expand=expand)


def _show_energy(network: Network, costs: EnergyCosts, *, json_: bool) -> None:
    lines = [*map(LayerCounts.at_most, operation_bounds(network))]
    if json_:
        echo_json(energy_to_json(network, lines, costs))
    else:
        T = network.settings.steps
        title = f"{network.name}: operations of one sample, T = {T}, if every neuron fires at every time-step"
        print_energy(network, lines, title, costs)


def network_to_json(network: Network) -> ShownNetwork:
    """Return a network as plain data. Operations are per time-step and sample."""
    recipe = network.recipe
    return {
        "name": network.name,
        "settings": {key: _plain(value) for key, value in stated_fields(network.settings)},
        "recipe": recipe.model_dump(mode="json", include={*dict(stated_fields(recipe))}) if recipe else None,
        "parameters": network.total_parameters,
        "macs": network.total_macs,
        "activations": network.total_activations,
        "output": list(network.nodes[network.output].output.shape),
        "figures": [_figure(network, item) for item in network.expectations],
        "layers": [_layer(row) for row in layer_rows(network)],
    }


def _layer(row: ListingRow) -> ShownLayer:
    return {
        "path": row.path,
        "kind": row.kind,
        "text": row.text,
        "shape": list(row.signal.shape),
        "range": str(row.signal.values),
        "varies": row.signal.varies,
        "parameters": row.parameters,
        "macs": row.macs,
    }


def _figure(network: Network, item: Expectation) -> Figure:
    """Return an ``expect`` or ``claim`` value and the computed value, or None if it must be measured."""
    value = None if is_measured(network, item) else compute_quantity(network, item.quantity)
    return {
        "quantity": item.quantity,
        "kind": "expect" if item.binding else "claim",
        "printed": item.value,
        "source": item.source,
        "computed": value,
        "holds": None if value is None else agrees_with_figure(item, value),
    }


def _plain(value: object) -> str | int | bool | None:
    if isinstance(value, tuple):
        return format_value(value)
    return value if isinstance(value, str | int | bool) or value is None else str(value)
