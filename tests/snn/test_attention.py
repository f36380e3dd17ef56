"""SCORES, APPLY, ATTN and Softmax, held against independent formulations and brute force."""

from __future__ import annotations

from itertools import accumulate, product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import sewdsl
from sewdsl.analysis.energy import operation_bounds
from sewdsl.diagnostics import SewdslError
from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.signal import BINARY, REAL, Signal, ValueRange
from sewdsl.ops.attention import Apply, Attention, Scores, Softmax
from sewdsl.passes import optimize_program
from sewdsl.passes.plan import LARGE_VALUE_ELEMENTS
from sewdsl.probe.measured_operations import measure_operations
from sewdsl.snn.attention import Causal
from sewdsl.snn.kernels.packed_bits.packed_tensor import PackedTensor
from sewdsl.snn.runtime import Runtime
from tests.words import raises

T, N, C, H, HEADS = 4, 2, 8, 3, 2


def maps(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Random maps ``[T, N, *shape]`` in float64 that require gradients."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn((T, N, *shape), generator=random, dtype=torch.float64).requires_grad_() for shape in shapes]


def equal(y: Tensor, wanted: Tensor, operands: list[Tensor]) -> None:
    """Check equal outputs and gradients, up to rounding."""
    torch.testing.assert_close(y, wanted)
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    gradients = (torch.autograd.grad(each, operands, g, retain_graph=True) for each in (y, wanted))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def compiled(text: str, shape: tuple[int, ...], steps: int = T, **options: Any) -> Any:
    torch.manual_seed(0)
    size = "x".join(map(str, shape))
    return sewdsl.compile(text, input=size, steps=steps, neuron="IF(v_threshold=0.3)", **options).double()


def tokens(x: Tensor, heads: int = HEADS) -> Tensor:
    """``[T, N, C, *]`` as torch writes it: ``[T, N, heads, tokens, channels of a head]``."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads, -1).mT


def joined(y: Tensor, size: tuple[int, ...]) -> Tensor:
    """Undo :func:`tokens`."""
    return y.mT.flatten(2, 3).reshape(*y.shape[:2], -1, *size)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", [(H, H), (5,)])
def test_softmax_between_is_torchs_attention(causal: bool, size: tuple[int, ...]) -> None:  # noqa: FBT001
    operands = maps(*((C, *size) for _ in range(3)))
    q, k, v = operands
    scores = Runtime.Scores(HEADS, (C // HEADS) ** -0.5, C // HEADS)
    y = Runtime.Apply(HEADS, 1.0, 1)(Runtime.Softmax(HEADS, causal=causal)(scores(q, k)), v)
    wanted = functional.scaled_dot_product_attention(tokens(q), tokens(k), tokens(v), is_causal=causal)
    equal(y, joined(wanted, size), operands)


def test_pooled_keys_and_values_of_other_widths() -> None:
    """Cross attention: keys and values from elsewhere, at fewer positions, with other channels of values."""
    operands = maps((C, H, H), (C, 2, 1), (6, 2, 1))
    q, k, v = operands
    y = Runtime.Apply(HEADS, 0.5, 2)(Runtime.Scores(HEADS, 0.25, 4)(q, k).tanh(), v)
    scores = (0.25 * tokens(q) @ tokens(k).mT).tanh()
    equal(y, joined(0.5 * scores @ tokens(v), (H, H)), operands)


@pytest.mark.parametrize("causal", [None, "places", "time"])
@pytest.mark.parametrize("chunk", [1, 2, T])
def test_chunks_by_loops_over_steps_and_tokens(chunk: int, causal: Causal) -> None:
    operands = maps((4, 2, 1), (4, 2, 1), (2, 2, 1))
    q, k, v = operands
    y = Runtime.Apply(2, 0.5, 2 * chunk, chunk=chunk, causal=causal)(
        Runtime.Scores(2, 0.25, 2, chunk=chunk)(q, k).tanh(), v
    )
    rows = []
    for t, head, place in product(range(T), range(2), range(2)):
        total = torch.zeros(N, dtype=torch.float64)
        for key_t, key in product(range(t // chunk * chunk, t // chunk * chunk + chunk), range(2)):
            left_out = {None: False, "places": key > place, "time": key_t > t}[causal]
            both = q[t, :, 2 * head : 2 * head + 2, place, 0] * k[key_t, :, 2 * head : 2 * head + 2, key, 0]
            total = total if left_out else total + 0.5 * (0.25 * both.sum(1)).tanh() * v[key_t, :, head, key, 0]
        rows.append(total)
    wanted = torch.stack(rows).reshape(T, 2, 2, 1, N).permute(0, 4, 1, 2, 3)
    equal(y, wanted, operands)
    attention = Runtime.Attention(2, 0.125, keys_first=False, chunk=chunk, causal=causal)(q, k, v)
    pair = Runtime.Apply(2, 0.125, 2 * chunk, chunk=chunk, causal=causal)(
        Runtime.Scores(2, 1.0, 2, chunk=chunk)(q, k), v
    )
    equal(pair, attention, operands)
    if causal is None:
        equal(Runtime.Attention(2, 0.125, keys_first=True, chunk=chunk)(q, k, v), attention, operands)


def test_softmax_leaves_out_later_keys() -> None:
    (x,) = maps((HEADS * 4, 2, 2))
    y = Runtime.Softmax(HEADS, causal=True)(x)
    scores = tokens(x)  # queries by keys
    wanted = torch.zeros_like(scores)
    for query in range(4):
        wanted[..., query, : query + 1] = scores[..., query, : query + 1].softmax(3)
    torch.testing.assert_close(y, joined(wanted, (2, 2)))
    assert not tokens(y)[..., 0, 1:].any()
    (vector,) = maps((6,))
    torch.testing.assert_close(Runtime.Softmax(2)(vector), vector.reshape(T, N, 2, 3).softmax(3).flatten(2))


PAIRS = (
    "APPLY(scale=0.5)[SCORES[id | id] | id]",
    "APPLY(scale=0.125)[SCORES(heads=2)[id | id] | id]",
    "APPLY[SCORES(heads=4, scale=0.25)[id | id] | id]",
    "APPLY(scale=0.5)[SCORES(heads=2, scale=2.0)[id | MPk2] | MPk2]",
    "APPLY[SCORES(heads=2)[id | MPk2-c8k1-BN-SN] | MPk2-c2k1-BN-SN]",
    "APPLY[SCORES(heads=8)[id | MPk4] | MPk4]",
    "APPLY[SCORES[c2k1-BN-SN | c2k1-BN-SN] | id]",
    "APPLY(scale=0.5)[SCORES[c2k1-BN-SN | c2k1-BN-SN] | c16k1-BN-SN]",
    "APPLY(chunk=2)[SCORES(chunk=2)[id | id] | id]",
    "APPLY(chunk=4, scale=0.125)[SCORES(heads=4, chunk=4)[id | id] | id]",
    "APPLY(chunk=2)[SCORES(heads=2, chunk=2)[id | MPk2] | MPk2]",
    "APPLY(causal=places)[SCORES(heads=2)[id | id] | id]",
    "APPLY(scale=0.5, causal=places, chunk=2)[SCORES(heads=2, chunk=2)[id | id] | id]",
    "APPLY(causal=time, chunk=4)[SCORES(chunk=4)[id | id] | id]",
    "APPLY[SCORES(heads=2)[id | ADD[id | SN]] | ADD[id | SN]]",
    "APPLY[SCORES(heads=2)[ADD[id | SN] | id] | id]",
    "APPLY[SCORES(heads=2)[id | id] | MPk1]",
    "APPLY(scale=0.25)[SCORES(scale=0.5)[MPk2 | id] | id]",
    "APPLY[SCORES(heads=2)[MPk4 | id] | id]",
    "APPLY(scale=4.0)[SCORES(heads=8)[id | id] | c8k1-BN-SN]",
)


def as_one(pair: str) -> str:
    """Return the text of ATTN for the text of a pair, with the product of both scales."""
    outer, rest = pair.removeprefix("APPLY").split("[SCORES", 1)
    arguments: dict[str, str] = {}
    inner, operands = rest.split("[", 1) if rest[0] == "(" else ("", rest[1:])
    for text in (outer, inner):
        for argument in filter(None, text.strip("()").split(", ")):
            name, value = argument.split("=")
            arguments[name] = str(float(value) * float(arguments.get(name, 1))) if name == "scale" else value
    depths = accumulate((letter == "[") - (letter == "]") for letter in operands)
    end = next(position for position, depth in enumerate(depths) if depth < 0)
    written = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return f"ATTN({written})[{operands[:end]}{operands[end + 1 :]}".replace("ATTN()", "ATTN")


@pytest.mark.parametrize("pair", PAIRS)
def test_attn_is_the_pair_to_the_bit(pair: str) -> None:
    """For spikes and counts, in float32, at every level, with equal ranges and gradients."""
    body = "c8k3-BN-SN-{}-c4k1-BN-SN-GAP-FC3"
    x = torch.rand(T, N, 2, 4, 4, generator=torch.Generator().manual_seed(3)) * 3
    results = []
    for text, level in product((as_one(pair), pair), (0, 1, 2)):
        torch.manual_seed(0)
        model = sewdsl.compile(body.format(text), input="2x4x4", steps=T, neuron="IF(v_threshold=0.3)", optimize=level)
        merge = next(node for node in reversed(model.network.nodes) if len(node.inputs) > 1)
        captured: list[Tensor] = []
        if level == 0:
            model.get_submodule(merge.name).register_forward_hook(lambda _m, _x, y: captured.append(y))  # noqa: B023
        y = model(x)
        (g,) = torch.autograd.grad(y.square().sum(), model.get_parameter("conv1.weight"))
        results.append((y, g, merge.output, *captured))
    first = results[0]
    assert first[3].any()
    for y, g, signal, *captured in results:
        torch.testing.assert_close(y, first[0])
        torch.testing.assert_close(g, first[1], rtol=1e-3, atol=1e-5)
        assert signal == first[2]
        assert all(torch.equal(value, first[3]) for value in captured)
    for level in (0, 1, 2):
        assert torch.equal(results[level][0], results[level + 3][0])


def test_only_scores_for_one_apply_are_fused() -> None:
    """Not those between neurons, that are read twice, or whose order is given."""

    def fused(text: str) -> bool:
        program = optimize_program(compiled(text, (8, 6, 6)).network)
        return any(
            len(step.nodes) > 1 and program.network.nodes[step.gives].op.kind == "APPLY" for step in program.steps
        )

    assert fused("SN-APPLY[SCORES(heads=4)[id | id] | id]")
    assert not fused("SN-APPLY[SCORES(heads=4)[id | id]-SN | id]")
    assert not fused("SN-APPLY(causal=places)[SCORES(heads=4)[id | id] | id]")
    assert not fused("SN-APPLY[SCORES(scale=rate)[id | id] | id]")
    assert not fused("SN-APPLY(scale=rate)[SCORES[id | id] | id]")
    # Few positions: q kT first takes fewer operations.
    assert not fused("SN-MPk6-APPLY[SCORES[id | id] | id]")


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("between", ["-IF", "-Softmax(groups=HEADS)"])
@pytest.mark.parametrize("chunk", [1, 3])
def test_operations_are_counted_one_by_one(heads: int, between: str, chunk: int) -> None:
    """Each meeting of a spike with a key, or with a channel of a head, is an addition, also to real values."""
    text = (
        f"c4k3-BN-IF-APPLY(chunk={chunk})[SCORES(heads={heads}, chunk={chunk})[c4k1-BN-IF | MPk2-c4k1]{between} | "
        "MPk2-c2k1-BN-IF]-GAP-FC2"
    ).replace("HEADS", str(heads))
    model = compiled(text, (2, 4, 4), 3, optimize=0).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.bias, 0.5)
    seen: dict[str, tuple[Tensor, ...]] = {}
    for name in ("a.scores1", "apply1"):
        model.get_submodule(name).register_forward_pre_hook(lambda _m, inputs, name=name: seen.update({name: inputs}))
    x = torch.rand(3, 2, 2, 4, 4, dtype=torch.float64) * 3
    bounds = {bound.node.name: bound for bound in operation_bounds(model.network)}
    measured = {each.most.node.name: each for each in measure_operations(model, [(x, torch.zeros(2))])}
    q, k = seen["a.scores1"]
    a, v = seen["apply1"]
    assert q.any()
    assert v.any()
    keys, queries = k[0, 0, 0].numel(), q[0, 0, 0].numel()
    assert measured["a.scores1"].events == int(torch.count_nonzero(q)) * keys * chunk
    assert not bounds["a.scores1"].real
    if "IF" in between:
        assert measured["apply1"].events == int(a.sum()) * v.shape[2] // heads
    else:
        assert measured["apply1"].events == int(v.sum()) * queries * chunk
    assert not bounds["apply1"].real
    # Dense operations: each query meets each key, with each channel of its head.
    assert model.network.macs(bounds["a.scores1"].node) == sum(
        1 for _ in product(range(4), range(keys * chunk), range(queries))
    )
    assert model.network.macs(bounds["apply1"].node) == sum(
        1 for _ in product(range(2), range(keys * chunk), range(queries))
    )
    for name in seen:
        assert measured[name].events <= bounds[name].events * 2


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize(("first", "second"), [((2, 0), (3, 0)), ((2, -1), (3, 0)), ((1, -1), (2, -3))])
def test_ranges_are_reached_and_not_passed(chunk: int, first: tuple[int, int], second: tuple[int, int]) -> None:
    one, other = (ValueRange(upper, 1.0, lower) for upper, lower in (first, second))
    q, k = Signal((4, 1, 2), one), Signal((4, 1, 2), other)
    scores = Scores(heads=2, scale=0.5, chunk=chunk)
    values = scores.infer(q, k).values
    a, v = Signal((4 * chunk, 1, 2), one), Signal((2, 1, 2), other)
    apply = Apply(scale=2.0, chunk=chunk)
    weighed = apply.infer(a, v).values
    ends = [*product(first, second)]
    for op, inputs, found in ((scores, (q, k), values), (apply, (a, v), weighed)):
        module = op.build(Runtime, *inputs)
        results = [
            module(*(torch.full((chunk, 1, *x.shape), float(end)) for x, end in zip(inputs, pair, strict=True)))
            for pair in ends
        ]
        assert found.upper is not None
        assert max(float(y.max()) for y in results) == found.unit * found.upper
        assert min(0.0, *(float(y.min()) for y in results)) == found.unit * found.lower
    assert Scores(scale="rate").infer(q, k).values == Scores().infer(q, Signal((4, 1, 2))).values == REAL
    assert Softmax().infer(q).values == REAL


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_sums_above_the_integers_of_16_bits_are_computed_in_32(precision: torch.dtype) -> None:
    """bfloat16 has no 257, and float16 no 2049. Smaller sums stay in 16 bits, and so do real values."""
    limit = 256 if precision == torch.bfloat16 else 2048
    for channels, wide in ((limit, False), (limit + 1, True)):
        signal = Signal((channels, 1, 1), BINARY)
        ones = torch.ones(1, 1, channels, 1, 1, dtype=precision)
        with torch.autocast("cpu", precision):
            y = Scores().build(Runtime, signal, signal)(ones, ones)
        assert y.unique() == channels
        assert y.dtype == (torch.float32 if wide else precision)
        assert Scores().build(Runtime, signal, signal)(ones, ones).dtype == precision
    real = Signal((1000, 1, 1))
    with torch.autocast("cpu", precision):
        assert Scores().build(Runtime, real, real)(ones[:, :, :1000], ones[:, :, :1000]).dtype == precision
        keys = Signal((1, limit + 1, 1), BINARY)
        a = torch.ones(1, 1, limit + 1, 1, 1)
        y = Apply().build(Runtime, Signal((limit + 1, 1, 1), BINARY), keys)(a, a.transpose(2, 3))
        assert y.unique() == limit + 1


def test_operands_are_saved_in_bits() -> None:
    """A training step saves spikes of scores, values and queries in one bit each, as its prediction states."""
    side = 64
    assert side**3 >= LARGE_VALUE_ELEMENTS // 8
    text = "APPLY[SCORES[id | MPk8]-SN | MPk8]"
    model = sewdsl.compile(f"SN-{text}-SUM(over=channels)", input=f"8x{side}x{side}", steps=4, neuron="IF")
    packed: list[tuple[int, ...]] = []
    init = PackedTensor.__init__

    def record(self: Any, x: Tensor, *arguments: Any) -> None:
        packed.append(tuple(x.shape))
        init(self, x, *arguments)

    x = torch.rand(4, 8, 8, side, side, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackedTensor, "__init__", record)
        y = model(x)
    assert (4, 8, 8, side, side) in packed  # q
    assert (4, 8, 64, side, side) in packed  # a
    (g,) = torch.autograd.grad(y.sum(), x)
    (unpacked,) = torch.autograd.grad(sewdsl.compile(model.network, optimize=0)(x).sum(), x)
    torch.testing.assert_close(g, unpacked)


class TestRate:
    def text(self, steps: int = T) -> Any:
        return compiled("SN-APPLY(scale=rate)[SCORES(heads=2, scale=rate)[id | c8k1]-SN | id]-SN", (8, 2, 2), steps)

    def test_is_a_mean_over_training_batches(self) -> None:
        model = self.text()
        keys = [key for key in model.state_dict() if key.endswith("rate")]
        assert keys == ["a.scores1.rate", "apply1.rate"]
        rate = model.get_buffer("a.scores1.rate")
        assert rate.shape == (2,)
        batches = [torch.rand(T, N, 8, 2, 2, dtype=torch.float64) * scale for scale in (1.0, 0.4)]
        spikes = [model.get_submodule("if1")(x) for x in batches]
        means = [tokens(s).mean((0, 1, 3, 4)) for s in spikes]
        model(batches[0])
        torch.testing.assert_close(rate, means[0])
        model(batches[1])
        torch.testing.assert_close(rate, 0.999 * means[0] + 0.001 * means[1])
        before = rate.clone()
        model.eval()(batches[0])
        assert torch.equal(rate, before)
        scores = model.get_submodule("a.scores1")
        torch.testing.assert_close(scores.factor, (before * 4).rsqrt()[:, None, None])
        y, k = scores(spikes[0], spikes[1]), spikes[1]
        wanted = (tokens(spikes[0]) @ tokens(k).mT) / (before * 4).sqrt()[:, None, None]
        torch.testing.assert_close(y, joined(wanted, (2, 2)))

    def test_evaluation_before_training_is_an_error(self) -> None:
        model, x = self.text(), torch.rand(T, N, 8, 2, 2, dtype=torch.float64)
        with pytest.raises(ValueError, match="scale=rate requires the mean of a training batch"):
            model.eval()(x)
        model.train()(x)
        trained = self.text()
        trained.load_state_dict(model.state_dict())
        assert torch.equal(trained.eval()(x), model.eval()(x))

    def test_a_silent_head_has_a_finite_factor(self) -> None:
        scores = Runtime.Scores(2, "rate", 4)
        q = torch.zeros(1, 1, 8, 2, 2)
        q[:, :, :4] = 1
        assert torch.isfinite(scores(q, q)).all()
        assert torch.isfinite(scores.eval()(q, q)).all()
        scores.train()
        # The rate of the other head starts with its first spikes.
        scores(q.flip(2), q)
        assert scores.rate.tolist() == pytest.approx([0.999, 1])

    def test_recomputed_and_streamed(self) -> None:
        """A step with a rate is never recomputed: the second computation would have another rate."""
        assert not Scores(scale="rate").repeatable
        assert not Apply(scale="rate").repeatable
        assert Scores().repeatable
        model, x = self.text(), torch.rand(T, N, 8, 2, 2, dtype=torch.float64)
        model(x)
        stream, state, outputs = model.eval().stream(), None, []
        for x_N in x:
            y_N, state = stream(x_N, state)
            outputs.append(y_N)
        torch.testing.assert_close(torch.stack(outputs), model(x, return_sequence=True))


def test_chunks_do_not_stream() -> None:
    model = compiled("SN-APPLY(chunk=2)[SCORES(chunk=2)[id | id]-SN | id]", (8, 2, 2))
    with pytest.raises(Exception, match=r"scores1|SCORES"):
        model.stream()
    with pytest.raises(ValueError, match="a multiple of 2 time-steps, got 3"):
        model(torch.rand(3, 1, 8, 2, 2, dtype=torch.float64))


def test_a_static_input_meets_itself_in_chunks() -> None:
    model = compiled("APPLY(chunk=2, causal=time)[SCORES(chunk=2)[id | id] | id]", (2, 2, 2), encode="direct")
    x = torch.rand(N, 2, 2, 2, dtype=torch.float64)
    expected = compiled("APPLY(chunk=2, causal=time)[SCORES(chunk=2)[id | id] | id]", (2, 2, 2))
    y = model(x, return_sequence=True)
    torch.testing.assert_close(y, expected(x.expand(T, *x.shape), return_sequence=True))
    assert not torch.equal(y[0], y[1])


SPIKES = Signal((8, 2, 2), BINARY)


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        (Scores(), (SPIKES, Signal((8,))), "k of SCORES is the vector"),
        (Scores(), (SPIKES, Signal((6, 2, 2))), "different channels"),
        (Scores(heads=3), (SPIKES, SPIKES), "equal heads"),
        (Apply(), (Signal((9, 2, 2)), SPIKES), "a multiple of the 4 keys"),
        (Apply(chunk=2), (Signal((12, 2, 2)), SPIKES), "a multiple of the 8 keys"),
        (Apply(), (Signal((12, 2, 2)), SPIKES), "8 channels of v"),
        (Apply(causal="places"), (Signal((4, 1, 2)), SPIKES), "positions of the queries"),
        (Apply(causal="time"), (Signal((4, 2, 2)), SPIKES), "no effect"),
        (Attention(causal="time"), (SPIKES, SPIKES, SPIKES), "no effect"),
        (Softmax(groups=3), (SPIKES,), "equal groups"),
        (Softmax(causal="places"), (Signal((6, 2, 2)),), "a channel for each of the 4 positions"),
        (Softmax(causal="places"), (Signal((6,)),), "a channel for each of the 1 positions"),
    ],
)
def test_what_does_not_fit(op: Any, inputs: tuple[Signal, ...], words: str) -> None:
    with raises(ShapeMismatch) as caught:
        op.infer(*inputs)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "SCORES(chunk=3)[id | id]",
        "SCORES(scale=0.0)[id | id]",
        "SCORES(scale=speed)[id | id]",
        "APPLY(causal=spaces)[id | id]",
        "ATTN(scale=rate)[id | id | id]",
        "SCORES[id | id | id]",
        "SN-LOOP[SN | APPLY(chunk=2)[SCORES(chunk=2)[id | id] | id]]",
    ],
)
def test_what_is_refused(text: str) -> None:
    with raises(SewdslError):
        sewdsl.load(text, input="8x2x2", steps=4, neuron="IF")
