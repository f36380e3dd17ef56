"""``sewdsl doctor``: versions, devices, and tests of every kernel against plain PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sewdsl.cli.console import console, make_table
from sewdsl.cli.options import Device, HelpPanel
from sewdsl.cli.output import echo_json
from sewdsl.cli.run_setup import set_up_process
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.probe.examine_machine import KernelCheck


def command(
    device: Annotated[
        Device, HelpPanel.DEVICE.option("--device", "Device to check (auto selects a GPU if available).")
    ] = "auto",
    speed: Annotated[
        bool, HelpPanel.DEVICE.option("--speed/--no-speed", "Measure the speed of neurons and of a training step.")
    ] = True,
    as_json: Annotated[bool, HelpPanel.OUTPUT.option("--json", "Print JSON, e.g. for a bug report.")] = False,
) -> None:
    """Check the installation: versions, devices and kernels.

    Compares every kernel with plain PyTorch (OK or FAIL) and measures its speed. Exits with code 1 if a kernel fails.
    """
    set_up_process()
    import torch  # After set_up_process: threads must be configured before torch is imported.

    from sewdsl.probe import examine_machine

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        echo("error: no GPU is available to PyTorch; use --device cpu", err=True)
        raise typer.Exit(2)
    on = "cpu" if device == "cpu" or not has_gpu else "cuda"
    facts = {"versions": examine_machine.installed_versions(), "machine": examine_machine.machine_facts()}
    checks, missing = [], examine_machine.list_missing(on)
    if as_json:
        checks = list(examine_machine.check_kernels(on))
        speeds = list(examine_machine.measure_speed(on)) if speed else []
        environment: dict[str, Any] = {"device": on, **facts, "missing": missing}
        echo_json({**environment, "kernels": [c._asdict() for c in checks], "speed": [s._asdict() for s in speeds]})
    else:
        for title, values in facts.items():
            _print_facts(title, values)
        out = console()
        if missing:
            out.print("missing", style="bold")
            for line in missing:
                out.print(f"  {line}", markup=False, highlight=False)
            out.print()
        out.print(f"kernels on {on}, compared with plain PyTorch in float64", style="bold")
        out.print(f"  {_REASON}", style="dim", highlight=False)
        # Print each result at once: the first run compiles the kernels.
        for check in examine_machine.check_kernels(on):
            checks.append(check)
            text = f"  {'OK' if check.ok else 'FAIL':4}  {check.name}, {check.dtype}: {_format_differences(check)}"
            out.print(text, style="green" if check.ok else "red", markup=False, highlight=False)
        if speed:
            _print_speed(list(examine_machine.measure_speed(on)))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


_REASON = (
    "Tolerances are twice the differences of plain PyTorch in the same dtype, but at least 0.1% of the spikes and "
    "10% of the gradient: in narrow dtypes, rounding changes spikes, and each of these changes all gradients before it."
)


def _format_differences(check: KernelCheck) -> str:
    """Format the differences of spikes and gradients with their tolerances, or the error of the kernel."""
    if check.spikes is None or check.gradient is None:
        return check.error
    spikes = f"{100 * check.spikes:.2g}% of the spikes differ (tolerance {100 * check.spike_tolerance:.3g}%)"
    mean, tolerance = 100 * check.gradient, 100 * check.gradient_tolerance
    return f"{spikes}, gradients by {mean:.2g}% of their mean (tolerance {tolerance:.3g}%)"


def _print_facts(title: str, values: dict[str, str]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 1), show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, value)
    out = console()
    out.print(title, style="bold")
    out.print(table)
    out.print()


def _print_speed(speeds: list[Any]) -> None:
    table = make_table()
    for title in ("speed", "ms", "reference", "relative time of the reference"):
        table.add_column(title, justify="left" if title in {"speed", "reference"} else "right")
    for each in speeds:
        table.add_row(each.name, f"{each.milliseconds:.1f}", each.other, f"{each.ratio:.2f}x")
    console().print(table)
