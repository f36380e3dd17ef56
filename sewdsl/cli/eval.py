"""``sewdsl eval``: the accuracy of a run, of an exported folder or of a shipped network with trained weights."""

from __future__ import annotations

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
    run: Run, data: Data = None, readers: Readers = None, in_memory: InMemory = None, device: RunsOn = Device.AUTO
) -> None:
    """Evaluate a run on its test set and compare with the reported accuracy.

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
        folder.read_result()  # says at once if this is no run
        from sewdsl.train.fit.train_run import evaluate_run

        reported, found, samples = evaluate_run(folder, data, device.value, reading)
        network = read(folder.spec).result()
    print_accuracies(found, network, samples)
    if (found.accuracy, found.best_accuracy) != (reported.accuracy, reported.best_accuracy):
        was = f"{reported.accuracy:.2%} and {reported.best_accuracy:.2%}"
        _fail_differing(was, reported)


def _evaluate_weights(folder: RunFolder, data: Path | None, device: Device, reading: Reading) -> None:
    """Evaluate an exported folder, or a shipped network with its trained weights."""
    from sewdsl.train.fit.from_python import evaluate
    from sewdsl.train.fit.load_run import exported_epoch

    found = evaluate(folder.path, data, device=device.value, reading=reading)
    echo(f"accuracy {found.accuracy:.2%}, on all {found.samples:,} test samples of {found.data}")
    if found.top5_accuracy is not None:
        echo(f"top-5 accuracy {found.top5_accuracy:.2%}")
    network = read(folder.path if folder.spec.is_file() else str(folder.path)).result()
    for line in accuracy_claims(network, found.accuracy, found.accuracy, found.samples):
        echo(line)
    if not folder.result.exists():
        return
    result = folder.read_result()
    reported = result.best_accuracy if exported_epoch(folder) == "best" else result.accuracy
    if reported != found.accuracy:
        _fail_differing(f"{reported:.2%}", result)


def _fail_differing(reported: str, result: Result) -> NoReturn:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    fail(f"the accuracy differs from the result of the run: {reported}, measured with {versions}")
