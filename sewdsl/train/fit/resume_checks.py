"""Whether a run can go on, from where, and with what changed."""

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
"""What may be another number when a run goes on: all else would make it another run."""


REQUIRED_STATE_KEYS = {"epoch", "loops", "optimizer_states", "lr_schedulers", "run"}
"""Parts of a state that a run is resumed from, in addition to the weights."""

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
    """What :meth:`sewdsl.train.fit.classifier.Classifier.on_save_checkpoint` adds to a checkpoint."""

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
    """Return what a run trains from here on, which must be what a run with the changes from the start would do.

    Args:
        checkpoint: Where it left off; see :func:`last_checkpoint`.
        data_folder: Where the data lies; see :func:`sewdsl.train.store.run_notes.plan_resumed_run`.

    Raises:
        RunAlreadyEnded: If nothing is left to do.
        RunError: If the folder is not that of a run, its code was not imported, or a change came too late.
        SewdslError: If its spec has errors.
        DataError: If the data is not there.
    """
    for key in changes:
        if key != CHANGEABLE_SETTING:
            message = f"with another '{key}' it is another run: only {CHANGEABLE_SETTING} can change when a run goes on"
            raise RunError(message)
    require_plugins(folder, same=True)
    compilation = read(folder.spec, set=dict(changes))
    now = compilation.result()
    began = read(Source("spec.net", checkpoint["run"]["spec"])).network if checkpoint else None
    began = began or read(folder.spec).result()
    _compare(began, now, folder)
    if began.recipe and now.recipe:
        _compare_rates(began.recipe, now.recipe, checkpoint)
        if folder.result.is_file() and folder.read_result().epochs >= now.recipe.epochs:
            done = f"{now.recipe.epochs} of {now.recipe.epochs} epochs"
            message = f"the run in '{folder.path}' has ended: {done}; --set {CHANGEABLE_SETTING}=N adds some"
            raise RunAlreadyEnded(message)
    return compilation, plan_resumed_run(compilation, folder, data_folder)


def _compare(began: Network, now: Network, folder: RunFolder) -> None:
    """Reject a spec that somebody has edited."""
    changed = ["network"] if _bare(began) != _bare(now) else []
    old, new = dict(began.recipe or ()), dict(now.recipe or ())
    changed += [name for name in new if name != "epochs" and new[name] != old.get(name)]
    if changed:
        raise RunError(
            f"'{folder.spec}' is not what the run began with: with another {' and '.join(changed)} it is another run"
        )


def _bare(network: Network) -> Network:
    """Return what is computed, and nothing else."""
    return replace(network, name="", recipe=None, expectations=())


def _compare_rates(old: Recipe, new: Recipe, checkpoint: Mapping[str, Any]) -> None:
    begun = checkpoint["epoch"] + 1 if checkpoint else 0
    if new.epochs < begun:
        raise RunError(f"{begun} epochs are done or begun already: {CHANGEABLE_SETTING} cannot be {new.epochs}")
    by_step = old.schedule is not None and old.schedule.each == "step"
    if (by_step and begun and old.epochs != new.epochs) or any(
        old.factor(epoch) != new.factor(epoch) for epoch in range(begun)
    ):
        raise RunError(
            f"the schedule {new.schedule} depends on the number of epochs: with {new.epochs}, the learning rate would "
            f"have been another from the start; train anew, with its length said, such as 'schedule "
            f"Cosine(T_max={old.epochs - old.warmup})', and the number of epochs can change"
        )


def fewest_epochs(folder: RunFolder) -> int | None:
    """Return with how many epochs a run can end soonest; None where that is not fewer than planned."""
    try:
        state = _check(checkpoints.read_state(folder.state), folder.state)
        begun = state["epoch"] + 1
        check_resumable(folder, state, None, {CHANGEABLE_SETTING: str(begun)})
        recipe = read(folder.spec).result().recipe
    except (RunError, DataError, SewdslError):
        return None
    return begun if recipe is not None and begun < recipe.epochs else None


def _check(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check that a run can be resumed from a state, and return the state.

    Raises:
        RunError: If a part is missing or out of bounds.
    """
    run = state.get("run")
    writer = name_writer(run.get("version")) if isinstance(run, dict) else ""
    if missing := REQUIRED_STATE_KEYS - state.keys():
        names = " and no ".join(sorted(missing))
        raise RunError(f"the checkpoint '{path}' has no {names}: a run cannot be resumed from it{writer}")
    try:
        _Standing.model_validate(state)
    except ValidationError as error:
        message = f"the checkpoint '{path}' is damaged, or of another version: {complaint(error.errors()[0])}{writer}"
        raise RunError(message) from None
    return state


def last_checkpoint(folder: RunFolder) -> dict[str, Any]:
    """Return the last state with its weights, or if one is damaged the previous state; empty before the first save.

    Files of the last save that are damaged, or that a killed process has not written, are replaced by those returned.

    Raises:
        RunError: If both saves are damaged.
    """
    if not folder.state.exists() and not folder.previous_state.exists():
        return {}
    try:
        checkpoint = _check(checkpoints.read_checkpoint(folder, folder.state), folder.state)
    except RunError as error:
        if not folder.previous_state.exists():
            raise
        checkpoint = _check(checkpoints.read_checkpoint(folder, folder.previous_state), folder.previous_state)
        if rank() == 0:
            echo(f"warning: {error}; going on from '{folder.previous_state}', one save before", err=True)
            for path in (folder.state, folder.last):
                if path.exists():
                    path.replace(path.with_name(f"{path.name}.replaced"))
            write_run_file(folder.state, folder.previous_state.read_bytes())
    if rank() == 0:
        checkpoints.restore_last_weights(folder, checkpoint)
    return checkpoint
