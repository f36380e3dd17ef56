"""Whatever the network: what its warnings say is what torch computes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import sewdsl
from sewdsl.analysis.neuron_chains import RATES
from sewdsl.analysis.residual_blocks import ResidualBlock, identity_blocks, identity_chains
from sewdsl.checks import cropped_input, gradient_over_blocks, no_identity_mapping
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Neuron
from sewdsl.lower import SpikingNetwork
from sewdsl.snn import kernels
from sewdsl.snn.runtime import Runtime
from tests.effort import examples

SURROGATES = st.sampled_from(
    (
        *("ATan(alpha=2.0)", "ATan(alpha=3.0)", "ATan(alpha=2.0, scale=3.4674011)", "Sigmoid(alpha=4.0)"),
        *("Sigmoid(alpha=8.0)", "Triangle(alpha=0.5)", "Triangle(alpha=1.0)", "Triangle(alpha=2.0)"),
        *("Rectangular(width=0.5)", "Rectangular(width=1.0)", "Rectangular(width=3.0)", "Constant(value=0.5)"),
        *("Constant(value=1.0)", "Constant(value=1.25)"),
    )
)
NEURONS = st.builds(
    "{}(v_threshold={}, v_reset={}, detach_reset={}, surrogate={})".format,
    st.sampled_from(("IF", "IF", "LIF", "PLIF")),
    st.sampled_from((0.25, 0.5, 0.75, 1.0, 1.0, 1.25)),
    st.sampled_from(("0.0", "0.0", "none", "-0.25")),
    st.sampled_from(("on", "on", "off")),
    SURROGATES,
)
COPIES = st.integers(1, 12)
ITEMS = st.one_of(
    st.builds("{{Spiking Block}}*{}".format, COPIES),
    st.builds("{{Spiking Block}}*{}".format, COPIES),
    st.builds("{{ADD[c4k3-BN-SN-c4k3-BN | id]-SN}}*{}".format, COPIES),
    st.builds("{{Spiking Block-{}}}*{}".format, st.sampled_from(("MPk2s1", "MPk3s1p1", "MPk3s2p1")), st.integers(1, 4)),
    st.builds("ADD[{{Spiking Block}}*{}-c4k3-BN | id]".format, COPIES),
    st.builds("ADD[c4k3-BN-SN | {{Spiking Block}}*{}]".format, COPIES),
    st.sampled_from(
        (
            *("c4k3-BN-SN", "SN", "MPk2s2", "MPk3s1p1", "APk2", "SEW Block", "Spiking Block (c6s2)", "Plain Block"),
            *(
                "AND[c4k3-BN-SN | id]-SN",
                "IAND[c4k3-BN-SN | id]-SN",
                "Spiking Bottleneck (c1)",
                "{ADD[SN-c4k3 | id]}*3",
            ),
        )
    ),
)
BODIES = st.builds(
    lambda stem, items: f"{stem}-{'-'.join(items)}-GAP-FC3",
    st.sampled_from(("c4k3-BN-SN", "c4k3-BN-SN", "c4k3-BN-SN", "c4k3-BN", "c4k3-BN-SN-MPk2s1")),
    st.lists(ITEMS, min_size=1, max_size=4),
)
STEPS = st.sampled_from((1, 2, 3, 4, 6, 8, 12, 16))
SAMPLES = 12


def networks() -> st.SearchStrategy[Network]:
    """Networks of Spiking blocks, and what else may be before, between, in and around them."""

    def load(body: str, neuron: str, steps: int) -> Network | None:
        compilation = sewdsl.read(body, input="2x8x8", steps=steps, set={"neuron": neuron})
        return compilation.network if compilation.valid else None

    return st.builds(load, BODIES, NEURONS, STEPS).filter(bool)  # type: ignore[return-value]


@contextmanager
def hooked(model: nn.Module, changes: dict[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """While it lasts, what modules give is changed."""

    def hook(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, object, Tensor], Tensor]:
        return lambda _module, _inputs, output: change(output)

    handles = [model.get_submodule(name).register_forward_hook(hook(change)) for name, change in changes.items()]
    yield
    for handle in handles:
        handle.remove()


def sent(model: SpikingNetwork, row: tuple[ResidualBlock, ...], spikes: Tensor) -> Tensor:
    """Return the outputs of blocks with neutral branches for these spikes as input."""
    network = model.network
    changes: dict[str, Callable[[Tensor], Tensor]] = {network.nodes[row[0].source].name: lambda _: spikes}
    given: list[Tensor] = []

    def see(output: Tensor) -> Tensor:
        given.append(output)
        return output

    for block in row:
        join = network.nodes[block.join]
        assert isinstance(join.op, Join)
        changes[network.nodes[join.inputs[0]].name] = partial(torch.full_like, fill_value=join.op.neutral_branch)
    changes[network.nodes[row[-1].end].name] = see
    x = torch.zeros(network.settings.steps, SAMPLES, *network.settings.input, dtype=torch.float64)
    with kernels.use_kernels("reference"), hooked(model, changes):
        model(x)
    return given[0]


def factors(model: SpikingNetwork, row: tuple[ResidualBlock, ...], rate: float, seed: int) -> tuple[list[float], float]:
    """Return the factors of gradient norms along a row for several kinds, and the last firing rate."""
    network, random = model.network, torch.Generator().manual_seed(seed)
    shape = (network.settings.steps, SAMPLES, *network.nodes[row[0].source].output.shape)
    spikes = (torch.rand(shape, generator=random) < rate).double().requires_grad_()
    given = sent(model, row, spikes)
    last = torch.zeros_like(given)
    last[-1] = 1
    found = []
    for arriving in (torch.randn(given.shape, generator=random).double(), torch.ones_like(given), last):
        (gradient,) = torch.autograd.grad(given, spikes, arriving, retain_graph=True)
        found.append(float(gradient.norm() / arriving.norm()))
    return found, float(given.detach().mean())


def claims(network: Network) -> Iterator[tuple[tuple[ResidualBlock, ...], str, float, float]]:
    """Return each row with a warning, with the code, the number, and the lowest firing rate for which it holds."""
    found = {(d.path, d.span): d for d in gradient_over_blocks.check(network, whole=True)}
    for row in identity_chains(network, lambda block: gradient_over_blocks._neuron(network, block) is not None):
        join = network.nodes[row[-1].join]
        said = found.pop((join.where, join.span), None)
        if said is not None:
            (number,) = re.findall(r"(?:least|most) (\S+) at T", said.message)
            (first,) = re.findall(r"firing rates from (\S+) to 0.7", said.message) or ["0"]
            yield row, said.code, float(number), float(first)
    assert not found


ROUNDED = 1.06
"""Numbers are printed with two digits."""


@examples(7)
@given(network=networks(), seed=st.integers(0, 1000))
def test_gradients_vanish_and_explode_as_is_said(network: Network, seed: int) -> None:
    model = None
    for row, code, number, first in claims(network):
        model = model or sewdsl.compile(network, optimize=0).double().train()
        if code == "vanishing-gradient":
            for rate in (0.0, 0.3, 1.0):
                found, _ = factors(model, row, rate, seed)
                assert max(found) <= number * ROUNDED
        else:
            for rate in (first, RATES[-1]):
                (*found, _), end = factors(model, row, rate, seed)
                if first <= round(end, 1) <= RATES[-1]:  # pooling raises it
                    assert min(found) >= number / ROUNDED * 0.9  # the spikes are not as many as their mean
    assume(model)


@examples(25)
@given(network=networks())
def test_blocks_pass_spikes_on_unless_it_is_said_that_they_do_not(network: Network) -> None:
    said = {(d.path, d.span): d.message for d in no_identity_mapping.check(network, whole=True)}
    steps = network.settings.steps
    every = torch.arange(2 ** min(steps, 10)) >> torch.arange(min(steps, 10))[:, None] & 1
    for block in identity_blocks(network):
        join, op = network.nodes[block.join], network.nodes[block.end].op
        if block.activation is None or not isinstance(op, Neuron):
            continue
        message = said.pop((join.where, join.span), "")
        x = every.double()[..., None]
        learned = {name: torch.tensor(value).double() for name, value in op.learnable().items()}
        passes = torch.equal(kernels.run_neurons(op, x, learned), x)
        if not network.nodes[block.source].output.values.binary:
            assert "outputs only spikes" in message
        elif "may stop" in message:
            assert passes
            assert not torch.equal(kernels.run_neurons(op, x, dict.fromkeys(learned, torch.tensor(-50.0).double())), x)
        else:
            assert passes == (not message) or steps > len(every)
    assert not said


POOLED = st.builds(
    "{}P{}".format,
    st.sampled_from("AM"),
    st.builds("k{}s{}{}".format, st.integers(1, 4), st.integers(1, 5), st.sampled_from(("", "p1"))),
)


@examples(25)
@given(pool=POOLED, height=st.integers(4, 12), width=st.integers(4, 12))
def test_pooling_reads_all_but_what_is_said(pool: str, height: int, width: int) -> None:
    """Rows and columns at the end are unread. The mean and the maximum of a window depend on nothing else."""
    compilation = sewdsl.read(f"SN-{pool}-GAP-FC2", input=(1, height, width), neuron="IF")
    assume(compilation.valid)  # a window may be too large, or a padding
    network = compilation.network
    assert network is not None
    (said,) = [d.message for d in cropped_input.check(network, whole=True)] or [""]
    rows, columns = (
        int(n) for n in [*re.findall(r"(\d+) row", said), 0][:1] + [*re.findall(r"(\d+) column", said), 0][:1]
    )
    x = torch.randn(1, 400, 1, height, width, dtype=torch.float64, requires_grad=True)
    network.nodes[-3].op.build(Runtime, network.nodes[1].output)(x).sum().backward()
    assert x.grad is not None
    read = x.grad.abs().sum((0, 1, 2))
    assert int((read.sum(1) > 0).nonzero().max()) == height - 1 - rows
    assert int((read.sum(0) > 0).nonzero().max()) == width - 1 - columns
