"""The tree of a picture: what is folded, and that nothing gets lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import sewdsl
from sewdsl.draw import dot
from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureLayer,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    drawn_layers,
    entry_layer,
    exit_layer,
    picture_items,
)
from sewdsl.ir.network import Network

Networks = Callable[[str], Network]
NAMES = ["seven", "nested", "projection", "plain", "sides", "sew-resnet-50", "spiking-resnet-34", "tdbn-resnet-19"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("expand", [False, True])
def test_every_node_is_in_exactly_one_layer(networks: Networks, name: str, *, expand: bool) -> None:
    network = networks(name)
    found = [index for layer in drawn_layers(picture_items(network, expand=expand)) for index in layer.nodes]
    assert sorted(found) == list(range(len(network)))


@pytest.mark.parametrize("name", NAMES)
def test_layers_stand_for_nodes_of_one_op(networks: Networks, name: str) -> None:
    network = networks(name)
    for layer in drawn_layers(picture_items(network)):
        assert len({network.nodes[index].op for index in layer.nodes}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_expanded_layers_stand_for_one_node(networks: Networks, name: str) -> None:
    assert all(len(layer.nodes) == 1 for layer in drawn_layers(picture_items(networks(name), expand=True)))


def test_equal_copies_become_one(networks: Networks) -> None:
    items = picture_items(networks("seven"))
    (fold,) = [item for item in items if isinstance(item, PictureRepeat)]
    assert (fold.first, fold.last, fold.copies, len(fold.outputs)) == (1, 7, 7, 7)
    assert [type(item) for item in fold.items] == [PictureBlock, PictureLayer]
    assert all(len(layer.nodes) == 7 for layer in drawn_layers((fold,)))


def test_nested_copies_multiply(networks: Networks) -> None:
    (outer,) = [item for item in picture_items(networks("nested")) if isinstance(item, PictureRepeat)]
    inner = outer.items[0]
    assert isinstance(inner, PictureRepeat)
    assert [len(layer.nodes) for layer in drawn_layers((outer,))] == [6, 6, 6, 2]
    assert inner.last == 3


def test_copies_of_another_structure_are_groups_of_their_own(networks: Networks) -> None:
    folds = [item for item in picture_items(networks("projection")) if isinstance(item, PictureRepeat)]
    assert [(fold.first, fold.last, fold.copies) for fold in folds] == [(1, 1, 4), (2, 4, 4)]


def test_sides_of_a_join(networks: Networks) -> None:
    merges = [item for item in picture_items(networks("sides")) if isinstance(item, PictureMerge)]
    assert [tuple(map(len, merge.operands)) for merge in merges] == [(0, 3), (3, 0), (0, 0)]
    assert isinstance(merges[1].operands[0][0], PictureMerge)


def test_first_and_last_layer(networks: Networks) -> None:
    items = picture_items(networks("seven"))
    (fold,) = [item for item in items if isinstance(item, PictureRepeat)]
    enters = entry_layer(fold)
    assert enters
    assert [networks("seven").nodes[layer.nodes[0]].op.kind for layer in (enters, exit_layer(fold))] == ["c", "MP"]
    assert items[-1] == PictureReadout(networks("seven").output)
    assert entry_layer(items[-1]) is None
    with pytest.raises(ValueError, match="the readout has no output"):
        exit_layer(items[-1])


def test_one_repeat_is_drawn_unfolded_by_its_key() -> None:
    network = sewdsl.load("{c4k3-BN-IF}*2-{{c4k3-BN-IF}*3-MPk2}*2-FC5", input="2x16x16")
    keys = [item.key for item in picture_items(network) if isinstance(item, PictureRepeat)]
    assert keys == ["repeat1", "repeat2"]
    items = picture_items(network, expand={"repeat2"})
    folds = [item for item in items if isinstance(item, PictureRepeat)]
    assert [(fold.key, fold.copies) for fold in folds] == [
        ("repeat1", 2),
        ("repeat2.1.repeat1", 3),
        ("repeat2.2.repeat1", 3),
    ]
    one = picture_items(network, expand={"repeat2", "repeat2.2.repeat1"})
    assert [fold.key for fold in one if isinstance(fold, PictureRepeat)] == ["repeat1", "repeat2.1.repeat1"]
    assert picture_items(
        network, expand={"repeat1", "repeat2", "repeat2.1.repeat1", "repeat2.2.repeat1"}
    ) == picture_items(network, expand=True)
    assert picture_items(network, expand=()) == picture_items(network)


def test_frames_of_folds_say_their_key() -> None:
    network = sewdsl.load("c4k3-BN-IF-{{SEW Block}*2-MPk2}*2-FC5", input="2x16x16")
    text = dot(network)
    assert text.count('id="fold:repeat1"') == 1
    assert text.count('id="fold:repeat1.1.repeat1"') == 1
    assert text.count("id=") == text.count("subgraph cluster_")
