"""Delays by several time-steps: one node equals a chain, in sequences, in loops and in streams."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.notation import write_net
from sewdsl.snn.streamed_past import Delay, StreamedPast
from sewdsl.source import Source

HEAD = "sewdsl 1\ninput 3x4x4\nsteps 6\nneuron LIF(v_threshold=0.3)\n"
CHAINS = {
    "body c4k3-DELAY4-FC3": "body c4k3-{DELAY}*4-FC3",
    "body c4k3-DELAY9-FC3": "body c4k3-{DELAY}*9-FC3",
    "let h = ADD[ c4k3 | h-DELAY3-c4k3 ]-SN\nbody h-FC3": "let h = ADD[ c4k3 | h-{DELAY}*3-c4k3 ]-SN\nbody h-FC3",
    "let h = ADD[ c4k3 | h-DELAY8-c4k3 ]-Tanh\nbody h-FC3": (
        "let h = ADD[ c4k3 | h-DELAY-{DELAY}*7-c4k3 ]-Tanh\nbody h-FC3"
    ),
    "body c4k3-LOOP[SN-DELAY2-c4k3 | DELAY3-c4k3]-FC3": ("body c4k3-LOOP[SN-{DELAY}*2-c4k3 | {DELAY}*3-c4k3]-FC3"),
    "block B(n=2) {\nlet h = ADD[ id | h-DELAY$(n)-SCALE(value=0.5) ]\ngive h\n}\nbody c4k3-B-B(n=3)-FC3": (
        "let a = c4k3\nlet h = ADD[ a | h-{DELAY}*2-SCALE(value=0.5) ]\n"
        "let k = ADD[ h | k-{DELAY}*3-SCALE(value=0.5) ]\nbody k-FC3"
    ),
}


def unrolled(text: str) -> str:
    """A text with a delay right after each name: in a cycle, a repeat cannot follow it."""
    return text.replace("h-{DELAY}*3", "h-DELAY-{DELAY}*2").replace("h-{DELAY}*2", "h-DELAY-DELAY").replace(
        "k-{DELAY}*3", "k-DELAY-{DELAY}*2"
    )  # fmt: skip


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (2 * torch.randn(6, 2, 3, 4, 4, dtype=torch.float64, generator=generator)).requires_grad_()


def compiled(text: str, level: int) -> SpikingNetwork:
    return sewdsl.compile(f"{HEAD}{text}\n", seed=0, optimize=level).double()


@pytest.mark.parametrize("text", CHAINS)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_one_node_is_a_chain(text: str, level: int, x: Tensor) -> None:
    found, chain = compiled(text, level), compiled(unrolled(CHAINS[text]), 0)
    y, expected = (model(x, return_sequence=True) for model in (found, chain))
    assert expected.std() > 0
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    scale = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    one, other = (torch.autograd.grad((each * scale).sum(), x)[0] for each in (y, expected))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("text", CHAINS)
def test_a_stream_is_the_sequence(text: str, x: Tensor) -> None:
    model = compiled(text, 1).eval()
    stream, state = model.stream(), None
    for x_N, y_N in zip(x, model(x, return_sequence=True), strict=True):
        y, state = stream(x_N, state)
        torch.testing.assert_close(y, y_N, rtol=0, atol=1e-12)


@pytest.mark.parametrize("text", CHAINS)
def test_text_comes_back(text: str) -> None:
    network = sewdsl.read(Source("t", f"{HEAD}{text}\n")).result()
    again = sewdsl.read(Source("t", write_net(network))).result()
    delays = [[str(node.op) for node in each if node.op.delay_steps] for each in (network, again)]
    assert sorted(delays[0]) == sorted(delays[1])
    assert max(node.op.delay_steps for node in network) > 1


def test_a_cycle_of_several_time_steps_is_no_loop() -> None:
    text = f"{HEAD}let h = ADD[ id | h-DELAY2-SCALE(value=0.5) ]\nbody h-FC3\n"
    written = write_net(sewdsl.read(Source("t", text)).result())
    assert "LOOP" not in written
    assert "h-DELAY2-SCALE(value=0.5)" in written


def test_the_module_keeps_a_ring() -> None:
    x = torch.arange(1.0, 8)[:, None]
    delay, past = Delay(3), StreamedPast(0)
    expected = [0, 0, 0, 1, 2, 3, 4]
    assert delay(x)[:, 0].tolist() == expected
    assert delay(x[:2])[:, 0].tolist() == [0, 0]
    found = []
    for t in range(7):
        past = StreamedPast(t, past.after)
        found.append(delay(x[t : t + 1], past).item())
    assert found == expected
    assert past.after is not None
    assert past.after[:, 0].tolist() == [5, 6, 7]


def test_a_long_chain_takes_little_time() -> None:
    began = time.process_time()
    for text in (
        "body FC4-{DELAY}*1000-FC3",
        "let h = ADD[ FC4 | h-DELAY-{DELAY}*999 ]\nbody h-FC3",
        "body FC4-DELAY1000",
    ):
        model = compiled(text, 1)
        assert not model(torch.ones(6, 1, 3, 4, 4, dtype=torch.float64), return_sequence=True).isnan().any()
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("DELAY0", "steps of 'DELAY' must be at least 1"),
        ("DELAY1001", "steps of 'DELAY' must be at most 1000"),
        ("DELAY2.5", "steps of 'DELAY' must be an integer"),
    ],
)
def test_what_is_no_delay(layer: str, said: str) -> None:
    (found,) = sewdsl.read(f"FC4-{layer}-FC3", input="8").diagnostics
    assert (found.code, found.message) == ("invalid-argument", said)


def test_one_time_step_is_written_as_before() -> None:
    (one, two) = sewdsl.read("FC4-DELAY-DELAY1-FC3", input="8").result().nodes[2:4]
    assert str(one.op) == str(two.op) == one.op.label == "DELAY"
