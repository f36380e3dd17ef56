"""Random networks as text: most are valid, all are small enough to run."""

from __future__ import annotations

from hypothesis import strategies as st

from sewdsl.ir.op import Join
from sewdsl.ops import catalogue

NEURONS = st.sampled_from(
    [
        "IF",
        "LIF",
        "PLIF",
        "LIF(tau=3.0)",
        "IF(v_threshold=0.5)",
        "PLIF(v_reset=none)",
        "LIF(v_reset=-0.5)",
        *("PSN", "PSN(v_threshold=0.5)", "MaskedPSN(order=3)", "SlidingPSN"),
        "ReLU",
        "SN",
    ]
)
MAPS = st.sampled_from(
    [
        "c4k3",
        "c3k1",
        "c4k3s2",
        "c2k5",
        "c4k3x1",
        "c4k2p1",
        "BN",
        "tdBN",
        *("TEBN", "TA(r=1)", "CA(r=2)", "SA(k=3)", "SA(k=5)", "TCJA", "TCJA(kernel_t=2)"),
        "MPk2",
        "MPk3s2p1",
        "APk2",
        "DP",
        "DP0.25",
        "DP(p=0.3, per=step)",
        "SUM(over=channels, groups=2)",
        "SUM(over=places)",
        "AMAX(over=places)",
        "AMAX(over=channels, groups=2)",
        *(
            "UP2",
            "UP2(mode=bilinear)",
            "tc4k2s2",
            "tc3k3s2",
            "LN",
            *(
                "RMS",
                "POS",
                "POS(per=step)",
                "MEAN(over=time)",
                "TOK2",
                "Slice(stop=1)",
                "PAD1",
                "PAD0x1(mode=reflect)",
                "UP2-FFT-IF-FFT(inverse=on)",
                "Slice(start=-1, over=time)",
                "BNTT",
                "TAB",
                "Swap",
                "Swap[BN-IF]",
                "Swap(heads=1)[LN]",
            ),
            "GN1",
            "DropPath",
            "SCALE(learn=on)",
            "GELU",
            "PReLU",
        ),
        *("DELAY", "DELAY3", "LOOP[SN | c4k3]", "LOOP[id | BN-SCALE(value=0.5)]", "LOOP[c4k3-BN-SN | id or c4k1]"),
        *("MAP{1 - x}", "MAP(surrogate=Sigmoid){fire(x - 0.5)}", "FIRk2", "FIRk3d2-SN", "SUM(over=time)", "Softmax"),
        *("Swap-Swap", "c4k3(init=orthogonal)", "SCALE(value=-1.5)", "DFC8(reach=3)-Reshape(2x2x2)", "MPBN"),
        "{MAP{max(x, 0.5)}-DELAY2}*2",
    ]
)
CALLS = st.sampled_from(
    [
        *("SEW Block", "SEW Block (c4)", "SEW Block (c6s2)", "SEW Bottleneck (c2)", "SEW Bottleneck (c2s2)"),
        *("Spiking Block", "Spiking Bottleneck (c2)", "Plain Block (c3)", "Basic Block", "RBA Block"),
        "SEW Block (g=ADD)",
    ]
)
JOINS = st.sampled_from([*sorted(name for name, kind in catalogue().items() if issubclass(kind, Join)), "g"])


OPERANDS = st.sampled_from(["id", "BN-IF", "c4k1-BN-IF", "id or c4k1-BN-IF", "c4k3-BN", "MEAN(over=places)"])
MERGES = st.sampled_from(
    [
        *("ADD", "OR", "AND", "CAT", "MAX", "MUL", "ATTN(heads=2)", "ATTN(scale=0.5)", "SCORES", "APPLY", "g"),
        *("ATTN(causal=places)", "SCORES(scale=rate)", "SCORES(heads=2)", "APPLY(causal=places)"),
    ]
)


def _join(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    shortcut = st.sampled_from(["id", "BN-IF", "id or c4k1-BN-IF"])
    return st.builds(lambda join, branch, other: f"{join}[{branch}-IF|{other}]", JOINS, item, shortcut)


def _merge(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    others = st.lists(OPERANDS, min_size=1, max_size=3).map("|".join)
    return st.builds(lambda merge, first, rest: f"{merge}[{first}-IF|{rest}]", MERGES, item, others)


def sequences(depth: int = 2) -> st.SearchStrategy[str]:
    """Expressions over maps, nested up to a depth."""
    item = st.one_of(MAPS, NEURONS, CALLS)
    if depth:
        inner = sequences(depth - 1)
        repeat = st.builds(lambda body, n: f"{{{body}}}*{n}", inner, st.integers(1, 3))
        item = st.one_of(item, item, repeat, _join(item), _merge(item))
    return st.lists(item, min_size=1, max_size=4).map("-".join)


HEADS = st.sampled_from(["", "-FC5", "-GAP-FC5", "-Flatten-DP-FC6-IF-APk3"])
NETWORKS = st.builds(lambda body, head: f"c4k3-BN-IF-{body}{head}", sequences(), HEADS)
TOKENS = st.lists(
    st.sampled_from(
        [
            *("c32k3", "c", "k3", "BN", "PLIF", "LIF(tau=", "SEW Block", "SEW", "SN", "FC10", "MPk2", "APk", "GAP"),
            *("(", ")", "[", "]", "{", "}", "<", ">", "*", "*2", "*0", "-", "--", "|", "id", " or ", "$(", "$(c)"),
            *("g", "ADD[", "x", "9", "0.5", "=", "\n", "\u2013", "\ufffe", "\u00d7", "\u00a0", '"', "#", "[8]"),
            *("(7B-Net)", "_", ".", ",", "\u00e9", "\x00", "input"),
            *(
                "MAP{",
                "MAP{1 - x}",
                "part",
                "loss",
                "teacher",
                "init",
                "[N]",
                "[ x ]",
                "DELAY2",
                "Swap[",
                "uniform(0, 1)",
            ),
        ]
    ),
    max_size=14,
)
