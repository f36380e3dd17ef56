"""Merges: what they give, their ranges, and the operations of attention, held against brute force."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.analysis.energy import operation_bounds
from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.signal import BINARY, REAL, Signal, ValueRange
from sewdsl.ops.attention import Attention
from sewdsl.ops.joins import Add, Or
from sewdsl.ops.layers.reduction import Sum
from sewdsl.ops.merges import Concatenation, Maximum, Product
from sewdsl.probe.measured_operations import measure_operations
from sewdsl.snn.runtime import Runtime


def spikes(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).double()


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
    """Return attention as in the code of Spikformer: tokens by channels, one head after the other."""
    T, N, _, H, W = q.shape
    tokens = [x.flatten(3).transpose(2, 3) for x in (q, k, v)]  # [T, N, places, channels]
    parts = [x.reshape(*x.shape[:3], heads, -1).transpose(2, 3) for x in tokens]
    y: Tensor = (parts[0] @ parts[1].transpose(-2, -1)) @ parts[2] * scale
    return y.transpose(2, 3).flatten(3).transpose(2, 3).reshape(T, N, -1, H, W)


@pytest.mark.parametrize(("heads", "keys"), [(1, (3, 4)), (2, (3, 4)), (4, (1, 2))])
def test_attention_is_the_authors_in_either_order(heads: int, keys: tuple[int, int]) -> None:
    q, k, v = spikes(2, 3, 8, 3, 4), spikes(2, 3, 8, *keys, seed=1), spikes(2, 3, 4, *keys, seed=2)
    wanted = attention(q, k, v, heads, 0.125)
    for keys_first in (True, False):
        assert torch.equal(Runtime.Attention(heads, 0.125, keys_first=keys_first)(q, k, v), wanted)


def test_attention_takes_the_cheaper_order() -> None:
    """Few channels a head and many places: kT v first. Else q kT."""
    many, few = Signal((8, 16, 16), BINARY), Signal((64, 2, 2), BINARY)
    assert Attention(heads=2).macs(many, many, many) == 2 * 256 * 8 * 4
    assert Attention(heads=2).macs(few, few, few) == 2 * 4 * 4 * 64


@pytest.mark.parametrize("heads", [1, 2])
def test_the_range_of_attention_is_reached_and_not_passed(heads: int) -> None:
    signal = Signal((4, 1, 2), ValueRange(2))
    values = Attention(heads=heads, scale=0.5).infer(signal, signal, signal).values
    full = torch.full((1, 1, 4, 1, 2), 2.0)
    y = Runtime.Attention(heads, 0.5, keys_first=True)(full, full, full)
    assert values.upper is not None
    assert y.max() == values.unit * values.upper
    assert values.count is None
    assert str(values) == f"0.5 times 0..{values.upper}"


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_sums_of_counts_are_exact_in_16_bits(precision: torch.dtype) -> None:
    """bfloat16 has no 257."""
    ones = torch.ones(1, 1, 8, 19, 19, dtype=precision)
    sums, attention_ = Runtime.Reduction("sum"), Runtime.Attention(1, 1.0, keys_first=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert sums(ones).unique() == 361
        assert attention_(ones, ones, ones).unique() == 8 * 361
    assert sums(ones).dtype == attention_(ones, ones, ones).dtype == precision


def test_gates_act_on_groups() -> None:
    x = torch.randn(2, 1, 6, 2, 3, dtype=torch.float64)
    places, channels, groups = (
        torch.randn(2, 1, *shape, dtype=torch.float64) for shape in ((1, 2, 3), (6, 1, 1), (2, 2, 3))
    )
    times = Runtime.Product()
    assert torch.equal(times(x, places), x * places)
    assert torch.equal(times(channels, x), x * channels)
    wanted = x * groups.repeat_interleave(3, dim=2)
    assert torch.equal(times(groups, x), wanted)
    assert torch.equal(times(x, groups), wanted)


@pytest.mark.parametrize(
    ("shapes", "shape"),
    [
        (((6, 2, 3), (1, 2, 3)), (6, 2, 3)),
        (((6, 1, 1), (6, 2, 3)), (6, 2, 3)),
        (((2, 1, 1), (6, 2, 3)), (6, 2, 3)),
        (((6,), (2,)), (6,)),
        (((6, 2, 3), (4, 2, 3)), None),
        (((6, 2, 3), (6, 1, 3)), None),
        (((6, 2, 3), (6,)), None),
    ],
)
def test_what_is_a_gate(shapes: tuple[tuple[int, ...], ...], shape: tuple[int, ...] | None) -> None:
    signals = [Signal(each, ValueRange(3)) for each in shapes]
    if shape is None:
        with pytest.raises(ShapeMismatch, match="cannot gate"):
            Product().infer(*signals)
    else:
        assert Product().infer(*signals) == Signal(shape, ValueRange(9))


def test_ranges() -> None:
    one, two, half, real = (
        Signal((4, 2, 2), values) for values in (ValueRange(1), ValueRange(2), ValueRange(4, 0.5), REAL)
    )
    assert Add().infer(one, two, two).values == ValueRange(5)
    assert Add().infer(half, two).values == ValueRange(4 + 4, 0.5)
    assert Add().infer(one, real, one).values == REAL
    assert Or().infer(one, one, one).values == BINARY
    assert Maximum().infer(one, two).values == ValueRange(2)
    assert Maximum().infer(one, half).values == REAL
    assert Concatenation().infer(one, two) == Signal((8, 2, 2), ValueRange(2))
    assert Sum(over="places").infer(two) == Signal((4, 1, 1), ValueRange(8))
    assert Sum(over="channels", groups=2).infer(two) == Signal((2, 2, 2), ValueRange(4))


@pytest.mark.parametrize("bits", [*product((0.0, 1.0), repeat=3)])
def test_or_of_three(bits: tuple[float, ...]) -> None:
    operands = [torch.tensor([[bit]]) for bit in bits]
    assert Runtime.JoinOfMany(Or())(*operands) == float(any(bits))


BODY = "c4k3-BN-IF-ATTN(heads=HEADS, scale=0.5)[c4k1-BN-IF | MPk2-c4k1-BN-IF | MPk2-c2k1-BN-IF]-IF-GAP-FC2"


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("size", ["2x2x2", "2x8x8"])
def test_operations_of_attention_are_counted_one_by_one(heads: int, size: str) -> None:
    """Each meeting of a spike is an addition.

    In q (kT v), a spike of k adds the values of its place to the sums, and one of q a row of these; in (q kT) v, one of
    q adds its channel of all keys to the scores, and one of v the scores of all queries.
    """
    text = BODY.replace("HEADS", str(heads))
    model = sewdsl.compile(text, input=size, steps=3, neuron="IF(v_threshold=0.3)", optimize=0).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.bias, 0.2)
    seen: list[tuple[Tensor, ...]] = []
    hook = model.get_submodule("attn1").register_forward_pre_hook(lambda _module, inputs: seen.append(inputs))
    x = torch.rand(3, 2, *map(int, size.split("x")), dtype=torch.float64) * 3
    (bound,) = (found for found in operation_bounds(model.network) if found.node.op.kind == "ATTN")
    measured = next(m for m in measure_operations(model, [(x, torch.zeros(2))]) if m.most.node.name == "attn1")
    hook.remove()
    ((q, k, v),) = seen
    assert q.any()
    assert k.any()
    queries, keys, d = q[0, 0, 0].numel(), k[0, 0, 0].numel(), v.shape[2] // heads
    if model.get_submodule("attn1").keys_first:
        counted = int(q.sum() + k.sum()) * d
    else:
        counted = int(q.sum()) * keys + int(v.sum()) * queries
    assert measured.events == measured.accumulations == counted
    assert counted <= bound.events * 2
    assert not bound.real
    assert bound.dense == model.network.macs(bound.node) * 3


def test_they_stream() -> None:
    text = (
        "c4k3-BN-SN-CAT[id | c4k3-BN-SN]-MUL[c8k1-BN-SN-SUM(over=channels, groups=2)-SN | id]-OR[id | c8k1-BN-SN | SN]-"
        "ATTN(heads=2, scale=0.5)[id | c8k1-BN-SN | c8k1-BN-SN]-SN-MAX[id | c8k1-BN-SN]-GAP-FC3"
    )
    model = sewdsl.compile(text, input="2x4x4", steps=4, neuron="IF(v_threshold=0.2)").double().eval()
    x = torch.rand(4, 2, 2, 4, 4, dtype=torch.float64) * 5
    stream, state, outputs = model.stream(), None, []
    for x_N in x:
        y_N, state = stream(x_N, state)
        outputs.append(y_N)
    wanted = model(x, return_sequence=True)
    assert len(wanted.unique(dim=0)) > 1
    torch.testing.assert_close(torch.stack(outputs), wanted)


@pytest.mark.parametrize(
    ("branch", "shortcut"),
    [
        ("c8k3-MUL[MPk8 | id]-BN", "BN"),
        ("c8k3-BN-ADD[APk2-UP2 | id]", "BN"),
        ("c8k3s2-BN-IF-UP2", "BN"),
        ("c8k3s2-BN-IF-tc8k2s2", "BN"),
        ("MPk2s2", "AP"),
    ],
)
def test_a_side_branch_with_a_pool_is_no_stride(branch: str, shortcut: str) -> None:
    network = sewdsl.load(f"BN-ADD[{branch} | id or APk2s2]-FC2", input="8x8x8")
    assert network.nodes[network.nodes[-2].inputs[1]].op.kind == shortcut


def test_a_gate_of_a_strided_branch_keeps_the_projection() -> None:
    network = sewdsl.load("BN-ADD[c8k3s2-BN-MUL[MPk1 | id] | id or IF]-FC2", input="8x1x1")
    assert network.nodes[network.nodes[-2].inputs[1]].op.kind == "IF"


@pytest.mark.parametrize(("operands", "kind"), [("BN | MPk1s2 | id or IF", "BN"), ("MPk1s2 | BN | id or IF", "IF")])
def test_an_alternative_goes_with_the_first_operand(operands: str, kind: str) -> None:
    """Strides of the other operands do not matter."""
    network = sewdsl.load(f"BN-ADD[{operands}]-FC2", input="2x1x1")
    merge = network.nodes[-2]
    assert network.nodes[merge.inputs[2]].op.kind == kind
