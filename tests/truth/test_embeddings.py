"""Tokens: inputs of integers and tables against plain PyTorch in float64, and what their modules accept."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.diagnostics import errors_in
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.compare_outputs import compare_outputs
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.ir.json import to_json
from sewdsl.lower import SpikingNetwork
from sewdsl.notation import write_net
from sewdsl.passes.memory.step_timeline import peak_memory
from sewdsl.passes.memory.value_sizes import TrainingLoad
from sewdsl.probe.untrained import random_inputs
from tests.network_json import from_json
from tests.words import check_words, raises

T, N, VALUES = 3, 4, 11
HEAD = "sewdsl 1\nneuron LIF(tau=2.0, v_threshold=0.5)\n"
SENTENCES = f"{HEAD}input 6 of 11\nsteps 3\nencode direct\n"
SENTENCES += "body EMB8-POS-SN-APPLY[SCORES(heads=2)[c8k1 | c8k1]-Softmax(groups=2) | c8k1]-SN-FC5\n"
TEXTS = f"{HEAD}input 1 of 11\nsteps 7\nbody EMB8-LOOP[SN | FC8]-FC11\n"
NAMED = f"{HEAD}input word 1 of 11\ninput events 2x4x4 of 5\nsteps 3\npart Read = EMB6(init=normal(std=0.5))-SN\n"
NAMED += "let h = word-Read\nlet e = events-c3k3-SN-FC6\nbody ADD[ h | e ]-FC3\n"
NETWORKS = {"sentences": SENTENCES, "texts": TEXTS, "named": NAMED}


def compiled(text: str, level: int = 2) -> SpikingNetwork:
    return sewdsl.compile(sewdsl.read(text).result(), seed=0, optimize=level)


def attention(x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """The body of SENTENCES behind its first neuron, with tokens before channels, and its end."""
    q, k, v = (
        functional.linear(x.mT, weights[f"{name}.weight"][:, :, 0], weights.get(f"{name}.bias")).view(T, N, 6, 2, 4)
        for name in ("a.q.conv1", "a.k.conv1", "v.conv1")
    )
    shares = torch.einsum("tnqgc,tnkgc->tngqk", q, k).softmax(-1)
    return torch.einsum("tngqk,tnkgc->tngcq", shares, v).flatten(2, 3)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_classes_of_sentences(level: int) -> None:
    """The reference consists of torch's modules: table, positions, neuron, softmax attention, neuron."""
    model = compiled(SENTENCES, level).double()
    weights = dict(model.named_parameters())
    neuron = sewdsl.compile("LIF(tau=2.0, v_threshold=0.5)", input="8x6", steps=T, optimize=0).double()
    x = torch.randint(VALUES, (N, 6), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        weights["emb1.weight"].mul_(3)
    table = functional.embedding(x, weights["emb1.weight"]).mT + weights["pos1.weight"]
    spikes = neuron(table.expand(T, N, 8, 6), return_sequence=True)
    values = neuron(3 * attention(spikes, weights) / 3, return_sequence=True)
    expected = functional.linear(values.flatten(2), weights["fc1.weight"], weights["fc1.bias"]).mean(0)
    y = model(x)
    factors = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape)
    leaves = list(weights.values())
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    grads = (torch.autograd.grad((each * factors).sum(), leaves) for each in (y, expected))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        assert one.abs().sum() > 0


@pytest.mark.parametrize("level", [0, 1, 2])
def test_one_token_a_time_step(level: int) -> None:
    model = sewdsl.compile("EMB8-Tanh-FC11", input="1 of 11", steps=T, seed=0, optimize=level).double()
    torchs = nn.Sequential(nn.Embedding(VALUES, 8), nn.Tanh(), nn.Linear(8, VALUES)).double()
    torchs.load_state_dict(dict(zip(torchs.state_dict(), model.state_dict().values(), strict=True)))
    x = torch.randint(VALUES, (T, N, 1), generator=torch.Generator().manual_seed(1))
    y, expected = model(x, return_sequence=True), torchs(x.squeeze(-1))
    torch.testing.assert_close(y, expected, rtol=1e-13, atol=1e-13)
    (y**2).sum().backward()
    (expected**2).sum().backward()
    for one, other in zip(model.parameters(), torchs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-13, atol=1e-13)


def test_counts_of_events_are_spikes_or_counts() -> None:
    events = sewdsl.load("c4k3-LIF", input="2x6x6 of 2")
    assert str(events.nodes[0].output) == "[2, 6, 6] binary"
    assert str(sewdsl.load("c4k3-LIF", input="2x6x6 of 16").nodes[0].output) == "[2, 6, 6] count 0..15"
    assert events.total_parameters == sewdsl.load("c4k3-LIF", input="2x6x6").total_parameters
    assert str(sewdsl.load("DELAY2-id", input="3 of 5").nodes[-1].output) == "[3] count 0..4"


@pytest.mark.parametrize("size", ["2x8x8 of 16", "2x8x8 of 2"])
def test_counts_at_all_levels(size: str) -> None:
    """Counts can be packed, and convolutions of few events can be event-driven: the results are equal."""
    results = []
    for level in (0, 1, 2):
        model = sewdsl.compile("c4k3-BN-LIF-c4k3-GAP-FC2", input=size, steps=T, seed=0, optimize=level).double()
        ((x, _),) = random_inputs(model.network, samples=N, seed=3)
        x = x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.1)
        y = model(x)
        (y**2).sum().backward()
        results.append([y.detach(), *(weight.grad for weight in model.parameters())])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, same, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_texts_and_json(name: str) -> None:
    network = sewdsl.read(NETWORKS[name]).result()
    again = sewdsl.read(write_net(network)).result()
    assert (again.settings, [node.op for node in again]) == (network.settings, [node.op for node in network])
    assert from_json(json.loads(json.dumps(to_json(network)))) == network
    assert network.in_evaluation().total_parameters == network.total_parameters
    assert str(network.nodes[network.input_indices[0]].op).endswith(" of 11")


def test_json_without_counts_is_as_before() -> None:
    pair = to_json(sewdsl.read("sewdsl 1\ninput a 2\ninput b 3\nbody CAT[ a | b ]\n").result())
    assert pair["settings"]["inputs"] == [["a", [2], "none"], ["b", [3], "none"]]
    assert "of" not in to_json(sewdsl.load("FC3", input="2"))["settings"]


@pytest.mark.parametrize(
    "line",
    ["128 of", "128 of 1", "128 of 0.5", "128 of 2x3", "128 of many", "128 of 5 6", "a 128 of 1", "128 300", "of"],
)
def test_invalid_lines(line: str) -> None:
    (diagnostic, *_) = sewdsl.read(f"sewdsl 1\ninput {line}\nbody FC10\n").diagnostics
    assert (diagnostic.code, diagnostic.span.line) == ("invalid-argument", 2)


def test_the_command_line_replaces_it() -> None:
    assert sewdsl.load(SENTENCES, input="4 of 7").settings.input_text == "4 of 7"
    assert sewdsl.load(SENTENCES, input="4 of 7").settings.of == 7
    assert sewdsl.load(NAMED, set={"input.word": "1 of 3"}).settings.input_text == "word 1 of 3, events 2x4x4 of 5"
    (diagnostic,) = sewdsl.read(SENTENCES, input="4").diagnostics
    assert diagnostic.code == "invalid-argument"


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.uint16, torch.float32, torch.float64])
@pytest.mark.parametrize("model_dtype", [torch.float32, torch.float64])
def test_dtypes(dtype: torch.dtype, model_dtype: torch.dtype) -> None:
    model = compiled(SENTENCES).to(model_dtype).eval()
    x = torch.randint(VALUES, (N, 6))
    assert torch.equal(model(x.to(dtype)), model(x))


def test_16_bits_keep_the_numbers() -> None:
    """bfloat16 represents integers up to 256 only."""
    model = sewdsl.compile("EMB4", input="3 of 1000", steps=1).bfloat16()
    x = torch.tensor([[[1, 257, 999]]])
    assert torch.equal(model(x), model.state_dict()["emb1.weight"][x[0]].mT)
    with raises(ValueError, "16 bits"):
        model(x.bfloat16())
    small = sewdsl.compile("FC4", input="3 of 16", steps=1).bfloat16()
    assert small(x.new_tensor([[[1, 2, 15]]])).dtype == torch.bfloat16


@pytest.mark.parametrize("x", [[0.0, 11.0], [-1, 3], [0, 0.5], [float("nan"), 0], [True, False]], ids=str)
def test_values_are_checked(x: list[float]) -> None:
    model = sewdsl.compile("FC4-LIF", input="2 of 11", steps=2)
    values = torch.tensor([[x], [x]])
    if values.dtype == torch.bool:
        assert model(values).shape == (1, 4)
        return
    with raises(ValueError):
        model(values)
    with pytest.raises(ValueError, match="expected integers"):
        model.eval().stream()(values[0])


def test_empty_batches_and_missing_axes() -> None:
    model = sewdsl.compile("EMB4", input="1 of 11", steps=2)
    assert model(torch.zeros(2, 0, 1)).shape == (0, 4)
    with pytest.raises(ValueError, match=r"add an axis for the single element: x\[..., None\]"):
        model(torch.zeros(2, 3, dtype=torch.int64))


@pytest.mark.parametrize("name", NETWORKS)
def test_streams(name: str) -> None:
    model = compiled(NETWORKS[name]).double().eval()
    ((x, _),) = random_inputs(model.network, samples=N, seed=2)
    named = x if isinstance(x, dict) else {"": x}
    steps = model.network.settings.steps
    sequences = {
        source.name: named[source.name].expand(steps, *named[source.name].shape)
        if source.encode == "direct"
        else named[source.name]
        for source in model.network.settings.sources
    }
    stream, state = model.stream(), None
    for t, expected in enumerate(model(x, return_sequence=True)):
        step = {key: each[t] for key, each in sequences.items()}
        y, state = stream(step if isinstance(x, dict) else step[""], state)
        torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        pytest.param(name, key, marks=[pytest.mark.deep] if key == "torch-export" and name != "texts" else [])
        for name in NETWORKS
        for key in FORMATS
        # There are no tables in NIR, and no counts in these networks.
        if key not in {"nir", "spikes"}
    ],
)
def test_exports(name: str, format_: str) -> None:
    if format_ == "spikingjelly":
        pytest.importorskip("spikingjelly")
    model = compiled(NETWORKS[name])
    ((x, _),) = random_inputs(model.network, samples=N, seed=2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    model.eval()
    written = FORMATS[format_].write(model, "")
    comparison = compare_outputs(model, FORMATS[format_], written, x)
    assert comparison.depends_on_input
    assert all(output.accepted for output in comparison.outputs)


def test_files_of_other_programs_take_integers() -> None:
    model = compiled(TEXTS).eval()
    onnx = pytest.importorskip("onnxruntime").InferenceSession(FORMATS["onnx"].write(model, ""))
    x = torch.randint(VALUES, (7, N, 1))
    (y,) = onnx.run(["logits"], {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), model(x).detach(), rtol=1e-5, atol=1e-6)
    text = FORMATS["python"].write(compiled(NAMED), "").decode()
    assert '"word": torch.randint(11, (STEPS, 2, *INPUTS["word"])).float(),' in text


def test_nir_has_no_tables() -> None:
    with raises(ExportError):
        FORMATS["nir"].write(compiled(TEXTS).eval(), "")


@pytest.mark.parametrize(("body", "size"), [("EMB8", "6"), ("EMB8", "2x6 of 5"), ("FC3-EMB8", "6 of 5")])
def test_tables_need_tokens(body: str, size: str) -> None:
    (diagnostic,) = errors_in(sewdsl.read(body, input=size).diagnostics)
    assert diagnostic.code == "invalid-argument"
    check_words(f"{diagnostic.message} | {diagnostic.help}")


def test_initial_weights() -> None:
    """The call comes before the part, the part before the file; rules of connections leave tables alone."""
    text = f"{HEAD}input 64 of 500\nsteps 2\ninit normal(std=0.1)\ninit mine.* uniform(low=2.0, high=3.0)\n"
    text += "let mine = EMB40-POS\nbody ADD[ mine | EMB40(init=constant(0)) | EMB40 ]-c8k1-POS(init=constant(1))\n"
    weights = sewdsl.compile(text, seed=0).state_dict()
    deviations = {name: float(each.std()) for name, each in weights.items() if each.ndim > 1}
    assert deviations["operand3.emb1.weight"] == pytest.approx(0.1, rel=0.03)
    assert torch.all(weights["mine.emb1.weight"] > 2)
    assert torch.all(weights["mine.pos1.weight"] > 2)
    assert torch.all(weights["operand2.emb1.weight"] == 0)
    assert torch.all(weights["pos1.weight"] == 1)
    plain = sewdsl.compile("EMB40-POS-c8k1", input="64 of 500", seed=0, set={"init": "orthogonal"}).state_dict()
    assert float(plain["emb1.weight"].std()) == pytest.approx(1, rel=0.03)
    assert float(plain["pos1.weight"].std()) == pytest.approx(0.02, rel=0.03)
    assert torch.allclose(plain["conv1.weight"][..., 0] @ plain["conv1.weight"][..., 0].T, torch.eye(8), atol=1e-5)
    (diagnostic,) = sewdsl.read("EMB4(init=orthogonal)", input="3 of 5").diagnostics
    assert diagnostic.code == "invalid-argument"
    exported = FORMATS["python"].write(sewdsl.compile(text, seed=0), "").decode()
    assert "nn.init.uniform_(module.weight, 2.0, 3.0)" in exported


def test_equal_rules_draw_equal_tables_in_exported_files() -> None:
    text = f"{HEAD}input 64 of 500\nsteps 2\ninit normal(std=0.1)\nbody EMB40-POS-c8k1-GAP\n"
    namespace: dict[str, object] = {"__name__": "net"}
    exec(FORMATS["python"].write(sewdsl.compile(text, seed=0), "").decode(), namespace)  # noqa: S102 -- our own text
    *_, network = (each for each in namespace.values() if isinstance(each, type))
    for name, weight in network().named_parameters():
        if "bias" not in name:
            assert float(weight.detach().std()) == pytest.approx(0.1, rel=0.15), name


def test_saved_for_the_backward_pass() -> None:
    """Row numbers are saved as int64; the prediction has them."""
    network = sewdsl.load("EMB8-FC2", input="1000 of 300", steps=4)
    assert network.nodes[1].op.keeps(network.nodes[0].output).bytes_per_step == 8 * 1000
    assert peak_memory(sewdsl.compile(network).program, TrainingLoad(samples=2)) is not None
