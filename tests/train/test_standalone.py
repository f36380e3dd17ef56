"""A spec as one text compiles to the same network."""

from pathlib import Path

import pytest

from sewdsl.compiler import Options, compile_variants, load, read, shipped_networks

from .conftest import SMALL


def reread(text: str, tmp_path: Path) -> object:
    """The network of the text, from a file of another name in another folder."""
    path = tmp_path / "elsewhere" / "spec.net"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("name", ["mnist5k", "7b-net", "plif-net-dvs-gesture", "sew-resnet-18"])
def test_shipped(name: str, tmp_path: Path) -> None:
    assert name in shipped_networks()
    assert reread(read(name).standalone_text(), tmp_path) == load(name)


@pytest.mark.parametrize(
    "options",
    [
        {"set": {"train.optimizer.lr": 0.5, "train.schedule": "Cosine", "train.T_train": 2}},
        {"set": {"join": "IAND", "steps": 7, "neuron": "LIF(tau=3.0)", "init": "kaiming zero"}},
        {"input": "2x16x16", "steps": 2},
    ],
)
def test_overrides_are_applied(options: Options, tmp_path: Path) -> None:
    network = read(SMALL, **options).result()
    assert network != load(SMALL)
    assert reread(read(SMALL, **options).standalone_text(), tmp_path) == network


def test_compact_string(tmp_path: Path) -> None:
    options: Options = {"input": "2x8x8", "steps": 3, "neuron": "IF"}
    text = read("c4k3-BN-SN-SEW Block-FC3", **options).standalone_text()
    assert text.startswith("sewdsl 1\n")
    assert reread(text, tmp_path) == load("c4k3-BN-SN-SEW Block-FC3", **options)


def test_used_files_are_put_in(tmp_path: Path) -> None:
    (tmp_path / "parts.net").write_text("sewdsl 1\nsteps 5\nblock Twice(c) = c$(c)k3-BN-SN-c$(c)k3-BN-SN\n", "utf-8")
    path = tmp_path / "main.net"
    path.write_text('sewdsl 1\nuse "parts.net"\ninput 1x8x8\nneuron IF\nbody Twice (c4)-FC10\n', "utf-8")
    text = read(path).standalone_text()
    assert "use" not in text
    assert reread(text, tmp_path) == load(path)


def test_named_values_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "main.net"
    text = "sewdsl 1\ninput 1x8x8\nneuron IF\nlet low = c4k3-SN\nlet high = low-BN\nbody ADD[ low | high ]-FC10\n"
    path.write_text(text, "utf-8")
    assert reread(read(path).standalone_text(), tmp_path) == load(path)


def test_warnings_that_were_taken_back_stay_so(tmp_path: Path) -> None:
    _, found = compile_variants("table-4", seeded=False)
    allowed = []
    for index, variant in enumerate(found):
        path = tmp_path / f"{index}.net"
        path.write_text(variant.compilations[0].standalone_text(), encoding="utf-8")
        assert read(path).diagnostics == ()
        allowed.append(path.read_text("utf-8").count("\nallow "))
    assert set(allowed) == {0, 1, 2}  # SEW ADD needs none, SEW AND one, Spiking ResNet two
