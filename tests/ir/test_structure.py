"""The two structures of a network: by its paths, and by its edges alone."""

from __future__ import annotations

from functools import reduce

import pytest

import sewdsl
from sewdsl.compiler import shipped_networks
from sewdsl.ir.graph import Graph
from sewdsl.ir.structure import (
    MAX_MERGE_DEPTH,
    BlockItem,
    Item,
    Items,
    LayerItem,
    MergeItem,
    RepeatItem,
    UnstructuredError,
    children,
    nodes,
    wiring,
)

NETWORKS = [name for name in shipped_networks() if name not in {"blocks", "residual-152"}]


def without_names(items: Items) -> Items:
    """The same items with blocks and repeats taken apart: layers and merges only."""
    found: list[Item] = []
    for item in items:
        match item:
            case LayerItem():
                found.append(item)
            case MergeItem(node, operands):
                found.append(MergeItem(node, tuple(map(without_names, operands))))
            case _:
                found += [inner for inside in children(item) for inner in without_names(inside)]
    return tuple(found)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_are_one_network(name: str) -> None:
    compilation = sewdsl.read(name)
    if compilation.network is None:
        pytest.skip("a library of blocks")
    network = compilation.network
    assert list(nodes(network.nesting)) == list(range(len(network)))
    assert without_names(network.nesting) == (LayerItem(0), *network.wiring)
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
    assert merge.shortcut == ()
    assert [network.nodes[i].op.kind for i in nodes(merge.branch)] == ["c", "BN", "IF", "c", "BN", "IF"]
    assert isinstance(pool, LayerItem)
    assert linear == LayerItem(len(network) - 1)
    assert sum(len(network.nodes[index].inputs) == 2 for index in nodes(network.nesting)) == 2


def test_merges_of_any_number_of_operands() -> None:
    assert wiring(Graph([(), (0,), (1,), (1,), (1, 2, 3), (4,)]), 5) == (
        LayerItem(1),
        MergeItem(4, ((), (LayerItem(2),), (LayerItem(3),))),
        LayerItem(5),
    )


@pytest.mark.parametrize(
    ("inputs", "output", "node", "why"),
    [
        ([(), (0,), (1,), (1, 2), (2, 3)], 4, 2, "the paths that part after it do not meet in one join"),
        ([(), (0,), (0,)], 2, 1, "its value does not reach the output"),
        ([(), (), (0, 1)], 2, 1, "it reads nothing"),
    ],
)
def test_other_edges(inputs: list[tuple[int, ...]], output: int, node: int, why: str) -> None:
    with pytest.raises(UnstructuredError, match=why) as caught:
        wiring(Graph(inputs), output)
    assert caught.value.node == node


@pytest.mark.parametrize("depth", [MAX_MERGE_DEPTH, MAX_MERGE_DEPTH + 1])
def test_how_deep_merges_nest(depth: int) -> None:
    """ADD[ layer-ADD[ layer-… | id ] | id ]: each level reads what is around it."""
    inputs: list[tuple[int, ...]] = [(), *((i,) for i in range(depth))]
    for level in reversed(range(depth)):
        inputs.append((len(inputs) - 1, level))
    if depth > MAX_MERGE_DEPTH:
        with pytest.raises(UnstructuredError, match="joins nest more than 100 deep"):
            wiring(Graph(inputs), len(inputs) - 1)
    else:
        items = wiring(Graph(inputs), len(inputs) - 1)
        assert reduce(lambda inside, _: inside[-1].operands[0], range(depth), items) == (LayerItem(depth),)  # type: ignore[union-attr]
