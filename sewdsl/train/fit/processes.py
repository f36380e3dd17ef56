"""Processes of a distributed run: rank, device, strategy and precision."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any, Literal

from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass
from sewdsl.terminal import echo
from sewdsl.train.store.result import Precision
from sewdsl.train.store.run_folder import RunError, RunFolder, read_record, write_run_file
from sewdsl.train.store.run_notes import ACCELERATORS, Accelerator, ProcessRecord, Strategy

DeviceType = Literal["cpu", "cuda", "mps"]


def set_passive_waiting() -> None:
    """Make waiting threads sleep, unless the user has set another policy. Call this before importing torch.

    By default, OpenMP threads wait in a busy loop. On a loaded machine, the loop takes the core from the thread that it
    waits for, and training becomes many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def rank() -> int:
    """Return the rank of this process, as set by torchrun, SLURM or Lightning, or 0 for a single process."""
    return _first_number("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_first_on_machine() -> bool:
    """Return whether this is the first of the processes on its machine."""
    return _first_number("LOCAL_RANK", "SLURM_LOCALID") == 0


def _first_number(*variables: str) -> int:
    texts = map(os.environ.get, variables)
    return next((int(text) for text in texts if text and text.isdigit()), 0)


@dataclass(frozen=True)
class Processes:
    """Devices, nodes and strategy of a run, in Lightning's terms."""

    devices: int | None = None
    """Devices per node, one process each, or None for the processes that torchrun started, or 1."""
    nodes: int | None = None
    """Number of machines, or None for those of torchrun, or 1."""
    strategy: Strategy | None = None
    """Distributed strategy, or None for that of the resumed run, or ``auto``."""
    accelerator: Accelerator = "auto"
    """Device type (``auto`` selects a GPU if available)."""

    @property
    def total(self) -> int:
        """Total number of processes."""
        options = self.options
        return int(options["devices"] * options["num_nodes"])

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of Lightning's trainer."""
        local = os.environ.get("LOCAL_WORLD_SIZE")  # Only torchrun sets it, together with WORLD_SIZE.
        per_node, total = (int(local), int(os.environ["WORLD_SIZE"])) if local else (1, 1)
        return {
            "accelerator": self.accelerator,
            "devices": self.devices or per_node,
            "num_nodes": self.nodes or total // per_node,
            "strategy": self.strategy or "auto",
        }


def record_processes(folder: RunFolder, processes: Processes) -> None:
    """Record strategy and device of a run, unless both are ``auto``, or raise RunError if the write fails."""
    record = ProcessRecord(strategy=processes.strategy or "auto", accelerator=processes.accelerator)
    if record != ProcessRecord():
        write_run_file(folder.processes, json.dumps(record.model_dump(exclude_defaults=True)) + "\n")


def restore_processes(folder: RunFolder, processes: Processes) -> Processes:
    """Fill in the strategy and the device of the run so far, unless others are requested.

    Raises:
        RunError: If the record cannot be read.
    """
    if processes.strategy is not None and processes.accelerator != "auto":
        return processes
    remedy = "; to replace it, pass --strategy NAME and --device NAME"
    recorded = read_record(folder.processes, ProcessRecord, remedy=remedy)
    if recorded is None:
        return processes
    strategy = recorded.strategy if processes.strategy is None else processes.strategy
    accelerator = recorded.accelerator if processes.accelerator == "auto" else processes.accelerator
    return replace(processes, strategy=strategy, accelerator=accelerator)


def device_type(accelerator: Accelerator) -> DeviceType:
    """Return the device type of a process, or raise RunError for an unknown device, or a GPU that cannot be used."""
    import torch  # Not at the top: set_passive_waiting must run before torch is imported.

    # The command line checks names, but Python programs can pass any.
    if accelerator not in ACCELERATORS:
        raise RunError(f"device must be {', '.join(ACCELERATORS)}, got '{accelerator}'")
    if accelerator != "cpu" and torch.cuda.is_available():
        return "cuda"
    if accelerator == "cuda":
        raise RunError("PyTorch cannot use a GPU on this machine (see 'sewdsl doctor'); use --device cpu")
    return "mps" if accelerator == "auto" and torch.backends.mps.is_available() else "cpu"


def precision(recipe: Recipe, device: DeviceType, before: Precision | None = None) -> Precision:
    """Return the precision for training a recipe on a device.

    ``mixed`` is bfloat16, or float16 on GPUs without bfloat16. A resumed run keeps its precision, except for float16
    without a GPU.

    Args:
        before: Precision of the run so far, or None for a new run, or if it was not recorded.

    Raises:
        RunError: If the recipe requires float16 on a device other than a GPU, where it would be much slower.
    """
    if recipe.precision == "mixed":
        if before is not None and (before != "16-mixed" or device == "cuda"):
            return before
        if device == "cuda":
            import torch

            # GPUs from 2020 on have bfloat16 units. Older ones emulate it in float32.
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        return "bf16-mixed"
    if recipe.precision == "16-mixed" and device != "cuda":
        raise RunError("precision 16-mixed requires a GPU; 'precision mixed' uses bfloat16 without one")
    return "32-true" if recipe.precision == "32" else recipe.precision


def note_precision_change(recipe: Recipe, device: DeviceType, before: Precision | None) -> None:
    """Print a note if a run is resumed in another precision. Raise RunError as :func:`precision`."""
    if before is not None and precision(recipe, device, before) != before and rank() == 0:
        echo("note: float16 requires a GPU; the run continues in bfloat16", err=True)


def evaluation_precision(recipe: Recipe, device: DeviceType, recorded: Precision | None) -> Precision:
    """Return the precision for evaluating the networks of a run: that of the training, on any device.

    Args:
        recorded: Precision of the training, or None if it was not recorded. Then ``mixed`` is that of a
            training on this device.
    """
    # Every device supports 16-bit inference, although float16 is fast only on GPUs.
    if recipe.precision == "mixed":
        return recorded or precision(recipe, device)
    return "32-true" if recipe.precision == "32" else recipe.precision
