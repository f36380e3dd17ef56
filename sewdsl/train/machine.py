"""What a run ran on, in words."""

from __future__ import annotations

import os
import platform

import torch


def describe_machine() -> str:
    """System, architecture, cores, and the GPUs if there are any: ``Linux x86_64, 16 cores, NVIDIA H100``."""
    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    if torch.cuda.is_available():
        parts += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(parts)
