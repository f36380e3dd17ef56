"""Energies that papers print of networks of the zoo, computed again from what they print with them.

What is stated here is what was read: values with the digits that are printed. Everything else is computed from the
networks' own texts.
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
"""Whose first layer some rows of Spikformer's table hold."""
SOP_ENERGY = Fraction(77, 1000)
"""In pJ: what an earlier preprint of Spikformer takes for an operation."""


MEMBRANE_SHORTCUTS = "5.52"
"""In mJ: QKFormer-10-384 with shortcuts between membranes, T = 4 (Max-Former, Tab. 3)."""


class WithOperations(NamedTuple):
    """An energy that is printed with the number of accumulations (SOPs) that it comes from.

    Attributes:
        network: By its name here.
        source: Who prints it.
        sops: In G, as printed.
        energy: In mJ, as printed.
        sops_from: Who prints the operations, if it is somebody else.
    """

    network: str
    source: str
    sops: str
    energy: str
    sops_from: str = ""


class WithoutRates(NamedTuple):
    """An energy that is printed without what it comes from.

    Attributes:
        network: By its name here.
        source: Who prints it.
        energy: In mJ, as printed.
    """

    network: str
    source: str
    energy: str


class AsRatio(NamedTuple):
    """An energy efficiency: how many times the energy of the spiking network the one without spikes takes.

    Attributes:
        network: By its name here; what attention multiplies is left out.
        source: Where it is printed.
        attention: Whether of the network with attention (CSA).
        steps: Time-steps of the row.
        ratio: As printed.
        rate: The network's average spiking activity rate (NASAR), as printed for T = 1.
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
    """Multiply-accumulates of a network for one time-step.

    Attributes:
        first: Of its first layer, which multiplies.
        others: Of all others.
        steps: T.
    """

    first: int
    others: int
    steps: int


def work(name: str) -> Work:
    """What a network of the zoo computes."""
    network = read_shipped(name).result()
    each = [network.macs(node) for node in network if network.macs(node)]
    return Work(each[0], sum(each[1:]), network.settings.steps)


def _mj(macs: float, acs: float) -> float:
    """Energy in mJ."""
    return (macs * COSTS.mac + acs * COSTS.ac) * 1e-9


def _half(printed: str) -> float:
    """Half a unit of the last digit."""
    return float(Fraction(1, 2 * 10 ** len(printed.partition(".")[2])))


class Recomputed(NamedTuple):
    """What a printed energy comes to by one reading of the formula.

    Attributes:
        energy: In mJ.
        holds: Whether it is the printed one, as far as the digits of both printed numbers go.
        verdict: What to say then.
    """

    energy: float
    holds: bool
    verdict: str


def readings(row: WithOperations) -> list[Recomputed]:
    """The readings of a row, the paper's own formula first."""
    first, _, T = work(row.network)
    sops, slack = float(row.sops) * 1e9, _half(row.sops) * 1e9
    verdicts = (
        (first, "holds, with the first layer once"),
        (first * T, f"holds, with the first layer at each of {T} time-steps"),
        (work(FIXED).first * T, f"**does not hold**: it uses the first layer of `{FIXED}`, at each time-step"),
    )
    found = []
    for macs, verdict in verdicts:
        energy = _mj(macs, sops)
        near = abs(energy - float(row.energy)) <= _half(row.energy) + _mj(0, slack)
        found.append(Recomputed(energy, near, verdict))
    alone = float(SOP_ENERGY) * sops * 1e-9
    near = abs(alone - float(row.energy)) <= _half(row.energy) + float(SOP_ENERGY) * slack * 1e-9
    verdict = f"**does not hold**: it uses {float(SOP_ENERGY):g} pJ per SOP and no energy for the first layer"
    return [*found, Recomputed(alone, near, verdict)]


def verdict_of(row: WithOperations) -> str:
    """Whether a printed energy follows from the printed operations, and how."""
    for reading in readings(row):
        if reading.holds:
            return reading.verdict
    same = [other for other in WITH_OPERATIONS if other != row and float(other.energy) == float(row.energy)]
    also = f": equals the energy of `{same[0].network}` in {same[0].source}" if same else ""
    return f"**does not hold**{also}"


def mean_rate(row: WithOperations) -> float:
    """The mean rate that the printed operations are, weighted by FLOPs."""
    _, others, T = work(row.network)
    return float(row.sops) * 1e9 / (others * T)


def implied_rates(row: WithoutRates) -> tuple[float, float]:
    """The mean rate that a printed energy implies, with the first layer once, and at each time-step."""
    first, others, T = work(row.network)
    energy = float(row.energy)
    return tuple((energy - _mj(first * times, 0)) / _mj(0, others * T) for times in (1, T))  # type: ignore[return-value]


def rate_verdict(row: WithoutRates) -> str:
    """Where the mean rate that a printed energy implies lies next to those of printed operations."""
    rates = implied_rates(row)
    known = [mean_rate(other) for other in WITH_OPERATIONS]
    if max(rates) <= max(known):
        return "possible: within the rates of the first table"
    if min(rates) > 1:
        return "**impossible** with spikes"
    return "above all rates of the first table, see below"


def ratio(row: AsRatio, rate: float) -> float:
    """The energy efficiency by the paper's formula, with the first layer once."""
    first, others, _ = work(row.network)
    return _mj(first + others, 0) / _mj(first, rate * others * row.steps)


def implied_by_ratio(row: AsRatio) -> float:
    """The mean rate that a printed efficiency implies; below 0 where the first layer alone takes more."""
    first, others, _ = work(row.network)
    return (_mj(first + others, 0) / float(row.ratio) - _mj(first, 0)) / _mj(0, others * row.steps)


def ratio_verdict(row: AsRatio) -> str:
    """Whether a printed efficiency follows from the printed rate."""
    mine = ratio(row, float(row.rate))
    if abs(mine - float(row.ratio)) <= _half(row.ratio):
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
        mine = f"{ratio(row, float(row.rate)):.1f}"
        yield [name, row.source, str(row.steps), row.rate, row.ratio, mine, ratio_verdict(row)]


def energies() -> str:
    """The three tables."""
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
QKFormer add spikes, so its layers read counts. If a count k is k accumulations, the mean is a mean of counts and can
exceed a fraction of spikes. The paper does not specify this. Max-Former's Tab. 3 prints {energy} mJ for
QKFormer-10-384 with membrane shortcuts, which keep spikes binary. This implies a rate of {rate:.1%}.
"""
_THEN = """\
## Energy efficiencies

An efficiency is the energy of the network without spikes divided by the energy with spikes. NASAR is the paper's mean
rate over neurons, for T = 1. The first layer is counted once, as in the paper's Eq. 17:
"""
