"""Random networks in integers: text, trained weights, formats and input, all from one seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import numpy as np

import sewdsl
from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.lower import SpikingNetwork
from sewdsl.source import Source
from tests.integers.zoo import READOUTS, Case, trained
from tests.laws import drawn

LINEAR = "IF", "LIF(tau={tau}, {more})", "PLIF(tau={tau}, {more})", "DLIF(decay={decay}, {more})", "IF({more})"
EQUATIONS = (
    *("PLIFC(tau={tau})", "LIF1(decay={decay}, v_reset=none)", "KLIF", "CUBA", "ALIF", "ILIF(D=4)", "ILIF(D=2)"),
    *("LTH", "RF", "Ternary", "Rate"),
)
OTHERS = "PSN", "EIF", "GLIF", "ILIFwide"
TAUS = 1.1, 1.7, 2.0, 3.0, 16.0, 1000.0
DECAYS = 0.0, 0.001, 0.25, 0.5, 0.9, 0.999
THRESHOLDS = 1.0, 1.0, 1.0, 0.3, 0.75, 5.0, 1e-6, 1e6
RESETS = "0.0", "0.0", "none", "none", "-0.4", "0.2"
INPUTS = "2x6x6", "4x5x3", "1x7x4", "4x1x1", "4x2x8", "1x1x1", "6", "2x9", "4x8", "1x7"
LAYERS = (
    *("BN", "tdBN", "BN-SN", "ReLU", "SN-ReLU", "DP0.25", "DropPath0.25", "id", "SN", "SN", "SCALE(value=0.5)"),
    *("SCALE(value=-1.5)", "SCALE(value=0)", "SCALE(value=0.5, learn=on, per=channel)", "SN-SCALE(value=-0.5)"),
    *("MPk2", "MPk3s2p1", "MPk3s1p1", "MPk2x1", "APk2", "APk3s2p1", "APk2x1", "SN-MPk2", "SN-APk2", "SN-APk3s2p1"),
    *("UP2", "UP2-MPk2", "SN-UP2-APk2", "SN-tc4k2s2-BN-SN-MPk2", "SN-tc4k3-BN", "SN-tc4k3s2b1-APk2", "tc6k2s2g2-SN"),
    *("Flatten", "Flatten-SN", "FC8-Reshape(2x2x2)", "FC16-SN-Reshape(4x4)", "FC12-SN-Reshape(3x2x2)", "Swap"),
    *("Swap[BN-SN]", "Swap(heads=2)[SN]", "Swap[Swap[BN]]", "SN-Swap-c4k1-SN", "SUM(over=channels)-SN"),
    *("SUM(over=channels, groups=2)", "MEAN(over=channels, groups=2)-SN", "MEAN(over=places)", "SUM(over=places)-SN"),
    *("SN-DELAY", "SN-DELAY2", "SN-DELAY-DELAY3-SN", "LOOP[SN | c4k3-BN]", "SN-LOOP[SN | FC4]", "LOOP[SN | id]"),
    *("LOOP[SN | SN-DELAY]", "FIRk2-BN-SN", "SN-FIRk3d2-SN"),
)
NORMS = "", "BN-", "BN-", "tdBN-"
ENDS = (
    *("FC5", "FC5", "GAP-FC5", "Flatten-FC6-tdBN-SN-DP-FC3", "FC12-SN-APk3", "FC12-BN-SN-FC12b0-BN", "SN-FC5"),
    *("SN-GAP", "GAP", "SN", "SN-Flatten", "FC4-SN-DELAY", "SN-SUM(over=channels)", "c1k1", "BN", "SN-MPk1-FC4"),
)
MERGES = (
    *("ADD[{} | {}]", "ADD[{} | id]", "ADD[id | {}]-SN", "AND[{} | {}]", "IAND[{} | {}]", "OR[{} | {}]", "g[{} | id]"),
    *("MAX[{} | {}]", "CAT[{} | {}]-c4k1", "CAT[{} | id]-SN-c4k1-SN", "MUL[{} | {}]", "MUL[{} | SN]-BN-SN"),
    *("ADD[{} | {} | {}]", "MAX[{} | {} | {}]", "CAT[{} | {} | {}]-c4k3-SN", "LOOP[{} | {}]", "ADD[{} | {}-DELAY]"),
    "ATTN(heads=2, scale=0.125)[{}-SN | {}-SN | {}-SN]-SN",
    "ATTN[SN | SN | {}-SN]-BN-SN",
    "MUL[{}-SN | SN-SUM(over=channels, groups=2)-SN]",
    "MUL[{}-SN | SN-SUM(over=places)-SN]-SN",
)

PARTS = (
    *(
        "PAD1",
        "SN-PAD1",
        "BN-PAD2-ReLU-MPk2",
        "AMAX(over=places)",
        "BN-ReLU-AMAX(over=places)",
        "Slice(stop=2)",
        "Slice(start=-3, over=places)-SN",
        "SN-Slice(start=1, over=places)",
        "CAT[Slice(stop=1) | id]",
    ),
    *(
        "BN-ReLU",
        "ADD[ReLU | id]-ReLU-c4k1-SN",
        "CAT[TOK2-Swap | Swap]-Swap-SN",
        "CAT[TOK1 | Slice(stop=2, over=places)]",
    ),
)
"""Items of every fifth network."""


class Recipe(NamedTuple):
    """All that a random network in integers is made from.

    Attributes:
        body: Expression.
        settings: Header.
        formats: Bits.
        scaling: Integer input.
    """

    seed: int
    body: str
    settings: dict[str, str | int]
    formats: IntegerFormat
    scaling: InputScaling | None

    @property
    def source(self) -> Source:
        """Text of the network."""
        return _file(self.body, self.settings)

    def model(self) -> SpikingNetwork:
        """Network in floats."""
        return trained(sewdsl.compile(sewdsl.read(self.source).result(), seed=self.seed), self.seed)

    def case(self) -> Case | NoIntegerLaw:
        """Network, its integers and an input, or the reason why it has no integers."""
        model = self.model()
        try:
            ranges = None if self.seed % 3 else dict[str, Any]()
            network = build_integer_network(model, self.scaling, self.formats, ranges)
        except NoIntegerLaw as error:
            return error
        random = np.random.default_rng(self.seed)
        value = network.steps[0].value
        shape = (2, *value.shape) if network.static else (network.T, 2, *value.shape)
        n = random.integers(0, value.high + 1, shape)
        if not network.static:
            n = np.where(random.random(shape) < 0.6, 0, n)
        ends = np.full_like(n, value.high)
        n = np.concatenate([n, ends[:1]] if network.static else [n, ends[:, :1]], 0 if network.static else 1)
        this = Case(model, network, n, self.formats)
        # The samples at the limits of the input saturate more.
        this = this if self.seed % 3 else this.calibrated(slice(2))
        return this._replace(network=replace(this.network, packed=self.seed % 2 == 1))


def recipe(seed: int) -> Recipe:
    """The random network of a seed."""
    random = Random(seed)  # noqa: S311 -- examples for a test
    one = random.choice
    static = random.random() < 0.5
    settings: dict[str, str | int] = {
        "input": one(INPUTS),
        "steps": one((1, 2, 3, 4, 5, 9)),
        "encode": "direct" if static else "none",
        "neuron": _neuron(random, LINEAR),
        "join": one(("ADD", "ADD", "AND", "IAND", "OR")),
        "readout": one(READOUTS),
    }
    body, items = "", [*(_item(random, 2) for _ in range(random.randint(1, 6))), one(ENDS)]
    if seed % 5 == 0:
        # Another generator, so that the other items do not depend on the number of parts.
        items.insert(len(items) // 2, Random(seed).choice(PARTS))  # noqa: S311 -- as above
    for item in items:
        longer = f"{body}-{item}" if body else item
        body = longer if sewdsl.read(_file(longer, settings)).valid else body
    settings["steps"] = sewdsl.read(_file(body or "SN", settings)).result().settings.steps
    formats = IntegerFormat(one((8, 8, 8, 2, 3, 5)), one((32, 32, 16)), one((8, 8, 0, 1, 4)))
    scaling = InputScaling(one((1, 15, 255)))
    if static:
        scaling = one((scaling, InputScaling.of_pixels([0.4], [0.3]), InputScaling(255, np.float64(1 / 255))))
    return Recipe(seed, body or "SN", settings, formats, scaling)


def _neuron(random: Random, kinds: tuple[str, ...]) -> str:
    more = f"v_threshold={random.choice(THRESHOLDS)}, v_reset={random.choice(RESETS)}"
    return random.choice(kinds).format(tau=random.choice(TAUS), decay=random.choice(DECAYS), more=more)


def _item(random: Random, depth: int) -> str:
    one = random.choice
    kind = random.random()
    if kind < 0.3:
        return f"{_convolution(random)}-{one(NORMS)}{one(('SN', 'SN', 'id', _any_neuron(random)))}"
    if kind < 0.4:
        return _any_neuron(random)
    if kind < 0.6:
        return one(LAYERS)
    if kind < 0.72 or not depth:
        return one((*drawn.BLOCKS, *drawn.CALLS, "Spikformer Block (heads=2)", "MS Block (c4)", "MS Block (c6s2)"))
    if kind < 0.78:
        return f"{{{_item(random, depth - 1)}}}*{random.randint(1, 2)}"
    if kind < 0.8:
        return one(drawn.LAYERS)
    merge = one(MERGES)
    return merge.format(*(_same(random) for _ in range(merge.count("{}"))))


def _any_neuron(random: Random) -> str:
    return _neuron(random, random.choice((LINEAR, LINEAR, EQUATIONS, OTHERS if random.random() < 0.2 else LINEAR)))


def _same(random: Random) -> str:
    """What keeps the shape of a map of four channels."""
    way = random.choice(("", "c4k3-BN-", "c4k3-BN-", "c4k1-tdBN-", "BN-", "c4k3g2-BN-", "SEW Block-", "c4k1g4b0-"))
    return way + random.choice(("SN", "SN", "id", "BN", "ReLU", "MPk3s1p1", "Same", "SCALE(value=0.5)", "APk3s1p1"))


def _convolution(random: Random) -> str:
    parts = (
        ("c4", "c4", "c4", "c2", "c6", "c1", "c8"),
        ("k3", "k3", "k1", "k5", "k3x1", "k2p1", "k3p0", "k3p2", "k3d2"),
        ("", "", "", "s2", "s1x2"),
        ("", "", "", "g2", "g4"),
        ("", "", "b0", "b1"),
    )
    return "".join(map(random.choice, parts))


def _file(body: str, settings: dict[str, str | int]) -> Source:
    header = "".join(f"{key} {value}\n" for key, value in (*settings.items(), *drawn.PARTS))
    return Source("network", f"sewdsl 1\n{header}body {body}\n")
