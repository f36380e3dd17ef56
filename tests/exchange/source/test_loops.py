"""Delays, loops, cycles of named values and several outputs: a file computes the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.network import Network
from sewdsl.source import Source
from tests.effort import examples
from tests.exchange.narrow import narrow
from tests.exchange.source.files import DOUBLE, SOURCES, Outcome, outcome, same

HEAD = 'sewdsl 1\nnetwork "Looped"\ninput 2x5x4\nsteps 4\nneuron LIF(v_threshold=0.4)\n'
TEXTS = {
    "delay": "body c4k3-BN-SN-DELAY-c3k3-{DELAY-c3k1-SN}*2-FC3",
    "long delays": "body c4k3-DELAY3-c3k3-DELAY6-c4k3-SN-FC3",
    "long delays in a loop": "body c4k3-LOOP[SN-DELAY2-c4k3 | DELAY9-c4k3]-DELAY2-FC3",
    "a long cycle": "let h = ADD[ c4k3 | h-DELAY3-c4k3 ]-SN\nbody CAT[ h | h-DELAY ]-FC3",
    "loop": "body c4k3-LOOP[SN | c4k3-BN]-FC3",
    "loops in loops": (
        "body c4k3-LOOP[LOOP[id | SCALE(value=0.75, learn=on)]-SN-DP | c4k3-BN-DropPath]-LOOP[SN | id]-FC3"
    ),
    "layers in a loop": "body c4k3-LOOP[SEW Block-{c4k3-tdBN-PLIF}*2-DELAY | ADD[c4k1-SN | id]]-GAP-FC3",
    "windows": "body c4k3-LOOP[SlidingPSN(order=3)-MaskedPSN(order=2) | c4k3-TEBN]-GAP-FC3",
    "norms of time-steps": "body c4k3-LOOP[BNTT-SN-c4k3 | c4k3-TAB]-GAP-FC3",
    "positions": "body c4k3-LOOP[POS-RMS-SN | c4k3-POS(per=step)-Reshape(4x20)-Reshape(4x5x4)]-GAP-FC3",
    "equations": "body c4k3-LOOP[ALIF-c4k1-GLIF | c4k3-CUBA(v_reset=none)-KLIF]-GAP-ALIF-FC3",
    "names of a file": """\
neuron Own(loop_state=0.5, keep=0.9) {
    h = keep*v + loop_state*x
    s = fire(h - v_threshold - 0.1*keep)
    v = h - s
    give s
}
body c4k3-LOOP[ Own | c4k3 ]-FC3""",
    "a cycle": """\
let a = ADD[ c4k3-BN | b-DELAY-c4k3 ]-SN
let q = a-c5k3-BN-SN
let b = a-c4k3-SN
body CAT[ b | q-DELAY ]-FC3""",
    "a cycle in a block": """\
block Cell(c) {
    let a = ADD[ c$(c)k3-BN | b-DELAY ]-SN
    let b = a-c$(c)k3-BN-SN
    give CAT[ a | b | a-DELAY ]
}
body Cell (c4)-c6k1-{Cell (c3)}*2-FC3""",
    "a delay of an operand": """\
block Mix(c)[ a | b ] = ADD[ a-c$(c)k1 | b-c$(c)k1 ]-SN
let m = Mix (c4)[ id | n-DELAY ]
let n = m-c3k3
body n-FC3""",
    "outputs": "let a = c4k3-BN-SN\nlet low = a-GAP-FC3\nlet high = a-DELAY-c6k3-SN-GAP-FC2\noutputs high low",
    "outputs of a loop": "let a = c4k3-LOOP[SN | c4k3]\nlet class = a-FC3\noutputs a class",
}


class Flat(nn.Module):
    """A network whose outputs are one row of numbers, by name, at all time-steps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        y: Any = self.model(x)
        return torch.cat([y[name].flatten() for name in sorted(y)]) if isinstance(y, dict) else y


def both(network: Network, dialect: str, *, training: bool) -> tuple[Outcome, Outcome]:
    """Return the results of the exported file and of the compiled module."""
    ours = sewdsl.compile(network, seed=3, optimize=0).to(DOUBLE).train(training)
    theirs = module_from_source(SOURCES[dialect](network)).to(DOUBLE).train(training)
    theirs.load_state_dict(ours.state_dict())
    shape = (network.settings.steps, 3, *network.settings.input)
    x = 2 * torch.randn(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(4))
    return outcome(Flat(theirs), x), outcome(Flat(ours), x)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("name", TEXTS)
def test_same(name: str, dialect: str) -> None:
    if (name, dialect) == ("windows", "spikingjelly"):
        pytest.skip("is refused")
    network = sewdsl.read(Source("a.net", f"{HEAD}{TEXTS[name]}\n")).result()
    for training in (True, False):
        found, wanted = both(network, dialect, training=training)
        assert wanted.y.std() > 0
        same(found, wanted)


@pytest.mark.parametrize("name", ["srnn-shd", "snasnet-backward"])
def test_shipped(name: str) -> None:
    network = narrow(sewdsl.read(name, steps=3, input="700" if name == "srnn-shd" else "3x8x8").result(), 32)
    found, wanted = both(network, "python", training=True)
    same(found, wanted)


LAYERS = st.sampled_from(("c4k3", "c4k3-BN", "c4k1-LIF", "SEW Block", "DP", "LOOP[SN | c4k3]", "DELAY", "{c4k3-SN}*2"))
NEURONS = st.sampled_from(("SN", "ALIF", "PLIF", "IF(v_reset=none)", "BN-SN", "SlidingPSN(order=2)"))
MERGES = st.sampled_from(("ADD", "MAX", "MUL"))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Rows of named values: each reads the one before, and some read a later one, of the time-step before."""
    count = draw(st.integers(1, 4))
    lines = []
    for number in range(count):
        before = f"n{number - 1}" if number else "c4k1"
        after = f"n{draw(st.integers(number, count - 1))}-DELAY"
        after = draw(st.sampled_from((after, f"{after}-{draw(LAYERS)}", f"c4k3-BN-{draw(NEURONS)}")))
        merged = f"{draw(MERGES)}[ {before}-{draw(LAYERS)} | {after} ]"
        lines.append(f"let n{number} = {draw(st.sampled_from((merged, f'{merged}-{draw(NEURONS)}')))}")
    names = draw(st.lists(st.sampled_from([f"n{number}" for number in range(count)]), unique=True, max_size=2))
    if len(names) > 1:
        lines.append(f"outputs {' '.join(names)}")
    else:
        lines.append(f"body CAT[ {' | '.join(f'n{number}' for number in range(count))} | n0-DELAY ]-FC3")
    return HEAD + "\n".join(lines) + "\n"


@pytest.mark.parametrize("dialect", SOURCES)
@examples(8)
@given(text=texts(), training=st.booleans())
def test_same_whatever_the_network(dialect: str, text: str, *, training: bool) -> None:
    compilation = sewdsl.read(Source("a.net", text))
    assume(compilation.valid)
    try:
        found, wanted = both(compilation.result(), dialect, training=training)
    except UnsupportedLayer as error:
        assert dialect == "spikingjelly" and "SpikingJelly computes all its time-steps at once" in str(error)  # noqa: PT018, PT017
        return
    same(found, wanted)


def test_a_forward_leaves_nothing_behind() -> None:
    network = sewdsl.read(Source("a.net", f"{HEAD}{TEXTS['loops in loops']}\n")).result()
    model = module_from_source(SOURCES["python"](network)).eval()
    x = torch.rand(4, 2, 2, 5, 4)
    assert torch.equal(model(x), model(x))
    assert [module for module in model.modules() if getattr(module, "loop_state", ())] == []


def test_norms_beside_a_loop_are_those_of_all_time_steps() -> None:
    """In a block whose other layers are in a loop that layers outside are in, too."""
    block = "block Odd[ a | b ] {\n let n = a-c4k3-BN\n give ADD[ n | b ]\n}\n"
    text = f"{HEAD}{block}let m = Odd[ id | n-DELAY ]\nlet n = m-c4k3-SN\nbody n-FC3\n"
    same(*both(sewdsl.read(Source("a.net", text)).result(), "python", training=True))
