"""Networks with named inputs: what their modules take, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.draw import dot
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.compare_outputs import compare_outputs
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.ir.settings import InputSetting
from sewdsl.lower import SpikingNetwork
from sewdsl.notation import compact_text, write_net
from sewdsl.notation.network_diff import diff_networks
from sewdsl.notation.tikz import fragment
from sewdsl.passes import optimize_program
from sewdsl.passes.memory.step_timeline import peak_memory
from sewdsl.passes.memory.value_sizes import TrainingLoad
from sewdsl.probe.untrained import random_inputs
from sewdsl.train.data.dataset import DataError
from sewdsl.train.training_plan import dataset_of, training_problems
from tests.network_json import from_json
from tests.words import check_words, raises

HEAD = "sewdsl 1\nsteps 4\nneuron LIF(tau=2.0, v_threshold=0.1)\n"
PAIR = "input left 2x6x6\ninput right 2x6x6\nencode direct\nlet a = left-c4k3-BN-SN\nlet b = right-c4k3-BN-SN\n"
PAIR += "body CAT[ a | b ]-GAP-FC3\n"
MIXED = """\
input left 2x6x6
input right 1x3x3
encode right direct
block Up[ low | high ] = CAT[ low-UP2 | high ]-c4k3-BN
body Up[ right-c2k3 | left ]-SN-CAT[ id | right-UP2 | left ]-GAP-FC3
"""
LOOP = """\
input left 5
input right 6
let h = ADD[ left-FC4 | h-DELAY-FC4 ]-SN
let y = CAT[ h | right-LOOP[ SN | FC6 ] ]-FC3
outputs h y
"""
TEXTS = {"pair": PAIR, "mixed": MIXED, "loop": LOOP}


def loaded(text: str) -> Network:
    return sewdsl.read(HEAD + text).result()


def drawn(network: Network, samples: int = 3) -> dict[str, Tensor]:
    x, _ = next(iter(random_inputs(network, samples=samples)))
    return {name: each.double() for name, each in x.items()}


def named(outputs: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return outputs if isinstance(outputs, dict) else {"": outputs}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_levels_calls_and_streams_agree(text: str) -> None:
    network, results = loaded(text), []
    x = drawn(network)
    for optimize in (0, 1, 2):
        model = sewdsl.compile(network, seed=0, optimize=optimize).double()
        y = named(model(**x))
        torch.stack([each.square().sum() for each in y.values()]).sum().backward()  # type: ignore[no-untyped-call]
        results.append((y, {name: weight.grad for name, weight in model.named_parameters()}))
        for other in (model(x), model(*x.values()), model(x["left"], right=x["right"])):
            torch.testing.assert_close(named(other), y)
        sequence, stream, state = named(model.eval()(x, return_sequence=True)), model.stream(), None
        for t in range(4):
            ranks = {source.name: len(source.shape) + 1 for source in network.settings.inputs}
            step = {name: each if each.ndim == ranks[name] else each[t] for name, each in x.items()}
            output, state = stream(step, state) if t % 2 else stream(state=state, **step)
            torch.testing.assert_close(named(output), {name: each[t] for name, each in sequence.items()})
    for y, gradients in results[1:]:
        torch.testing.assert_close(y, results[0][0])
        torch.testing.assert_close(gradients, results[0][1])


def test_it_equals_two_towers_in_pytorch() -> None:
    model = sewdsl.compile(loaded(PAIR.replace("SN", "ReLU")), seed=0).double()
    x = drawn(model.network)
    towers = []
    for name, each in zip("ab", x.values(), strict=True):
        maps = nn.functional.conv2d(each, model.get_parameter(f"{name}.conv1.weight"), padding=1)
        towers.append(nn.functional.batch_norm(maps, None, None, training=True).relu().mean((2, 3)))
    expected = nn.functional.linear(torch.cat(towers, 1), *model.get_submodule("fc1").parameters())
    torch.testing.assert_close(model(**x), expected)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_and_json_come_back(text: str) -> None:
    network = loaded(text)
    written = write_net(network)
    again = sewdsl.read(written).result()
    assert write_net(again) == written
    assert again.settings == network.settings
    assert not diff_networks(network, again).changes
    assert from_json(json.loads(json.dumps(to_json(network)))) == network
    assert "left" in compact_text(network)
    assert len(again) - again.first_layer == len(network) - network.first_layer


def test_what_is_counted_and_drawn() -> None:
    network = loaded(PAIR)
    towers = [node for node in network if node.name.startswith("a.")]
    assert network.total_parameters == 2 * sum(map(network.parameters, towers)) + 27
    assert [node.name for node in network.drawn_nodes[:2]] == ["left", "right"]
    assert network.total_activations == sum(node.output.elements for node in network.drawn_nodes)
    assert sum(isinstance(node.op, Activation) for node in network.layers) == 2
    picture = dot(network)
    assert "input left" in picture
    assert "input right" in picture
    assert r"{left}" in fragment(network)
    one = "input left 2x6x6\nencode direct\nbody left-c4k3-BN-SN-GAP-FC3\n"
    assert (
        peak_memory(optimize_program(network), TrainingLoad(8)).bytes
        > peak_memory(optimize_program(loaded(one)), TrainingLoad(8)).bytes
    )


EXPORTS = [(text, name) for text in TEXTS for name in ("onnx", "onnx-unrolled", "python", "torch-export")]
QUICK = {("mixed", "onnx"), ("loop", "onnx-unrolled"), ("mixed", "python"), ("pair", "torch-export")}


@pytest.mark.parametrize(
    ("text", "name"), [each if each in QUICK else pytest.param(*each, marks=pytest.mark.deep) for each in EXPORTS]
)
def test_exports(text: str, name: str) -> None:
    model = sewdsl.compile(loaded(TEXTS[text]), seed=0, optimize=0).eval()
    assert isinstance(model, SpikingNetwork)
    x = {key: each.float() for key, each in drawn(model.network, 2).items()}
    format_ = FORMATS[name]
    if format_.double:
        model, x = model.double(), {key: each.double() for key, each in x.items()}
    compared = compare_outputs(model, format_, format_.write(model, ""), x)
    assert all(output.accepted for output in compared.outputs)
    assert compared.depends_on_input


def test_nir_has_one_input() -> None:
    model = sewdsl.compile(loaded(PAIR), optimize=0).eval()
    with raises(ExportError):
        FORMATS["nir"].write(model, "")


WRONG = {
    "no name": ("body c4k3-GAP-FC3", "misplaced-name"),
    "id": ("body CAT[ left | id ]-c4k3-GAP-FC3", "misplaced-name"),
    "loop": ("body CAT[ left | LOOP[ right | id ] ]-GAP-FC3", "misplaced-name"),
    "block": ("body CAT[ left | right-SN-{SEW Block}*2 | SEW Block (c4) ]-GAP-FC3", "misplaced-name"),
    "unknown": ("body CAT[ left | rigth ]-c4k3-GAP-FC3", "unknown-name"),
    "unused": ("body left-c4k3-GAP-FC3", "unread-value"),
    "in the middle": ("body left-c4k3-right", "misplaced-name"),
    "unnamed": ("input 2x6x6\nbody CAT[ left | right ]-GAP-FC3", "invalid-argument"),
    "twice": ("input left 2x6x6\nbody CAT[ left | right ]-GAP-FC3", "duplicate-setting"),
    "as a value": ("let left = right-c2k3\nbody CAT[ left | right ]-GAP-FC3", "duplicate-name"),
    "encode": ("encode third direct\nbody CAT[ left | right ]-GAP-FC3", "unknown-name"),
    "shape": ("input third abc\nbody CAT[ left | right | third ]-GAP-FC3", "invalid-argument"),
    "reserved": ("input forward 2x6x6\nbody CAT[ left | right | forward ]-GAP-FC3", "reserved-name"),
    "keyword": ("input lambda 2x6x6\nbody CAT[ left | right | lambda ]-GAP-FC3", "reserved-name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    rest, code = WRONG[case]
    compilation = sewdsl.read(f"{HEAD}input left 2x6x6\ninput right 2x6x6\n{rest}\n")
    first = compilation.diagnostics[0]
    assert first.code == code, [str(each) for each in compilation.diagnostics]
    check_words(f"{first.message}\n{first.help}")


def test_calls_that_do_not_fit() -> None:
    model = sewdsl.compile(loaded(PAIR))
    a, b = torch.rand(2, 3, 2, 6, 6)
    calls: dict[str, Callable[[], Any]] = {
        "missing": lambda: model(a),
        "too many": lambda: model(a, b, b),
        "unknown": lambda: model(lef=a, right=b),
        "twice": lambda: model(a, left=b),
        "samples": lambda: model(a, b[:2]),
        "shape": lambda: model(a, b[..., :5]),
        "step": lambda: model.eval().stream()(left=a[:, :1], right=b),
        "one": lambda: sewdsl.compile("FC3", input="5")(a, b),
        "array": lambda: sewdsl.compile("FC3", input="5")(a.numpy()),
        "list": lambda: model(a, [b]),
    }
    for name, call in calls.items():
        with raises((TypeError, ValueError), part=name):
            call()


def test_overrides_name_the_input() -> None:
    network = sewdsl.read(HEAD + PAIR, set={"input.left": "1x6x6", "encode.right": "none"}).result()
    assert network.settings.input_text == "left 1x6x6, right 2x6x6"
    assert [source.encode for source in network.settings.inputs] == ["direct", "none"]
    compilation = sewdsl.read(HEAD + PAIR, input=(1, 6, 6))
    check_words(f"{compilation.diagnostics[0].message}\n{compilation.diagnostics[0].help}")


def test_inputs_of_a_used_file(tmp_path: Path) -> None:
    (tmp_path / "pair.net").write_text(HEAD + PAIR)
    path = tmp_path / "own.net"
    path.write_text('sewdsl 1\nuse "pair.net"\nbody CAT[ left | right ]-GAP-FC2\n')
    assert sewdsl.read(path).result().settings.input_text == "left 2x6x6, right 2x6x6"
    path.write_text('sewdsl 1\nuse "pair.net"\ninput 2x6x6\nbody GAP-FC2\n')
    assert sewdsl.read(path).result().settings.sources == (InputSetting("", (2, 6, 6), "direct"),)


def arrays(path: Path, count: int, seed: int, **changes: Any) -> None:
    draw = np.random.default_rng(seed)
    same, left = draw.integers(0, 2, count), draw.normal(size=(count, 1, 6, 6)).astype(np.float32)
    right = np.where(same[:, None, None, None] == 1, left, -left)
    np.savez(path, **{"left": left, "right": right, "y": same, **changes})


SIAMESE = """\
sewdsl 1
input left 1x6x6
input right 1x6x6
steps 2
encode direct
neuron LIF(tau=2.0, v_threshold=0.5)
let a = left-FC32-SN
let b = right-FC32-SN
body CAT[ MUL[ a | b ] | a | b ]-FC2
"""
RECIPE = "train on numpy-files {{\n epochs 2\n batch 16\n optimizer Adam(lr=0.02)\n{}}}\n"


def test_it_learns_pairs(tmp_path: Path) -> None:
    arrays(tmp_path / "train.npz", 64, 0)
    arrays(tmp_path / "test.npz", 16, 1)
    (tmp_path / "pairs.net").write_text(SIAMESE + RECIPE.format(" T_train 1\n"))
    result = sewdsl.train_network(tmp_path / "pairs.net", data=tmp_path, out=tmp_path / "run")
    assert result.result.epochs == 2
    model = sewdsl.load_trained(tmp_path / "run")
    assert model(torch.rand(2, 1, 6, 6), torch.rand(2, 1, 6, 6)).shape == (2, 2)


@pytest.mark.parametrize("changes", [{"left": np.zeros((8, 1, 6, 5))}, {"y": np.full(8, 2)}, {"y": np.zeros(8)}])
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, Any]) -> None:
    arrays(tmp_path / "train.npz", 8, 0, **changes)
    with raises(DataError):
        dataset_of(sewdsl.read(SIAMESE + RECIPE.format("")).result(), tmp_path).load()


@pytest.mark.parametrize(("key", "value"), [("on", "mnist5k"), ("shift", "1"), ("augment", "NDA")])
def test_recipes_that_do_not_fit(key: str, value: str) -> None:
    compilation = sewdsl.read(SIAMESE + RECIPE.format(""), set={f"train.{key}": value})
    found = training_problems(compilation)
    check_words("\n".join(f"{each.code}: {each.message}\n{each.help}" for each in found))


def test_encode_names_an_input_without_a_name() -> None:
    compilation = sewdsl.read("sewdsl 1\ninput 1x8x8\nencode left direct\nbody c4k3-GAP-FC3\n")
    (problem,) = compilation.diagnostics
    assert (problem.code, problem.span.text) == ("unknown-name", "left")
    assert problem.help == "write 'encode direct', or name the input: 'input left 1x28x28'"
