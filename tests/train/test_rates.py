import torch

import sewdsl
from sewdsl.train.watch import FiringRates


def test_mean_of_the_spikes_over_all_batches() -> None:
    model = sewdsl.compile("c4k3-BN-IF-SEW Block-FC3", input="1x6x6", steps=3)
    spikes: dict[str, list[torch.Tensor]] = {}
    for name in ("if1", "sew_block1.branch.if1", "sew_block1.branch.if2"):
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: spikes.setdefault(name, []).append(output)
        )
    rates = FiringRates()
    with rates.watch(model):
        for samples in (5, 2):
            model(3 * torch.randn(samples, 1, 6, 6))
    expected = {name: torch.cat(list_, dim=1).mean().item() for name, list_ in spikes.items()}
    assert list(rates.rates) == list(expected) == ["if1", "sew_block1.branch.if1", "sew_block1.branch.if2"]
    for name, rate in rates.rates.items():
        assert 0 < rate < 1
        assert abs(rate - expected[name]) < 1e-6


def test_nothing_is_counted_outside() -> None:
    model = sewdsl.compile("c4k3-BN-IF-FC3", input="1x6x6", steps=3)
    rates = FiringRates()
    with rates.watch(model):
        model(torch.ones(1, 1, 6, 6))
    before = rates.rates
    model(100 * torch.randn(9, 1, 6, 6))
    assert rates.rates == before
