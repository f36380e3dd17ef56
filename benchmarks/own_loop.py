"""A user's training loop, with and without kept memory: ``python -m benchmarks.own_loop``.

Each mode is a new process: default allocation, within ``sewdsl.memory_kept()``, after ``sewdsl.keep_memory()`` as in
``sewdsl train``, and with memory returned immediately in pages of 2 MB. They take turns. Times are minima of all steps,
as processor time and wall time. Memory is the peak above the memory before the first step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

MODES = ("as it comes", "memory_kept()", "keep_memory()", "returned")
ROUNDS, STEPS = 3, 4

STEP = """
import json, os, resource, sys, time
from contextlib import nullcontext
import sewdsl
from sewdsl.allocator import return_memory
mode, spec, samples, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if mode == "keep_memory()":
    sewdsl.keep_memory()
if mode == "returned":
    return_memory()
import torch
torch.set_num_threads(2)
model = sewdsl.compile(spec, seed=0)
settings = model.network.settings
x = (torch.rand(settings.steps, samples, *settings.input) < 0.1).float()
y = torch.zeros(samples, dtype=torch.long)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds, processor = [], []
with sewdsl.memory_kept() if mode == "memory_kept()" else nullcontext():
    for _ in range(steps + 1):
        begun, used = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": min(seconds[1:]), "processor": min(processor[1:]), "megabytes": (most - before) / 1024}))
"""


def measure(mode: str, spec: str = "7b-net", samples: int = 4, steps: int = STEPS) -> dict[str, float]:
    """Return time and processor time of a step in seconds, and its memory in megabytes."""
    prefixes = ("MALLOC_", "GLIBC_", "THP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    command = [sys.executable, "-c", STEP, mode, spec, str(samples), str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 -- ours
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """Print the minima of all rounds, and their ratios to ``sewdsl train``."""
    least: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for mode in MODES:
            result = measure(mode)
            best = least.setdefault(mode, result)
            least[mode] = {name: min(value, result[name]) for name, value in best.items()}
    for mode, result in least.items():
        ratio = result["seconds"] / least["keep_memory()"]["seconds"]
        sys.stdout.write(
            f"{mode}: {1000 * result['seconds']:.0f} ms ({ratio:.2f} times), {1000 * result['processor']:.0f} ms of "
            f"the processors, {result['megabytes']:.0f} MB\n"
        )


if __name__ == "__main__":
    main()
