"""Overrides of the expression: another body, another argument of its block, another block."""

import pytest

import sewdsl
from sewdsl.compiler import read
from sewdsl.ir.network import Network
from sewdsl.source import Source
from tests.words import check_words

NET = """\
sewdsl 1
input 2x32x32
neuron IF
block Net(n, c=8) = c$(c)k3-BN-SN-{SEW Block-MPk2s2}*$(n)-FC10
body Net(n=2)
"""
PLAIN = NET.replace("body Net(n=2)", "body c8k3-BN-SN-{SEW Block (c16)-MPk2s2}*2-FC10")


def load(text: str, **changes: str) -> Network:
    return read(Source("net.net", text), set=changes).result()


def complaints(text: str, changes: dict[str, str]) -> list[tuple[str, str, str]]:
    diagnostics = read(Source("net.net", text), set=changes).diagnostics
    return [(d.code, d.message, d.span.source.name) for d in diagnostics]


def kinds(network: Network) -> list[str]:
    return [node.op.kind for node in network]


def test_body() -> None:
    text = "c4k3-BN-IF-FC3"
    assert kinds(load(NET, body=text)) == ["input", *text.replace("4k3", "").removesuffix("3").split("-")]


def test_a_body_that_cannot_be_read_replaces_nothing() -> None:
    assert complaints(NET, {"body": ")"}) == [("unmatched-bracket", "unmatched ')'", "--set body")]


@pytest.mark.parametrize(("key", "value"), [("train.loss.factor", "2.0"), ("neuron.absent.alpha", "2.0")])
def test_an_argument_of_nothing(key: str, value: str) -> None:
    text = RECIPE.replace("batch 8\n", "batch 8\n    loss one MSE\n    loss two MSE\n")
    ((code, message, _),) = complaints(text, {key: value})
    assert code == "unknown-setting"
    check_words(message)


def test_a_broken_body_is_said_at_its_place() -> None:
    diagnostics = read(Source("net.net", NET), set={"body": "c4k3-BN-XX-FC3"}).diagnostics
    assert [(d.code, d.span.source.name, d.span.column) for d in diagnostics] == [("unknown-name", "--set body", 9)]


def test_parameter_of_the_body() -> None:
    assert kinds(load(NET, **{"body.n": "3"})).count("MP") == 3
    assert kinds(load(NET)).count("MP") == 2
    assert load(NET, **{"body.c": "12"}).nodes[1].output.shape == (12, 32, 32)


@pytest.mark.parametrize(
    ("text", "key", "value", "code"),
    [
        (PLAIN, "body.n", "3", "unknown-setting"),
        (NET, "body.m", "3", "unknown-argument"),
        (NET, "body.n", "3 4", "invalid-argument"),
        (NET, "body.n.m", "3", "unknown-setting"),
        (NET, "body.n", "0", "zero-count"),
    ],
)
def test_wrong_parameter(text: str, key: str, value: str, code: str) -> None:
    found = complaints(text, {key: value})
    assert [c for c, _, _ in found] == [code]


def test_another_block_with_the_arguments_of_the_old() -> None:
    spiking = load(PLAIN, block="Spiking Block")
    written = load(PLAIN.replace("SEW Block", "Spiking Block"))
    assert [node.name for node in spiking] == [node.name for node in written]
    assert spiking.total_parameters == written.total_parameters
    assert {node.op.kind for node in load(PLAIN, block="Plain Block")}.isdisjoint({"ADD"})


def test_arguments_of_the_new_block_are_added() -> None:
    assert kinds(load(PLAIN.replace("(c16)", "(c8)"), block="SEW Block (g=IAND)")).count("IAND") == 2


def test_inside_a_block_of_the_file() -> None:
    assert load(NET, **{"block.SEWBlock": "Plain Block"}).total_parameters == load(NET).total_parameters
    assert "ADD" not in kinds(load(NET, **{"block.SEWBlock": "Plain Block"}))


def test_a_library_block_itself_stays() -> None:
    """The override replaces calls in the file, but not in shipped blocks of the same name."""
    load(PLAIN, block="Plain Block")
    assert "ADD" in kinds(load(PLAIN))


@pytest.mark.parametrize(
    ("text", "key", "value", "message"),
    [
        (NET, "block", "Plain Block", "the network calls several blocks"),
        (PLAIN, "block.Net", "Plain Block", "the network does not call 'Net'"),
        (NET.replace("Net(n=2)", "c8k3-IF-FC10").replace("block", "# "), "block", "Plain Block", "calls no block"),
        (PLAIN, "block", "SEW Block-SEW Block", "expected one block, got 'SEW Block-SEW Block'"),
        (PLAIN, "block", "{SEW Block}*2", "expected one block, got"),
        (PLAIN, "block", "Spiky Block", "unknown name 'Spiky Block'"),
        (PLAIN, "block", "SEW Block (", "unclosed '('"),
    ],
)
def test_wrong_block(text: str, key: str, value: str, message: str) -> None:
    found = complaints(text, {key: value})
    assert len(found) == 1
    assert message in found[0][1]
    assert found[0][2] == f"--set {key}"


def test_public_api() -> None:
    network = sewdsl.load("7b-net", set={"block": "Spiking Block"})
    assert network.total_parameters == sewdsl.load("7b-net-spiking").total_parameters


def test_a_network_too_deep_to_follow_is_refused() -> None:
    deep = "{" * 900 + "SEW Block" + "}*1" * 900
    found = read(
        Source("net.net", PLAIN.replace("SEW Block (c16)", deep)), set={"block": "Plain Block"}, limit={"nesting": 1000}
    )
    assert "nesting-too-deep" in {d.code for d in found.diagnostics}


def test_a_body_too_deep_to_follow_is_refused() -> None:
    deep = "{" * 900 + "BN" + "}*1" * 900
    (found,) = read(Source("net.net", NET), set={"body": deep}, limit={"nesting": 1000}).diagnostics
    assert found.code == "nesting-too-deep"


def test_a_figure_is_compared_if_the_replaced_body_is_too_deep_to_follow() -> None:
    """Otherwise a figure that the replacement invalidates is not reported."""
    for depth, code in ((9, "figure-overridden"), (900, "expectation-failed")):
        blocks = "".join(f"block B{i} = B{i - 1}\n" for i in range(1, depth))
        text = f"sewdsl 1\ninput 2x32x32\nblock B0 = BN\n{blocks}body B{depth - 1}\nexpect parameters 4\n"
        found = read(Source("net.net", text), set={"body": "FC3"}, limit={"nesting": 1000}).diagnostics
        assert [d.code for d in found] == [code]


def test_a_file_without_a_body_has_no_block_to_replace() -> None:
    assert complaints("sewdsl 1\nblock A = BN\n", {"block": "A"}) == []


RECIPE = NET + "train on mnist5k {\n    epochs 1\n    batch 8\n    optimizer SGD(lr=0.1)\n}\n"


def test_a_text_with_dashes_needs_no_quotes_where_a_shell_takes_them_away() -> None:
    for text in ("bf16-mixed", '"bf16-mixed"'):
        recipe = load(RECIPE, **{"train.precision": text}).recipe
        assert recipe is not None
        assert recipe.precision == "bf16-mixed"
    assert load(RECIPE, init="zero").settings.zero_init
    assert [code for code, _, _ in complaints(RECIPE, {"train.precision": "bf17-mixed"})] == ["invalid-argument"]
    assert [code for code, _, _ in complaints(RECIPE, {"train.optimizer.lr": "-0.1-"})] == ["unexpected-token"]


def test_what_reads_as_several_values_is_said() -> None:
    ((_, message, _),) = complaints(RECIPE, {"train.memory": "2Gb"})
    check_words(message)


VALUES = """\
sewdsl 1
input 2x32x32
neuron IF
block Pair[ a | b ] {
    let sum = ADD[ a | b ]
    give sum-SEW Block
}
block Other Pair[ a | b ] = CAT[ a | b ]
let low = c8k3-BN-SN-SEW Block
let high = low-MPk2-SEW Block (c8)
body Pair[ low-MPk2 | high ]-FC10
"""


def test_a_block_is_replaced_in_named_values_too() -> None:
    network = load(VALUES, **{"block.SEWBlock": "Spiking Block"})
    labels = [step.label for node in network for step in node.path if step.kind == "block"]
    assert "Spiking Block" in labels
    assert "SEW Block" not in labels


def test_a_block_of_operands_is_replaced_by_another() -> None:
    assert kinds(load(VALUES, **{"block.Pair": "Other Pair"})).count("CAT") == 1
    (complaint, *_) = complaints(VALUES, {"block.Pair": "SEW Block"})
    assert complaint[:2] == ("operand-count", "'SEW Block' takes no operands")


def test_another_body_takes_the_named_values_that_it_reads() -> None:
    assert "low.conv1" in [node.name for node in load(VALUES, body="low-FC10")]
    assert complaints(VALUES, {"body": "low-FC10"}) == []
    assert complaints(VALUES, {"body": "c4k3-BN-IF-FC3"}) == []
