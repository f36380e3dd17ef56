"""Facts about the machine that only PyTorch has."""

from __future__ import annotations

import torch

from benchmarks.job import Job


def run(job: Job) -> dict[str, str]:
    """Return threads, instruction sets, and the GPU if there is one."""
    torch.set_num_threads(job.plan.threads)
    facts = {"threads": str(torch.get_num_threads()), "instructions": torch.backends.cpu.get_cpu_capability()}
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts
