"""Execution of a run: training into a run folder, resuming, and evaluation from the folder."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import seed_everything

from sewdsl import draw
from sewdsl.allocator import return_memory
from sewdsl.compiler import Compilation, compile
from sewdsl.ir.kind import Kind, stated_fields
from sewdsl.probe import MeasuredActivations, measure_operations
from sewdsl.snn.batch_norm import synchronise_statistics
from sewdsl.tensor_file import tensor_digest
from sewdsl.terminal import echo
from sewdsl.train import report
from sewdsl.train.data.dataset import DataError, Images, Reading, Samples, SampleSet, Splits
from sewdsl.train.data.split import split_off_validation
from sewdsl.train.fit import resume_checks, run_weights
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.execution import autocast, compile_network, tf32_allowed
from sewdsl.train.fit.integer_run import integer_score
from sewdsl.train.fit.lightning_loop import (
    EvaluationOptions,
    FitResult,
    RunOptions,
    check_devices,
    evaluate_samples,
    fit_epochs,
    quiet_lightning,
)
from sewdsl.train.fit.load_run import load_spec, random_batches
from sewdsl.train.fit.processes import (
    Processes,
    device_type,
    evaluation_precision,
    note_precision_change,
    rank,
    record_processes,
    restore_processes,
)
from sewdsl.train.fit.run_weights import InitialWeights, load_weights, read_weights
from sewdsl.train.fit.teacher import Teacher
from sewdsl.train.report import pictures
from sewdsl.train.store import measurements
from sewdsl.train.store.measurements import COUNTED_SAMPLES, EnergyRecord, LayerRecord
from sewdsl.train.store.result import Result, WeightsOrigin, describe_machine, package_versions
from sewdsl.train.store.run_folder import (
    RunError,
    RunFolder,
    RunInterrupted,
    hide_machine,
    run_lock,
    write_record,
    write_run_file,
)
from sewdsl.train.store.run_lookup import missing_run_message
from sewdsl.train.store.run_notes import Accelerator, plan_resumed_run, record_plugins, write_data_path
from sewdsl.train.training_plan import TrainingPlan


def start_run(
    compilation: Compilation,
    planned: TrainingPlan,
    folder: RunFolder,
    options: RunOptions = RunOptions(),
    start: InitialWeights | None = None,
) -> Result:
    """Train the network of a spec with its recipe.

    With several processes, only the first one writes to the folder and returns. The others exit.

    Args:
        planned: Plan of the spec, see :func:`sewdsl.train.training_plan.plan_training`.
        folder: Empty run folder.
        start: Initial weights, or None for random weights from the seed of the recipe.

    Raises:
        RunInterrupted: If a signal stopped the run. The folder has a checkpoint to resume from.
        RunError: If the run cannot continue.
        DataError: If the data is missing or damaged.
    """
    with _locked(folder):
        return _run(compilation, planned, folder, options, start)


def resume_run(
    folder: RunFolder,
    data_folder: Path | None = None,
    changes: Mapping[str, str] | None = None,
    options: RunOptions = RunOptions(),
) -> Result:
    """Resume an unfinished run, or extend a finished run by further epochs.

    Args:
        data_folder: Dataset folder (see :func:`sewdsl.train.store.run_notes.plan_resumed_run`).
        changes: Changed settings, by key (see :func:`sewdsl.train.fit.resume_checks.check_resumable`).

    Raises:
        RunError: If the folder cannot be used, or a run with the changes would have been different from the start.
        RunInterrupted, DataError: As in :func:`start_run`.
        SewdslError: If the spec has errors.
    """
    if not folder.spec.is_file():
        raise RunError(missing_run_message(folder.path))  # Before a lock file is written to the folder.
    with _locked(folder):
        checkpoint = resume_checks.last_checkpoint(folder)
        compilation, planned = resume_checks.check_resumable(folder, checkpoint, data_folder, changes or {})
        if checkpoint:
            # The number of threads determines the order of sums, and thereby their rounding.
            torch.set_num_threads(checkpoint["run"]["threads"])
        before = checkpoint["run"]["precision"] if checkpoint else None
        options = options._replace(processes=restore_processes(folder, options.processes), before=before)
        note_precision_change(planned.recipe, device_type(options.processes.accelerator), before)
        start = None if checkpoint else run_weights.read_initial_weights(folder)
        return _run(compilation, planned, folder, options, start)


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    """Lock the folder, and convert Ctrl-C outside the training loop to :class:`RunInterrupted`."""
    try:
        with run_lock(folder) if rank() == 0 else nullcontext():
            yield
    except KeyboardInterrupt:
        raise RunInterrupted(signal.SIGINT) from None


def _run(
    compilation: Compilation,
    planned: TrainingPlan,
    folder: RunFolder,
    options: RunOptions,
    start: InitialWeights | None,
) -> Result:
    """Train from the last checkpoint of the folder, if any. Existing files are kept until all checks pass."""
    network, recipe, data = planned
    # Memory that glibc keeps would count against the memory budget of the recipe.
    if recipe.memory:
        return_memory()
    data.read_by(options.reading)
    splits = data.load()
    parts = split_off_validation(splits, recipe.validation, recipe.seed, data.validation)
    if isinstance(parts.train, Images) and parts.train.normalisation != data.normalisation():
        raise DataError(
            f"the images of dataset {data.name} are scaled to {parts.train.normalisation}, but its normalisation() "
            f"returns {data.normalisation()}; return the Normalisation of its Images, which exports read"
        )
    ignored = data.setup.augmentation.of_dataset
    if ignored and isinstance(parts.train, Samples) and rank() == 0:
        names = " and ".join(ignored)
        echo(
            f"warning: dataset {data.name} ignores {names}: it loads Samples, which are not augmented, not Images",
            err=True,
        )
    with quiet_lightning(), tf32_allowed(recipe.tf32):
        check_devices(recipe, options.processes, options.before)
        seed_everything(recipe.seed, verbose=False)
        module = _module(compilation, planned, start)
        if folder.state.exists():
            load_weights(module.model, read_weights(folder.last), folder.last)  # Fail early if they do not fit.
        if rank() == 0:
            if start is not None:
                run_weights.write_initial_weights(folder, start)  # Before spec.net, which marks a run folder.
            _describe(compilation, planned, folder, options.processes)
            folder.result.unlink(missing_ok=True)
            report.write_card(folder)  # Until the end of the run, the card describes an unfinished run.
        if recipe.compile:
            module.compiled = compile_network(module.model, gpu=device_type(options.processes.accelerator) == "cuda")
        fitted = fit_epochs(module, parts, folder, options)
        # Only the first process evaluates and writes the results.
        if rank():
            raise SystemExit(0)
        if recipe.weight_bits(fitted.epochs - 1) != recipe.grid_bits:
            begin = recipe.epochs - (recipe.quantize_epochs or 0)
            echo(
                f"note: the run ended after epoch {fitted.epochs}, and 'quantize' rounds weights after epoch {begin}: "
                "the saved weights are floats",
                err=True,
            )
        how = EvaluationOptions(options.processes.accelerator, fitted.precision, options.reading.readers)
        scores, confusion = _evaluate_both(module, folder, splits, how)
    measurements.write_confusion(folder.confusion, confusion, data.names)
    # If the run was killed while writing, the last row may be missing.
    measurements.write_metrics(module.history, folder.metrics)
    pictures.draw_png(module.history, network.name, folder.curves)
    result = _result(planned, fitted, module, scores)
    # Operations are counted on the CPU: the count is the same on every machine.
    _count_operations(
        folder, module, planned, splits.test, EvaluationOptions("cpu", fitted.precision, options.reading.readers)
    )
    write_record(folder.result, result)
    report.write(folder)
    hide_machine(folder)
    return result


def _module(compilation: Compilation, planned: TrainingPlan, start: InitialWeights | None) -> Classifier:
    recipe = planned.recipe
    teacher = None if recipe.teacher is None else Teacher.of(recipe.teacher)
    module = Classifier(compile(planned.network, optimize=recipe.optimize), recipe, teacher)
    module.spec = compilation.standalone_text()
    if start is not None:
        run_weights.load_into(module.model, start)
        module.start = start.origin.model_dump()
    if recipe.sync_bn:
        synchronise_statistics(module.model)
    return module


def _count_operations(
    folder: RunFolder, module: Classifier, planned: TrainingPlan, samples: SampleSet, how: EvaluationOptions
) -> None:
    """Count the operations of the last weights on a few test samples, as ``sewdsl probe energy`` does."""
    folder.energy.unlink(missing_ok=True)
    activations = MeasuredActivations()
    few = random_batches(samples, COUNTED_SAMPLES, 1, 0)
    few.readers = how.readers
    recipe = planned.recipe
    # A separate network: torch.compile may have replaced the forward pass of the other one.
    model = compile(planned.network, optimize=recipe.optimize)
    model.load_state_dict(module.model.state_dict())
    model.eval()
    with tf32_allowed(recipe.tf32), autocast(evaluation_precision(recipe, "cpu", how.trained_in), "cpu"):
        measured = measure_operations(model, few, activations)
    if not measured:
        return
    record = EnergyRecord(
        data=planned.data.name,
        samples=measured[0].samples,
        of=len(samples.y),
        sparsity=activations.sparsity,
        layers={
            each.most.node.name: LayerRecord.model_validate(each.counts, from_attributes=True) for each in measured
        },
    )
    write_record(folder.energy, record)


def _result(planned: TrainingPlan, fitted: FitResult, module: Classifier, scores: dict[str, Any]) -> Result:
    return Result(
        network=planned.network.name,
        data=planned.data.name,
        epochs=fitted.epochs,
        parameters=planned.network.total_parameters,
        seconds=round(module.seconds, 1),
        seed=planned.recipe.seed,
        start=None if module.start is None else WeightsOrigin(**module.start),
        device=fitted.device,
        machine=describe_machine(fitted.device),
        processes=fitted.processes,
        precision=fitted.precision,
        threads=torch.get_num_threads(),
        versions=package_versions(),
        **scores,
    )


class RunEvaluation(NamedTuple):
    """Repeated evaluation of a run: the reported result, and the one with newly measured values."""

    reported: Result
    measured: Result
    samples: int


def evaluate_run(
    folder: RunFolder, data_folder: Path | None = None, accelerator: Accelerator = "auto", reading: Reading = Reading()
) -> RunEvaluation:
    """Evaluate the networks of a run again, from the run folder and the data.

    Args:
        data_folder: Dataset folder (see :func:`sewdsl.train.store.run_notes.plan_resumed_run`).

    Raises:
        RunError: If a file in the folder is missing or damaged, or the device is missing.
        DataError: If the data is missing or damaged.
        SewdslError: If the spec has errors.
    """
    reported = folder.read_result()
    device_type(accelerator)  # Fail early if the device is missing.
    network, recipe, data = plan_resumed_run(load_spec(folder), folder, data_folder)
    torch.set_num_threads(reported.threads)  # It determines the order of sums, and thereby their rounding.
    data.read_by(reading)
    splits = data.load()
    with quiet_lightning(), tf32_allowed(recipe.tf32):
        module = Classifier(compile(network, optimize=recipe.optimize), recipe)
        how = EvaluationOptions(accelerator, reported.precision, reading.readers)
        scores, _ = _evaluate_both(module, folder, splits, how)
    return RunEvaluation(reported, reported.model_copy(update=scores), len(splits.test.y))


def _describe(compilation: Compilation, planned: TrainingPlan, folder: RunFolder, processes: Processes) -> None:
    """Write the description of a run: network, recipe, diagram, plugins and location of the data."""
    record_processes(folder, processes)
    record_plugins(folder)
    write_run_file(folder.spec, compilation.standalone_text())
    recipe = {
        name: [*map(str, value)] if name in {"augment", "losses"} else str(value) if isinstance(value, Kind) else value
        for name, value in stated_fields(planned.recipe)
    }
    write_run_file(folder.recipe, json.dumps(recipe, indent=2) + "\n")
    write_data_path(folder, planned)
    try:
        write_run_file(folder.diagram, draw.render_picture(planned.network))
    except draw.RenderingError as error:
        warnings.warn(f"cannot draw {folder.diagram.name}: {error}", stacklevel=2)


def _evaluate_both(
    module: Classifier, folder: RunFolder, splits: Splits, how: EvaluationOptions
) -> tuple[dict[str, Any], list[list[int]]]:
    """Return the fields of a result for the best and last weights, and the confusion matrix of the last."""
    samples, best_weights, last_weights = splits.test, read_weights(folder.best), read_weights(folder.last)
    load_weights(module.model, best_weights, folder.best)
    best = evaluate_samples(module, samples, how)
    load_weights(module.model, last_weights, folder.last)
    # If the last epoch was the best, evaluate its weights once.
    is_same = tensor_digest(best_weights) == tensor_digest(last_weights)
    last = best if is_same else evaluate_samples(module, samples, how)
    bits = module.recipe.grid_bits
    fields = {
        "accuracy": last.accuracy,
        "best_accuracy": best.accuracy,
        "top5_accuracy": last.top5_accuracy,
        "best_top5_accuracy": best.top5_accuracy,
        "accuracies": last.accuracies,
        "loss": last.loss,
        "best_loss": best.loss,
        "integers": None if bits is None or not module.classifies else integer_score(module.model, splits, bits),
        "firing_rates": last.firing_rates,
        "neurons": last.neurons,
    }
    return fields, last.confusion
