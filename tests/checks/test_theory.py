"""The rules of the paper's theory, by its numbers, and beside what torch computes."""

from __future__ import annotations

from itertools import product
from math import pi

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.diagnostics import Diagnostic
from sewdsl.ir.op import Neuron
from sewdsl.ops import catalogue
from sewdsl.ops.residual import Residual, identities, residuals, rows
from sewdsl.ops.transmission import Slopes, failure, slopes
from sewdsl.snn.kernels import spikes

NEURONS = {
    "paper": "IF(surrogate=ATan(alpha=2.0))",
    "low threshold": "IF(v_threshold=0.5, surrogate=ATan(alpha=2.0))",
    "steep": "IF(surrogate=ATan(alpha=3.0))",
    "leaky": "LIF(tau=2.0)",
    "leaky and low": "LIF(tau=4.0, v_threshold=0.25, surrogate=Triangle(alpha=0.5))",
    "learns": "PLIF(tau=3.0, surrogate=Sigmoid(alpha=2.0))",
    "rests elsewhere": "IF(v_reset=-0.25, surrogate=Rectangular(width=4.0))",
    "soft": "LIF(tau=1.25, v_reset=none)",
}
"""As a header says them."""


def neuron(kind: str, **arguments: object) -> Neuron:
    made = catalogue()[kind].model_validate(arguments)
    assert isinstance(made, Neuron)
    return made


def said(body: str, **settings: str) -> list[Diagnostic]:
    return list(sewdsl.read(body, input="2x16x16", set=settings).diagnostics)


def test_the_paper_s_numbers() -> None:
    """Sec. 4.1: σ'(0 - v_threshold) and σ'(1 - v_threshold) behind Figures 6, 7 and 8."""
    gentle, steep = (catalogue()["ATan"].model_validate({"alpha": alpha}) for alpha in (2.0, 3.0))
    assert slopes(neuron("IF", surrogate=gentle)) == pytest.approx((0.092, 1), abs=5e-4)
    assert slopes(neuron("IF", v_threshold=0.5, surrogate=gentle)) == pytest.approx((0.288, 0.288), abs=5e-4)
    assert slopes(neuron("IF", surrogate=steep)) == pytest.approx((1.5 / (1 + (1.5 * pi) ** 2), 1.5))
    assert slopes(neuron("LIF", tau=2.0)) == pytest.approx((0.5 / (1 + pi**2), 0.5 / (1 + pi**2 / 4)))
    assert slopes(neuron("PLIF", tau=2.0)) == slopes(neuron("LIF", tau=2.0))


@pytest.mark.parametrize("text", NEURONS.values(), ids=NEURONS)
@pytest.mark.parametrize("blocks", [1, 3])
def test_gradients_are_those_that_torch_finds(text: str, blocks: int) -> None:
    """Of Spiking blocks whose branch gives nothing, at the first time-step, where potentials are at rest."""
    model = sewdsl.compile(
        f"ReLU-{{Spiking Block (c2)}}*{blocks}",
        input="2x6x6",
        steps=1,
        optimize=0,
        set={"neuron": text, "init": "zero"},
    ).double()
    network = model.network
    op = network.nodes[network.output].op
    assert isinstance(op, Neuron)
    found = slopes(op)
    assert found is not None
    assert len(list(residuals(network))) == blocks
    s = torch.randint(0, 2, (1, 3, 2, 6, 6), generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    outputs = model(s, return_sequence=True)
    (gradient,) = torch.autograd.grad(outputs.sum(), s)
    fires = {x: _fires(op, x) for x in (0, 1)}
    expected = {x: _product(found, fires, x, blocks) for x in (0, 1)}
    through = (s > 0).double()  # ReLU passes no gradient where there is none
    torch.testing.assert_close(gradient, through * expected[1], rtol=1e-6, atol=1e-12)


def _fires(op: Neuron, x: int) -> int:
    return int(spikes(op, torch.full((1, 1, 1), float(x), dtype=torch.float64), _learned(op)).item())


def _product(found: Slopes, fires: dict[int, int], x: int, blocks: int) -> float:
    """Along a chain in which each neuron is sent what the one before gives."""
    factor = 1.0
    for _ in range(blocks):
        factor, x = factor * (found.spike if x else found.silent), fires[x]
    return factor


def _learned(op: Neuron) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in op.learnable().items()}


@pytest.mark.parametrize(
    ("kind", "tau", "v_threshold", "v_reset"),
    [
        (kind, tau, v_threshold, v_reset)
        for kind, tau, v_threshold, v_reset in product(
            ("IF", "LIF"), (1.25, 2.0), (0.25, 0.5, 1.0, 1.25), (0.0, -0.25, 0.25, None)
        )
        if kind == "LIF" or tau == 2.0
    ],
)
def test_who_passes_spikes_on(kind: str, tau: float, v_threshold: float, v_reset: float | None) -> None:
    """What is said to fail does, and what is not passes a long random sequence on."""
    times = {"tau": tau} if kind == "LIF" else {}
    op = neuron(kind, v_threshold=v_threshold, v_reset=v_reset, **times)
    sent = torch.randint(0, 2, (200, 50), generator=torch.Generator().manual_seed(1)).double()
    given = spikes(op, sent[:, :, None], {})[:, :, 0]
    assert (failure(op, len(sent)) is None) == bool(torch.equal(given, sent))


def test_how_it_fails() -> None:
    assert failure(neuron("LIF", tau=2.0), 4) == (0, 1, 0.5)
    assert failure(neuron("IF", v_threshold=1.25), 4) == (0, 1, 1)
    assert failure(neuron("IF", v_threshold=0.25, v_reset=0.25), 4) == (0.25, 0, 0.25)
    assert failure(neuron("IF", v_threshold=0.5, v_reset=None), 4) == (0.5, 0, 0.5)  # what a spike leaves fires again
    assert failure(neuron("IF", v_threshold=1.0, v_reset=None), 4) is None


def test_what_takes_longer_than_the_file_s_steps_does_not_fail() -> None:
    """Each spike leaves a quarter of a potential, and three of them fire by themselves."""
    leaving = neuron("IF", v_threshold=0.75, v_reset=None)
    assert failure(leaving, 3) is None
    assert failure(leaving, 4) == (0.75, 0, 0.75)
    header = {"neuron": "IF(v_threshold=0.75, v_reset=none, surrogate=ATan(alpha=3.0))"}
    body = "c4k3-BN-SN-Spiking Block-GAP-FC3"
    assert said(body, **header, steps="3") == []
    assert [d.code for d in said(body, **header, steps="4")] == ["no-identity-mapping"]


def test_what_hangs_on_rounding_does_not_fail() -> None:
    """Ten tenths are 1 in float32 and a little less in float64."""
    assert failure(neuron("IF", v_threshold=0.1 + 1e-9, v_reset=None), 1) is None
    assert failure(neuron("LIF", tau=10.0, v_threshold=0.1 + 1e-9), 4) is None


def test_blocks_in_a_row() -> None:
    """Pooling goes between them; a projection, and a neuron on its own, end the row."""
    network = sewdsl.load(
        "c4k3-BN-IF-{SEW Block}*2-MPk2s2-SEW Block-SEW Block (c8s2)-SEW Block-c8k3-BN-IF-SEW Block", input="2x16x16"
    )
    assert [len(row) for row in rows(network, lambda _: True)] == [3, 1, 1]
    chosen = next(identities(network))
    assert list(rows(network, lambda block: block == chosen)) == [(chosen,)]


def test_blocks_side_by_side_are_no_row() -> None:
    network = sewdsl.load("c4k3-BN-IF-ADD[ADD[c4k3-BN-IF | id] | ADD[c4k3-BN-IF | id]]", input="2x8x8")
    assert [len(row) for row in rows(network, lambda _: True)] == [1, 1]
    assert all(isinstance(block, Residual) and block.activation is None for block in residuals(network))


@pytest.mark.parametrize("blocks", [2, 5, 6, 10])
def test_when_gradients_are_spoken_of(blocks: int) -> None:
    body = f"c4k3-BN-SN-{{Spiking Block}}*{blocks}-GAP-FC3"
    steep = [d.message for d in said(body, neuron=NEURONS["steep"])]
    assert steep == (
        [f"{blocks} Spiking blocks in a row multiply the gradient by {1.5**blocks:.2g}, were they identities (Eq. 8)"]
        if 1.5**blocks >= 10
        else []
    )
    assert said(body, neuron=NEURONS["paper"]) == []
    assert [d.code for d in said(body, neuron=NEURONS["low threshold"])] == ["vanishing-gradient"]
    assert said(body.replace("Spiking", "SEW"), neuron=NEURONS["steep"]) == []


UNITS = {
    "membrane shortcut": "ADD[SN-c4k3-tdBN-SN-c4k3-tdBN | id]",
    "norm before the first neuron": "ADD[BN-SN-c4k3-BN-SN-c4k3 | id]",
    "SEW": "ADD[c4k3-BN-SN-c4k3-BN-SN | id]",
    "SEW with dropout": "ADD[c4k3-BN-SN-DP0.1 | id]",
}
"""Blocks that end with their join: a neuron in the branch begins or ends it."""


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize(
    "body",
    ["{U}*4", "{U}*1", "U", "U-U-U", "{U}*2-MPk2-{U}*2", "{U}*1-APk2-U", "Stage", "{{U}*2}*2", "{ADD[U-U | id]}*2"],
)
def test_a_neuron_of_the_network_is_not_the_last_block_s(unit: str, body: str) -> None:
    """Whether the blocks are called or written out, and read a current or spikes."""
    for stem, named in product(("c4k3-tdBN", "c4k3-tdBN-SN"), (True, False)):
        blocks = f"block U = {unit}\nblock Stage = U-U-SN\n" if named else ""
        written = body if named else body.replace("Stage", "{U}*2-SN").replace("U", unit)
        compilation = sewdsl.read(
            f"sewdsl 1\ninput 2x16x16\nsteps 4\nneuron LIF(tau=2.0)\n{blocks}body {stem}-{written}-SN-GAP-FC3\n"
        )
        assert compilation.diagnostics == ()
        assert compilation.network is not None
        assert all(block.end == block.join for block in residuals(compilation.network))


@pytest.mark.parametrize(
    "body",
    [
        "Spiking Block",
        "{Spiking Block}*3",
        "ADD[c4k3-BN-SN-c4k3-BN | id]-SN",
        "{ADD[c4k3-BN-SN-c4k3-BN | id]-SN-MPk2}*2",
        "ADD[c4k3-BN-SN-c4k3-BN | id]-SN-MPk2-ADD[c4k3-BN | id]-SN",
        "{ADD[c4k3-BN-SN | id]-SN}*2",  # a neuron of its own after every copy, whatever its branch ends with
        "{ADD[SN-c4k3-BN | id]-SN}*2",
        "{ADD[c4k3-BN | id]}*1-SN",
    ],
)
def test_a_neuron_that_each_block_has_is_the_block_s(body: str) -> None:
    compilation = sewdsl.read(f"c4k3-BN-SN-{body}-GAP-FC3", input="2x16x16", set={"neuron": "LIF(tau=2.0)"})
    assert "no-identity-mapping" in {d.code for d in compilation.diagnostics}
    assert compilation.network is not None
    assert all(block.end == block.join + 1 for block in residuals(compilation.network))


@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
def test_a_neuron_after_a_sew_block_is_none_of_it(join: str) -> None:
    assert said("c4k3-BN-IF-SEW Block-LIF-GAP-FC3", neuron="IF", join=join) == []
    (block,) = residuals(sewdsl.load("c4k3-BN-IF-SEW Block-LIF-GAP-FC3", input="2x8x8", set={"neuron": "IF"}))
    assert block.end == block.join


def test_counts_are_no_spikes() -> None:
    (found,) = said("c4k3-BN-IF-SEW Block-Spiking Block-GAP-FC3", neuron="IF")
    assert found.message == (
        "with a neutral branch, this block is not an identity: its input is count 0..2, and IF outputs spikes only "
        "(Sec. 3.2)"
    )
    assert found.help == "put a neuron before the block, or use a SEW block"
    assert said("c4k3-BN-IF-SEW Block-IF-Spiking Block-GAP-FC3", neuron="IF") == []


def test_what_learns_may_cease_to_pass_spikes_on() -> None:
    (found,) = said(
        "c4k3-BN-SN-Spiking Block-GAP-FC3", neuron="PLIF(tau=2.0, v_threshold=0.25, surrogate=Triangle(alpha=2.0))"
    )[:1]
    assert "PLIF learns w, and with it which spikes it passes on" in found.message


def test_the_least_loss_of_rates() -> None:
    """Eleven classes: the right one at 1, all others at 0."""
    text = "sewdsl 1\ninput 2x16x16\nbody FC110-IF-APk10\ntrain on dvs128-gesture {\noptimizer Adam(lr=0.001)\n}\n"
    (found,) = sewdsl.read(text).diagnostics
    logits = torch.eye(11)[:1]
    least = torch.nn.functional.cross_entropy(logits, torch.tensor([0])).item()
    assert found.message.endswith(f"over 11 classes never falls below {least:.2f}")


@pytest.mark.parametrize(("loss", "help_"), [("mean", "FC, or take 'readout sum'"), ("tet", "FC")])
def test_what_helps_goes_with_the_loss(loss: str, help_: str) -> None:
    text = "sewdsl 1\ninput 2x16x16\nbody FC110-IF-APk10\ntrain on dvs128-gesture {\noptimizer Adam(lr=0.001)\n"
    (found,) = sewdsl.read(f"{text}loss {loss}\n}}\n").diagnostics
    assert found.help == f"end the network in {help_}"


@pytest.mark.parametrize("surrogate", ["Triangle(alpha=1000.0)", "Sigmoid(alpha=100000.0)", "ATan(alpha=100000.0)"])
def test_a_narrow_surrogate_falls_off_all_the_same(surrogate: str) -> None:
    assert said("c4k3-BN-SN-GAP-FC3", neuron=f"IF(surrogate={surrogate})") == []


@pytest.mark.parametrize("surrogate", ["Rectangular(width=0.001)", "Rectangular(width=100.0)", "Constant(value=2.0)"])
def test_a_flat_surrogate_is_one_whatever_its_width(surrogate: str) -> None:
    (found,) = said("c4k3-BN-SN-GAP-FC3", neuron=f"IF(surrogate={surrogate})")
    assert found.code == "zero-one-gradient"
