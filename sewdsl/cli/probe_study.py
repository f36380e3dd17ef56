"""What ``sewdsl study`` does with a study that probes: its networks side by side, none of them trained."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.cli.console import console, make_table
from sewdsl.cli.files import fail
from sewdsl.cli.options import Device
from sewdsl.cli.output import dump
from sewdsl.cli.run_setup import probe_device, probe_errors
from sewdsl.compiler import CompiledVariant
from sewdsl.elaborate import Study
from sewdsl.elaborate.study_section import PROBE_QUANTITIES
from sewdsl.ir.network import Network
from sewdsl.spreadsheet import rows_to_csv
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from rich.table import Table

    from sewdsl.probe.compare_networks import BlockCurve

PROBE_FILES = {f"{probe}.{ending}" for probe in PROBE_QUANTITIES for ending in ("csv", "json", "png")}
"""All that probes leave."""


def probe_variants(study: Study, found: Sequence[CompiledVariant], folder: Path, device: Device) -> None:
    """Probes every variant, prints a table, and writes ``rates`` or ``gradients`` as CSV, JSON and PNG.

    Args:
        found: Its variants, without errors.
        folder: Where to write; it holds nothing but what probes leave.

    Raises:
        RunError: the folder holds something else, a file cannot be written, or there is no such device.
    """
    from sewdsl.probe import named_residuals
    from sewdsl.probe.compare_networks import block_curves, curve_rows, curves_to_json, describe_curves
    from sewdsl.probe.plots import plot_panels
    from sewdsl.train.fit.execution import tf32_allowed
    from sewdsl.train.store.run_folder import open_group, write_run_file

    on = probe_device(device)
    networks = [varied.compilations[0].result() for varied in found]
    for network, varied in zip(networks, found, strict=True):
        if not named_residuals(network):
            fail(f"'{varied.variant.title}' has no residual block to look at")
    if len({study_seeds(study, network) for network in networks}) > 1:
        fail("networks are compared with the same seeds: write 'vary seed', not 'train.seed'")
    open_group(folder, PROBE_FILES.__contains__, "part of this study")
    every: list[BlockCurve] = []
    seeds = study_seeds(study, networks[0])
    for number, (network, varied) in enumerate(zip(networks, found, strict=True), start=1):
        echo(f"network {number} of {len(found)}: {varied.variant.title}", err=True)
        with probe_errors(), tf32_allowed(network.recipe.tf32 if network.recipe else None):
            every += block_curves(network, varied.variant.labels, study.probe, seeds, on)
    picture = BytesIO()
    plot_panels(every, describe_curves(every, seeds)).savefig(picture, dpi=130, format="png")
    write_run_file(folder / f"{study.probe}.csv", rows_to_csv(curve_rows(every, seeds)))
    write_run_file(folder / f"{study.probe}.json", dump({**curves_to_json(every, seeds), "device": on}) + "\n")
    write_run_file(folder / f"{study.probe}.png", picture.getvalue())
    console().print(_table(every))
    echo(f"{study.probe}.csv, {study.probe}.json, {study.probe}.png are in {folder}")


def study_seeds(study: Study, network: Network) -> tuple[int, ...]:
    """The study's, or the recipe's, or zero."""
    return study.numbers or (network.recipe.seed if network.recipe else 0,)


def _table(every: Sequence[BlockCurve]) -> Table:
    """The ends of each curve, and how far it goes."""
    grid = make_table()
    for axis in every[0].labels:
        grid.add_column(axis)
    for column in ("", "first block", "last block", "least", "most"):
        grid.add_column(column, justify="right" if column else "left")
    for curve in every:
        values = curve.values
        figures = (values[0], values[-1], min(values), max(values))
        grid.add_row(*curve.labels.values(), curve.quantity, *(f"{value:.3g}" for value in figures))
    return grid
