"""To check, show, write and draw twice as much of any construct takes at most twice as many calls of functions."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import sewdsl
from sewdsl.analysis.listing import layer_rows
from sewdsl.draw import dot
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.notation import write_net
from sewdsl.source import Source
from tests.network_json import from_json

COUNT = 7
"""Copies of a construct in the smallest text; the others have two and four times as many."""
MORE = 2.7
"""Calls for 2 n more copies in place of n: linear growth takes two times as many, quadratic growth four times."""
HEAD = "input 4x8x8\nsteps 2\nneuron IF\n"
VECTORS = (
    "neuron V{i}(N=3) {{ learn w[N] per channel = uniform(0, {j})  state h[N] = {i}  h = w*h + x  give sum(h) }}\n"
)
TWO = "neuron T{i}[a | b] {{ h = v + a*b + {i}  s = fire(h - 1)  v = h - s  give s }}\n"
CONSTRUCTS = {
    "scores": ("", "", "APPLY[SCORES(heads=2)[id | c4k1]-Softmax(groups=2) | c4k1]"),
    "chunks": ("", "", "APPLY(chunk=2, causal=time)[SCORES(chunk=2)[id | c4k1]-SN | id]"),
    "attention": ("", "", "ATTN(heads=2)[id | id | c4k1]"),
    "swaps": ("", "", "Swap[c64k1-BN-SN]"),
    "time": ("", "", "DELAY{i}-FIRk2d{i}-SUM(over=time)-POS(per=step)"),
    "norms": ("", "", "BNTT-TAB-RMS"),
    "delays": ("", "", "DFC256(reach={i})-Reshape(4x8x8)"),
    "functions": ("", "", "MAP{{x + {i}}}"),
    "rules": ("", "", "c4k3(init=uniform(low=0, high={i}))"),
    "lines": ("init v{i}.* orthogonal\n", "let v{i} = v{j}-c4k3\n", ""),
    "vectors": (VECTORS, "", "V{i}"),
    "two inputs": (TWO, "", "T{i}[BN | id]"),
    "blocks": ("block B{i}[x] = ADD[x | x-BN]\n", "", "B{i}"),
    "parts": ("part P{i} = c4k3-BN-SN\n", "", "P{i}-P{i}"),
    "calls of a part": ("", "", "Same"),
    "tied values": ("", "let v{i} = Two[v{j} | v{j}-Same]\n", ""),
    "cycles": ("", "let v{i} = CAT[v{j} | v{i}-DELAY2]-c4k1-Tanh\n", ""),
    "inputs": ("input in{i} 4x8x8\n", "let v{i} = ADD[v{j} | in{i}]\n", ""),
    "losses": ("", "let v{i} = v{j}-c4k3\n", ""),
}


def text(name: str, count: int) -> str:
    """A network with so many copies of a construct."""
    head, value, item = CONSTRUCTS[name]
    numbers = range(1, count + 1)
    copies = [[part.format(i=i, j=i - 1) for i in numbers] for part in (head, value, item)]
    defined, values, items = ("".join(copies[0]), "".join(copies[1]), "-".join(filter(None, copies[2])))
    parts = "part Same = c4k3-BN-SN\npart Two[a | b] = ADD[a | b-c4k1]\n"
    start = "in0-c4k3" if name == "inputs" else "c4k3"
    lines = f"{HEAD}{parts}{defined}let v0 = {start}\n{values}"
    if name == "inputs":
        lines = lines.replace("input 4x8x8", "input in0 4x8x8")
    if name == "losses":
        losses = "".join(f"loss v{i} MSE(to=v{i - 1})\n" for i in numbers)
        recipe = f"train on mnist5k {{\nepochs 1\nbatch 1\noptimizer Adam\nloss v0 MSE\n{losses}}}\n"
        return f"sewdsl 1\n{lines}outputs {' '.join(f'v{i}' for i in range(count + 1))}\n{recipe}"
    last = f"v{count}" if value else "v0"
    return f"sewdsl 1\n{lines}body {last}{'-' if item else ''}{items}-SN\n"


def calls(action: Callable[[], object]) -> int:
    """Return the number of function calls of an action, including those of C functions."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def read(name: str, count: int) -> Network:
    return sewdsl.read(Source("growth.net", text(name, count))).result()


ACTIONS: dict[str, Callable[[Network], object]] = {
    "show": lambda network: [list(layer_rows(network)), network.total_parameters, network.total_macs],
    "text": write_net,
    "drawing": dot,
    "JSON": lambda network: from_json(to_json(network)),
}


QUICK = {"chunks", "vectors", "calls of a part", "cycles", "inputs"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.deep) for name in CONSTRUCTS]
)
def test_twice_as_much_takes_twice_as_long(name: str) -> None:
    counts = [COUNT, 2 * COUNT, 4 * COUNT]
    networks = [read(name, count) for count in counts]  # also loads what is loaded once
    assert len(networks[2]) - len(networks[1]) == 2 * (len(networks[1]) - len(networks[0])) > 0
    made = {"check": [calls(partial(read, name, count + 1)) for count in counts]}
    for word, action in ACTIONS.items():
        action(networks[0])
        made[word] = [calls(partial(action, network)) for network in networks]
    wrong = {word: each for word, each in made.items() if each[2] - each[1] > MORE * (each[1] - each[0])}
    assert not wrong


KEYS = 'sewdsl 1\ninput 4x8x8\nbody FC3\nstudy {{\n    variant "all" {}\n}}\n'
CHAIN = "sewdsl 1\ninput 6 of 5\nsteps 2\nlet a = {{DELAY}}*{}\nbody CAT[{}]\n"
LONG_TEXTS: dict[str, Callable[[int], str]] = {
    "keys of a variant": lambda count: KEYS.format(" ".join(f'"train.k{i}=1"' for i in range(count))),
    "layers after one chain": lambda count: CHAIN.format(count, " | ".join(["a-FC1"] * count)),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_a_text_of_twice_the_length_takes_twice_as_long(name: str) -> None:
    reads = [partial(sewdsl.read, Source("growth.net", LONG_TEXTS[name](count))) for count in (100, 200)]
    reads[0]()  # also loads what is loaded once
    once, twice = map(calls, reads)
    assert twice < 2.2 * once
