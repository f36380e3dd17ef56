"""A whole run: from a spec to a folder with everything about the trained network, and back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, seed_everything

from sewdsl import draw
from sewdsl.compiler import Compilation, compile, read  # noqa: A004 -- what it does
from sewdsl.ir.kind import Kind
from sewdsl.train import curves, metrics, weights
from sewdsl.train.classifier import Classifier
from sewdsl.train.data.dataset import SampleSet
from sewdsl.train.folder import RunError, RunFolder
from sewdsl.train.loop import fit, judge
from sewdsl.train.plan import Plan, plan
from sewdsl.train.quiet import quiet
from sewdsl.train.result import Result, versions
from sewdsl.train.standalone import standalone


def train(compilation: Compilation, planned: Plan, folder: RunFolder, shown: Sequence[Callback] = ()) -> Result:
    """Trains the network of a spec as its recipe says.

    Args:
        compilation: The spec.
        planned: What :func:`sewdsl.train.plan.plan` found in it.
        folder: An empty folder for all that comes out.
        shown: Callbacks that show how it goes.

    Raises:
        RunError: it was interrupted before the end of its first epoch.
        DataError: the data is missing or damaged.
    """
    network, recipe, data = planned
    _describe(compilation, planned, folder)
    splits = data.load()
    with quiet():
        seed_everything(recipe.seed, verbose=False)
        module = Classifier(compile(network), recipe)
        fitted = fit(module, splits, folder, shown)
        if not folder.last.exists():
            message = f"interrupted before the end of the first epoch: '{folder.path}' holds no weights"
            raise RunError(message)
        scores, confusion = _judge_both(module, folder, splits.test)
    folder.confusion.write_text(json.dumps(confusion) + "\n", encoding="utf-8")
    curves.draw(metrics.epochs(folder.metrics), network.name, folder.curves)
    result = Result(
        network=network.name,
        data=data.name,
        epochs=fitted.epochs,
        interrupted=fitted.interrupted,
        parameters=network.total_parameters,
        seconds=round(fitted.seconds, 1),
        seed=recipe.seed,
        device="cuda" if torch.cuda.is_available() else "cpu",
        threads=torch.get_num_threads(),
        versions=versions(),
        **scores,
    )
    folder.result.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return result


def evaluate(folder: RunFolder, data_folder: Path | None = None) -> tuple[Result, Result]:
    """Judges the networks of a run again, from its folder and the data alone.

    Args:
        folder: Of the run.
        data_folder: Where the data lies; see :func:`sewdsl.train.plan.plan`.

    Returns:
        What the run reported, and the same with the accuracies and firing rates found now.

    Raises:
        RunError: something in the folder is missing or damaged.
        DataError: the data is missing or damaged.
        SewdslError: its spec has errors.
    """
    reported = folder.read_result()
    if not folder.spec.is_file():
        message = f"'{folder.spec}' is missing"
        raise RunError(message)
    network, recipe, data = plan(read(folder.spec), data_folder)
    torch.set_num_threads(reported.threads)  # another number rounds sums in another order
    with quiet():
        scores, _ = _judge_both(Classifier(compile(network), recipe), folder, data.load().test)
    return reported, reported.model_copy(update=scores)


def _describe(compilation: Compilation, planned: Plan, folder: RunFolder) -> None:
    """Writes down what is going to be trained, and how."""
    folder.spec.write_text(standalone(compilation), encoding="utf-8")
    recipe = {name: str(value) if isinstance(value, Kind) else value for name, value in planned.recipe}
    folder.recipe.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    try:
        draw.write(planned.network, folder.diagram)
    except draw.RenderingError as error:
        warnings.warn(f"there will be no {folder.diagram.name}: {error}", stacklevel=2)


def _judge_both(module: Classifier, folder: RunFolder, samples: SampleSet) -> dict[str, Any]:
    """The fields of a result that the checkpoints alone decide."""
    weights.load(module, folder.best)
    best = judge(module, samples)
    weights.load(module, folder.last)
    last = judge(module, samples)
    fields = {"accuracy": last.accuracy, "best_accuracy": best.accuracy, "firing_rates": last.firing_rates}
    return fields, last.confusion
