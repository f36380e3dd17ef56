"""Random networks with all that it takes to run them; every one of them is valid, and small."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import cycle
from typing import NamedTuple

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Neuron, Surrogate
from sewdsl.lower.inputs import Inputs, map_inputs
from sewdsl.ops import catalogue
from sewdsl.source import Source
from tests.effort import factor

Texts = st.SearchStrategy[str]


class Style(NamedTuple):
    """Properties that all neurons of a network share, for which kernels are compiled."""

    surrogate: str
    detach_reset: str
    v_reset: str


NEURONS, SURROGATES, JOINS = (
    [name for name, kind in sorted(catalogue().items()) if issubclass(kind, family)]
    for family in (Neuron, Surrogate, Join)
)
PARALLEL = ("PSN(", "MaskedPSN(order=2, ", "SlidingPSN(order=3, ")
STYLES = list(map(Style, SURROGATES, cycle(("on", "off")), cycle(("0.0", "none", "-0.4"))))[
    : None if factor() > 1 else 1
]
"""One style, which other tests compile kernels for too. A deep run takes all: each needs kernels for each dtype."""
LAYERS = (
    *(
        "BN",
        "tdBN",
        "BN(eps=0.001, momentum=0.3)",
        "tdBN(alpha=0.5)",
        "c4k3-BN",
        "ReLU",
        "DP",
        "DP0.25",
        "DP0",
        "DP(per=step)",
    ),
    *("MPk2", "AMAX(over=channels, groups=2)", "MPk3s2p1", "MPk3s1p1", "MPk2x1", "APk2", "APk3s2p1", "APk2x1"),
    *("TEBN", "TA(r=1)", "TA(r=2)-ReLU", "CA(r=1)-SA(k=3)", "SN-CA(r=2)-ReLU-SN", "TCJA(kernel_t=2, kernel_c=3)"),
    *(
        "UP2-MPk2",
        "UP2(mode=bilinear)-APk2",
        "tc4k2s2-BN-SN-MPk2",
        "tc4k3-BN",
        "tc4k3s2b1-APk2",
        "LN(eps=0.1)",
        "GN1(eps=0.1)",
    ),
    *("GELU", "SiLU", "Tanh", "Logistic", "PReLU", "PReLU(slope=-0.5, shared=off)", "DropPath0.25"),
    *("RMS(eps=0.1)", "POS", "POS(per=step)", "FC8-Reshape(2x2x2)", "FC16-SN-Reshape(4x4)", "MEAN(over=time)"),
    *("FC4-SN-EMB4-Reshape(4x2x2)", "POS(init=normal(std=0.5))"),
    *(
        "TOK4c4-BN-Reshape(4x2x2)",
        "CAT[TOK1-Swap | Swap]-Swap",
        "Slice(start=-1, over=time)",
        "Slice(start=1, over=places)",
        "PAD1x2",
        "SN-PAD(p=1, mode=reflect)",
        "UP2-FFT-ReLU-FFT(inverse=on)",
    ),
    *("CAT[Slice(start=-2) | SN-Slice(stop=2)]", "BNTT", "TAB(momentum=0.3)"),
    *("Swap[BN-SN]", "Swap(heads=2)[SN]", "Swap", "Swap[Swap[BN]]"),
    *("SUM(over=time)", "DELAY", "DELAY2", "LOOP[SN | c4k3-BN]", "FIRk3d2", "FIRk2-BN-SN", "LOOP[SN | FIRk2-DELAY2]"),
    *("MAP{1 - x}", "MAP{0.5}", "MAP{clip(x, -0.7, 0.8)*tanh(x)}", "MAP(surrogate=Triangle){2*fire(x - 0.3)}-BN"),
    *("SCALE(value=0.5)", "SCALE(value=-1.5)", "SCALE(learn=on)", "SCALE(value=0.5, learn=on, per=channel)"),
)
BLOCKS = (
    *("SEW Block", "SEW Block (c6s2)", "SEW Block (c4, g=IAND)", "SEW Bottleneck (c1)", "SEW Bottleneck (c2s2)"),
    *("Spiking Block", "Spiking Block (c6s2)", "Spiking Bottleneck (c1)", "Plain Block (c3s2)"),
    *("Basic Block", "Basic Block (c6s2)", "Bottleneck (c1s2)", "RBA Block"),
)
PARTS = (
    ("part Same", "= c4k3-BN-SN"),
    ("part Two[a | b]", "= ADD[a-Same | b]-Norm"),
    ("part Norm", "= BN"),
    ("part Deep", "{\n let h = Same\n let r = ADD[h | r-DELAY-c4k1]-SN\n give CAT[r | h]-c4k1b0-Norm\n}"),
)
"""Definitions of the parts whose calls networks contain."""
CALLS = (
    "Same",
    "Same-Same",
    "{Same}*2",
    "Two[Same | id]",
    "Two[SN | c4k3]",
    "Norm",
    "Deep",
    "ADD[Deep | id]",
    "LOOP[SN | Same]",
)
ENDS = (
    *(
        "FC5",
        "FC6b0-BN-SN-FC5",
        "GAP",
        "GAP-FC5",
        "Flatten-FC6-tdBN-SN-DP-FC3",
        "FC12-SN-APk3",
        "FC12-BN-ReLU-FC12b0-BN",
    ),
    *("Flatten-BN-SN", "SN-Flatten", "MPk1-FC12-FC4", "SN-DFC5(reach=3)", "DFC4b0(reach=2)-BN-SN"),
)


NEURONS_AS_EQUATIONS = {
    "Pair": """\
neuron Pair(tau=2.0)[basal | apical] {
    learn w per channel = 0.5
    state a = 0.25
    a = 0.8*a + apical
    h = v + (w*a*basal + basal - v)/tau
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
""",
    "Many": """\
neuron Many(N=3, p=0.5) {
    learn w per channel = uniform(-1, 1)
    learn k[N] per channel = 0.5 + index(N)
    learn m[2] = normal(0, 1)
    state a[N] = p
    state b[2] = 0
    b = 0.5*b*m + x
    a = 0.7*cos(k)*a + w*x + 0.1*sum(b)
    h = 0.5*v + x + sum(a)/N
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
""",
    "Gate": """\
neuron Gate(N=2)[u | gate] {
    learn w[N] per channel = uniform(0, 1)
    state a[N] = 0
    a = sigmoid(gate)*a + w*u
    give sum(a)
}
""",
}
"""Neurons of two inputs, with vectors and with random starts, which networks with a call of them define."""


class Drawn(NamedTuple):
    """A network and what it is shown.

    Attributes:
        body: Its expression.
        settings: What the header says.
        T: Time-steps of the input.
        N: Samples.
        static: Whether it is one input, shown at every time-step. None: each of its inputs as the file says.
        seed: Of weights, input and gradient.
    """

    body: str
    settings: tuple[tuple[str, str | int], ...]
    T: int
    N: int
    static: bool | None
    seed: int

    @property
    def network(self) -> Network:
        """The network itself."""
        return _network(self.body, self.settings)

    def random(self, *shape: int, salt: int = 0) -> Tensor:
        """Normal numbers in float64, the same for the same network, shape and salt."""
        generator = torch.Generator().manual_seed(self.seed + 1000 * salt)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    @property
    def x(self) -> Inputs:
        """Its input, ``[T, N, *]``, or ``[N, *]`` of a static one; by name where it has several."""
        x = {}
        for salt, source in enumerate(self.network.settings.sources):
            static = source.encode == "direct" if self.static is None else self.static
            samples = [self.N] if static else [self.T, self.N]
            x[source.name] = 2 * self.random(*samples, *source.shape, salt=1 + 10 * salt) + 0.5
        return x if self.network.settings.inputs else x[""]

    @property
    def sequence(self) -> Inputs:
        """Its input at every time-step, ``[T, N, *]``."""
        rank = len(self.network.settings.sources[0].shape)
        return map_inputs(lambda x: x.expand(self.T, *x.shape) if x.ndim == rank + 1 else x, self.x)

    @property
    def is_string(self) -> bool:
        """Return whether a layer string suffices: one input, and no neurons as equations."""
        return not self.network.settings.inputs and not any(f"{name}(" in self.body for name in NEURONS_AS_EQUATIONS)

    @property
    def exported(self) -> Drawn:
        """The network for the time-steps that it is shown, with each input as the file says, as exports take it."""
        return self._replace(static=None, settings=tuple({**dict(self.settings), "steps": self.T}.items()))


def values_of(x: Inputs) -> list[Tensor]:
    """The input, or the inputs in the order of the file."""
    return [x] if isinstance(x, Tensor) else list(x.values())


@lru_cache(1000)
def _network(body: str, settings: tuple[tuple[str, str | int], ...]) -> Network:
    return sewdsl.read(_file(body, settings)).result()


@lru_cache(10_000)
def _valid(body: str, settings: tuple[tuple[str, str | int], ...]) -> bool:
    return sewdsl.read(_file(body, settings)).valid


def _file(body: str, settings: tuple[tuple[str, str | int], ...]) -> Source:
    """The text of a network with its header, which is read in half the time that overrides take."""
    header = "".join(f"{key} {value}\n" for key, value in settings)
    defined = "".join(text for name, text in NEURONS_AS_EQUATIONS.items() if f"{name}(" in body)
    return Source("network", f"sewdsl 1\n{header}{defined}body {body}\n")


def neurons(style: Style) -> Texts:
    """Neurons of one style; thresholds and time constants need no kernel of their own."""
    surrogate, detach_reset, reset = style
    thresholds = st.sampled_from((1.0, 0.6))
    charging = st.builds(
        lambda kind, threshold: (
            f"{kind}(v_threshold={threshold}, v_reset={reset}, detach_reset={detach_reset}, surrogate={surrogate})"
        ),
        st.sampled_from(NEURONS),
        thresholds,
    )
    parallel = st.builds(f"{{}}v_threshold={{}}, surrogate={surrogate})".format, st.sampled_from(PARALLEL), thresholds)
    return st.one_of(charging, charging, charging, parallel)


GATES = st.sampled_from(
    ("MEAN(over=places)", "SN-SUM(over=places)", "SUM(over=channels)", "SN-SUM(over=channels, groups=2)-SN")
)
ATTENTIONS = st.sampled_from(("ATTN", "ATTN(heads=2, scale=0.125)", "ATTN(heads=4, scale=0.5)"))
VECTORS = ("Many(v_threshold=0.6)", "Many(N=2, p=0, v_reset=none)-BN", "Many(N=1, p=-0.25, detach_reset=off)")[
    : None if factor() > 1 else 1
]
"""One call, as of styles: each needs kernels for each dtype."""
MERGED_NEURONS = ("Pair(tau=3.0, v_threshold=0.6)", "Pair(tau=3.0, v_threshold=0.6)", "Gate(N=3)")
PAIRS = st.sampled_from(
    (
        "APPLY(scale=0.5)[SCORES(heads=2)[{} | {}] | {}]",
        "APPLY[SCORES(heads=4, scale=0.5)[{} | {}]-Softmax(groups=4) | {}]",
        "APPLY(causal=places)[SCORES[{} | {}]-SN | {}]",
        "APPLY(chunk=2, causal=time)[SCORES(heads=2, chunk=2)[{} | {}]-BN-SN | {}]",
        "ATTN(chunk=2, heads=2)[{} | {} | {}]",
    )
)
NORMS = st.sampled_from(("BN", "BN", "tdBN", "TEBN"))
INPUTS = st.sampled_from(
    (
        *({"input": size} for size in ("2x6x6", "4x5x3", "1x7x4", "4x1x1", "4x2x8", "6", "2x9", "4x8", "1x7")),
        {"input left": "2x6x6", "input right": "4x6x6"},
        {"input left": "4x5x3", "input right": "4x5x3", "encode left": "direct", "encode right": "none"},
    )
)
STARTS = (
    "ADD[left-c4k3-BN-SN | right-c4k1]",
    "CAT[left | right-DELAY]-c4k3-BN-SN",
    "Pair(tau=2.0)[left-c4k1 | right-Same]",
    "right-Two[left-c4k3-BN-SN | right-Same]",
)
"""Sequences of two named inputs."""


def convolutions() -> Texts:
    """Convolutions, most of them of four channels, so that joins find what fits."""
    parts = (
        ("c4", "c4", "c4", "c2", "c6", "c1"),
        ("k3", "k3", "k1", "k5", "k3x1", "k2p1", "k3p0", "k3p2", "k3d2"),
        ("", "", "", "s2", "s1x2"),
        ("", "", "", "g2", "g4"),
        ("", "", "b0", "b1"),
    )
    return st.builds(lambda *chosen: "".join(chosen), *map(st.sampled_from, parts))


def items(neuron: Texts, depth: int = 2) -> Texts:
    """Draw the items of a network, nested up to a depth."""
    layered = st.builds(lambda conv, norm, behind: f"{conv}-{norm}-{behind}", convolutions(), NORMS, neuron)
    found = [layered, layered, neuron, convolutions(), st.sampled_from(LAYERS), st.sampled_from(BLOCKS)]
    found.append(st.sampled_from((*CALLS, *VECTORS)))
    if depth:
        inner = st.lists(items(neuron, depth - 1), min_size=1, max_size=3).map("-".join)
        found += [
            st.builds(lambda body, n: f"{{{body}}}*{n}", inner, st.integers(1, 2)),
            st.builds(_join, st.sampled_from([*JOINS, "g"]), st.one_of(inner, same(neuron)), same(neuron)),
            st.builds(_join, st.sampled_from([*JOINS, "g"]), same(neuron), st.just("id")),
            st.builds("{}[{} | {} | {}]".format, st.sampled_from(("ADD", "MAX", "CAT")), *[same(neuron)] * 3),
            st.builds("LOOP[{} | {}]".format, same(neuron), same(neuron)),
            st.builds("MUL[{} | {}]-BN-SN".format, same(neuron), GATES),
            st.builds("{}[{} | {}]".format, st.sampled_from(MERGED_NEURONS), same(neuron), same(neuron)),
            st.builds("{}[c4k1-BN-SN | {} | {}]-SN".format, ATTENTIONS, same(neuron), same(neuron)),
            st.builds("{}-SN".format, st.builds(str.format, PAIRS, st.just("c4k1-BN-SN"), same(neuron), same(neuron))),
        ]
    return st.one_of(found)


def same(neuron: Texts) -> Texts:
    """Draw layers that preserve the shape of a feature map with four channels."""
    way = st.sampled_from(("", "c4k3-BN-", "c4k3-BN-", "c4k1-tdBN-", "BN-", "c4k3g2-BN-", "SEW Block-"))
    ends = st.one_of(neuron, neuron, st.sampled_from(("BN", "ReLU", "MPk3s1p1", "DP0", "Same")))
    return st.one_of(st.just("id"), st.builds(str.__add__, way, ends))


def _join(kind: str, branch: str, shortcut: str) -> str:
    return f"{kind}[{'BN-SN' if branch == 'id' else branch} | {shortcut}]"


@cache
def _strategies(style: Style) -> tuple[Texts, st.SearchStrategy[list[str]], st.SearchStrategy[list[str]]]:
    """Return strategies for neurons, inner layers and last layers, which hypothesis inspects at their first use."""
    neuron = neurons(style)
    middle = st.lists(items(neuron), min_size=1, max_size=6)
    return neuron, middle, st.lists(st.sampled_from(ENDS), max_size=1)


@st.composite
def nets(draw: st.DrawFn, suits: Callable[[Network], bool] = lambda _: True) -> Drawn:
    """Networks, grown item by item; what would not fit is left out.

    Args:
        draw: Hypothesis's.
        suits: Which networks are wanted.
    """
    neuron, middle, end = _strategies(draw(st.sampled_from(STYLES)))
    T = draw(st.integers(1, 5))
    encode, repeated = draw(st.sampled_from((("none", False), ("direct", True), ("direct", False), ("none", True))))
    settings: dict[str, str | int] = {
        **draw(INPUTS),
        "steps": T,
        "encode": encode,
        "neuron": draw(neuron),
        "join": draw(st.sampled_from(JOINS)),
        "readout": draw(st.sampled_from(("mean", "last"))),
    }
    known, body = (*settings.items(), *PARTS), ""
    if "input" not in settings:
        # No value flows in by itself: a sequence begins with a name.
        body = draw(st.sampled_from(STARTS))
    for item in draw(middle) + draw(end):
        longer = f"{body}-{item}" if body else item
        body = longer if _valid(longer, known) else body
    assume(body)
    network = _network(body, known)
    needs_steps = network.first_fixed or any(node.op.step_multiple > 1 for node in network)
    static = draw(st.sampled_from((None, repeated))) if "encode left" in settings else repeated
    shown = T if static is not False or needs_steps else draw(st.integers(1, 5))
    drawn = Drawn(body, known, shown, draw(st.integers(1, 3)), static, draw(st.integers(0, 999)))
    assume(suits(drawn.network))
    return drawn
