"""Compilation of a network's kernels in several processes when the first of them is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sewdsl.passes import plan
from sewdsl.snn.kernels import compile_ahead, compile_cache, render_kernels
from sewdsl.snn.kernels.compile_ahead import KernelSource

SCRIPT = """
import json, os, sys
import torch
import sewdsl
from sewdsl.passes import plan
from sewdsl.snn.kernels import compile_ahead

plan.LARGE_VALUE_ELEMENTS = 0
torch.manual_seed(5)
told = []
compile_ahead.set_listener(lambda done, total: told.append((done, total)))
model = sewdsl.compile("c8k3-BN-LIF-DP0.5-FC4", input="1x8x8", steps=2, seed=0)
y = model(torch.rand(2, 3, 1, 8, 8))
y.sum().backward()
weights = [weight.grad.double().sum().item() for weight in model.parameters()]
state = [value.double().sum().item() for value in model.state_dict().values()]
children = [pid for pid in os.listdir("/proc") if pid.isdigit() and parent(pid) == os.getpid()]
print(json.dumps([y.tolist(), weights, state, torch.rand(1).item()]))
print(json.dumps([told, children]))
"""
PARENT = """
def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
"""


def sources(*stored: str) -> list[KernelSource]:
    """Kernels that compile quickly."""
    texts = [render_kernels.render_kernel("packed_bits", "pack", each, BITS=bits) for each in stored for bits in (1, 2)]
    return [KernelSource(text, "a test") for text in texts]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compile_ahead, "_listener", lambda *_: None)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes by /proc")
def test_a_first_step_compiles_all_of_its_kernels_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In other processes, without modules of the current folder, and with the results of a first step here."""
    for name in ("numba", "json", "llvmlite", "queue", "sewdsl"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a')", "utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}

    command = [sys.executable, "-P", "-c", PARENT + SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    cold, told = done.stdout.splitlines()
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # as many add up in the same order
    try:
        with torch.random.fork_rng():
            exec(PARENT + SCRIPT, {})  # noqa: S102 -- the program above
    finally:
        torch.set_num_threads(threads)
    warm, told_when_warm = capsys.readouterr().out.splitlines()
    assert cold == warm
    assert json.loads(told_when_warm)[0] == []
    listed, children = json.loads(told)
    assert children == []
    total = listed[0][1]
    assert total >= 4
    assert [done for done, _ in listed] == list(range(total + 1))
    assert {count for _, count in listed} == {total}  # no kernel was missing afterwards
    assert not (tmp_path / "imported").exists()


def test_one_thread_compiles_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_ahead, "_start_worker", None)
    assert torch.get_num_threads() == 1
    (source,) = sources("float32")[:1]
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(compile_ahead, "_listener", lambda *counts: told.append(counts))
    compile_ahead.provide(source)
    assert told == [(0, 1), (1, 1)]
    assert compile_cache.is_compiled(*source)


def test_what_dies_is_left_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_ahead, "BEGIN", "raise SystemExit")
    compile_ahead._compile(sources("float32"), 2)
    assert not any(compile_cache.is_compiled(*source) for source in sources("float32"))


def test_ctrl_c_ends_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[subprocess.Popen[str]] = []
    start = compile_ahead._start_worker

    def started() -> subprocess.Popen[str]:
        workers.append(start())
        return workers[-1]

    def interrupt(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(compile_ahead, "_start_worker", started)
    monkeypatch.setattr(compile_ahead, "_listener", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_ahead._compile(sources("float32", "float64"), 2)
    assert [worker.poll() is not None for worker in workers] == [True, True]


def test_a_process_ends_with_its_standard_input() -> None:
    with compile_ahead._start_worker() as worker:
        assert worker.stdin is not None
        worker.stdin.close()
        assert worker.wait(timeout=60) == 0


def test_the_message_names_the_kernel_at_hand() -> None:
    assert compile_ahead.describe(2, 8) == "Compiling kernels (3 of 8); cached for next time"
    assert compile_ahead.describe(8, 8) == "Compiling kernels (8 of 8); cached for next time"
