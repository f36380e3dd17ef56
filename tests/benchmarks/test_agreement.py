"""Contenders compute the same, and it is noticed when they do not."""

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("spikingjelly")
pytest.importorskip("snntorch")

from snntorch import surrogate

from benchmarks.contenders import CONTENDERS, PLANNED, SEWDSL, SPIKINGJELLY, Contender, spiking_jelly
from benchmarks.contenders.model import Model
from benchmarks.job import MismatchError
from benchmarks.tasks.agree import agree
from benchmarks.workload import Workload

LAYER = Workload("lif-layer", (3, 4, 4), 4, 2)
BLOCKS = Workload("blocks-1", (2, 8, 8), 3, 2)


@pytest.mark.parametrize(
    ("workload", "contenders"),
    [
        (LAYER, CONTENDERS),
        pytest.param(Workload("7b-net", (2, 128, 128), 2, 2), CONTENDERS, marks=pytest.mark.deep),
        pytest.param(Workload("sew-resnet-18", (3, 32, 32), 3, 2, static=True), CONTENDERS, marks=pytest.mark.deep),
        pytest.param(Workload("sew-resnet-18", (3, 32, 32), 3, 2, train=False), CONTENDERS, marks=pytest.mark.deep),
        (Workload("blocks-1", (2, 8, 8), 3, 2, train=False), CONTENDERS[:2]),
        (BLOCKS, CONTENDERS[:2]),
        pytest.param(
            Workload("spikingresformer-ti", (3, 32, 32), 2, 2, static=True), CONTENDERS[:2], marks=pytest.mark.deep
        ),
        pytest.param(
            Workload("7b-net", (2, 128, 128), 2, 2, precision="bf16"), (SEWDSL, PLANNED), marks=pytest.mark.deep
        ),
    ],
    ids=lambda value: f"{value.network}, {value}" if isinstance(value, Workload) else "",
)
def test_contenders_agree(workload: Workload, contenders: tuple[Contender, ...], tmp_path: Path) -> None:
    found = agree(workload, contenders, tmp_path / "weights.pt")
    assert list(found) == [contender.name for contender in contenders[1:]]
    assert all((agreement.gradients is not None) == workload.train for agreement in found.values())


def test_the_weights_are_left_for_those_that_are_timed(tmp_path: Path) -> None:
    agree(BLOCKS, [SEWDSL], tmp_path / "weights.pt")
    values = torch.load(tmp_path / "weights.pt")
    model = SPIKINGJELLY.build(BLOCKS)
    model.load(values)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.values, values, strict=True))
    assert any(not torch.equal(value, torch.zeros(32)) for value in values if value.shape == (32,))
    with pytest.raises(ValueError, match="weights do not match"):
        model.load(values[1:])


@pytest.mark.parametrize("workload", [LAYER, BLOCKS], ids=str)
def test_another_threshold_is_noticed(workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spiking_jelly.NEURON, "v_threshold", 1.05)
    with pytest.raises(MismatchError, match=r"SpikingJelly differs in outputs in float64 by .*, expected at most"):
        agree(workload, CONTENDERS[:2], tmp_path / "weights.pt")


def test_another_surrogate_is_noticed_by_its_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atan = surrogate.atan
    monkeypatch.setattr(surrogate, "atan", lambda alpha: atan(1.01 * alpha))
    with pytest.raises(MismatchError, match="snnTorch differs in gradients in float64"):
        agree(LAYER, CONTENDERS, tmp_path / "weights.pt")


def test_silence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(x.shape) + 0 * x

    monkeypatch.setattr(Contender, "build", lambda *_: Model(Silent(), Silent()))
    with pytest.raises(MismatchError, match="the output is equal for all samples"):
        agree(LAYER, CONTENDERS, tmp_path / "weights.pt")


def test_a_contender_may_have_options_of_its_own(tmp_path: Path) -> None:
    """A level of optimisation is one line that says what the compiler is told."""
    plain = Contender("sewdsl, level 0", "sewdsl", "ours", {"optimize": 0})
    assert list(agree(BLOCKS, [SEWDSL, plain], tmp_path / "weights.pt")) == [plain.name]
    soft = Contender("sewdsl, soft reset", "sewdsl", "ours", {"neuron": "LIF(v_reset=none)"})
    with pytest.raises(MismatchError, match="sewdsl, soft reset differs"):
        agree(LAYER, [SEWDSL, soft], tmp_path / "weights.pt")
