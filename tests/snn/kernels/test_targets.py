"""The CUDA kernels compile for GPUs that are not there: no spills, nothing contracted, whole vectors from memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.effort import factor
from tests.snn.kernels.cases import SURROGATES

ROOT = Path(__file__).parents[3]
ALL = ("sm_75", "sm_80", "sm_90", "sm_100", "gfx942")
TARGETS = ALL if factor() > 1 else ("sm_90",)
MOST_REGISTERS = {
    "storage pack": 64,
    "storage unpack": 64,
    "storage forward": 64,
    "storage backward": 64,
    "registers forward": 64,
    "registers backward": 96,
    "memory forward": 64,
    "memory backward": 96,
    "norm sums": 64,
    "norm average": 64,
    "norm forward": 64,
    "norm backward": 160,
    "norm conclude": 96,
    "norm settle": 64,
    "equations forward": 64,
    "equations backward": 160,
    "equations conclude": 96,
    "equations settle": 64,
}
"""Of a thread, at 16 time-steps: with more, too few threads run at once."""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton has wheels for Linux")
def test_every_kernel_compiles(tmp_path: Path) -> None:
    """Kernels of each target compile, forward and backward. Contracted sums would differ from those of the CPU."""
    pytest.importorskip("triton", reason="triton is not installed")
    surrogates = ",".join(SURROGATES if factor() > 1 else ("ATan",))
    effort = "all" if factor() > 1 else "few"
    command = [sys.executable, "-m", "tests.snn.kernels.for_targets", ",".join(TARGETS), surrogates, effort]
    caches = {"SEWDSL_CACHE": str(tmp_path / "kernels"), "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    environment = {**os.environ, **caches, "TRITON_INTERPRET": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(each["kernel"][0], each["kernel"][1]) for each in found} == {
        (target, function) for target in TARGETS for function in MOST_REGISTERS
    }
    for each in found:
        target, function, *_ = each["kernel"]
        assert each["spilled"] == 0, each
        assert not each["contracted"], each
        assert each["widest"] >= 32, each
        assert each["registers"] <= MOST_REGISTERS[function] * (2 if target.startswith("gfx") else 1), each
