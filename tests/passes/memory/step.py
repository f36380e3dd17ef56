"""Memory of training steps in a separate process, as JSON: ``python step.py '[{"spec": …}, …]'``."""

import gc
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import sewdsl
from sewdsl.allocator import return_memory
from sewdsl.passes import optimize_program
from sewdsl.passes.memory import TrainingLoad, peak_memory


def resident() -> int:
    """Bytes that the process has in memory now."""
    if sys.platform != "linux":
        raise NotImplementedError
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch(Thread):
    """Notes the most that the process has, looking a thousand times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._done = 0, Event()

    def run(self) -> None:
        while not self._done.wait(0.001):
            self.most = max(self.most, resident())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


def measure(job: dict[str, Any]) -> dict[str, int]:
    """Predicted and measured bytes of a step with momentum, weights left out of both."""
    return_memory()  # what one step took is no part of the next
    import torch  # noqa: PLC0415 -- after the allocator's settings

    from sewdsl.lower import lower  # noqa: PLC0415

    network = sewdsl.load(job["spec"], **job.get("options", {}))
    program = optimize_program(network, job.get("optimize", 1))
    program = replace(program, lean=job.get("lean", False), recomputed=frozenset(job.get("again", ())))
    predicted = peak_memory(program, TrainingLoad(job["samples"], job.get("mixed", False), states=1))
    model = lower(program, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    settings = network.settings
    shape = (settings.steps,) if settings.encode == "none" else ()

    def step(samples: int, shape: tuple[int, ...]) -> None:
        x = (torch.rand(*shape, samples, *settings.input) < 0.1).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=job.get("mixed", False)):
            loss = model(x).float().square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step(job["samples"], shape)  # compiles kernels, which takes memory, and lets torch make what it makes once
    optimizer.zero_grad()
    gc.collect()
    weights = predicted.sizes.standing["weights"]
    before = resident() - weights  # the momentum is there already
    with Watch() as watch:
        step(job["samples"], shape)
    return {"predicted": predicted.bytes - weights, "measured": watch.most - before}


if __name__ == "__main__":
    print(json.dumps([measure(job) for job in json.loads(sys.argv[1])]))  # noqa: T201 -- what it is for
