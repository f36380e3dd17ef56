"""The processes that train one network together: how they wait, which is which, where each runs and how precisely."""

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
from sewdsl.train.store.run_notes import Accelerator, ProcessRecord, Strategy

DeviceType = Literal["cpu", "cuda", "mps"]


def set_passive_waiting() -> None:
    """Let threads that wait sleep; only good before torch is imported, and only where the user has not decided.

    By default they wait in a busy loop. On a machine with other work, it takes the core from the thread that it waits
    for, and training becomes many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def rank() -> int:
    """Return which of the processes this is, counted from 0, as torchrun, SLURM or Lightning sets it."""
    return _first_number("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_first_on_machine() -> bool:
    """Return whether this is the first of the processes on its machine."""
    return _first_number("LOCAL_RANK", "SLURM_LOCALID") == 0


def _first_number(*variables: str) -> int:
    """Return the first environment variable that is a number; 0 if none is."""
    texts = map(os.environ.get, variables)
    return next((int(text) for text in texts if text and text.isdigit()), 0)


@dataclass(frozen=True)
class Processes:
    """What a run asks for; everything is Lightning's.

    Attributes:
        devices: Processes on each node, one a device; None: as many as torchrun started there, or one.
        nodes: Machines; None: as many as torchrun runs on, or one.
        strategy: How they share the work; None: as before, in a run that goes on, else ``auto``.
        accelerator: Device of each; ``auto``: a GPU if there is one.
    """

    devices: int | None = None
    nodes: int | None = None
    strategy: Strategy | None = None
    accelerator: Accelerator = "auto"

    @property
    def total(self) -> int:
        """All processes."""
        options = self.options
        return int(options["devices"] * options["num_nodes"])

    @property
    def options(self) -> dict[str, Any]:
        """Lightning's arguments."""
        local = os.environ.get("LOCAL_WORLD_SIZE")  # torchrun alone says it, and then WORLD_SIZE too
        here, everywhere = (int(local), int(os.environ["WORLD_SIZE"])) if local else (1, 1)
        return {
            "accelerator": self.accelerator,
            "devices": self.devices or here,
            "num_nodes": self.nodes or everywhere // here,
            "strategy": self.strategy or "auto",
        }


def remember_processes(folder: RunFolder, processes: Processes) -> None:
    """Note how the processes of a run share the work and what they run on, unless both are ``auto``.

    Raises:
        RunError: If it cannot be written.
    """
    record = ProcessRecord(strategy=processes.strategy or "auto", accelerator=processes.accelerator)
    if record != ProcessRecord():
        write_run_file(folder.processes, json.dumps(record.model_dump(exclude_defaults=True)) + "\n")


def as_before(folder: RunFolder, processes: Processes) -> Processes:
    """Return processes that share the work of a run as they did, on the same device, unless asked for another.

    Raises:
        RunError: If what was noted cannot be read.
    """
    if processes.strategy is not None and processes.accelerator != "auto":
        return processes
    remedy = "; --strategy NAME with --device NAME takes its place"
    noted = read_record(folder.processes, ProcessRecord, remedy=remedy)
    if noted is None:
        return processes
    strategy = noted.strategy if processes.strategy is None else processes.strategy
    accelerator = noted.accelerator if processes.accelerator == "auto" else processes.accelerator
    return replace(processes, strategy=strategy, accelerator=accelerator)


def device_type(accelerator: Accelerator) -> DeviceType:
    """Return the device that a process runs on.

    Raises:
        RunError: If a GPU is asked for, and there is none that torch can use.
    """
    import torch  # which process this is must be known before it is loaded

    if accelerator != "cpu" and torch.cuda.is_available():
        return "cuda"
    if accelerator == "cuda":
        raise RunError(
            "there is no GPU that torch can use ('sewdsl doctor' says what is here); --device cpu takes the processor"
        )
    return "mps" if accelerator == "auto" and torch.backends.mps.is_available() else "cpu"


def precision(recipe: Recipe, device: DeviceType, before: Precision | None = None) -> Precision:
    """Return the precision in which a recipe's network is trained on a device.

    ``mixed`` stays what it was in a run that goes on, but for float16 without a GPU. In a new one it is bfloat16, or
    float16 on GPUs that have no bfloat16.

    Args:
        before: Precision so far; None: nothing was trained, or it was not noted.

    Raises:
        RunError: If the recipe wants float16 without a GPU, which would be much slower and is not what it is for.
    """
    if recipe.precision == "mixed":
        if before is not None and (before != "16-mixed" or device == "cuda"):
            return before
        if device == "cuda":
            import torch

            # GPUs from 2020 on compute in bfloat16, older ones by way of float32.
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        return "bf16-mixed"
    if recipe.precision == "16-mixed" and device != "cuda":
        raise RunError("precision 16-mixed needs a GPU; 'mixed' takes bfloat16 where there is none")
    return "32-true" if recipe.precision == "32" else recipe.precision


def note_precision_change(recipe: Recipe, device: DeviceType, before: Precision | None) -> None:
    """Say so if a run goes on in another precision than before.

    Raises:
        RunError: As for :func:`precision`.
    """
    if before is not None and precision(recipe, device, before) != before and rank() == 0:
        echo("note: it was trained in float16 so far, which needs a GPU: it goes on in bfloat16", err=True)


def judged_precision(recipe: Recipe, device: DeviceType, noted: Precision | None) -> Precision:
    """Return the precision in which a run's networks are evaluated: that of their training, on whatever device.

    All devices can show samples in 16-bit floats, though only GPUs are fast in float16.

    Args:
        noted: What the run has noted; None: nothing, and ``mixed`` is what it would be in a training there.
    """
    if recipe.precision == "mixed":
        return noted or precision(recipe, device)
    return "32-true" if recipe.precision == "32" else recipe.precision
