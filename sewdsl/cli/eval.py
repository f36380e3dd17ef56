"""``sewdsl eval``: accuracy of a run, an exported folder or a shipped network with trained weights."""

from __future__ import annotations

from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sewdsl.cli.files import fail
from sewdsl.cli.options import Data, Device, InMemory, Readers, Run, RunsOn, reading_options
from sewdsl.cli.run_setup import run_errors, set_up_process
from sewdsl.cli.train import print_accuracies
from sewdsl.compiler import read, trained_networks
from sewdsl.paths import is_there
from sewdsl.terminal import echo
from sewdsl.train.store.result import Result, accuracy_claims

if TYPE_CHECKING:
    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.store.run_folder import RunFolder


def command(
    run: Run, data: Data = None, readers: Readers = None, in_memory: InMemory = None, device: RunsOn = "auto"
) -> None:
    """Evaluate a run on its test set and compare with the recorded accuracy.

    RUN may also be an exported folder, or a shipped network with trained weights, e.g. mnist5k.
    """
    reading = reading_options(readers, in_memory)
    set_up_process()
    with run_errors():
        from sewdsl.train.store.run_folder import RunFolder
        from sewdsl.train.store.run_lookup import is_exported

        folder = RunFolder(run)
        if is_exported(run) or (not is_there(run) and str(run) in trained_networks()):
            _evaluate_weights(folder, data, device, reading)
            return
        folder.read_result()  # Fail before the import of Lightning, which takes seconds.
        from sewdsl.train.fit.train_run import evaluate_run

        reported, measured, samples = evaluate_run(folder, data, device, reading)
        network = read(folder.spec).result()
    print_accuracies(measured, network, samples)
    if (measured.accuracy, measured.best_accuracy) != (reported.accuracy, reported.best_accuracy):
        accuracies = f"{reported.accuracy:.2%} and {reported.best_accuracy:.2%}"
        _fail_differing("accuracy", accuracies, reported)
    losses = (measured.loss, reported.loss), (measured.best_loss, reported.best_loss)
    known = [(new, old) for new, old in losses if new is not None and old is not None]
    # Rounding differs between machines.
    if not all(isclose(new, old, rel_tol=1e-3) for new, old in known):
        _fail_differing("loss", f"{reported.loss:.4f} and {reported.best_loss:.4f}", reported)


def _evaluate_weights(folder: RunFolder, data: Path | None, device: Device, reading: Reading) -> None:
    """Evaluate an exported folder, or a shipped network with its trained weights."""
    from sewdsl.train.fit.from_python import evaluate
    from sewdsl.train.fit.load_run import exported_epoch

    measured = evaluate(folder.path, data, device=device, reading=reading)
    score = f"accuracy {measured.accuracy:.2%}" if measured.loss is None else f"loss {measured.loss:.4f}"
    echo(f"{score}, on all {measured.samples:,} test samples of {measured.data}")
    if measured.top5_accuracy is not None:
        echo(f"top-5 accuracy {measured.top5_accuracy:.2%}")
    # A shipped network is found by its name, which must not be a path.
    network = read(folder.path if folder.spec.is_file() else str(folder.path)).result()
    for line in accuracy_claims(network, measured.accuracy, measured.accuracy, measured.samples):
        echo(line)
    # Shipped networks, and exports of a weights file, have no result to compare with.
    if not folder.result.exists():
        return
    result = folder.read_result()
    reported = result.best_accuracy if exported_epoch(folder) == "best" else result.accuracy
    if reported != measured.accuracy:
        _fail_differing("accuracy", f"{reported:.2%}", result)


def _fail_differing(quantity: str, reported: str, result: Result) -> NoReturn:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    fail(f"the {quantity} differs from the result of the run: {reported}, measured with {versions}")
