"""Report of ``sewdsl doctor`` about this machine and about wrong kernels."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sewdsl.cli.app import build_app
from sewdsl.probe import examine_machine
from sewdsl.snn.kernels.neuron import on_cpu
from tests.cli.quick_doctor import FEW, make_quick
from tests.effort import examples


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


def doctor(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build_app(["doctor"]), ["doctor", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_it_says_what_is_here_and_that_all_is_well() -> None:
    code, said = doctor("--device", "cpu")
    assert code == 0
    for word in (
        "python",
        "torch",
        "processor",
        "kernels on cpu, compared with plain PyTorch in float64",
        "Tolerances are twice the differences of plain PyTorch in the same dtype, but at least 0.1% of",
        "of their mean (tolerance",
        "OK IF, LIF and PLIF, float32: 0% of the spikes differ (tolerance 0.1%), gradients by",
        "LIF neurons",
    ):
        assert word in " ".join(said.split())


def test_json() -> None:
    code, said = doctor("--device", "cpu", "--json", "--no-speed")
    found = json.loads(said)
    assert code == 0
    assert found["device"] == "cpu"
    assert found["versions"]["torch"] == version("torch")
    assert [(kernel["name"], kernel["ok"]) for kernel in found["kernels"]] == [
        (name, True) for name in FEW for _ in range(2)
    ]
    assert found["speed"] == []


def wrong(*arguments: Any, **named: Any) -> Any:
    spikes_TN, v_N = FORWARD(*arguments, **named)
    return spikes_TN.roll(1, -1), v_N


def broken(*_: Any, **__: Any) -> Any:
    message = "no kernel image is available"
    raise RuntimeError(message)


FORWARD = on_cpu.forward


@pytest.mark.parametrize(
    ("forward", "result"),
    [(wrong, "% of the spikes differ (tolerance 0.1%)"), (broken, ": RuntimeError: no kernel image is available")],
)
def test_kernels_that_are_wrong(monkeypatch: pytest.MonkeyPatch, forward: Any, result: str) -> None:
    """The report names wrong kernels, and the exit code is 1."""
    monkeypatch.setattr(examine_machine, "CASES", {"neurons": "IF"})
    monkeypatch.setattr(on_cpu, "forward", forward)
    code, said = doctor("--device", "cpu", "--no-speed")
    assert code == 1
    line = " ".join(said.split())
    assert "FAIL neurons, float32: " in line
    assert result in line


DIFFERENCES = st.tuples(st.floats(0, 1), st.floats(0, 3))


@examples(20)
@given(DIFFERENCES, DIFFERENCES, st.sampled_from([torch.float32, torch.bfloat16]))
def test_a_difference_beyond_its_tolerance_fails(
    by_rounding: tuple[float, float], of_kernels: tuple[float, float], dtype: torch.dtype
) -> None:
    """Twice the difference of plain PyTorch in the same format is allowed, and a thousandth and a tenth anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        differences = iter((by_rounding, of_kernels))
        patch.setattr(examine_machine, "_outcome", lambda *_: ())
        patch.setattr(examine_machine, "_differences", lambda *_: next(differences))
        check = examine_machine._check("neurons", "IF", torch.device("cpu"), dtype, 2)
    allowed = max(1e-3, 2 * by_rounding[0]), max(0.1, 2 * by_rounding[1])
    assert check.ok == (of_kernels[0] <= allowed[0] and of_kernels[1] <= allowed[1])


def slightly_wrong(*arguments: Any, **settings: Any) -> Any:
    """Spikes of which one in ten is another, as many as a limit for all networks in 16 bits would allow."""
    results = FORWARD(*arguments, **settings)
    spikes = results[0] if isinstance(results, tuple) else results
    spikes.flatten()[::10].sub_(1).abs_()
    return results


def test_a_wrong_kernel_fails_in_16_bits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_machine, "CASES", {"neurons": "IF"})
    right = examine_machine._check("neurons", "IF", torch.device("cpu"), torch.bfloat16, 4)
    assert right.ok, right
    monkeypatch.setattr(on_cpu, "forward", slightly_wrong)
    wrong_ones = examine_machine._check("neurons", "IF", torch.device("cpu"), torch.bfloat16, 4)
    assert not wrong_ones.ok, wrong_ones


def test_every_case_runs_the_kernels_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the size that is examined, and not only where everything is large."""
    monkeypatch.undo()
    from sewdsl.compiler import load  # noqa: PLC0415
    from sewdsl.passes import optimize_program  # noqa: PLC0415
    from sewdsl.passes.plan import ExecutionContext, plan_execution  # noqa: PLC0415

    steps = {}
    for name, text in examine_machine.CASES.items():
        network = load(text, input=examine_machine.INPUT, steps=examine_machine.STEPS)
        context = ExecutionContext(examine_machine.STEPS, examine_machine.SAMPLES)
        steps[name] = plan_execution(optimize_program(network, 2), context).steps
    assert any(
        step.kernel == "norm_neuron" and len(step.nodes) > 2 for step in steps["norm, neurons and join in one kernel"]
    )
    assert any(step.events for step in steps["convolutions by events"])
    assert any(step.winograd for step in steps["convolutions by events"])
    assert any(step.byte_places for step in steps["pooling"])


def test_without_a_gpu_it_refuses_one() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, said = doctor("--device", "cuda")
    assert code == 2
    assert "no GPU" in said
