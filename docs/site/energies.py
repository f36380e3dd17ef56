"""Published energies of networks in the zoo, recomputed from other published values.

The values in this module are those printed in the papers, with all their digits. Everything else is computed from the
networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

from docs.site.read_shipped import read_shipped
from sewdsl.analysis.energy import EnergyCosts

COSTS = EnergyCosts()
SPIKFORMER, DRAFT = "Zhou et al., ICLR 2023, Tab. 2", "Zhou et al., earlier preprint, Tab. 2"
QK, MAX, ATT = "Zhou et al., NeurIPS 2024, Tab. 2", "Max-Former, 2025, Tab. 3", "Yao et al., TPAMI 2023"
SDT = "Yao et al., NeurIPS 2023, README of the released code"
FIXED = "spikformer-8-512"
"""Network whose first layer is part of some other rows of Spikformer's table."""
SOP_ENERGY = Fraction(77, 1000)
"""Energy per operation in an earlier preprint of Spikformer, in pJ."""


MEMBRANE_SHORTCUTS = "5.52"
"""Energy of QKFormer-10-384 with membrane shortcuts in mJ, T = 4 (Max-Former, Tab. 3)."""


class WithOperations(NamedTuple):
    """Energy published with the number of accumulations (SOPs) that it is computed from.

    Attributes:
        network: Name in this repository.
        source: Source of the energy.
        sops: Published SOPs, in G.
        energy: Published energy, in mJ.
        sops_from: Source of the SOPs, if different.
    """

    network: str
    source: str
    sops: str
    energy: str
    sops_from: str = ""


class WithoutRates(NamedTuple):
    """Energy published without rates or operations.

    Attributes:
        network: Name in this repository.
        source: Source of the energy.
        energy: Published energy, in mJ.
    """

    network: str
    source: str
    energy: str


class AsRatio(NamedTuple):
    """Energy efficiency: ratio of the energies without and with spikes.

    Attributes:
        network: Name in this repository. The multiplications of attention are not counted.
        source: Source of the ratio.
        attention: Whether the network has attention (CSA).
        steps: Number of time-steps.
        ratio: Published ratio.
        rate: Published average spiking activity rate (NASAR), for T = 1.
    """

    network: str
    source: str
    attention: bool
    steps: int
    ratio: str
    rate: str


WITH_OPERATIONS = (
    WithOperations("spikformer-8-512", SPIKFORMER, "11.09", "11.577"),
    WithOperations("spikformer-8-768", SPIKFORMER, "22.09", "21.477"),
    WithOperations("spikformer-8-512", DRAFT, "11.09", "0.854"),
    WithOperations("spikformer-8-768", DRAFT, "22.09", "1.701"),
    WithOperations("sew-resnet-34", SPIKFORMER, "3.88", "4.035"),
    WithOperations("sew-resnet-50", SPIKFORMER, "4.83", "4.890"),
    WithOperations("sew-resnet-101", SPIKFORMER, "9.30", "8.913"),
    WithOperations("sew-resnet-152", SPIKFORMER, "13.72", "12.891"),
    WithOperations("tdbn-resnet-34", SPIKFORMER, "6.50", "6.393"),
    WithOperations("sew-resnet-34", QK, "3.88", "4.89", SPIKFORMER),
)
WITHOUT_RATES = (
    WithoutRates("sdt-8-384", SDT, "3.90"),
    WithoutRates("sdt-8-512", SDT, "4.50"),
    WithoutRates("qkformer-10-384", QK, "15.13"),
    WithoutRates("qkformer-10-768", QK, "38.91"),
    WithoutRates("maxformer-10-384", MAX, "4.89"),
)
AS_RATIOS = (
    AsRatio("ms-resnet-18", f"{ATT}, Tab. 2, 3", attention=False, steps=6, ratio="3.3", rate="0.224"),
    AsRatio("ms-resnet-34", f"{ATT}, Tab. 2, 3", attention=False, steps=6, ratio="3.8", rate="0.203"),
    AsRatio("ms-resnet-104", f"{ATT}, Tab. 2, 3", attention=False, steps=5, ratio="5.3", rate="0.218"),
    AsRatio("ms-resnet-104", f"{ATT}, Tab. 2, 3", attention=True, steps=4, ratio="7.4", rate="0.201"),
    AsRatio("ms-resnet-18", f"{ATT}, Tab. 2, 3", attention=True, steps=1, ratio="29.7", rate="0.148"),
    AsRatio("ms-resnet-34", f"{ATT}, Tab. 2, 3", attention=True, steps=1, ratio="29.6", rate="0.153"),
    AsRatio("ms-resnet-104", f"{ATT}, Tab. 2, 3", attention=True, steps=1, ratio="31.8", rate="0.201"),
)


class Work(NamedTuple):
    """Multiply-accumulates of a network per time-step.

    Attributes:
        first: MACs of the first layer, which multiplies.
        others: MACs of all other layers.
        steps: Number of time-steps, T.
    """

    first: int
    others: int
    steps: int


def work(name: str) -> Work:
    """Return the operations of a network in the zoo."""
    network = read_shipped(name).result()
    each = [network.macs(node) for node in network if network.macs(node)]
    return Work(each[0], sum(each[1:]), network.settings.steps)


def _mj(macs: float, acs: float) -> float:
    """Return the energy of operations in mJ."""
    return (macs * COSTS.mac + acs * COSTS.ac) * 1e-9


def _half(printed: str) -> float:
    """Return half a unit of the last printed digit."""
    return float(Fraction(1, 2 * 10 ** len(printed.partition(".")[2])))


class Recomputed(NamedTuple):
    """Energy by one interpretation of the formula.

    Attributes:
        energy: Energy in mJ.
        holds: Whether it agrees with the published energy, within the digits of both published values.
        verdict: Text for the table if it holds.
    """

    energy: float
    holds: bool
    verdict: str


def readings(row: WithOperations) -> list[Recomputed]:
    """Return the interpretations of a row, starting with the formula of the paper."""
    first, _, T = work(row.network)
    sops, slack = float(row.sops) * 1e9, _half(row.sops) * 1e9
    verdicts = (
        (first, "holds, with the first layer once"),
        (first * T, f"holds, with the first layer at each of {T} time-steps"),
        (work(FIXED).first * T, f"**does not hold**: it uses the first layer of `{FIXED}`, at each time-step"),
    )
    recomputed = []
    # Both published values are rounded, so each may differ by half a unit of its last digit.
    for macs, verdict in verdicts:
        energy = _mj(macs, sops)
        near = abs(energy - float(row.energy)) <= _half(row.energy) + _mj(0, slack)
        recomputed.append(Recomputed(energy, near, verdict))
    alone = float(SOP_ENERGY) * sops * 1e-9
    near = abs(alone - float(row.energy)) <= _half(row.energy) + float(SOP_ENERGY) * slack * 1e-9
    verdict = f"**does not hold**: it uses {float(SOP_ENERGY):g} pJ per SOP and no energy for the first layer"
    return [*recomputed, Recomputed(alone, near, verdict)]


def verdict_of(row: WithOperations) -> str:
    """Return whether a published energy follows from the published operations, and how."""
    for reading in readings(row):
        if reading.holds:
            return reading.verdict
    # Look for another row with the same energy.
    same = [other for other in WITH_OPERATIONS if other != row and float(other.energy) == float(row.energy)]
    also = f": equals the energy of `{same[0].network}` in {same[0].source}" if same else ""
    return f"**does not hold**{also}"


def mean_rate(row: WithOperations) -> float:
    """Return the mean firing rate implied by the published operations, weighted by FLOPs."""
    _, others, T = work(row.network)
    return float(row.sops) * 1e9 / (others * T)


def implied_rates(row: WithoutRates) -> tuple[float, float]:
    """Return the mean rates implied by a published energy.

    Returns:
        The rates with the first layer counted once, and counted at each time-step.
    """
    first, others, T = work(row.network)
    energy = float(row.energy)
    return tuple((energy - _mj(first * times, 0)) / _mj(0, others * T) for times in (1, T))  # type: ignore[return-value]


def rate_verdict(row: WithoutRates) -> str:
    """Return a comparison of the implied mean rate with those of published operations."""
    rates = implied_rates(row)
    other_rates = [mean_rate(other) for other in WITH_OPERATIONS]
    if max(rates) <= max(other_rates):
        return "possible: within the rates of the first table"
    if min(rates) > 1:
        return "**impossible** with spikes"
    return "above all rates of the first table, see below"


def ratio(row: AsRatio, rate: float) -> float:
    """Return the energy efficiency by the formula of the paper, with the first layer counted once."""
    first, others, _ = work(row.network)
    return _mj(first + others, 0) / _mj(first, rate * others * row.steps)


def implied_by_ratio(row: AsRatio) -> float:
    """Return the mean rate implied by a published efficiency."""
    first, others, _ = work(row.network)
    # Negative if the first layer alone needs more energy.
    return (_mj(first + others, 0) / float(row.ratio) - _mj(first, 0)) / _mj(0, others * row.steps)


def ratio_verdict(row: AsRatio) -> str:
    """Return whether a published efficiency follows from the published rate."""
    computed = ratio(row, float(row.rate))
    if abs(computed - float(row.ratio)) <= _half(row.ratio):
        return "holds"
    if implied_by_ratio(row) < 0:
        return f"**does not hold**: the first layer alone limits it to {ratio(row, 0):.1f}"
    return f"**does not hold**: it implies a rate of {implied_by_ratio(row):.1%}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _with_operations() -> Iterator[list[str]]:
    for row in WITH_OPERATIONS:
        first, others, T = work(row.network)
        once, each = readings(row)[0].energy, readings(row)[1].energy
        sops = row.sops if not row.sops_from else f"{row.sops} ({row.sops_from})"
        flops = f"{(first + others) / 1e9:.3f}"
        cells = (f"`{row.network}`", row.source, str(T), flops, sops, f"{mean_rate(row):.1%}", row.energy)
        yield [*cells, f"{once:.3f}", f"{each:.3f}", verdict_of(row)]


def _without_rates() -> Iterator[list[str]]:
    for row in WITHOUT_RATES:
        first, others, T = work(row.network)
        once, each = implied_rates(row)
        flops, dense = f"{(first + others) / 1e9:.3f}", f"{_mj(first + others, 0):.2f}"
        cells = (f"`{row.network}`", row.source, str(T), flops, dense, row.energy, f"{once:.1%}", f"{each:.1%}")
        yield [*cells, rate_verdict(row)]


def _as_ratios() -> Iterator[list[str]]:
    for row in AS_RATIOS:
        name = f"`{row.network}`{' with CSA' if row.attention else ''}"
        computed = f"{ratio(row, float(row.rate)):.1f}"
        yield [name, row.source, str(row.steps), row.rate, row.ratio, computed, ratio_verdict(row)]


def energies() -> str:
    """Return the three tables."""
    operations = _table(
        (
            "network",
            "source",
            "T",
            "FLOPs (G)",
            "SOPs (G)",
            "mean rate",
            "printed (mJ)",
            "once (mJ)",
            "each T (mJ)",
            "verdict",
        ),
        _with_operations(),
    )
    rates = _table(
        (
            "network",
            "source",
            "T",
            "FLOPs (G)",
            "without spikes (mJ)",
            "printed (mJ)",
            "rate, once",
            "rate, each T",
            "verdict",
        ),
        _without_rates(),
    )
    ratios = _table(("network", "source", "T", "NASAR", "printed", "computed", "verdict"), _as_ratios())
    spread = [mean_rate(row) for row in WITH_OPERATIONS]
    others = implied_rates(WithoutRates("qkformer-10-384", MAX, MEMBRANE_SHORTCUTS))[0]
    once, repeated = implied_rates(next(row for row in WITHOUT_RATES if row.network == "qkformer-10-384"))
    remark = _REMARK.format(
        least=min(spread),
        most=max(spread),
        once=once,
        repeated=repeated,
        fewest=repeated / max(spread),
        times=once / max(spread),
        energy=MEMBRANE_SHORTCUTS,
        rate=others,
    )
    return f"{operations}\n{_BETWEEN}\n{rates}\n{remark}\n{_THEN}\n{ratios}"


_BETWEEN = """\
## Energies without operations

These papers print neither rates nor operations. The table shows the mean rate, weighted by FLOPs, that each energy
implies:
"""
_REMARK = """\
The operations in the first table imply mean rates from {least:.1%} to {most:.1%}. The energy of QKFormer-10-384 implies
{repeated:.1%} to {once:.1%}, which is {fewest:.1f} to {times:.1f} times the largest of these rates. The joins of
QKFormer add spikes, so its layers read counts. If a layer adds a weight k times for a count k, the implied rate is the
mean of the counts, which can be larger than a firing rate. The paper does not specify how it treats counts.
Max-Former's Tab. 3 prints {energy} mJ for QKFormer-10-384 with membrane shortcuts, which keep spikes binary. This
energy implies a rate of {rate:.1%}.
"""
_THEN = """\
## Energy efficiencies

An efficiency is the energy of the network without spikes divided by the energy with spikes. NASAR is the firing rate
that the paper prints: the mean over all neurons, for one time-step. The first layer is counted once, as in the paper's
Eq. 17:
"""
