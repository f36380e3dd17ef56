"""Accuracy of a trained network from Python, as ``sewdsl eval`` computes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sewdsl.compiler import compile as compile_network
from sewdsl.compiler import read, trained_networks
from sewdsl.lower import SpikingNetwork
from sewdsl.paths import is_folder
from sewdsl.train.data.dataset import DataSet, Reading
from sewdsl.train.fit.arithmetic import tf32_allowed
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.lightning_loop import Judging, evaluate_samples, quiet_lightning
from sewdsl.train.fit.load_run import load_model, load_spec
from sewdsl.train.fit.processes import device_type
from sewdsl.train.store.result import Precision
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.store.run_notes import Accelerator, plan_resumed_run
from sewdsl.train.training_plan import dataset_of, plan_training


class Evaluation(NamedTuple):
    """Results on all test samples.

    Attributes:
        data: Name of the dataset.
        samples: Number of its test samples.
        accuracy: Fraction of correct samples.
        top5_accuracy: Fraction of samples whose class is among the five largest logits; None below 20 classes.
        firing_rates: Spikes per neuron, sample and time-step, by layer.
        confusion: Row i, column j: samples of class i that are classified as j.
    """

    data: str
    samples: int
    accuracy: float
    top5_accuracy: float | None
    firing_rates: dict[str, float]
    confusion: list[list[int]]


def evaluate(
    trained: str | Path | SpikingNetwork,
    data: str | Path | None = None,
    *,
    best: bool = False,
    device: Accelerator = "auto",
    reading: Reading = Reading(),
) -> Evaluation:
    """Evaluate a trained network on the test samples of the dataset in its recipe.

    Args:
        trained: A run folder or an exported one, the name of a shipped network with trained weights, or a module of
            :func:`sewdsl.compile` whose network has a recipe. A module keeps its mode.
        data: Folder of the dataset. None: environment variable ``SEWDSL_DATA``, or for a run its folder of then.
        best: Whether to load the weights of a run's best epoch in place of its last.
        device: ``auto`` takes a GPU if there is one.
        reading: Number of threads that prefetch samples, and memory for samples.

    Raises:
        RunError: If the folder has no finished run or a damaged file, or the device is missing.
        DataError: If the dataset is missing or damaged.
        SewdslError: If the network has errors.
        ValueError: If a module's network has no recipe.
    """
    folder = None if data is None else Path(data)
    if isinstance(trained, SpikingNetwork):
        mode = trained.training
        try:
            return _evaluate(trained, dataset_of(trained.network, folder), device, None, reading)
        finally:
            trained.train(mode)
    name = str(trained)
    if name in trained_networks() and not is_folder(Path(name)):
        _, recipe, dataset = plan_training(read(name), folder)
        model = compile_network(name, weights="trained", optimize=recipe.optimize)
        return _evaluate(model, dataset, device, None, reading)
    run = RunFolder(Path(trained))
    model = load_model(run, best=best)
    precision = run.read_result().precision if run.result.exists() else None
    return _evaluate(model, plan_resumed_run(load_spec(run), run, folder).data, device, precision, reading)


def _evaluate(
    model: SpikingNetwork,
    data: DataSet,
    device: Accelerator,
    precision: Precision | None = None,
    reading: Reading = Reading(),
) -> Evaluation:
    device_type(device)  # an error at once where it is missing
    recipe = model.network.recipe
    assert recipe is not None  # noqa: S101 -- the dataset comes from it
    data.read_by(reading)
    samples = data.load().test
    with quiet_lightning(), tf32_allowed(recipe.tf32):
        score = evaluate_samples(Classifier(model, recipe), samples, Judging(device, precision, reading.readers))
    return Evaluation(
        data.name, len(samples.y), score.accuracy, score.top5_accuracy, score.firing_rates, score.confusion
    )
