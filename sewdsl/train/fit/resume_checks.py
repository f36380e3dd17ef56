"""Checks before a run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from sewdsl.compiler import Compilation, read
from sewdsl.diagnostics import SewdslError
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import Recipe
from sewdsl.source import Source
from sewdsl.terminal import echo
from sewdsl.train.data.dataset import DataError
from sewdsl.train.fit import checkpoints
from sewdsl.train.fit.processes import rank
from sewdsl.train.records import Count, Positive, Seconds, Text, Threads, complaint
from sewdsl.train.store.result import Precision, WeightsOrigin, name_writer
from sewdsl.train.store.run_folder import RunAlreadyEnded, RunError, RunFolder, write_run_file
from sewdsl.train.store.run_notes import plan_resumed_run, require_plugins
from sewdsl.train.training_plan import TrainingPlan

CHANGEABLE_SETTING = "train.epochs"
"""The only setting that can change when a run is resumed. Any other change would make it another run."""


REQUIRED_STATE_KEYS = {"epoch", "loops", "optimizer_states", "lr_schedulers", "run"}
"""Required parts of a state, in addition to the weights."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Tally(BaseModel):
    right: Count
    seen: Count
    total_loss: Finite
    among_five: Count


class _Process(BaseModel):
    tally: _Tally
    random: dict[str, Any]


class _Run(BaseModel):
    """State that :meth:`sewdsl.train.fit.classifier.Classifier.on_save_checkpoint` adds to a checkpoint."""

    version: Text = ""
    processes: Annotated[list[_Process], Field(min_length=1)]
    history: dict[Positive, dict[str, float]]
    seconds: Seconds
    precision: Precision
    threads: Threads
    spec: Text
    start: WeightsOrigin | None


class _Standing(BaseModel):
    epoch: Count
    run: _Run


def check_resumable(
    folder: RunFolder, checkpoint: Mapping[str, Any], data_folder: Path | None, changes: Mapping[str, str]
) -> tuple[Compilation, TrainingPlan]:
    """Return the compilation and the plan of a resumed run, after checking that it is equal to an uninterrupted run.

    Args:
        checkpoint: Last checkpoint (see :func:`last_checkpoint`).
        data_folder: Dataset folder (see :func:`sewdsl.train.store.run_notes.plan_resumed_run`).
        changes: Changed settings, by key.

    Raises:
        RunAlreadyEnded: If the run is finished.
        RunError: If the folder is not a run folder, its plugin files were not imported, or a change is too late.
        SewdslError: If the spec has errors.
        DataError: If the data is missing.
    """
    for key in changes:
        if key != CHANGEABLE_SETTING:
            message = (
                f"cannot change '{key}' of an existing run; only {CHANGEABLE_SETTING} can be changed with --resume"
            )
            raise RunError(message)
    # Changed plugin code could change the results.
    require_plugins(folder, same=True)
    compilation = read(folder.spec, set=dict(changes))
    current = compilation.result()
    # The checkpoint has the original source: the file may have been edited.
    original = read(Source("spec.net", checkpoint["run"]["spec"])).network if checkpoint else None
    original = original or read(folder.spec).result()
    _compare(original, current, folder)
    if original.recipe and current.recipe:
        _compare_rates(original.recipe, current.recipe, checkpoint)
        if folder.result.is_file() and folder.read_result().epochs >= current.recipe.epochs:
            epochs = f"{current.recipe.epochs} of {current.recipe.epochs} epochs"
            message = (
                f"the run in '{folder.path}' is finished ({epochs}); to add epochs, use --set {CHANGEABLE_SETTING}=N"
            )
            raise RunAlreadyEnded(message)
    return compilation, plan_resumed_run(compilation, folder, data_folder)


def _compare(original: Network, current: Network, folder: RunFolder) -> None:
    """Reject a spec that was edited after the run started."""
    changed = ["network"] if _bare(original) != _bare(current) else []
    old, new = dict(original.recipe or ()), dict(current.recipe or ())
    changed += [name for name in new if name != "epochs" and new[name] != old.get(name)]
    if changed:
        raise RunError(f"'{folder.spec}' was edited after the run started: {' and '.join(changed)} differs")


def _bare(network: Network) -> Network:
    """Return the network without its name, recipe and expectations, which do not affect the computation."""
    return replace(network, name="", recipe=None, expectations=())


def _compare_rates(old: Recipe, new: Recipe, checkpoint: Mapping[str, Any]) -> None:
    """Check that the number of epochs is possible, and that it does not change learning rates of the past."""
    started = checkpoint["epoch"] + 1 if checkpoint else 0
    by_step = old.schedule is not None and old.schedule.each == "step"
    reason = ""
    if new.epochs < started:
        reason = f"{started} epochs have started"
    elif _widths(old, started) != _widths(new, started):
        reason = "the delay widths of past epochs depend on it; start a new run"
    elif any(old.weight_bits(epoch) != new.weight_bits(epoch) for epoch in range(started)):
        reason = "the rounding of weights in past epochs depends on it; start a new run"
    # A schedule by step depends on the total number of optimizer steps.
    elif (by_step and started and old.epochs != new.epochs) or any(
        old.factor(epoch) != new.factor(epoch) for epoch in range(started)
    ):
        fixed = f"schedule Cosine(T_max={old.epochs - old.warmup})"
        reason = (
            f"the learning rates of past epochs depend on it in the schedule {new.schedule}; start a new run with a "
            f"fixed length, e.g. '{fixed}', to change the number of epochs later"
        )
    if reason:
        raise RunError(f"cannot set {CHANGEABLE_SETTING} to {new.epochs}: {reason}")


def _widths(recipe: Recipe, epochs: int) -> list[float]:
    """Return the widths of learned delays in the first epochs, relative to the width of a new layer."""
    widths = recipe.delay_width
    return [] if widths is None else [widths.width(1.0, epoch, recipe.epochs) for epoch in range(epochs)]


def fewest_epochs(folder: RunFolder) -> int | None:
    """Return the smallest number of epochs that a run can be finished with, or None if it is not below the plan."""
    try:
        state = _check(checkpoints.read_state(folder.state), folder.state)
        started = state["epoch"] + 1
        check_resumable(folder, state, None, {CHANGEABLE_SETTING: str(started)})
        recipe = read(folder.spec).result().recipe
    except (RunError, DataError, SewdslError):
        return None
    return started if recipe is not None and started < recipe.epochs else None


def _check(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the state of a run that can be resumed, or raise RunError if a part is missing or out of bounds."""
    run = state.get("run")
    writer = name_writer(run.get("version")) if isinstance(run, dict) else ""
    if missing := REQUIRED_STATE_KEYS - state.keys():
        names = " and ".join(sorted(missing))
        raise RunError(f"cannot resume from the checkpoint '{path}': {names} missing{writer}")
    try:
        _Standing.model_validate(state)
    except ValidationError as error:
        message = f"the checkpoint '{path}' is damaged or from another version: {complaint(error.errors()[0])}{writer}"
        raise RunError(message) from None
    return state


def last_checkpoint(folder: RunFolder) -> dict[str, Any]:
    """Return the last state with its weights, or the previous one if the last is damaged (empty without a checkpoint).

    Damaged or missing files of the last checkpoint are replaced by the previous ones.

    Raises:
        RunError: If both checkpoints are damaged.
    """
    if not folder.state.exists() and not folder.previous_state.exists():
        if rank() == 0 and folder.result.exists():
            echo(f"warning: '{folder.state}' is missing; the run starts again from epoch 1", err=True)
        return {}
    try:
        checkpoint = _check(checkpoints.read_checkpoint(folder, folder.state), folder.state)
    except RunError as error:
        if not folder.previous_state.exists():
            raise
        checkpoint = _check(checkpoints.read_checkpoint(folder, folder.previous_state), folder.previous_state)
        if rank() == 0:
            echo(f"warning: {error}; resuming from the previous checkpoint '{folder.previous_state}'", err=True)
            # Keep the damaged files for inspection.
            for path in (folder.state, folder.last):
                if path.exists():
                    path.replace(path.with_name(f"{path.name}.replaced"))
            write_run_file(folder.state, folder.previous_state.read_bytes())
    if rank() == 0:
        checkpoints.restore_last_weights(folder, checkpoint)
    return checkpoint
