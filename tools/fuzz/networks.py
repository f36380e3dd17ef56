"""Target: random networks, compared with the computations of PyTorch.

Sizes, counts, value ranges, passes, streams and exported texts are checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import sewdsl
from sewdsl.draw import dot, mermaid
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.ir.op import ParallelNeuron
from sewdsl.lower.inputs import map_inputs
from sewdsl.notation import write_net
from sewdsl.ops.layers.attention import ChannelAttention, SpatialAttention
from sewdsl.ops.layers.time_filters import DelayedLinear, TimeFilter
from sewdsl.passes import Program, optimize_program, plan
from sewdsl.passes.memory import peak_memory, training_load
from sewdsl.snn import kernels
from sewdsl.source import Source
from tests.exchange.source.files import SOURCES
from tests.laws.drawn import Drawn, values_of
from tests.laws.outcomes import DOUBLE, Numbers, Outcome, build, differences, expected, joined, rounding_faults, run
from tests.network_json import from_json
from tests.notation.same import compiled, essence
from tools.snapshot.generated import network as generated

SECONDS = 120.0
"""Processor time limit per network, including the compilation of new kernels."""
COMPILED = 0.2
"""Fraction of the networks that run compiled kernels: a new kind of neuron takes seconds to compile."""
TOLERANCE = 1e-9
"""Relative tolerance of values, and smallest margin of decisions, e.g. of potentials at the threshold."""


def numbered_text(seed: int, number: int) -> str:
    """Return the network of a number as a file."""
    text, options = generated(number, seed, younger=True)
    header = "".join(f"{key} {value}\n" for key, value in options.items())
    return f"sewdsl 1\n{header}body {text}\n" if options else text


class _Case(Drawn):
    """Network by its text, with an input."""

    @property
    def network(self) -> Network:
        return _network(self.body)


@lru_cache(8)
def _network(text: str) -> Network:
    return sewdsl.read(Source("random.net", text)).result()


def ask(text: str, random: Random) -> None:
    """Check a network."""
    if not text:
        return
    network = _network(text)
    static = random.random() < 0.5
    # Weights of some layers depend on T, and static inputs are repeated T times by the network.
    T = network.settings.steps if static or network.first_fixed else random.randint(1, 5)
    case = _Case(text, (), T, random.randint(1, 3), static, random.randrange(1000))
    _texts(network)
    _counts(network)
    with kernels.use_kernels("reference"):
        _values(case)
        _work(case)
    compiled = random.random() < COMPILED
    with kernels.use_kernels("fastest" if compiled else "reference"), pytest.MonkeyPatch.context() as patch:
        if random.random() < 0.5:
            # Also apply optimisations that are limited to large tensors.
            patch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
        _passes(case, random, training=random.random() < 0.6)
        _stream(case, random)
        _rounding(case, random, training=random.random() < 0.6)
    if random.random() < 0.3:
        _exports(case)


def check_values(text: str, random: Random) -> None:
    """Check the outputs, gradients and streams of a file, and of what is exported, without compiled kernels."""
    network = _network(text)
    case = _Case(text, (), network.settings.steps, random.randint(1, 2), None, random.randrange(1000))
    with kernels.use_kernels("reference"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LARGE_VALUE_ELEMENTS", random.choice((0, plan.LARGE_VALUE_ELEMENTS)))
        _passes(case, random, training=random.random() < 0.6)
        if not expected(case, DOUBLE, training=False)[0].error:
            _stream(case, random)
            _exports(case)


def _texts(network: Network) -> None:
    """Check that a network is unchanged by writing and reading it, and that it can be drawn."""
    assert essence(compiled(write_net(network))) == essence(network)
    assert from_json(to_json(network)) == network
    for expand in (False, True):
        assert dot(network, expand=expand).rstrip().endswith("}")
        assert mermaid(network, expand=expand)


def _counts(network: Network) -> None:
    """Check parameter counts, unique keys, and the memory estimate of a training step."""
    model = sewdsl.compile(network, seed=0)
    assert len({node.name for node in network}) == len(network)
    parts = [model.get_submodule(node.name) for node in network.nodes[1:]]
    assert len(set(map(id, parts))) == len(parts)
    for node, part in zip(network.nodes[1:], parts, strict=True):
        assert sum(p.numel() for p in part.parameters()) == network.parameters(node), node
    assert sum(p.numel() for p in model.parameters()) == network.total_parameters
    assert len(model.state_dict()) == sum(len(part.state_dict()) for part in parts)
    # Weights alone take four bytes each.
    for level in (0, 1, 2):
        estimate = peak_memory(optimize_program(network, level), training_load(network.recipe, 2))
        assert estimate.bytes >= 4 * network.total_parameters


def _values(case: Drawn) -> None:
    """Check the inferred shapes, ranges and dependence on time of all nodes."""
    network = case.network
    model = build(case, Program.of(network)).eval()
    # The layers of a loop are called once per time-step.
    seen: dict[str, list[Tensor]] = {}

    def keeper(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, out: seen.setdefault(name, []).append(out.detach())

    nodes = [node for node in network.nodes[1:] if not node.feeds_back]
    reduced_names = {network.nodes[i].name for i in network.reduced}
    for node in nodes:
        model.get_submodule(node.name).register_forward_hook(keeper(node.name))
    y = model(case.x, return_sequence=True)
    assert y.shape == (case.T, case.N, *network.nodes[network.output].output.shape)
    for node in nodes:
        out, signal = torch.cat(seen[node.name]), node.output
        assert out.shape[-len(signal.shape) :] == signal.shape, node
        assert out.shape[: -len(signal.shape)] in {(case.T, case.N), (1, case.N)}, node
        reduced = node.name in reduced_names
        assert out.shape[0] == 1 if reduced else case.static or out.shape[0] == case.T, node
        if signal.values.upper is not None:
            counts = out / signal.values.unit
            assert torch.allclose(counts, counts.round(), rtol=1e-12, atol=0), node
            lower = signal.values.lower * signal.values.unit
            assert lower <= out.min() <= out.max() <= signal.values.upper * signal.values.unit, node
        if case.static and not signal.varies:
            # Up to rounding: a matrix product may sum equal rows in different orders.
            assert all(
                torch.allclose(later, out[0], rtol=0, atol=1e-13 * (1 + float(out.abs().max()))) for later in out
            ), node


def _work(case: Drawn) -> None:
    """Check multiply-accumulates against the operations of PyTorch."""
    x = case.sequence.contiguous()
    model = build(case, Program.of(case.network)).eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(x)
    done = {name.partition(".")[2]: sum(flops.values()) for name, flops in counted.get_flop_counts().items()}
    for index, node in enumerate(case.network.nodes[1:], start=1):
        steps = 1 if index in case.network.reduced else case.T
        macs, flops = case.network.macs(node), done.get(node.name, 0)
        if isinstance(node.op, ParallelNeuron):
            # Neurons do not count as MACs.
            assert macs == 0, node
        elif isinstance(node.op, ChannelAttention | SpatialAttention):
            # Computed once per sample, and attributed to its time-steps in equal parts.
            assert macs == -(-flops // (2 * node.op.T * case.N)), node
        elif isinstance(node.op, TimeFilter):
            # PyTorch does not count products of elements.
            assert flops == 0, node
        else:
            # Kernels of delays have one weight and zeros, which PyTorch counts too.
            zeros = node.op.reach if isinstance(node.op, DelayedLinear) else 1
            assert flops == 2 * macs * zeros * steps * case.N, node


def _passes(case: Drawn, random: Random, *, training: bool) -> None:
    """Check that two of the programs of a network have equal outputs, gradients and statistics."""
    reference, margin = expected(case, DOUBLE, training=training)
    for name, program in random.sample(list(_programs(case.network, random)), 2):
        outcome = run(build(case, program).train(training), case, DOUBLE)
        faults = list(differences(outcome, reference, TOLERANCE))
        if faults and margin > TOLERANCE and not _is_rounding(case, outcome, reference, training=training):
            _agree(f"{name}, {'training' if training else 'evaluation'}", case, outcome, reference, margin)


def _rounding(case: Drawn, random: Random, *, training: bool) -> None:
    """Check that gradients in bfloat16 or under autocast differ from the exact ones by no more than rounding."""
    autocast = random.random() < 0.5
    numbers = Numbers(torch.float32 if autocast else torch.bfloat16, autocast=autocast, rounded=True)
    level = random.choice((0, 1, 2))
    outcome = run(build(case, optimize_program(case.network, level), numbers).train(training), case, numbers)
    faults = list(rounding_faults(case, outcome, training=training))
    assert not faults, (
        f"{numbers} at level {level}, {'training' if training else 'evaluation'}: {'; '.join(faults[:5])}"
    )


def _is_rounding(case: Drawn, outcome: Outcome, reference: Outcome, *, training: bool) -> bool:
    """Return whether only gradients differ, and no more than those of a reference whose layers round gradients.

    Values that are not finite are equal to nothing.
    """
    if not all(bool(g.isfinite().all()) for g in reference.gradients.values() if g is not None):
        return True
    if list(differences(outcome._replace(gradients=reference.gradients), reference, TOLERANCE)):
        return False
    # A batch norm over equal values amplifies gradients by up to 1 / sqrt(eps), so consecutive ones amplify rounding.
    model = build(case, Program.of(case.network)).train(training)
    generator = torch.Generator().manual_seed(case.seed)

    def perturbed(gradient: Tensor) -> Tensor:
        noise = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype)
        return gradient * (1 + sys.float_info.epsilon * noise)

    def perturb(_module: object, _inputs: object, y: object) -> None:
        if isinstance(y, Tensor) and y.requires_grad:
            y.register_hook(perturbed)  # type: ignore[no-untyped-call]

    for module in model.modules():
        module.register_forward_hook(perturb)
    with kernels.use_kernels("reference"):
        rounded = run(model, case, DOUBLE)
    return _furthest(outcome, reference) <= 10 * _furthest(rounded, reference)


def _furthest(one: Outcome, other: Outcome) -> float:
    """Return the largest difference of the gradients."""
    pairs = ((one.gradients[name], gradient) for name, gradient in other.gradients.items())
    return max(float((g - h).abs().max()) for g, h in pairs if g is not None and h is not None and g.numel())


def _programs(network: Network, random: Random) -> Iterator[tuple[str, Program]]:
    for level in (0, 1, 2):
        yield f"level {level}", optimize_program(network, level)
    program = replace(optimize_program(network, random.choice((1, 2))), lean=random.random() < 0.5)
    steps = [step for step in program.steps if all(network.nodes[i].op.repeatable for i in step.nodes)]
    again = frozenset(step.gives for step in steps if random.random() < 0.5)
    yield f"computed again: {sorted(again)}", replace(program, recomputed=again)


def _stream(case: Drawn, random: Random) -> None:
    """Check streams of networks that do not read whole sequences."""
    if any(node.op.reads == "sequence" for node in case.network):
        return
    reference, margin = expected(case, DOUBLE, training=False)
    level = random.choice((0, 1, 2))
    stream, state, outputs = build(case, optimize_program(case.network, level)).eval().stream(), None, []
    for t in range(case.T):
        y_N, state = stream(map_inputs(itemgetter(t), case.sequence), state)
        outputs.append(joined(map_inputs(lambda y: y.detach()[None], y_N))[0])
    _agree(f"stream at level {level}", case, reference._replace(y=torch.stack(outputs)), reference, margin)


def _exports(case: Drawn) -> None:
    """Check that exported files compute the same outputs."""
    reference, margin = expected(case, DOUBLE, training=False)
    for name, source in SOURCES.items():
        try:
            text = source(case.network)
        # Not every library can express every layer.
        except UnsupportedLayer:
            continue
        model: Any = module_from_source(text).to(DOUBLE.dtype)
        model.load_state_dict(build(case, Program.of(case.network)).state_dict())
        with torch.no_grad():
            y = joined(model.eval().sequence(*values_of(case.sequence)))
        _agree(name, case, reference._replace(y=y), reference, margin)


def _agree(description: str, case: Drawn, outcome: Outcome, reference: Outcome, margin: float) -> None:
    """Check that outcomes are equal, unless rounding may have changed a decision or numbers overflow."""
    # A spike of an infinite potential is a number in one formulation of a neuron, and not in another.
    if not bool(reference.y.isfinite().all()):
        return
    faults = list(differences(outcome, reference, TOLERANCE))
    if faults and margin > TOLERANCE and not _amplifies_rounding(case, reference):
        raise AssertionError(f"{description}: {'; '.join(faults[:5])} (margin {margin:.3g})")


def _amplifies_rounding(case: Drawn, reference: Outcome) -> bool:
    """Return whether rounding changes an output in evaluation mode by more than the tolerance.

    Exponentials of large values that cancel each other leave such outputs. They change with the rounding of the input,
    or the rounding of a state is larger than the tolerance.
    """
    model = build(case, Program.of(case.network)).eval()
    with kernels.use_kernels("reference"), torch.no_grad():
        exact = joined(model(case.x, return_sequence=True))
        for salt in range(3):
            noise = 4 * sys.float_info.epsilon
            nudged = map_inputs(lambda x: x * (1 + noise * case.random(*x.shape, salt=10 + salt)), case.x)  # noqa: B023
            y = joined(model(nudged, return_sequence=True))
            if list(differences(reference._replace(y=y), reference._replace(y=exact), TOLERANCE)):
                return True
        if any(node.op.reads == "sequence" for node in case.network):
            return False
        stream, state = model.stream(), None
        for t in range(case.T):
            _, state = stream(map_inputs(itemgetter(t), case.sequence), state)
            if any(float(each.abs().max()) * sys.float_info.epsilon > TOLERANCE for each in state.values()):
                return True
    return False
