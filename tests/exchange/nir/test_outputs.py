"""Several outputs: a node of each, which gives what the network gives, there and back."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.exchange.read.nir import read_graph
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import from_bytes, to_bytes
from sewdsl.ir.network import Network
from sewdsl.source import Source
from tests.effort import examples

HEAD = "sewdsl 1\ninput 2x6x6\nsteps 4\nneuron IF(v_threshold=0.2)\n"
PARTS = ("c4k3-BN-SN", "LOOP[SN | c4k3]", "DELAY", "ADD[c4k3-SN | id]", "SEW Block", "ADD[id | c4k1]", "MPk3s1p1", "id")
ENDS = ("id", "GAP-FC3", "Flatten", "DELAY", "ADD[c4k1 | id]")


def network(text: str) -> Network:
    return sewdsl.read(Source("a.net", f"{HEAD}{text}\n")).result()


@examples(15)
@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
    ends=st.lists(st.sampled_from(ENDS), min_size=2, max_size=3),
    dt=st.sampled_from((1e-4, 1e-3, 1.0)),
)
def test_each_gives_the_same(parts: list[str], ends: list[str], dt: float) -> None:
    lines = [f"let a = c4k3-SN-{'-'.join(parts)}", *(f"let out{i} = a-{end}" for i, end in enumerate(ends))]
    known = network("\n".join([*lines, f"outputs {' '.join(f'out{i}' for i in range(len(ends)))} a"]))
    model = sewdsl.compile(known, seed=1, optimize=0).double().eval()
    x = torch.rand(4, 2, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = NirExecutor(from_bytes(to_bytes(model, dt=dt))).run(x)
    assert isinstance(found, dict)
    with torch.no_grad():
        wanted = model(x, return_sequence=True)
    assert found.keys() == wanted.keys()
    for name, y in wanted.items():
        torch.testing.assert_close(found[name], y, rtol=1e-9, atol=1e-9)
    again = read_graph(from_bytes(to_bytes(model, dt=dt)))
    back = sewdsl.compile(again.network, optimize=0).double().eval()
    back.load_state_dict(again.tensors)
    with torch.no_grad():
        outputs = back(x, return_sequence=True)
    assert outputs.keys() == wanted.keys()
    for name, y in wanted.items():
        torch.testing.assert_close(outputs[name], y, rtol=1e-9, atol=1e-9)


def test_names_of_nodes() -> None:
    model = sewdsl.compile(network("let a = c4k3-SN\nlet low = a-FC3\noutputs a low")).eval()
    graph = from_bytes(to_bytes(model))
    assert [*graph.outputs] == ["output_a", "output_low"]
