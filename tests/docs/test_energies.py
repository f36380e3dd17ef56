"""Published energies, compared with computed energies."""

from __future__ import annotations

import pytest

from docs.site.energies import (
    AS_RATIOS,
    WITH_OPERATIONS,
    WITHOUT_RATES,
    AsRatio,
    WithOperations,
    WithoutRates,
    energies,
    implied_by_ratio,
    implied_rates,
    mean_rate,
    rate_verdict,
    ratio,
    ratio_verdict,
    readings,
    verdict_of,
    work,
)
from docs.site.read_shipped import read_shipped
from sewdsl.checks.expectation import measured_claims
from sewdsl.compiler import shipped_networks

VERDICTS = {
    ("spikformer-8-512", "11.577"): "holds, with the first layer at each of 4 time-steps",
    ("spikformer-8-768", "21.477"): "**does not hold**: it uses the first layer of `spikformer-8-512`",
    ("spikformer-8-512", "0.854"): "**does not hold**: it uses 0.077 pJ per SOP",
    ("spikformer-8-768", "1.701"): "**does not hold**: it uses 0.077 pJ per SOP",
    ("sew-resnet-34", "4.035"): "holds, with the first layer once",
    ("sew-resnet-50", "4.890"): "holds, with the first layer once",
    ("sew-resnet-101", "8.913"): "holds, with the first layer once",
    ("sew-resnet-152", "12.891"): "holds, with the first layer once",
    ("tdbn-resnet-34", "6.393"): "holds, with the first layer once",
    ("sew-resnet-34", "4.89"): "**does not hold**: equals the energy of `sew-resnet-50`",
}


@pytest.mark.parametrize("row", WITH_OPERATIONS, ids=lambda row: f"{row.network} {row.energy}")
def test_verdicts(row: WithOperations) -> None:
    assert verdict_of(row).startswith(VERDICTS[row.network, row.energy])
    assert 0 < mean_rate(row) < 1


def test_the_formula_by_hand() -> None:
    """Spikformer-8-512: 3 x 9 x 64 x 224 x 224 multiplications of the first layer, and 11.09 G accumulations."""
    first = 3 * 9 * 64 * 224 * 224
    assert work("spikformer-8-512").first == first
    once, each = readings(WITH_OPERATIONS[0])[:2]
    assert once.energy == pytest.approx((4.6e-12 * first + 0.9e-12 * 11.09e9) * 1e3)
    assert each.energy == pytest.approx((4.6e-12 * first * 4 + 0.9e-12 * 11.09e9) * 1e3)


@pytest.mark.parametrize("row", WITHOUT_RATES, ids=lambda row: row.network)
def test_implied_rates_give_the_printed_energy(row: WithoutRates) -> None:
    first, others, T = work(row.network)
    assert rate_verdict(row).startswith("above all" if row.network.startswith("qkformer") else "possible")
    for times, rate in zip((1, T), implied_rates(row), strict=True):
        assert 0 < rate < 1
        assert (4.6 * first * times + 0.9 * rate * others * T) * 1e-9 == pytest.approx(float(row.energy))


@pytest.mark.parametrize("row", AS_RATIOS, ids=lambda row: f"{row.network} {row.ratio}")
def test_ratios(row: AsRatio) -> None:
    implied = implied_by_ratio(row)
    assert ratio(row, implied) == pytest.approx(float(row.ratio))
    assert ratio_verdict(row).startswith("holds") == (row.ratio == "3.8")
    assert ("limits" in ratio_verdict(row)) == (implied < 0) == (row.ratio == "29.7")


def test_claims_of_shipped_networks_are_the_printed_energies() -> None:
    """A file claims what a table of the page has, and the other way round, but for rows about other sources."""
    printed = {(row.network, float(row.energy)) for row in (*WITH_OPERATIONS, *WITHOUT_RATES)}
    claimed = set()
    for name in shipped_networks():
        network = read_shipped(name).network
        for _, figure in measured_claims(network, "energy") if network else ():
            claimed.add((name, round(float(figure.value) * 1e3, 6)))
    assert claimed <= printed
    assert {name for name, _ in printed} - {name for name, _ in claimed} == {"tdbn-resnet-34"}


def test_the_page_has_a_row_for_each() -> None:
    text = energies()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(WITH_OPERATIONS) + len(WITHOUT_RATES) + len(AS_RATIOS)
