"""Run folders that no run has made: written by hand, in a millisecond."""

import json
from functools import cache
from pathlib import Path

import torch

from sewdsl import draw
from sewdsl.analysis.energy import operation_bounds
from sewdsl.compiler import read
from sewdsl.ir.kind import Kind
from sewdsl.source import Source
from sewdsl.train.store.measurements import EnergyRecord, LayerRecord
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.watch import count_population

from .conftest import SMALL

NEURONS = (
    "plif1",
    "repeat1.1.sew_block1.branch.plif1",
    "repeat1.1.sew_block1.branch.plif2",
    "repeat1.2.sew_block1.branch.plif1",
    "repeat1.2.sew_block1.branch.plif2",
)
LIVELY = count_population(torch.full((4, 8, 8), 10), 100)
"""A layer whose neurons all fire at 10%."""
METRICS = """\
epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,gradient_norm/total,firing_rate/plif1
1,2.0,0.25,1.5,0.5,0.1,3.0,0.2
2,1.0,0.5,1.25,0.75,0.01,2.0,0.1
"""


def result(**changes: object) -> Result:
    """Return the result of a simulated run."""
    fields = {
        "network": "Small",
        "data": "digits",
        "accuracy": 0.7654,
        "best_accuracy": 0.8765,
        "epochs": 2,
        "parameters": 1234,
        "seconds": 75.4,
        "seed": 7,
        "device": "cpu",
        "threads": 1,
        "versions": {"python": "3.11.7", "torch": "2.6.0"},
        "firing_rates": dict.fromkeys(NEURONS, 0.125),
        "neurons": dict.fromkeys(NEURONS, LIVELY),
    }
    return Result.model_validate({**fields, **changes})


def unfinished(path: Path, text: str = SMALL) -> RunFolder:
    """The folder of a run after two epochs."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.spec.write_text(text, "utf-8")
    network = read(Source("small.net", text)).result()
    recipe = {name: str(value) if isinstance(value, Kind) else value for name, value in network.recipe or ()}
    folder.recipe.write_text(json.dumps(recipe), "utf-8")
    folder.metrics.write_text(METRICS, "utf-8")
    folder.diagram.write_bytes(_diagram(text))
    return folder


def counted(folder: RunFolder) -> EnergyRecord:
    """Operations of its network, of which every tenth is an event."""
    layers = {
        most.node.name: LayerRecord(
            events=most.events / 10,
            accumulations=most.events / 10,
            rate=0.1,
            largest=1.0,
        )
        for most in operation_bounds(read(folder.spec).result())
    }
    return EnergyRecord(data="digits", samples=16, of=359, sparsity=0.9, layers=layers)


@cache
def _diagram(text: str) -> bytes:
    return draw.render_picture(read(Source("small.net", text)).result())


def finished(path: Path, text: str = SMALL, **changes: object) -> RunFolder:
    """The folder of a run that ended, with other fields in its result."""
    folder = unfinished(path, text)
    folder.result.write_text(result(**changes).model_dump_json(), "utf-8")
    counts = [[9 if i == j else int(j == i + 1) for j in range(10)] for i in range(10)]
    folder.confusion.write_text(json.dumps({"counts": counts}))
    return folder
