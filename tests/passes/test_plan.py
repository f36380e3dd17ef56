"""The execution plan: what is decided for which sizes, devices and modules, and that the forward pass does it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import distributed
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.ir.network import Network
from sewdsl.lower import lower, saved_tensors
from sewdsl.lower.spiking_network import MAX_PLANS
from sewdsl.passes import LEVELS, Program, optimize_program, plan
from sewdsl.passes.plan import AS_BUILT, ExecutionContext, ExecutionPlan, ModuleState, plan_execution
from sewdsl.snn import kernels, layers
from sewdsl.snn.batch_norm import synchronise_statistics
from sewdsl.snn.kernels.pooling import max_pool
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.effort import examples
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, build, run

BODY = "c6k3-BN-PLIF-SEW Block (c6)-MPk2s2-{Spiking Block (c8)}*2-FC5"


def network(body: str = BODY, **options: Any) -> Network:
    return sewdsl.load(body, **{"input": "2x8x8", "steps": 4, "neuron": "PLIF", **options})


def resolve(body: str = BODY, level: int = 1, N: int = 3, **changes: Any) -> ExecutionPlan:
    return plan_execution(optimize_program(network(body), level), ExecutionContext(4, N)._replace(**changes))


def named(found: ExecutionPlan, body: str = BODY) -> list[list[str]]:
    nodes = network(body).nodes
    return [[nodes[i].name for i in step.nodes] for step in found.steps]


@pytest.fixture
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


def assert_sound(program: Program, found: ExecutionPlan) -> None:
    """Every node is computed once, from what is there, and what nobody reads any more is dropped at once."""
    there = {*program.network.input_indices}
    last = {i: place for place, step in enumerate(found.steps) for i in step.operands}
    for place, step in enumerate(found.steps):
        assert {*step.operands} <= there
        assert step.keeps <= {*step.operands}
        there.add(step.gives)
        unread = {i for i in there if last.get(i, 0) <= place and i != program.network.output}
        assert {*step.spent} == unread
        there -= unread
    assert there == {program.network.output}
    nodes = sorted(i for step in found.steps for i in step.nodes)
    assert nodes == [*range(program.network.first_layer, len(program.network))]


def contexts(nodes: int) -> st.SearchStrategy[ExecutionContext]:
    states = st.builds(ModuleState, *[st.booleans()] * 4)
    return st.builds(
        ExecutionContext,
        T=st.integers(1, 4),
        N=st.integers(1, 1 << 14),
        static=st.booleans(),
        device=st.sampled_from(["cpu", "cuda"]),
        kernels=st.booleans(),
        gradients=st.booleans(),
        compiling=st.booleans(),
        modules=st.one_of(st.just(()), st.tuples(*[states] * nodes)),
    )


@given(drawn=nets(), level=st.sampled_from(LEVELS), data=st.data(), lean=st.booleans())
def test_every_plan_is_sound(drawn: Drawn, level: int, data: st.DataObject, *, lean: bool) -> None:
    program = replace(optimize_program(drawn.network, level), lean=lean)
    context = data.draw(contexts(len(drawn.network)))
    found = plan_execution(program, context)
    assert_sound(program, found)
    for step in found.steps:
        states = [context.module(i) for i in step.nodes]
        if len(step.nodes) > 1 and not step.loop:  # a loop calls its modules one by one
            assert not any(state.alone for state in states)
        assert states[0].is_original or not (step.frees_input or step.byte_places)
        assert not step.once or context.static
    if not context.kernels:
        assert not found.bits
        assert not any(step.kernel == "norm_neuron" or step.byte_places for step in found.steps)


@examples(12)
@given(drawn=nets(), level=st.sampled_from(LEVELS), large=st.sampled_from([1, 300, 2000, 1 << 20]), lean=st.booleans())
def test_the_forward_pass_does_what_is_planned(drawn: Drawn, level: int, large: int, *, lean: bool) -> None:
    counts = Counter[str]()
    program = replace(optimize_program(drawn.network, level), lean=lean)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LARGE_VALUE_ELEMENTS", large)
        _count(patch, kernels, "run_norm_neurons", counts)
        _count(patch, layers, "conv2d_low_memory", counts)
        _count(patch, max_pool, "forward", counts)
        _count(patch, saved_tensors, "PackedTensor", counts)
        assume(not run(build(drawn, program, DOUBLE), drawn, DOUBLE).error)
        context = ExecutionContext(drawn.T, drawn.N, drawn.static is not False and drawn.T > 1)
        found = plan_execution(program, context)
    kept = {i for step in found.steps for i in step.keeps}
    assert counts["run_norm_neurons"] == sum(step.kernel == "norm_neuron" for step in found.steps)
    own = sum(step.frees_input or step.events is not None or step.winograd for step in found.steps)
    assert counts["conv2d_low_memory"] == own
    # Inputs and outputs of attention have channels first. PyTorch computes their maxima.
    assert counts["forward"] <= sum(step.byte_places for step in found.steps)
    assert counts["PackedTensor"] == len(kept & found.bits.keys())


def test_maxima_after_neurons_take_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter[str]()
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)
    _count(monkeypatch, max_pool, "forward", counts)
    model = sewdsl.compile("c4k3-BN-IF-MPk2-c4k3-BN-IF-MPk3s2-FC2", input="2x8x8", steps=2, seed=0)
    model(torch.ones(2, 1, 2, 8, 8))
    assert counts["forward"] == 2


def _count(patch: pytest.MonkeyPatch, owner: object, name: str, counts: Counter[str]) -> None:
    """Count the calls of a function that a plan may call, without those of a rehearsal in another thread."""
    function = getattr(owner, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        counts[name] += threading.current_thread() is threading.main_thread()
        return function(*arguments, **named)

    patch.setattr(owner, name, counted)


def test_from_which_size_on_it_pays() -> None:
    """The first convolution reads 2 x 8 x 8 numbers, the norm after it 6 x 8 x 8, at 4 time-steps."""
    least = -(-plan.LARGE_VALUE_ELEMENTS // (4 * 6 * 8 * 8))
    assert named(resolve(N=least - 1))[:3] == [["conv1"], ["bn1"], ["plif1"]]
    assert named(resolve(N=least))[:2] == [["conv1"], ["bn1", "plif1"]]
    input_least = -(-plan.LARGE_VALUE_ELEMENTS // (4 * 2 * 8 * 8))
    assert not resolve(N=input_least - 1).steps[0].frees_input
    assert resolve(N=input_least).steps[0].frees_input
    assert not resolve(N=least - 1).bits
    assert resolve(N=least).bits


def test_memory_that_is_short_is_saved_of_small_values_too() -> None:
    program = optimize_program(network())
    lean = plan_execution(program.with_lean(), ExecutionContext(4, 1))
    assert ["bn1", "plif1"] in named(lean)
    assert lean.bits == program.bits
    assert not plan_execution(program, ExecutionContext(4, 1)).bits


@pytest.mark.usefixtures("_everything_is_large")
def test_who_is_called_by_itself() -> None:
    nodes = [node.name for node in network().nodes]
    block = ["sew_block1.branch.bn2", "sew_block1.branch.plif2", "sew_block1.add1"]

    def steps(name: str) -> list[list[str]]:
        states = [AS_BUILT._replace(alone=node == name, as_built=node != name) for node in nodes]
        found = named(resolve(modules=tuple(states)))
        return [step for step in found if {*step} & {*block}]

    assert steps("conv1") == [block]
    assert steps(block[0]) == steps(block[1]) == [[name] for name in block]
    assert steps(block[2]) == [block[:2], block[2:]]


@pytest.mark.usefixtures("_everything_is_large")
def test_what_is_not_ours_is_asked_for_nothing() -> None:
    states = tuple(AS_BUILT._replace(is_original=False, alone=True, as_built=False) for _ in network())
    found = resolve(modules=states)
    assert not any(step.frees_input or step.byte_places or step.recomputed for step in found.steps)
    hooked = resolve(modules=tuple(AS_BUILT._replace(alone=True, as_built=False) for _ in network()))
    assert hooked.steps[0].frees_input  # whoever waits for the call of a convolution does not mind
    assert any(step.byte_places for step in hooked.steps)


@pytest.mark.usefixtures("_everything_is_large")
def test_what_is_kept_where_nothing_can_be_packed() -> None:
    for found in (resolve(kernels=False), resolve(gradients=False), resolve(compiling=True)):
        assert not found.bits
    assert all(step.kernel == "module" and not step.byte_places for step in resolve(kernels=False).steps)
    assert not any(step.frees_input for step in resolve(gradients=False).steps)


@pytest.mark.usefixtures("_everything_is_large")
def test_a_gpu_keeps_what_a_cpu_keeps() -> None:
    here, there = resolve(), resolve(device="cuda")
    assert there.bits == here.bits
    assert [step.kernel for step in there.steps] == [step.kernel for step in here.steps]
    assert [step.byte_places for step in there.steps] == [step.byte_places for step in here.steps]
    assert not any(step.frees_input or step.events for step in there.steps)


def test_on_a_gpu_time_has_to_fit_into_registers() -> None:
    """There small values are normalised and fired in one kernel too."""
    few, many = (resolve(device="cuda", T=T) for T in (MAX_REGISTER_STEPS, MAX_REGISTER_STEPS + 1))
    assert {step.kernel for step in few.steps if len(step.nodes) > 1} == {"norm_neuron"}
    assert not any(len(step.nodes) > 1 for step in many.steps)
    assert not any(step.kernel == "norm_neuron" for step in resolve().steps)


def test_folded_in_evaluation_only() -> None:
    body = "c4k3-BN-ReLU-FC5"
    modes = [tuple(AS_BUILT._replace(training=training) for _ in network(body)) for training in (True, False)]
    assert named(resolve(body, 2, modules=modes[0]), body) == [["conv1"], ["bn1"], ["relu1"], ["fc1"]]
    assert named(resolve(body, 2, modules=modes[1]), body) == [["conv1", "bn1"], ["relu1"], ["fc1"]]


def test_a_static_input_is_dealt_with_once() -> None:
    program = optimize_program(network(set={"encode": "direct"}))
    found = plan_execution(program, ExecutionContext(4, 3, static=True))
    assert [step.once for step in found.steps[:3]] == [True, True, False]
    assert not any(step.once for step in plan_execution(program, ExecutionContext(4, 3)).steps)
    least = -(-plan.LARGE_VALUE_ELEMENTS // (2 * 8 * 8))  # samples, of one time-step
    assert not plan_execution(program, ExecutionContext(4, least - 1, static=True)).steps[0].frees_input
    assert plan_execution(program, ExecutionContext(4, least, static=True)).steps[0].frees_input
    program = optimize_program(network("BN-PLIF-FC5", set={"encode": "direct"}))
    found = plan_execution(program, ExecutionContext(4, 3, static=True))
    assert [step.once for step in found.steps] == [True, False, False]


def test_all_of_a_step_is_computed_again() -> None:
    """Also where its nodes run one by one; but nothing that draws lots, or that is not as it was built."""
    program = optimize_program(network("c6k3-BN-PLIF-DP-FC5"))
    program = replace(program, recomputed=frozenset(step.gives for step in program.steps))
    found = plan_execution(program, ExecutionContext(4, 3))
    assert [step.recomputed for step in found.steps] == [True, True, True, False, True]
    states = (AS_BUILT, AS_BUILT, AS_BUILT, AS_BUILT._replace(as_built=False), AS_BUILT, AS_BUILT)
    found = plan_execution(program, ExecutionContext(4, 3, modules=states))
    assert [step.recomputed for step in found.steps] == [True, False, False, False, True]


def test_a_network_keeps_the_plans_of_a_few_inputs() -> None:
    model = lower(network(), seed=0)
    model.doubts_layout = False  # one time-step of as many samples as the network has time-steps
    for N in range(1, 60):
        model(torch.zeros(1, N, 2, 8, 8))
    assert 0 < len(model._plans) <= MAX_PLANS
    model.program = Program.of(network())
    assert not model._plans
    model(torch.zeros(1, 1, 2, 8, 8))
    assert len(next(iter(model._plans.values())).steps) == len(network()) - 1


def test_a_plan_is_printed() -> None:
    done = CliRunner().invoke(app, ["compile", "7b-net", "--emit", "plan"])
    assert done.exit_code == 0
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[0] == "7B-Net: a training step on 16 samples, T = 12, mixed precision"
    assert "conv1 frees its input early channels last unchanged" in rows
    assert "bn1 + plif1 in one kernel channels last 1 bit per value" in rows
    assert "repeat1.1.max_pool1 1 byte per maximum channels last 2 bits per value" in rows
    assert rows[-2] == "fc1 unfused no"


@pytest.mark.usefixtures("_everything_is_large")
def test_a_norm_that_shares_its_statistics_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In training: over several processes, the sums of all have to be there before anything is normalised."""
    model = lower(optimize_program(network()), seed=0)
    synchronise_statistics(model)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda _: None)  # of one process
    model(torch.rand(4, 3, 2, 8, 8))
    model.eval()(torch.rand(4, 3, 2, 8, 8))
    training, evaluation = model._plans.values()
    assert all(len(step.nodes) == 1 for step in training.steps)
    assert ["bn1", "plif1"] in named(evaluation)
