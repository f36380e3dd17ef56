"""``part``: names of its calls, owners of weights, and what cannot share them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sewdsl
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.source import Source
from tests.network_json import from_json
from tests.words import check_words, raises

HEAD = "sewdsl 1\ninput 4x8x8\nsteps 2\nneuron IF\n"
EYE = "part Eye = c4k3-BN-SN\n"


def load(text: str) -> Network:
    return sewdsl.load(f"{HEAD}{text}\n")


def owners(network: Network) -> dict[str, str]:
    return {node.name: network.owner(node).name for node in network if node.weights is not None}


def said(text: str) -> list[tuple[str, str, int]]:
    found = sewdsl.read(Source("t", f"{HEAD}{text}\n")).diagnostics
    check_words("\n".join(f"{one.code}: {one.message} | {one.label} | {one.help}" for one in found))
    return [(one.code, one.span.text, one.span.line - HEAD.count("\n")) for one in found]


def test_the_first_call_owns_the_weights() -> None:
    network = load(f"{EYE}let one = Eye\nlet two = c4k1-Eye\nbody ADD[ one | two ]-GAP-FC3")
    assert [node.name for node in network] == [
        "input", "Eye.conv1", "Eye.bn1", "Eye.if1", "two.conv1", "Eye2.conv1", "Eye2.bn1", "Eye2.if1", "add1", "gap1",
        "fc1",
    ]  # fmt: skip
    assert owners(network) == {"Eye2.conv1": "Eye.conv1", "Eye2.bn1": "Eye.bn1", "Eye2.if1": "Eye.if1"}
    assert [str(step) for step in network.nodes[5].path] == ["two", "Eye"]
    plain = load("let one = c4k3-BN-SN\nlet two = c4k1-c4k3-BN-SN\nbody ADD[ one | two ]-GAP-FC3")
    assert network.total_parameters == plain.total_parameters - 4 * 4 * 9 - 2 * 4
    assert network.total_macs == plain.total_macs
    assert network.total_activations == plain.total_activations


def test_parts_in_repeats_blocks_loops_and_parts() -> None:
    text = (
        "part W = c4k1b0\npart Deep = W-SN\nblock Twice = Deep-Deep\nbody {Deep}*2-{Twice}*2-LOOP[ Deep | W ]-W-GAP-FC3"
    )
    network = load(text)
    found = owners(network)
    assert {owner for name, owner in found.items() if name.startswith("W")} == {"W.conv1"}
    assert [*found][-2:] == ["Deep7.if1", "W9.conv1"]
    assert sum(name.startswith("Deep") for name in found) == 6
    assert network.total_parameters == 4 * 4 + 5 * 3


def test_keys_avoid_other_names() -> None:
    network = load("part conv1 = c4k1\npart Eye = c4k1\nlet Eye2 = c4k3\nbody Eye2-conv1-c4k5-conv1-Eye-Eye-GAP-FC3")
    names = [node.name for node in network]
    assert names == [
        "input", "Eye2.conv1", "conv1.conv1", "conv2", "conv12.conv1", "Eye.conv1", "Eye3.conv1", "gap1", "fc1"
    ]  # fmt: skip
    assert load("part train = c4k1\nbody train-train-GAP-FC3").nodes[1].name == "train2.conv1"


def test_operands_and_braces() -> None:
    network = load(
        "part Up[ low | high ] {\n    let sum = ADD[ low | high-c4k1 ]\n    give CAT[ sum | sum-SN ]-c4k1\n}\n"
        "part Same[ x ] = ADD[ x-c4k3 | x ]\nbody Up[ id | SN ]-Up[ c4k3 | id ]-Same-Same[ SN ]-GAP-FC3"
    )
    assert owners(network) == {
        "Up2.sum.shortcut.conv1": "Up.sum.shortcut.conv1",
        "Up2.sum.add1": "Up.sum.add1",
        "Up2.operand2.if1": "Up.operand2.if1",
        "Up2.cat1": "Up.cat1",
        "Up2.conv1": "Up.conv1",
        "Same2.branch.conv1": "Same.branch.conv1",
        "Same2.add1": "Same.add1",
    }


def test_the_neuron_and_the_join_are_those_of_the_file() -> None:
    network = load(f"{EYE}block B = Eye-SN\npart P = g[ c4k1 | id ]\nbody Eye-B (SN=LIF)-P-B (SN=LIF)-P-GAP-FC3")
    assert [node.op.kind for node in network if node.name.endswith("if1")] == ["IF", "IF", "LIF", "IF", "LIF"]
    without = HEAD.replace("neuron IF\n", "")
    found = sewdsl.read(Source("t", f"{without}part P = c4k1-SN\nbody LIF-P-P-GAP-FC3\n")).diagnostics
    assert {one.code for one in found} == {"missing-neuron"}


def test_only_a_norm_inside_a_part_removes_a_bias() -> None:
    network = load("part C = c4k1\npart D = c4k1-BN\npart E = C-BN\nbody C-BN-C-SN-D-D-E-E-GAP-FC3")
    biases = {node.name: dict(node.op)["bias"] for node in network if node.op.kind == "c"}
    assert biases == {"C.conv1": True, "C2.conv1": True, "C3.conv1": True, "C4.conv1": True, "D.conv1": False,
                      "D2.conv1": False}  # fmt: skip


def test_places_may_differ() -> None:
    network = load("part Eye = c4k3-BN-SN-PSN\nbody Eye-MPk2-Eye-GAP-FC3")
    assert network.validate().total_parameters == 4 * 4 * 9 + 8 + 6 + 15


@pytest.mark.parametrize(
    "text",
    [
        "part Eye = c5k3\nbody Eye-Eye-FC3",
        "part Eye = FC6\nbody Eye-Eye",
        "part Eye = FC8-SN\nbody MPk2-Eye-FC8-Eye",
        "part Eye = SN-c4k1\nlet two = GAP-Eye\nbody Eye-GAP",
        "part Eye = CA(r=2)\nbody Eye-c5k3-Eye-GAP",
        "part Eye = ADD[ MPk2 | id or APk2 ]-c4k1\nbody Eye-Eye-Eye-MPk1s1-Eye",
    ],
)
def test_weights_that_do_not_fit(text: str) -> None:
    codes = {code for code, _, _ in said(text)}
    assert codes & {"part-mismatch", "wrong-rank", "spatial-size-exhausted", "unread-value"}


def test_layers_that_fit_calls_on_other_shapes() -> None:
    assert load("part P = SCALE(value=0.5, learn=on)\nbody P-c8k3-P-GAP-FC3").total_parameters == 1 + 8 * 37 + 27


@pytest.mark.parametrize("size", [10, 20])
def test_tokens_with_equal_numbers_of_values_share_a_table(size: int) -> None:
    inputs = f"input left 6 of 10\ninput right 6 of {size}\n"
    text = f"sewdsl 1\n{inputs}part E = EMB4\nbody ADD[left-E | right-E]-FC3\n"
    found = sewdsl.read(Source("t", text))
    if size == 10:
        assert found.result().total_parameters == 10 * 4 + 75
    else:
        (problem,) = found.diagnostics
        assert (problem.code, problem.span.line, problem.span.text) == ("part-mismatch", 5, "E")
        check_words(problem.message)


def test_calls_with_other_layers() -> None:
    part = "part P[a | b] = ADD[a-c4k1 | b or a-MPk1]\n"
    text = f"{part}let small = c4k3s2\nlet y = c4k3\nbody CAT[ P[y | y] | P[ y | small ] ]-FC3"
    assert said(text) == [("part-mismatch", "P[ y | small ]", 4)]


def test_a_mismatch_is_at_the_call() -> None:
    assert said("part Eye = c5k3-SN\nbody c1k3-Eye-\n    Eye-GAP-FC3") == [("part-mismatch", "Eye", 3)]


def test_a_part_that_is_called_once_or_never() -> None:
    assert said(f"{EYE}part Other = FC3\nbody Eye-GAP-FC3") == [("unused-part", "Eye", 1), ("unused-part", "Other", 2)]
    fixed = sewdsl.read(Source("t", f"{HEAD}{EYE}body Eye-GAP-FC3\n")).diagnostics[0].fixes[0]
    assert [(edit.span.text, edit.text) for edit in fixed.edits] == [("part", "block")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("part Eye(c) = c$(c)k3\nbody Eye-Eye", "unexpected-token"),
        ("part My Eye = c4k3\nbody GAP", "unexpected-token"),
        (f"{EYE}body Eye (c4)-Eye(SN=LIF)-GAP", "unknown-argument"),
        (f"{EYE}{EYE}body Eye-Eye-GAP", "duplicate-block"),
        (f"{EYE}block Eye = c4k3\nbody Eye-Eye-GAP", "duplicate-block"),
        ("part FC = c4k3\nbody GAP", "duplicate-block"),
        ("part Eye = c4k3-Eye\nbody Eye-GAP", "recursive-block"),
        ("part Eye { let a = c4k3 }\nbody GAP", "missing-give"),
        (f"{EYE}let Eye = c4k3\nbody Eye-Eye-GAP", "reserved-name"),
        ("part Eye[ a | b ] = ADD[ a | b ]\nbody Eye-Eye-GAP", "operand-count"),
        ("part Eye[ a | b ] = a-c4k3\nbody Eye[ id | SN ]-Eye[ id | SN ]-GAP", "unused-name"),
        ("part Eye = c$(c)k3\nbody Eye-Eye-GAP", "unknown-parameter"),
    ],
)
def test_mistakes(text: str, code: str) -> None:
    assert code in {found for found, _, _ in said(text)}


def test_json_has_the_owners() -> None:
    network = load(f"{EYE}body Eye-Eye-GAP-FC3")
    data = json.loads(json.dumps(to_json(network)))
    assert [node.get("weights") for node in data["nodes"]] == [None] * 4 + [1, 2, 3, None, None]
    assert from_json(data) == network
    for weights in (0, 4, 7, 2, "x"):
        data["nodes"][4]["weights"] = weights
        with pytest.raises((ValueError, TypeError)):
            from_json(data)


def test_used_files(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "eyes.net").write_text(f"sewdsl 1\n{EYE}part Unused = FC3\n")
    (folder / "net.net").write_text(f'{HEAD}use "eyes.net"\nbody Eye-Eye-GAP-FC3\n')
    compilation = sewdsl.read(str(folder / "net.net"))
    assert compilation.valid
    assert not compilation.diagnostics
    assert owners(compilation.result())["Eye2.bn1"] == "Eye.bn1"
    (folder / "net.net").write_text(f'{HEAD}use "eyes.net"\n{EYE.replace("BN-", "")}body Eye-Eye-GAP-FC3\n')
    assert len(sewdsl.load(str(folder / "net.net"))) == 7


def test_a_hostile_number_of_calls_ends() -> None:
    with raises(sewdsl.diagnostics.SewdslError):
        load("part A = SN\npart B = {A}*9999\npart C = {B}*9999\nbody {C}*9999-GAP")
    network = load("part A = c4k1-SN\npart B = {A}*99\nbody {B}*20-GAP-FC3")
    assert sum(node.weights is None for node in network) == 5


def test_initial_weights_of_a_later_call_have_no_effect() -> None:
    text = "sewdsl 1\ninput 4x8x8\ninit {}.* orthogonal\npart P = c4k3\nbody c4k3-P-P-BN-IF-GAP-FC10\n"
    (diagnostic,) = sewdsl.read(text.format("P2")).diagnostics
    assert (diagnostic.code, diagnostic.span.line) == ("invalid-argument", 3)
    assert sewdsl.read(text.format("P")).diagnostics == ()
