"""The static prefix: what does not depend on time is computed once, not at every time-step."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.passes.program import ExecutionStep, Program


def hoist_static(program: Program) -> tuple[Program, str]:
    """Marks what lies before the first neuron of a network with a static input.

    Law: the same outputs, gradients and running statistics, since T equal slices have the mean and the variance of one,
    apart from rounding and what is decided by it: their sums have fewer addends.
    """
    nodes = program.network.nodes
    steps = tuple(replace(step, once=not any(nodes[i].output.varies for i in step.nodes)) for step in program.steps)
    once = [nodes[i].name for step in steps if step.once for i in step.nodes]
    T = program.network.settings.steps
    if not once or T == 1:
        return program, ""
    return program.with_steps(steps), f"once, not {T} times: {', '.join(once)}; {_saved(program, steps)}"


def _saved(program: Program, steps: tuple[ExecutionStep, ...]) -> str:
    """How much less is to be done."""
    network = program.network
    T, total = network.settings.steps, network.total_macs
    once = sum(network.macs(network.nodes[i]) for step in steps if step.once for i in step.nodes)
    share = once * (T - 1) / (total * T) if total else 0.0
    return f"saves {share:.1%} of the multiply-accumulates"
