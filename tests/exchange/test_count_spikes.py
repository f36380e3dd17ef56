"""Networks of counts as networks of spikes: counts are sums of spikes, exactly, and outputs are equal."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.compiler import read
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.c.run_file import differing_steps, find_compiler, run_reference
from sewdsl.exchange.write.count_spikes import run, to_spikes
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.integers.build import InputScaling, build_integer_network
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.value import Integers
from sewdsl.ir.op import Activation
from sewdsl.source import Source
from tests.effort import factor
from tests.exchange.c.batch import run_batch
from tests.integers.zoo import Case, trained
from tests.words import raises

TIRED = """\
neuron Tired(D=3, cost=0.5) {
    learn gain per channel = 1
    state tired = 0
    sum = 0.5*v + gain*x - tired
    count = round(clip(sum, 0, D))
    v = sum - count
    tired = cost*(tired + count)
    give count
}
neuron Binary { h = 0.5*v + x   s = fire(h - 1)   v = h - s   give s }
"""
NETS = {
    "chain": "input 2x8x8\nsteps 3\nencode direct\nneuron ILIF\nbody c4k3-BN-SN-c6k3b1-SN-MPk2-c4k3-BN-SN-GAP-FC5",
    "residual": "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF(D=2)\n"
    "body c4k3-BN-MS Block (c8s2)-MS Block-SN-GAP-FC5b0",
    "sequence": f"{TIRED}input 2x6x6\nsteps 4\nreadout sum\nneuron Tired\n"
    "body c4k3-SN-CAT[c3k3-BN-ILIF(D=4)-c3k3 | id]-Binary-tc2k2s2-SN-APk2-FC5",
}


def dyadic(text: str, seed: int) -> sewdsl.SpikingNetwork:
    """A module whose sums are exact: weights, statistics and inputs are multiples of 1/16."""
    model = sewdsl.compile(read(Source("net", f"sewdsl 1\n{text}")).result(), seed=seed, optimize=0).double().eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("var"):
                tensor.fill_(1 - 1e-5)  # The norm adds 1e-5.
            elif tensor.is_floating_point():
                tensor.copy_((torch.randn_like(tensor) * 16).round() / 16)
    return model


def outputs_of_neurons(model: sewdsl.SpikingNetwork, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The outputs of the neurons ``[T, N, *]`` and of the network."""
    seen: list[Tensor] = []

    def look(_module: nn.Module, _inputs: object, y: Tensor) -> None:
        seen.append(y)

    neurons = [model.get_submodule(node.name) for node in model.network if isinstance(node.op, Activation)]
    handles = [module.register_forward_hook(look) for module in neurons]
    y = model(x)
    for handle in handles:
        handle.remove()
    return seen, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETS)
def test_counts_are_sums_of_spikes(name: str, seed: int, plain_pytorch: None) -> None:
    assert compare(dyadic(NETS[name], seed))


def compare(model: sewdsl.SpikingNetwork) -> bool:
    """Compare counts with the converted spikes, and the outputs of both, and return whether they are not silent."""
    network = model.network
    converted = to_spikes(model)
    assert read(Source("net", converted.text)).result() == converted.network
    spiking = sewdsl.compile(converted.network, optimize=0).double().eval()
    spiking.load_state_dict(converted.tensors)
    T, steps = network.settings.steps, converted.network.settings.steps
    D = max(node.output.values.count or 0 for node in network if isinstance(node.op, Activation))
    shape = (3, *network.settings.input)
    x = torch.randn(*([T] if network.settings.encode == "none" else []), *shape, dtype=torch.float64)
    x = (x * 16).round() / 8
    late = x
    if network.settings.encode == "none":
        late = x.repeat_interleave(D, 0)
        late = torch.cat([late, late.new_zeros(steps - len(late), *shape)])
    with torch.no_grad():
        (counts, y), (spikes, z) = outputs_of_neurons(model, x), outputs_of_neurons(spiking, late)
        assert torch.allclose(run(converted.text.encode(), x, converted.tensors), y, rtol=1e-12, atol=1e-12)
    neurons = [node for node in converted.network if isinstance(node.op, Activation)]
    assert len(counts) == len(neurons)
    for node, count, spike in zip(neurons, counts, spikes, strict=True):
        assert node.output.values.count == 1
        windows = spike.unflatten(0, (-1, D)).sum(1)  # type: ignore[no-untyped-call]
        first = int(dict(node.op)["start"]) + 1
        assert not windows[:first].any()
        assert torch.equal(windows[first : first + T], count)
    assert torch.allclose(y, z, rtol=1e-12, atol=1e-12)
    has_counts = len({int(value) for count in counts for value in count.flatten().tolist()}) > 2
    return has_counts and bool(y.std() > 0)


LAYERS = (
    *(
        "c4k3-BN-{}",
        "c4k3-BN-{}",
        "c6k3s2-BN-{}",
        "c4k1b1-{}",
        "c4k3g2b0-{}",
        "tc4k2s2-BN-{}",
        "BN-{}",
        "{}",
        "{}-DP0.5",
    ),
    *(
        "SEW Block",
        "SEW Block (c6s2)",
        "MS Block-{}",
        "MS Block (c8s2)-{}",
        "Spiking Block (c4)",
        "{}-MPk2",
        "{}-MPk3s1p1",
    ),
    *(
        "{}-APk2",
        "SCALE(value=0.5)-{}",
        "ADD[c4k3-BN-{} | id]",
        "ADD[{} | {} | c4k3-BN]-{}",
        "ADD[c4k3-{}-c4k3 | id]-{}",
    ),
    *("{}-CAT[c4k3-{} | id]-MPk2-c4k3-{}", "CAT[{} | c4k3-BN-{}-c4k3-BN-{} | c2k1]-c4k3-{}"),
    *("{{SEW Block}}*2", "Flatten-FC16-BN-{}-Reshape(4x2x2)", "{}-UP2-MPk2", "UP2(mode=bilinear)-c4k3s2-{}"),
)
NOT_CONVERTED = (
    *(
        "c4k3-MPk2",
        "APk2-MPk2",
        "SEW Block-MPk2",
        "DELAY",
        "GELU",
        "LN",
        "c4k3-IF",
        "SCALE(value=0.5)-MPk2",
        "AND[{} | {}]",
        "MUL[{} | {}]",
    ),
    *("ATTN[{} | {} | {}]-{}", "LOOP[{} | id]", "c4k3-tdBN-{}", "SUM(over=channels)-{}", "c4k3-TEBN-{}", "CA(r=1)"),
)


def drawn(seed: int) -> tuple[str, bool]:
    """A network of counts, and whether all of its layers can be converted. Windows of 2 and 4 keep sums exact."""
    random = Random(seed)  # noqa: S311 -- examples for a test
    one, D = random.choice, random.choice((2, 4))
    neurons = f"ILIF(D={D})", f"ILIF(D={D}, decay=0.5)", f"ILIF(D={D // 2})", "Binary", *(["Tired"] if D > 3 else [])
    odd = random.random() < 0.25
    header = f"{TIRED}input {one(('2x8x8', '4x5x6'))}\nsteps {one((1, 2, 3))}\nencode {one(('direct', 'none'))}\n"
    header += f"readout {one(('mean', 'sum'))}\njoin ADD\nneuron {neurons[0]}\nbody "
    layers = ["c4k3-BN-SN", *(one(LAYERS) for _ in range(random.randint(1, 4)))]
    if odd:
        layers.insert(random.randint(1, len(layers)), one(NOT_CONVERTED))
    body = ""
    for layer in layers:
        text = layer.format(*(one(neurons) for _ in range(layer.count("{}"))))
        longer = f"{body}-{text}" if body else text
        # A layer may not fit, such as pooling of a single position.
        if read(Source("net", f"sewdsl 1\n{header}{longer}-SN-FC5")).valid:
            body = longer
        else:
            odd = odd and layer not in NOT_CONVERTED
    return f"{header}{body}-{one(('SN', 'SN-GAP', 'SN-Flatten'))}-FC5{one(('', 'b0'))}", not odd


@pytest.mark.parametrize("batch", range(round(2 * factor())))
def test_random_networks(batch: int, plain_pytorch: None) -> None:
    converted = 0
    for seed in range(20 * batch, 20 * batch + 20):
        text, can_convert = drawn(seed)
        model = dyadic(text, seed)
        if can_convert:
            converted += compare(model)
        else:
            with pytest.raises(ExportError) as error:
                to_spikes(model)
            name = str(error.value).partition(":")[0]
            assert name in {node.name for node in model.network} or "loops" in str(error.value), text
    assert 5 < converted < 20


def neurons_in_integers(network: IntegerNetwork, n: Integers) -> list[Integers]:
    """The outputs of the neurons ``[T, N, H, W, C]``."""
    values = defaultdict[int, list[Integers]](list)
    network.run(n, lambda _t, index, value: values[index].append(value))
    return [np.stack(values[index]) for index, _ in network.neurons]


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_counts_are_sums_of_spikes_in_integers(plain_pytorch: None) -> None:
    cases, differing = [], []
    for seed in range(round(16 * max(1, factor()))):
        text, can_convert = drawn(seed)
        # Interpolation has no law in integers.
        if not can_convert or "bilinear" in text:
            continue
        model = trained(sewdsl.compile(read(Source("net", f"sewdsl 1\n{text}")).result(), seed=seed), seed)
        converted = to_spikes(model)
        spiking = sewdsl.compile(converted.network, optimize=0).double().eval()
        spiking.load_state_dict(converted.tensors)
        networks = [build_integer_network(each, InputScaling(15, np.float64(1 / 4))) for each in (model, spiking)]
        T, D = (
            networks[0].T,
            max(node.output.values.count or 0 for node in model.network if isinstance(node.op, Activation)),
        )
        shape = (3, *networks[0].steps[0].value.shape)
        n = np.random.default_rng(seed).integers(0, 16, shape if networks[0].static else (T, *shape))
        late = n
        if not networks[0].static:
            late = np.concatenate([np.repeat(n, D, 0), np.zeros((networks[1].T - T * D, *shape), int)])
        cases.append(Case(spiking, networks[1], late))
        counts, spikes = (neurons_in_integers(*each) for each in zip(networks, (n, late), strict=True))
        starts = [dict(node.op)["start"] + 1 for node in converted.network if isinstance(node.op, Activation)]
        differing += [
            (count != spike.reshape(-1, D, *count.shape[1:]).sum(1)[start : start + T]).mean()
            for count, spike, start in zip(counts, spikes, starts, strict=True)
        ]
    for this, trace in zip(cases, run_batch(cases), strict=True):
        assert not differing_steps(this.network, trace, run_reference(this.network, this.n))
    # Biases are divided by D before their rounding.
    assert np.median(differing) == 0
    assert np.mean(differing) < 0.002


REFUSED = [
    "input 2x8x8\nsteps 2\nencode direct\nbody c4k3-BN-IF-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-MPk2-SN-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-MUL[c4k3-SN | id]-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-DELAY-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-c4k3-IF-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nreadout last\nbody c4k3-SN-FC5",
    "input 4\nsteps 2\nneuron ILIF(D=16)\nlet a = FC4-SN\nlet b = a-{FC4-SN}*65\nbody ADD[b | a]-FC4-SN-FC3",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-c4k3-BN-GAP",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-GELU-c4k3-SN-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\npart P = c4k3-SN\nbody c4k3-SN-P-P-FC5",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    model = sewdsl.compile(read(Source("net", f"sewdsl 1\n{text}")).result(), seed=0).eval()
    with raises(ExportError):
        partial(FORMATS["spikes"].write, model, "")()
