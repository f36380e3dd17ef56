"""Loops and delays in texts: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

import sewdsl
from sewdsl.elaborate.expressions import MAX_ROUNDS, Walker
from sewdsl.ir.network import Network
from sewdsl.notation import compact_text, write_net
from tests.notation.same import unordered
from tests.words import check_words

HEAD = "sewdsl 1\ninput 12\nsteps 5\nneuron LIF\n"


def loaded(body: str) -> Network:
    return sewdsl.read(HEAD + body + "\n").result()


def rows(network: Network) -> list[tuple[str, tuple[int, ...], int | None]]:
    return [(node.name, node.inputs, node.delayed) for node in network.nodes[1:]]


def test_a_loop_is_a_delay_its_feedback_a_sum_and_its_body() -> None:
    network = loaded("body FC38-LOOP[SN | FC38]-FC7-SN")
    assert rows(network) == [
        ("fc1", (0,), None),
        ("feedback.delay1", (), 5),
        ("feedback.fc1", (2,), None),
        ("add1", (1, 3), None),
        ("body.lif1", (4,), None),
        ("fc2", (5,), None),
        ("lif1", (6,), None),
    ]
    assert network.graph.loops == ((2, 3, 4, 5),)
    assert (network.total_parameters, network.total_macs) == (12 * 38 + 38 + 38 * 39 + 7 * 39, 12 * 38 + 38**2 + 7 * 38)
    assert network.validate() is network


def test_both_ways_to_write_it_are_one_network() -> None:
    loop, named = loaded("body FC38-LOOP[SN | FC38]-FC7"), loaded("let h = ADD[FC38 | h-DELAY-FC38]-SN\nbody h-FC7")
    assert [(node.op, node.inputs, node.delayed) for node in loop] == [
        (node.op, node.inputs, node.delayed) for node in named
    ]
    assert compact_text(named) == compact_text(loop) == "FC38-LOOP[LIF | FC38]-FC7"


@pytest.mark.parametrize(
    "body",
    [
        "body LOOP[id | id]-FC2",
        "body FC12-DELAY-DELAY-SN-FC2",
        "body {FC12-LOOP[SN | FC12]}*3-FC2",
        "body LOOP[LOOP[SN | id] | FC12]-FC2",
        "body LOOP[SN | LOOP[id | SCALE(value=0.5)]-FC12]-FC2",
        "body LOOP[ADD[FC12-SN | id] | FC12-ADD[FC12 | id]]-FC2",
        "body LOOP[FC9-SN | id or FC12]-FC2",
        "let a = ADD[id | b-DELAY]-FC12-SN\nlet b = ADD[a | b-DELAY-FC12]-FC12-SN\nbody ADD[a | b]-FC2",
        "let s = SN\nlet h = ADD[s | h-DELAY-MUL[id | s]]-SN\nbody h-FC2",
        "let g0 = SN\nbody g0-LOOP[ADD[g0 | id]-SN | FC12]-FC2",
        "let d = h-DELAY\nlet h = ADD[FC12 | d-FC12 | d]-SN\nbody h-FC2",
    ],
)
def test_texts_come_back(body: str) -> None:
    network = loaded(body)
    again = sewdsl.read(write_net(network)).result()
    same = [[(node.op, node.inputs, node.delayed, node.output) for node in each] for each in (network, again)]
    assert same[0] == same[1]
    assert write_net(again) == write_net(network)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("let h = CAT[id | h-DELAY]-FC8-Tanh", 8),
        ("let h = CAT[h-DELAY | id]-FC8", 8),
        ("let h = CAT[id | h-DELAY]-GN5-FC8", 8),  # its groups fit only once the width of h is known
        ("let h = MUL[id | h-DELAY-FC5]-FC1", None),
        ("let h = MUL[id | h-DELAY-FC12]-Tanh", 12),
        ("let a = b-DELAY-FC5\nlet b = CAT[id | a]-FC4\nlet h = b", 4),
        ("let h = LOOP[CAT[id | k-DELAY]-FC12 | id]\nlet k = CAT[h | k-DELAY]-FC9", 12),
        (
            "block Cell(c) {\nlet h = CAT[id | h-DELAY]-FC$(c)-SN\ngive h\n}\nlet h = CAT[id | h-DELAY]-{Cell (c=7)}*3",
            7,
        ),
        ("block Half(c=in) = FC$(c/2)\nlet h = CAT[id | h-DELAY]-Half-FC8", 8),
        ("block X[a | b] {\nlet k = ADD[b | k-DELAY]\ngive k\n}\nlet h = CAT[id | X[id | h-DELAY]]-FC8", 8),
    ],
)
def test_a_layer_that_states_its_width_needs_no_shape_from_the_cycle(body: str, size: int | None) -> None:
    compilation = sewdsl.read(f"{HEAD}{body}\nbody h\n")
    if size is None:
        assert [each.code for each in compilation.diagnostics] == ["join-shape-mismatch"]
        return
    network = compilation.result()
    assert network.nodes[network.output].output.shape == (size,)
    assert unordered(sewdsl.read(write_net(network)).result()) == unordered(network)


def count_passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return a function that returns the number of passes over named values since this call."""
    walked, walk = count(), Walker._named

    def counted(*args: Any) -> Any:
        next(walked)
        return walk(*args)

    monkeypatch.setattr(Walker, "_named", counted)
    return walked


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        ("let h = CAT[id | h-DELAY]", MAX_ROUNDS + 1),
        ("let h = CAT[id | h-DELAY]-FC8", 3),
        ("let h = ADD[id | h-DELAY-FC12]-SN", 3),
        ("let a = CAT[id | b-DELAY]\nlet b = CAT[a | c0-DELAY]\nlet c0 = CAT[b | a-DELAY]\nlet h = c0", MAX_ROUNDS + 1),
    ],
)
def test_shapes_are_looked_for_a_few_times(body: str, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = count_passes(monkeypatch)
    sewdsl.read(f"{HEAD}{body}\nbody h\n")
    assert next(walked) == passes


@pytest.mark.parametrize("form", ["CAT[ {} | h-DELAY ]-FC4-SN", "ADD[ {} | h-DELAY-FC12 ]-SN"])
def test_what_nests_deep_is_looked_at_in_time(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks in blocks, each with a cycle: passes grow as the square of the depth, not as a power."""
    walked = count_passes(monkeypatch)
    depth = 31
    blocks = [f"block B{i} {{\nlet h = {form.format(f'B{i - 1}' if i else 'SN')}\ngive h\n}}\n" for i in range(depth)]
    assert sewdsl.read(f"{HEAD}{''.join(blocks)}body B{depth - 1}\n").valid
    assert next(walked) < 2 * depth**2


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("body LOOP[SN | FC12]", "binary"),
        ("body SN-LOOP[id | FC12-SN]", "count 0..2"),
        ("body SN-LOOP[MPk1-SN | id]", None),
        ("body SN-LOOP[id | id]", "real"),  # it grows from time-step to time-step
        ("let h = ADD[SN | h-DELAY-FC12-SN]\nbody h", "count 0..2"),
        ("let h = ADD[SN | h-DELAY]\nbody h", "real"),
    ],
)
def test_ranges_are_those_of_what_flows_around(body: str, values: str | None) -> None:
    compilation = sewdsl.read(HEAD + body + "\n")
    if values is None:
        assert not compilation.valid
        return
    network = compilation.result()
    assert str(network.nodes[network.output].output.values) == values
    assert all(network.nodes[i].output.varies for loop in network.graph.loops for i in loop)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "body FC38-LOOP[SN | FC37]-FC7",
            ["loop-shape-mismatch: the loop input has shape [38] but its feedback has shape [37]"],
        ),
        (
            "body LOOP[FC3 | id]-FC7",
            ["loop-shape-mismatch: the loop input has shape [12] but its feedback has shape [3]"],
        ),
        ("body LOOP[SN | FC12 | id]", ["operand-count: 'LOOP' requires 2 operands, got 3"]),
        ("body LOOP-FC3", ["wrong-kind: 'LOOP' is a merge, expected a layer or a block"]),
        ("body LOOP[FCx | FCy]", ["unknown-name: unknown name 'FCx'", "unknown-name: unknown name 'FCy'"]),
        ("body LOOP[SN | FCy]", ["unknown-name: unknown name 'FCy'"]),
        ("body DELAY(2)", ["invalid-argument: argument '2' has no name"]),
        ("let h = ADD[FC12 | h-FC12]-SN\nbody h", ["misplaced-name: 'h' is read before it is defined"]),
        ("let h = h-DELAY-FC12\nbody ADD[h | FC12]", ["unknown-shape: cannot infer the shape of 'h': it depends"]),
        ("let h = CAT[h-DELAY | id]\nbody h", ["unknown-shape: the shape of 'h' changes in every pass"]),
        # Another value has a shape in every second pass only.
        (
            "let h = CAT[h-DELAY | id]\nlet u = MAX[h | u-DELAY-FC12]\noutputs h u",
            ["unknown-shape: the shape of 'h' changes in every pass"],
        ),
        ("let h = CAT[id | h-DELAY]-FC8-Foo\nbody h", ["unknown-name: unknown name 'Foo'"]),
        ("let h = CAT[id | h-DELAY]-Foo\nbody h", ["unknown-name: unknown name 'Foo'"]),
        ("let h = CAT[id | h-DELAY]-FC8-GN3\nbody h", ["groups-mismatch: 8 channels cannot be divided into 3"]),
        ("let h = CAT[id | h-DELAY]-GN5-FC8\nlet dead = Bar\nbody h", ["unknown-name: unknown name 'Bar'"]),
        (
            "block Half(c=in) = FC$(c/2)\nlet h = CAT[id | h-DELAY]-Half-FC9\nbody h",
            ["invalid-formula: 21 / 2 is not an integer"],
        ),
        (
            "let a = ADD[id | b-DELAY]\nlet b = FC13\nbody ADD[a | id]",
            ["join-shape-mismatch: the branch has shape [12]"],
        ),
        ("body LOOP[PSN | FC12]-FC2", ["sequence-in-loop: PSN cannot be used in a loop: it requires all time-steps"]),
        ("let LOOP = FC3\nbody LOOP", ["reserved-name: 'LOOP' is the name of a kind"]),
        ("let d = h-DELAY-FC3\nlet h = ADD[FC12 | h-DELAY]-SN\nbody h-FC3", ["unused-name: unused value 'd'"]),
    ],
)
def test_what_is_said(body: str, said: list[str]) -> None:
    found = [f"{each.code}: {each.message}" for each in sewdsl.read(HEAD + body + "\n").diagnostics]
    assert len(found) == len(said)
    assert all(whole.startswith(begin) for whole, begin in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    ("layers", "code", "message"),
    [
        ("c16k3g5", "groups-mismatch", "5 groups do not divide 16 output channels"),
        ("SN-c16k3g5-BN", "groups-mismatch", "5 groups do not divide 16 output channels"),
        ("SN", "unknown-shape", "the shape of 'h' changes in every pass through the loop"),
    ],
)
def test_a_layer_that_fits_no_shape_is_reported(layers: str, code: str, message: str) -> None:
    """The number of channels of the input is a guess, and therefore not in the message or in the label."""
    text = f"sewdsl 1\ninput 4x8x8\nsteps 2\nneuron IF\nlet h = CAT[ id | h-DELAY ]-{layers}\nbody h-GAP-FC3\n"
    (diagnostic,) = sewdsl.read(text).diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.label) == (code, message, "")


def test_two_calls_of_a_part_whose_shape_grows_are_one_error() -> None:
    """The error of the second call is equal to the first one, and stops its passes too."""
    part = "part Cell {\n    let h = CAT[id | h-DELAY]-Tanh\n    give h\n}\n"
    text = f"{part}let v = APPLY[SCORES[Cell | v-DELAY] | Cell]\nbody v\n"
    (first, *others) = sewdsl.read("sewdsl 1\ninput 4x8x8\nsteps 2\n" + text).diagnostics
    assert (first.code, first.message) == ("unknown-shape", "the shape of 'h' changes in every pass through the loop")
    assert "network-too-large" not in {each.code for each in others}


def test_a_cycle_without_a_delay_says_how_to_write_it() -> None:
    (found,) = sewdsl.read(HEAD + "let h = ADD[FC12 | h-FC12]-SN\nbody h\n").diagnostics
    check_words(found.help)


def test_loops_in_loops_take_no_longer_than_their_depth() -> None:
    """Each loop is walked a few times; were that so of those in it every time, 30 would take for ever."""
    body = "id"
    for _ in range(30):
        body = f"LOOP[{body} | SN]"
    network = loaded(f"body SN-{body}")
    assert len(network.graph.back_edges) == 30
    assert len(network.graph.loops) == 1


def test_blocks_of_loops_in_blocks_take_no_longer_than_their_depth() -> None:
    blocks = "block B0 = SN\n" + "".join(
        f"block B{n} {{\n    let h = ADD[id | h-DELAY]-B{n - 1}\n    give h\n}}\n" for n in range(1, 20)
    )
    assert len(loaded(f"{blocks}body B19").graph.back_edges) == 19


def test_an_uncalled_block_is_looked_at_all_the_same() -> None:
    text = "block R(c) {\n    let h = ADD[id | h-DELAY-FCx]\n    give h\n}\nbody FC2"
    assert [each.code for each in sewdsl.read(HEAD + text + "\n").diagnostics] == ["unknown-name"]


def test_a_feedback_that_begins_with_the_identity_keeps_what_follows() -> None:
    assert [node.name for node in sewdsl.load("FC6-LOOP[SN | id-FC6]-FC3", input=(6,), neuron="IF")] == [
        *("input", "fc1", "feedback.delay1", "feedback.fc1", "add1", "body.if1", "fc2")
    ]


def test_values_that_read_themselves_in_a_feedback() -> None:
    """The feedback is walked more than once, and only the delays of the last walk are there."""
    network = loaded("let a = LOOP[id-FC12-BN | ADD[id | a-DELAY]-FC12]-SN\nbody a-FC3")
    delays = {node.name: network.nodes[node.delayed].name for node in network if node.delayed is not None}
    assert delays == {"a.feedback.delay1": "a.body.bn1", "a.feedback.shortcut.delay1": "a.lif1"}


def test_an_error_leaves_no_delay_without_a_value() -> None:
    read = sewdsl.read(f"{HEAD}let a = ADD[id | b-DELAY]\nlet b = a-FC12\nlet h = LOOP[SN | h]\nbody ADD[b | h]\n")
    (said,) = read.diagnostics
    assert said.code == "misplaced-name"
    check_words(said.help)
    assert read.network is None


@pytest.mark.parametrize("later", ["let b = FC12-SN", "let b = id", "let b = ADD[FC12 | b-DELAY]-SN"])
def test_what_is_in_no_loop_is_delayed_after_it_is_computed(later: str) -> None:
    (said,) = sewdsl.read(f"{HEAD}let a = ADD[FC12 | b-DELAY]-SN\n{later}\nbody ADD[a | b]\n").diagnostics
    assert (said.code, said.span.line, said.help) == (*("misplaced-name", 5, "move the definition above this line"),)
    assert loaded(f"{later}\nlet a = ADD[FC12 | b-DELAY]-SN\nbody ADD[a | b]")


def test_values_that_an_unread_one_reads_are_kept_with_it() -> None:
    text = "let v0 = v2-DELAY-ADD[v1-DELAY-LOOP[v2-DELAY | id]-FC12 | SN]\nlet v1 = v2-DELAY-FC12\nlet v2 = id\n"
    said = sewdsl.read(f"{HEAD}{text}outputs v2 v0\n").diagnostics
    assert "unread-value" in {each.code for each in said}


def test_a_loop_that_nothing_reads_is_one_that_reads_itself() -> None:
    (said,) = sewdsl.read(f"{HEAD}let v = SN\nbody LOOP[ id | FC12 ]-ADD[ v-FC12 | v ]\n").diagnostics
    assert said.code == "unread-value"
    check_words(said.message)


def test_the_delay_of_a_value_that_is_computed_further_down_is_in_no_repeat() -> None:
    network = loaded("let v = ADD[ w-DELAY-DELAY | FC12 ]\nlet w = v-SN-FC12\nbody ADD[ w | v ]")
    assert rows(sewdsl.load(write_net(network))) == rows(network)
    assert "w-DELAY-DELAY" in compact_text(network)


@pytest.mark.parametrize(
    ("inputs", "start"),
    [("input left 4x8x8\ninput right 4x8x8", "left"), ("input 6", "FC256-Reshape(4x8x8)")],
)
def test_unknown_operands_of_a_loop_do_not_start_from_the_input(inputs: str, start: str) -> None:
    text = (
        f"sewdsl 1\n{inputs}\nneuron IF\nlet first = ADD[{start} | first-DELAY]\n"
        "let one = ADD[three-DELAY | two-DELAY-SCALE(value=0.25)]\nlet two = MUL[one | one-MAP{1 - x}]\n"
        f"let three = ADD[SCORES[first | {'right' if 'right' in inputs else 'first'}]-c4k3 | two]-SN\nbody three\n"
    )
    network = sewdsl.read(text).result()
    assert network.nodes[network.output].output.shape == (4, 8, 8)
