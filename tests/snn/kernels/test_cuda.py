"""The CUDA kernels, in Triton's interpreter everywhere, and compiled where there is a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests import gpu

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("interpret", ["1", "0"], ids=["interpreted", "compiled"])
def test_on_triton(interpret: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    if interpret == "0" and not gpu.present():
        pytest.skip("there is no GPU")
    profile = settings.get_current_profile_name()
    # The interpreter of Triton before 3.7 converts arrays in a way that NumPy deprecates.
    options = "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore:Conversion of an array:DeprecationWarning"
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        "--hypothesis-profile",
        profile,
        "tests/snn/kernels/on_triton.py",
    ]
    environment = gpu.environment(TRITON_INTERPRET=interpret)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
