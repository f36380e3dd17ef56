"""The two structures of a network: by its paths, and by its edges alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.ir.graph import Graph
from sewdsl.ir.structure import (
    BlockItem,
    Item,
    Items,
    LayerItem,
    LoopItem,
    MergeItem,
    ReadItem,
    RepeatItem,
    children,
    nodes,
)
from sewdsl.ir.wiring import MAX_MERGE_DEPTH, Sequences, UnstructuredError, wiring
from tests.effort import examples
from tests.shipped import SHIPPED, shipped


def without_names(items: Items) -> Items:
    """Return the items without blocks and repeats: layers and merges only."""
    found: list[Item] = []
    for item in items:
        match item:
            case LayerItem():
                found.append(item)
            case MergeItem(node, operands):
                found.append(MergeItem(node, tuple(map(without_names, operands))))
            case LoopItem(node, delay, body, feedback):
                found.append(LoopItem(node, delay, without_names(body), without_names(feedback)))
            case _:
                found += [inner for inside in children(item) for inner in without_names(inside)]
    return tuple(found)


@pytest.mark.parametrize("name", SHIPPED)
def test_both_are_one_network(name: str) -> None:
    network = shipped(name)
    assert list(nodes(network.nesting)) == list(range(len(network)))
    if any(step.kind == "value" for node in network for step in node.path):
        return  # by edges alone, a value has a name only where it must
    assert network.wiring.values == ()
    assert without_names(network.nesting) == (LayerItem(0), *network.wiring.body)
    assert network.nesting is network.nesting


def test_blocks_and_repeats() -> None:
    network = sewdsl.load("c4k3-BN-IF-{SEW Block-MPk2s2}*2-FC3", input="2x8x8", steps=2)
    *stem, repeat, linear = network.nesting
    assert [type(item) for item in stem] == [LayerItem] * 4
    assert isinstance(repeat, RepeatItem)
    assert [(step.copy, step.copies) for step in repeat.steps] == [(1, 2), (2, 2)]
    block, pool = repeat.copies[1]
    assert isinstance(block, BlockItem)
    assert block.step.label == "SEW Block"
    (merge,) = block.items
    assert isinstance(merge, MergeItem)
    branch, shortcut = merge.operands
    assert shortcut == ()
    assert [network.nodes[i].op.kind for i in nodes(branch)] == ["c", "BN", "IF", "c", "BN", "IF"]
    assert isinstance(pool, LayerItem)
    assert linear == LayerItem(len(network) - 1)
    assert sum(len(network.nodes[index].inputs) == 2 for index in nodes(network.nesting)) == 2


def test_merges_of_any_number_of_operands() -> None:
    body = LayerItem(1), MergeItem(4, ((), (LayerItem(2),), (LayerItem(3),))), LayerItem(5)
    assert wiring(Graph([(), (0,), (1,), (1,), (1, 2, 3), (4,)]), 5) == Sequences((), body)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        # a diamond with a second way into its end: 2 is read by 3 and by 4
        (
            [(), (0,), (1,), (1, 2), (2, 3)],
            Sequences(
                ((1, (LayerItem(1),)), (2, (ReadItem(1), LayerItem(2)))),
                (ReadItem(1), MergeItem(4, ((ReadItem(2),), (MergeItem(3, ((), (ReadItem(2),))),)))),
            ),
        ),
        # two values, and a merge of them that nothing flows into
        (
            [(), (0,), (0,), (1,), (2,), (1, 2), (3, 4), (5, 6)],
            Sequences(
                ((1, (LayerItem(1),)), (2, (LayerItem(2),))),
                (
                    MergeItem(
                        7,
                        (
                            (MergeItem(5, ((ReadItem(1),), (ReadItem(2),))),),
                            (MergeItem(6, ((ReadItem(1), LayerItem(3)), (ReadItem(2), LayerItem(4)))),),
                        ),
                    ),
                ),
            ),
        ),
        # what is read twice and given too
        ([(), (0,), (1,), (2, 1), (3, 2)], None),
    ],
)
def test_values_that_several_sequences_read_are_named(inputs: list[tuple[int, ...]], found: Sequences | None) -> None:
    made = wiring(Graph(inputs), len(inputs) - 1)
    assert found is None or made == found
    assert edges(made) == {(source, index) for index, sources in enumerate(inputs) for source in sources}


def edges(made: Sequences) -> set[tuple[int, int]]:
    """The edges that sequences say."""
    found: set[tuple[int, int]] = set()

    def walk(items: Items, place: int) -> int:
        for item in items:
            match item:
                case ReadItem(node):
                    place = node
                case LayerItem(node):
                    found.add((place, node))
                    place = node
                case MergeItem(node, operands):
                    found.update((walk(operand, place), node) for operand in operands)
                    place = node
        return place

    for node, items in made.values:
        assert walk(items, 0) == node
    walk(made.body, 0)
    return found


@given(st.data())
@examples(100)
def test_sequences_say_the_edges_of_any_network(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 14))
    inputs: list[tuple[int, ...]] = [()]
    for index in range(1, size):
        nodes_before = st.integers(max(0, index - 4), index - 1)
        inputs.append(tuple(data.draw(st.lists(nodes_before, min_size=1, max_size=3))))
    graph = Graph(inputs)
    live = graph.lead_to([size - 1])
    order = {old: new for new, old in enumerate(sorted(live))}
    kept = [tuple(order[source] for source in inputs[old]) for old in sorted(live)]
    made = wiring(Graph(kept), len(kept) - 1)
    assert edges(made) == {(source, index) for index, sources in enumerate(kept) for source in sources}
    read = [item.node for sequence in (*(items for _, items in made.values), made.body) for item in reads(sequence)]
    assert set(read) == {node for node, _ in made.values}


def reads(items: Items) -> Iterator[ReadItem]:
    for item in items:
        if isinstance(item, ReadItem):
            yield item
        for inner in children(item):
            yield from reads(inner)


@pytest.mark.parametrize(
    ("inputs", "output", "node", "why"),
    [
        ([(), (0,), (0,)], 2, 1, "its value does not reach the output"),
        ([(), (), (0, 1)], 2, 1, "it has no inputs"),
    ],
)
def test_other_edges(inputs: list[tuple[int, ...]], output: int, node: int, why: str) -> None:
    with pytest.raises(UnstructuredError, match=why) as caught:
        wiring(Graph(inputs), output)
    assert caught.value.node == node


@pytest.mark.parametrize("depth", [MAX_MERGE_DEPTH, MAX_MERGE_DEPTH + 1, 2000])
def test_how_deep_merges_nest(depth: int) -> None:
    """ADD[ layer-ADD[ layer-… | id ] | id ]: each level reads what is around it."""
    inputs: list[tuple[int, ...]] = [(), *((i,) for i in range(depth))]
    for level in reversed(range(depth)):
        inputs.append((len(inputs) - 1, level))
    sequences = wiring(Graph(inputs), len(inputs) - 1)
    if depth > MAX_MERGE_DEPTH:
        values = [items for _, items in sequences.values]
        assert sorted(i for items in (*values, sequences.body) for i in nodes(items)) == [*range(1, len(inputs))]
    else:
        assert reduce(lambda inside, _: inside[-1].operands[0], range(depth), sequences.body) == (LayerItem(depth),)  # type: ignore[union-attr]
