"""A training loop of one's own, with and without kept memory: ``python -m benchmarks.own_loop``.

Each way is a process of its own: as it comes, within ``sewdsl.memory_kept()``, after ``sewdsl.keep_memory()`` as in
``sewdsl train``, and with memory returned at once in pages of 2 MB. They take turns. Times are the least of all steps,
in processor time and in seconds; memory is the most that a process had, above what it had before the first step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

WAYS = ("as it comes", "memory_kept()", "keep_memory()", "returned")
ROUNDS, STEPS = 3, 4

STEP = """
import json, os, resource, sys, time
from contextlib import nullcontext
import sewdsl
from sewdsl.allocator import return_memory
way, spec, samples, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if way == "keep_memory()":
    sewdsl.keep_memory()
if way == "returned":
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
with sewdsl.memory_kept() if way == "memory_kept()" else nullcontext():
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


def measure(way: str, spec: str = "7b-net", samples: int = 4, steps: int = STEPS) -> dict[str, float]:
    """Seconds, seconds of the processor, and megabytes of a step."""
    decided = ("MALLOC_", "GLIBC_", "THP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(decided)}
    command = [sys.executable, "-c", STEP, way, spec, str(samples), str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 -- ours
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Prints the least of all rounds, and each as a multiple of what ``sewdsl train`` takes."""
    least: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for way in WAYS:
            found = measure(way)
            known = least.setdefault(way, found)
            least[way] = {name: min(value, found[name]) for name, value in known.items()}
    for way, found in least.items():
        ratio = found["seconds"] / least["keep_memory()"]["seconds"]
        sys.stdout.write(
            f"{way}: {1000 * found['seconds']:.0f} ms ({ratio:.2f} times), {1000 * found['processor']:.0f} ms of the "
            f"processors, {found['megabytes']:.0f} MB\n"
        )


if __name__ == "__main__":
    main()
