"""Dead and saturated neurons: known ones are found, whoever computes them and however they are stored."""

from fractions import Fraction

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.train.store.result import EDGES, Population
from sewdsl.train.watch import FiringRates, count_population

CHANCES = 1000


def seen(*batches: Tensor) -> FiringRates:
    """Return the counts of a layer with these spikes, ``[T, N, *]``."""
    size = "x".join(map(str, batches[0].shape[2:]))
    model = sewdsl.compile("IF", input=size, steps=len(batches[0]))
    rates = FiringRates()
    with rates.watch(model):
        for batch in batches:
            model(1.5 * batch)  # over the threshold of 1 at once, and reset at once
    return rates


class TestHandMadeSpikes:
    def test_known_neurons(self) -> None:
        """A dead channel, a dead place next to it, a saturated channel, and neurons between."""
        spikes = torch.zeros(4, 5, 3, 2, 2)
        spikes[:, :, 1] = 1
        spikes[0, 0, 1, 0, 0] = 0  # 19 of 20: saturated, but not always
        spikes[:2, :, 2, 0, 0] = 1  # 10 of 20
        spikes[0, 0, 2, 0, 1] = 1  # 1 of 20
        assert seen(spikes).populations["if1"] == Population(
            shape=(3, 2, 2),
            dead=4 + 2,
            saturated=4,
            always=3,
            dead_channels=1,
            dead_places=0,
            saturated_channels=1,
            histogram=(0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0),
        )

    def test_dead_places(self) -> None:
        spikes = torch.zeros(2, 3, 4, 3, 3)
        spikes[0, 1, :, 1, 1] = 1
        spikes[1, 2, 3, 0, 2] = 1
        found = seen(spikes).populations["if1"]
        assert (found.dead_places, found.dead_channels, found.dead) == (7, 0, 36 - 5)

    def test_saturated_channels(self) -> None:
        """One channel is at 90 %, one has a single neuron above 90 %, and one has all neurons above."""
        found = count_population(torch.tensor([[90, 90], [90, 91], [91, 100]]), 100)
        assert (found.saturated, found.always, found.saturated_channels) == (3, 1, 1)

    def test_batches_add_up(self) -> None:
        spikes = (torch.rand(3, 7, 4, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.3).float()
        spikes[:, :2, 0] = 0
        whole, parts = seen(spikes), seen(spikes[:, :2], spikes[:, 2:5], spikes[:, 5:])
        assert parts.populations == whole.populations
        assert parts.rates == whole.rates == {"if1": pytest.approx(spikes.mean().item(), abs=1e-7)}
        assert whole.populations["if1"].dead < 4

    def test_without_places(self) -> None:
        spikes = torch.zeros(2, 5, 6)
        spikes[:, :, :2] = 1
        found = seen(spikes).populations["if1"]
        assert (found.dead_share, found.saturated_share) == (4 / 6, 2 / 6)
        assert (found.shape, found.neurons, found.places) == ((6,), 6, 1)
        assert (found.dead, found.dead_channels, found.saturated, found.saturated_channels) == (4, 4, 2, 2)
        assert found.dead_places == 0

    @pytest.mark.parametrize("shape", [(3, 4, 5, 6, 7), (3, 4, 1, 6, 7), (3, 4, 5, 1, 1)])
    def test_however_they_are_stored(self, shape: tuple[int, ...]) -> None:
        spikes = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.1).float()
        last = spikes.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        swapped = spikes.transpose(3, 4).contiguous().transpose(3, 4)
        for stored in (spikes, last, swapped):
            counts = FiringRates()._batch(stored)
            assert torch.equal(counts, spikes.sum((0, 1)).int())

    def test_memory_does_not_grow(self) -> None:
        rates = seen(*[torch.ones(2, 3, 4, 5, 5)] * 3)
        (counts,) = rates._spikes.values()
        assert (counts.shape, counts.dtype) == ((4, 5, 5), torch.int32)


class TestBins:
    @pytest.mark.parametrize("index", range(len(EDGES)))
    def test_an_edge_belongs_to_the_bin_that_it_ends(self, index: int) -> None:
        edge = int(Fraction(str(EDGES[index])) * CHANCES)
        found = count_population(torch.tensor([edge, edge, edge + 1]), CHANCES)
        assert found.bins[index + 1] == 2
        assert found.bins[index + 2] == 1

    def test_the_ends(self) -> None:
        found = count_population(torch.tensor([0, 0, 0, 1, 900, 901, 999, 1000]), CHANCES)
        assert (found.dead, found.histogram[0], found.histogram[-1], found.saturated, found.always) == (3, 1, 1, 3, 1)

    def test_the_documented_edges(self) -> None:
        """Results of runs hold counts alone: others would be read wrongly."""
        assert EDGES == (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

    @pytest.mark.parametrize("change", [{"dead": 1}, {"histogram": (0,) * 12}, {"shape": ()}, {"saturated": -1}])
    def test_damaged(self, change: dict[str, object]) -> None:
        good = count_population(torch.tensor([5, 6]), CHANCES).model_dump()
        assert Population.model_validate(good).neurons == 2
        with pytest.raises(ValidationError):
            Population.model_validate({**good, **change})


class TestNetworks:
    def model(self, optimize: int) -> SpikingNetwork:
        body = "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC12-IF-FC3"
        return sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, neuron="PLIF").double()

    def test_a_dead_and_a_saturated_channel(self) -> None:
        model = self.model(1)
        norm = model.get_parameter("bn1.bias")
        with torch.no_grad():
            norm[2], norm[4] = -100.0, 100.0
        rates = FiringRates()
        with rates.watch(model), torch.no_grad():
            model(torch.rand(4, 3, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
        found = rates.populations["plif1"]
        assert (found.dead_channels, found.saturated_channels, found.always) == (1, 1, 64)
        assert list(rates.populations) == list(rates.rates)
        assert rates.populations["if1"].shape == (12,)

    def test_no_level_hides_any(self) -> None:
        results = []
        for level in (0, 1):
            model, rates, layers = self.model(level), FiringRates(), FiringRates()
            with rates.watch(model), layers.watch(model), torch.no_grad():
                torch.manual_seed(2)
                for samples in (3, 2):
                    model(torch.rand(4, samples, 2, 8, 8, dtype=torch.float64))
            assert rates.rates == layers.rates
            assert len(rates.populations) == 7
            results.append(rates.populations)
        assert results[0] == results[1]
        assert all(sum(count > 0 for count in found.bins) > 1 for found in results[0].values())
