"""Files that ruff has nothing to say about, and that look as it would format them, at its own width and at ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sewdsl
from tests.effort import representatives
from tests.exchange.source.files import OF_EQUATIONS, SOURCES
from tests.shipped import SHIPPED, shipped

ROOT = Path(__file__).parents[3]
ODD = {
    "varied": "c4k3-IF(v_threshold=0.5)-{c4k3x1-BN(eps=0.001)-LIF(tau=3.0, v_reset=none, detach_reset=off)-PLIF}*3-FC5",
    "joins": "c4k3-IF-{AND[IAND[c4k3-BN-IF|id]-IF|{c4k3-IF}*3]-ADD[id|BN]-IF}*2-{DP}*2-GAP",
    "surrogates": "c4k3-LIF(surrogate=Sigmoid)-LIF(surrogate=Sigmoid(alpha=2.0))-LIF(surrogate=ATan(scale=2.0))-FC3",
    "widths": "{c4k3-BN-IF}*40-{SEW Block(c6s2)-c8k3-IF}*3-FC12-BN-IF-FC12b0-APk3",
    "resets": "c4k3-LIF(v_reset=none)-PLIF(v_reset=-0.5)-IF(detach_reset=off)-Flatten",
    "loops": "c4k3-LOOP[LOOP[id | SCALE(value=0.5)]-IF-DP-TEBN | c4k3-BN]-{DELAY-c6k3-BN-IF}*2-FC3",
    "windows": "c4k3-LOOP[SlidingPSN(order=2)-MaskedPSN(order=2) | c4k3-BN]-FC3",
    "nothing": "id",
}
OF_PYTHON = {"surrogates", "windows"}
"""Those that SpikingJelly does not have."""
COMMANDS = {
    "check": ["check", "--isolated"],
    "check all": ["check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "T201,INP001"],
    "format": ["format", "--isolated", "--check"],
    "format wide": ["format", "--isolated", "--check", "--line-length", "120"],
}


def write_files(folder: Path) -> None:
    """Write each network in each dialect."""
    networks = {name: shipped(name) for name in representatives(SHIPPED)}
    networks |= {name: sewdsl.load(body, input=(2, 16, 16), steps=2) for name, body in ODD.items()}
    for dialect, source in SOURCES.items():
        for name, network in networks.items():
            if name not in OF_EQUATIONS and (dialect == "python" or name not in OF_PYTHON):
                (folder / f"{dialect}_{name}.py").write_text(source(network), encoding="utf-8")


def test_ruff(tmp_path: Path) -> None:
    write_files(tmp_path)
    for name, command in COMMANDS.items():
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{name}: {run.stdout}\n{run.stderr}"
