"""The work of one reading is counted, and no part of it grows with the square of the text."""

from __future__ import annotations

from random import Random
from time import process_time

import pytest

import sewdsl
from sewdsl.elaborate.node_builder import FollowerIndex, Followers
from sewdsl.elaborate.vocabulary import MAX_COMPARED
from sewdsl.ir.op import Neuron, Op
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.syntax.suggestions import MAX_LISTED, listed, nearest_name

HEAD = "sewdsl 1\ninput 4x8x8\nneuron IF\n"


def said(text: str) -> list[str]:
    return [f"{d.span.line}: {d.message}" for d in sewdsl.read(text).diagnostics]


def doubling(first: str, levels: int) -> str:
    """Blocks each of which calls the one before twice."""
    calls = "".join(f"block B{i}(n) = B{i - 1}(n$(n))-B{i - 1}(n$(n))\n" for i in range(1, levels))
    return f"{HEAD}block B0(n) = {first}\n{calls}"


@pytest.mark.parametrize("levels", [25, 31, 200])
def test_blocks_that_nothing_calls_are_walked_once(levels: int) -> None:
    """With 200 levels, repeated passes over the first block would be 2**200."""
    assert said(doubling("{BN}*$(n)", levels).replace("input 4x8x8\n", "")) == []
    assert said(f"{doubling('{BN}*$(n)', levels)}body BN\n") == []


def test_what_is_wrong_in_a_block_that_nothing_calls_is_said_once() -> None:
    assert said(f"{doubling('Blok$(n)-c4k3q1', 25)}body BN\n") == [
        "4: unknown name 'Blok$(n)'",
        "4: 'c' takes no argument 'q'",
    ]
    ring = f"{HEAD}block A = BN-B\nblock B = BN-C\nblock C = BN-A\nbody BN\n"
    assert said(ring) == ["6: recursive block: A > B > C > A"]


def test_a_block_that_was_walked_may_hold_a_neuron() -> None:
    text = f"{HEAD}block A = BN-LIF\nblock B = IF-A-SN(tau=3.0)\nblock C = IF-A-SN(tau=3.0)\nbody BN\n"
    assert said(text.replace("neuron IF\n", "")) == []


def test_the_work_of_calls_counts_what_they_bind() -> None:
    """A call works through all parameters of its block, however short it is."""
    names = [f"p{i}" for i in range(1000)]
    block = f"block B({', '.join(f'{name}=1' for name in names)}) = BN\n"
    calls = "-".join(f"B(p0={i})" for i in range(1000))
    (found,) = sewdsl.read(f"{HEAD}{block}body {calls}\n", limit={"nodes": 5000}).diagnostics
    assert found.code == "network-too-large"


def test_the_work_of_calls_without_layers_counts() -> None:
    (found,) = sewdsl.read(f"{doubling('id', 25)}body B24(n1)\n", limit={"nodes": 5000}).diagnostics
    assert found.code == "network-too-large"
    assert "40,000 steps" in found.message


def test_words_are_split_up_to_a_limit() -> None:
    words = "-".join("BN" * count for count in range(50, 99))
    codes = [d.code for d in sewdsl.read(f"{HEAD}body {words}\n").diagnostics]
    assert codes == ["missing-hyphen"] * codes.count("missing-hyphen") + ["unknown-name"] * codes.count("unknown-name")
    assert {*codes} == {"missing-hyphen", "unknown-name"}


def test_names_are_compared_up_to_a_limit() -> None:
    count = 4000
    blocks = "".join(f"block Block{i} = BN\n" for i in range(count))
    calls = "-".join(f"Blok{i}" for i in range(count))
    helps = [d.help for d in sewdsl.read(f"{HEAD}{blocks}body {calls}\n").diagnostics]
    compared = MAX_COMPARED // (count + 30)
    assert helps[: compared // 2] == [f"did you mean 'Block{i}'?" for i in range(compared // 2)]
    assert helps[-1] == "run 'sewdsl nets --kinds' to list all names"


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("plif", ["LIF", "PLIF"], "PLIF"),
        ("SEWBlok", ["SEWBlock", "SpikingBlock"], "SEWBlock"),
        ("stpes", ["steps", "study"], "steps"),
        ("Quux", ["BN", "SEWBlock"], None),
        ("abcd", ["abce", "abcf"], "abcf"),
        ("a" * 201, ["a" * 200], None),
        ("a" * 200, ["a" * 199], "a" * 199),
    ],
)
def test_the_nearest_name(name: str, known: list[str], near: str | None) -> None:
    assert nearest_name(name, known) == near


def test_many_names_are_not_all_listed() -> None:
    assert listed("abc") == "a, b, c"
    names = [f"n{i}" for i in range(MAX_LISTED + 1)]
    assert listed(names[:-1]).endswith("n39")
    assert listed(names).endswith("n39, …")


def test_the_nearest_op_is_that_of_a_breadth_first_search() -> None:
    random = Random(1)  # noqa: S311 -- the same each time
    ops: list[Op] = [BatchNorm(), IF()]
    for _ in range(300):
        count = random.randint(1, 14)
        readers = [[j for j in range(i + 1, count) if random.random() < 0.25] for i in range(count)]
        chosen = [random.choice(ops) for _ in range(count)]
        graph = FollowerIndex(chosen, readers)
        for index in range(count):
            assert Followers(graph, index).nearest(Neuron) is breadth_first(chosen, readers, index)


def breadth_first(ops: list[Op], readers: list[list[int]], index: int) -> Op | None:
    waiting = list(readers[index])
    for i in waiting:
        if isinstance(ops[i], Neuron):
            return ops[i]
        waiting += readers[i]
    return None


@pytest.mark.deep
def test_norms_without_a_neuron_behind_them_take_time_in_proportion() -> None:
    began = process_time()
    assert sewdsl.read(f"{HEAD}body {{{{tdBN}}*9999}}*6\n").valid
    assert process_time() - began < 20
