"""``sewdsl weights``: what it reads, what it refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import errno
import os
import random
import re
import warnings
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.weights import SchemeName
from sewdsl.exchange.weights import SCHEMES, to_scheme_keys
from tests.exchange.layouts import PLIF
from tests.words import check_words

NET = "c4k3-BN-PLIF-SEW Block (c4)-SEW Block (c8s2)-GAP-FC3"
OPTIONS = ("--net", NET, "--input", "2x8x8")
TOUCHED = Path("touched-by-a-pickle")


def weights(scheme: str = "authors", net: str = NET) -> dict[str, Tensor]:
    """Return weights of a small ResNet, with the keys of a scheme."""
    return {**_weights(scheme, net)}


@cache
def _weights(scheme: str, net: str) -> dict[str, Tensor]:
    network = sewdsl.load(net, input=(2, 8, 8))
    ours = sewdsl.compile(network, seed=0).state_dict()
    return to_scheme_keys(ours, network, SCHEMES[scheme])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["weights", *map(str, arguments)])


def convert(source: Path, out: Path, *more: object) -> Result:
    return run("convert", source, out, *OPTIONS, *more)


def refused(source: Path, *more: object) -> str:
    """Return the message about a rejected file, and check that existing files remain."""
    out = source.with_name("out.safetensors")
    out.write_bytes(b"before")
    before = sorted(source.parent.iterdir())
    result = convert(source, out, "--overwrite", *more)
    assert (result.exit_code, result.stdout) == (1, "")
    assert out.read_bytes() == b"before"
    assert sorted(source.parent.iterdir()) == before
    assert result.stderr.startswith("error: ")
    return result.stderr


def saved(value: object, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def same(path: Path, expected: dict[str, Tensor]) -> bool:
    found = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


class TestReads:
    @pytest.mark.parametrize("scheme", ["authors", "spikingjelly", "sewdsl"])
    @pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
    def test_either_format_by_detection(self, scheme: str, suffix: str, tmp_path: Path) -> None:
        source, there, back = tmp_path / "misleading.torchvision", tmp_path / f"there{suffix}", tmp_path / f"b{suffix}"
        torch.save(weights(scheme), source)
        result = convert(source, there)
        assert result.exit_code == 0, result.stderr
        assert f"values, {scheme} keys\n" in result.stdout
        assert same(there, weights("sewdsl"))
        assert convert(there, back, "--to", scheme, "--from", "sewdsl").exit_code == 0
        assert same(back, weights(scheme))

    def test_a_checkpoint_of_the_authors(self, tmp_path: Path) -> None:
        arguments = Namespace(model="sew_resnet18", T=4, lr=0.1, device=torch.device("cpu"), distributed=False)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9).state_dict()
        checkpoint = {
            "model": OrderedDict(weights()),
            "optimizer": optimizer,
            "lr_scheduler": {"T_max": 320},
            "epoch": 319,
            "args": arguments,
            "max_test_acc1": 63.18,
        }
        result = convert(saved(checkpoint, tmp_path / "checkpoint.pth"), tmp_path / "out.safetensors")
        assert result.exit_code == 0, result.stderr
        assert "\n  weights read from 'model'\n" in result.stdout
        aside = "'optimizer' (dict), 'lr_scheduler' (dict), 'epoch' (int), 'args' (Namespace), 'max_test_acc1' (float)"
        assert f"\n  ignored: {aside}\n" in result.stdout
        assert same(tmp_path / "out.safetensors", weights("sewdsl"))

    @pytest.mark.parametrize("under", ["net", "state_dict"])
    @pytest.mark.parametrize("before", ["", "module.", "model."])
    def test_where_else_weights_lie(self, under: str, before: str, tmp_path: Path) -> None:
        checkpoint = {under: {before + key: value for key, value in weights().items()}}
        result = convert(saved(checkpoint, tmp_path / "in.pth"), tmp_path / "out.pt")
        assert result.exit_code == 0, result.stderr
        assert (f"removed prefix '{before}' from all keys" in result.stdout) == bool(before)
        assert same(tmp_path / "out.pt", weights("sewdsl"))

    def test_files_from_before_zip_archives(self, tmp_path: Path) -> None:
        source = saved(weights(), tmp_path / "in.pth", _use_new_zipfile_serialization=False)
        assert convert(source, tmp_path / "out.pt").exit_code == 0
        assert same(tmp_path / "out.pt", weights("sewdsl"))

    def test_safetensors_with_metadata(self, tmp_path: Path) -> None:
        source = tmp_path / "in.safetensors"
        safetensors.torch.save_file(weights(), source, {"format": "pt", "epoch": "7"})
        result = convert(source, tmp_path / "out.safetensors")
        assert "ignored: metadata epoch=7, format=pt" in result.stdout
        with safe_open(tmp_path / "out.safetensors", "pt") as file:
            assert file.metadata() == {"format": "pt"}

    def test_counters_that_old_weights_lack(self, tmp_path: Path) -> None:
        old = {key: value for key, value in weights().items() if not key.endswith("num_batches_tracked")}
        result = convert(saved(old, tmp_path / "in.pth"), tmp_path / "out.safetensors")
        assert result.exit_code == 0, result.stderr
        lacking = [key for key in weights() if key.endswith("num_batches_tracked")]
        assert f"num_batches_tracked is missing and was set to 0: {', '.join(lacking)}\n" in result.stdout
        assert same(tmp_path / "out.safetensors", weights("sewdsl"))  # which were never trained

    def test_scalars_of_either_shape(self, tmp_path: Path) -> None:
        assert weights()["sn1.w"].shape == PLIF().w.shape == (1,)
        flat = {key: value.reshape(()) if key.endswith(".w") else value for key, value in weights().items()}
        assert convert(saved(flat, tmp_path / "in.pth"), tmp_path / "out.pt").exit_code == 0
        assert same(tmp_path / "out.pt", weights("sewdsl"))

    def test_other_number_formats_stay(self, tmp_path: Path) -> None:
        half = {key: value.half() if value.is_floating_point() else value for key, value in weights().items()}
        assert convert(saved(half, tmp_path / "in.pth"), tmp_path / "out.pt", "--to", "authors").exit_code == 0
        assert same(tmp_path / "out.pt", half)

    def test_maps_in_another_order_in_memory(self, tmp_path: Path) -> None:
        last = {
            key: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for key, value in weights().items()
        }
        assert convert(saved(last, tmp_path / "in.pth"), tmp_path / "out.safetensors").exit_code == 0
        assert same(tmp_path / "out.safetensors", weights("sewdsl"))

    def test_the_same_file_twice(self, tmp_path: Path) -> None:
        source = saved(weights(), tmp_path / "in.pth")
        contents = []
        for _ in range(2):
            assert convert(source, tmp_path / "out.safetensors", "--overwrite").exit_code == 0
            contents.append((tmp_path / "out.safetensors").read_bytes())
        assert contents[0] == contents[1]


class TestRefuses:
    def test_every_key_that_does_not_match(self, tmp_path: Path) -> None:
        wrong = weights()
        del wrong["fc.bias"], wrong["layer1.0.conv2.module.0.weight"]
        wrong |= {"layer9.0.sn1.w": torch.ones(1), "head.weight": torch.ones(2)}
        said = refused(saved(wrong, tmp_path / "in.pth")).splitlines()
        assert said[0].endswith("in scheme authors (2 missing, 2 unexpected):")
        assert sorted(said[1:]) == [
            "  missing: fc.bias (fc1.bias in sewdsl)",
            "  missing: layer1.0.conv2.module.0.weight (sew_block1.branch.conv2.weight in sewdsl)",
            "  unexpected: head.weight",
            "  unexpected: layer9.0.sn1.w",
        ]

    @pytest.mark.parametrize(
        ("theirs", "ours", "advice"),
        [
            ("PLIF", "IF", "keys that end with .w belong to PLIF neurons; pass --neuron PLIF if the network uses SN"),
            (
                "IF",
                "PLIF",
                "no key ends with .w, as keys of PLIF neurons do; pass the original neuron, e.g. --neuron IF",
            ),
        ],
    )
    def test_weights_of_neurons_that_learn_and_of_others(
        self, theirs: str, ours: str, advice: str, tmp_path: Path
    ) -> None:
        source = saved(weights(net=NET.replace("PLIF", theirs)), tmp_path / "in.pth")
        result = run(
            "convert", source, tmp_path / "out.pth", "--net", NET.replace("PLIF", "SN"), *OPTIONS[2:], "--neuron", ours
        )
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines()[1] == f"  {advice}"

    def test_shapes_with_the_names_of_the_nodes(self, tmp_path: Path) -> None:
        wrong = weights() | {"layer2.0.conv1.module.0.weight": torch.ones(8, 4, 5, 5), "fc.weight": torch.ones(3)}
        said = refused(saved(wrong, tmp_path / "in.pth"))
        assert (
            "layer2.0.conv1.module.0.weight has shape [8, 4, 5, 5], but sew_block2.branch.conv1 (c8k3s2p1d1g1b0)"
            in said
        )
        assert "requires [8, 4, 3, 3]" in said
        assert "fc.weight has shape [3], but fc1 (FC3b1) requires [3, 8]" in said

    @pytest.mark.parametrize(
        "change",
        [
            lambda x: x.to(torch.int64),
            lambda x: x.to_sparse(),
            lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        ],
    )
    @pytest.mark.filterwarnings("ignore")  # that quantized tensors will leave torch
    def test_numbers_that_are_no_weights(self, change: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
        wrong = weights() | {"fc.weight": change(torch.ones(3, 8))}
        assert "fc.weight" in refused(saved(wrong, tmp_path / "in.pth"))

    @pytest.mark.parametrize("scheme", ["authors", "spikingjelly"])
    def test_the_wrong_network(self, scheme: str, tmp_path: Path) -> None:
        deeper = weights(scheme) | {"layer2.1.conv1.weight": torch.ones(1)}
        assert "unexpected: layer2.1.conv1.weight" in refused(saved(deeper, tmp_path / "in.pth"))

    def test_keys_of_no_scheme(self, tmp_path: Path) -> None:
        said = refused(saved({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "in.pth"))
        assert "the keys match no scheme of " in said
        assert ": a, b\n" in said
        assert "plif1 (PLIF) is learnable, but torchvision has no key for it" in said

    def test_another_scheme_than_the_one_named(self, tmp_path: Path) -> None:
        said = refused(saved(weights(), tmp_path / "in.pth"), "--from", "spikingjelly")
        assert "missing: layer1.0.conv1.weight (sew_block1.branch.conv1.weight in sewdsl)" in said
        assert "unexpected: layer1.0.conv1.module.0.weight" in said

    def test_a_layer_without_a_place(self, tmp_path: Path) -> None:
        said = refused(saved(weights(), tmp_path / "in.pth"), "--to", "torchvision")
        assert "plif1 (PLIF) is learnable, but torchvision has no key for it" in said

    @pytest.mark.parametrize("zipped", [False, True])
    @pytest.mark.parametrize("within", [lambda x: x, lambda x: {"model": weights(), "args": Namespace(x=x)}])
    def test_a_pickle_that_would_run_code(
        self, *, zipped: bool, within: Callable[[object], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, ...]:
                return os.mkdir, (str(TOUCHED),)

        monkeypatch.chdir(tmp_path)
        source = saved(within(Evil()), tmp_path / "in.pth", _use_new_zipfile_serialization=zipped)
        assert "contains posix.mkdir, which could run code; the file was not loaded" in refused(source)
        assert not TOUCHED.exists()
        torch.load(source, weights_only=False)
        assert TOUCHED.exists()  # it would have

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ([torch.ones(1)], "contains one list, expected a dictionary of tensors"),
            ({}, "contains no weights"),
            (
                {"a": torch.ones(1), "b": 3, 4: torch.ones(1)},
                "contains values that are not tensors: 'b' (int), 4 (Tensor)",
            ),
            ({"model": {"a": None}}, "contains values that are not tensors: 'a' (NoneType)"),
            ({"model": weights(), "net": weights()}, "contains several sets of weights: 'model' and 'net'"),
        ],
    )
    def test_what_is_no_file_of_weights(self, value: object, said: str, tmp_path: Path) -> None:
        assert said in refused(saved(value, tmp_path / "in.pth"))

    def test_no_file(self, tmp_path: Path) -> None:
        assert "there is no such file" in refused(tmp_path / "in.pth")
        (tmp_path / "folder").mkdir()
        assert "it is a folder" in refused(tmp_path / "folder")

    @pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
    def test_damage_anywhere(self, kind: str, tmp_path: Path) -> None:
        source, draw = tmp_path / "in", random.Random(0)  # noqa: S311 -- no secret
        if kind == "safetensors":
            safetensors.torch.save_file(weights(), source)
        else:
            saved(weights(), source, _use_new_zipfile_serialization=kind == "zip")
        whole = source.read_bytes()
        for size in [0, 1, 7, 8, 9, *(draw.randrange(len(whole)) for _ in range(8))]:
            source.write_bytes(whole[:size])
            assert re.search("is damaged|holds", refused(source)), size
        if kind == "zip":  # only this format knows what its bytes were
            for place in (draw.randrange(len(whole) // 10, len(whole) // 2) for _ in range(6)):
                source.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
                if convert(source, tmp_path / "other.pt").exit_code == 0:
                    assert same(tmp_path / "other.pt", weights("sewdsl")), place  # it hit what pads the archive

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        assert "No space left on device" in refused(saved(weights(), tmp_path / "in.pth"))

    def test_a_name_that_says_no_format(self, tmp_path: Path) -> None:
        result = convert(saved(weights(), tmp_path / "in.pth"), tmp_path / "out.bin")
        assert result.exit_code == 2
        assert "got '.bin'" in result.stderr


class TestNeurons:
    """Most keys say nothing of neurons, so the command says which ones the network has."""

    def test_of_one_kind(self, tmp_path: Path) -> None:
        net = NET.replace("PLIF", "SN")
        source = saved(weights(net=NET.replace("PLIF", "IF")), tmp_path / "in.pth")
        result = run("convert", source, tmp_path / "out.pth", "--net", net, *OPTIONS[2:], "--neuron", "LIF(tau=3.0)")
        assert result.stdout.splitlines()[-1] == "  for network with 6 LIF(tau=3.0)"

    def test_of_several(self, tmp_path: Path) -> None:
        net = NET.replace("PLIF", "IF")
        source = saved(weights(net=net), tmp_path / "in.pth")
        result = run("convert", source, tmp_path / "out.pth", "--net", net, *OPTIONS[2:], "--neuron", "LIF")
        assert result.stdout.splitlines()[-2:] == [
            "  for network with 1 IF and 5 LIF",
            ("  neurons of 2 kinds: 1 IF (if1), 5 LIF (sew_block1.branch.lif1, …) (not recorded in weights files)"),
        ]

    def test_of_a_shipped_network_all_follow_the_option(self, tmp_path: Path) -> None:
        """Its body once named the neuron of the stem, which stayed an IF without a word."""
        options = {"input": (3, 32, 32), "neuron": "LIF"}
        model = sewdsl.compile("sew-resnet-18", **options)  # type: ignore[arg-type]
        source = saved(to_scheme_keys(model.state_dict(), model.network, SCHEMES["spikingjelly"]), tmp_path / "in.pth")
        result = run("convert", source, tmp_path / "out.pth", "--net", "sew-resnet-18", "--neuron", "LIF")
        assert result.stdout.splitlines()[-1] == "  for SEW ResNet-18 with 20 LIF"


class TestShows:
    def test_what_is_in_a_file(self, tmp_path: Path) -> None:
        source = saved({"net": weights()}, tmp_path / "in.pth")
        lines, numbers = run("show", source).stdout.splitlines(), sum(value.numel() for value in weights().values())
        assert lines[0] == "conv1.weight  float32 [4, 2, 3, 3]"
        assert lines[-2:] == [f"{source}: {len(weights())} tensors, {numbers:,} values", "  weights read from 'net'"]

    def test_whose_keys(self, tmp_path: Path) -> None:
        result = run("show", saved(weights("spikingjelly"), tmp_path / "in.pth"), *OPTIONS)
        assert result.stdout.endswith("values, spikingjelly keys\n  fits network with 6 PLIF\n")

    def test_that_they_do_not_fit(self, tmp_path: Path) -> None:
        result = run("show", saved(weights() | {"more": torch.ones(1)}, tmp_path / "in.pth"), *OPTIONS)
        assert result.exit_code == 1
        check_words(result.stderr)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
def test_torch_is_silent_on_a_file_that_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "in.pth"
    torch.jit.save(torch.jit.script(torch.nn.Identity()), file)
    with warnings.catch_warnings(record=True, action="always") as seen:
        result = run("show", file)
    assert result.exit_code != 0
    assert not seen


def test_the_options_name_all_schemes() -> None:
    assert [*get_args(SchemeName)] == [*SCHEMES]
