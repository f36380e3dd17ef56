"""Time of the first training step, with and without compiled kernels.

``python -m benchmarks.first_use`` prints medians of all rounds. Each measurement is a new process, cold ones with an
empty kernel cache, in turns. *Step* is the first training step. *From start* includes loading Python, PyTorch,
Lightning and the data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import time

from benchmarks.networks import printed_errors

ROUNDS = 3

FORWARD = """
import json, sys, time
import torch, sewdsl
model = sewdsl.compile(sys.argv[1], seed=0)
settings = model.network.settings
x = torch.rand(64, *settings.input)
begun = time.perf_counter()
model(x).sum().backward()
print(json.dumps({"step": time.perf_counter() - begun, "start": time.time() - float(sys.argv[2])}))
"""
TRAIN = """
import json, os, sys, time
from lightning.pytorch import Callback
import sewdsl
class First(Callback):
    def on_train_start(self, *_):
        self.begun = time.perf_counter()
    def on_train_batch_end(self, *_):
        seconds = {"step": time.perf_counter() - self.begun, "start": time.time() - float(sys.argv[2])}
        print(json.dumps(seconds), flush=True)
        os._exit(0)
sewdsl.train_network(sys.argv[1], sys.argv[3], callbacks=[First()], loggers=(), progress_bar=False)
"""
CASES = {"from Python": FORWARD, "`train`": TRAIN}


def measure(script: str, spec: str, cache: str) -> dict[str, float]:
    """Return the time of the first step, and from the process start to its end, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", script, spec, str(time()), f"{folder}/run"]
        environment = {**os.environ, "SEWDSL_CACHE": cache}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 -- ours
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main(spec: str = "mnist5k") -> None:
    """Print the table."""
    sys.stdout.write("| | step, cold | step, warm | from start, cold | from start, warm |\n|---|---:|---:|---:|---:|\n")
    for name, script in CASES.items():
        cold, warm = [], []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as cache:
                cold.append(measure(script, spec, str(Path(cache) / "kernels")))
                warm.append(measure(script, spec, str(Path(cache) / "kernels")))
        cells = [f"{median(each[key] for each in runs):.1f} s" for key in ("step", "start") for runs in (cold, warm)]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with printed_errors(sys.argv[1:2]):
        main(*sys.argv[1:2])
