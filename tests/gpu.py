"""The GPUs of this machine, which tests do not see: they are for processes that ask for them."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import torch


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, with the GPUs that were visible when the tests began, and some more variables."""
    found = {**os.environ, **variables}
    visible = found.pop("SEWDSL_TEST_GPUS", "all")
    found.pop("CUDA_VISIBLE_DEVICES", None)
    return found if visible == "all" else {**found, "CUDA_VISIBLE_DEVICES": visible}


@cache
def present() -> bool:
    """Return whether torch finds a GPU, in a separate process. A torch build without CUDA is not asked."""
    if torch.version.cuda is None and torch.version.hip is None:
        return False
    command = [sys.executable, "-c", "import torch; raise SystemExit(not torch.cuda.is_available())"]
    return subprocess.run(command, env=environment(), check=False).returncode == 0
