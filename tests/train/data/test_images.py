import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import datasets as torchvision
from torchvision.utils import save_image
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.integers.build import build_integer_network
from sewdsl.train.data import datasets
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DataError, DataOptions, DataSet
from sewdsl.train.data.imagenet import DEVIATION, MEAN, ImageFiles, random_crop
from sewdsl.train.fit.integer_run import input_scaling, to_integers
from sewdsl.train.training_plan import dataset_of
from tests.train.data import writers
from tests.train.data.writers import folder
from tests.words import raises


def mnist(root: Path, marker: str = "MNIST", train: int = 6) -> Any:
    pixels = np.arange(train * 784).reshape(train, 28, 28) % 256
    for name, count in (("train", train), ("t10k", 3)):
        writers.idx(root / marker / "raw" / f"{name}-images-idx3-ubyte", pixels[:count])
        writers.idx(root / marker / "raw" / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    return pixels


@pytest.mark.parametrize(("name", "marker"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
@pytest.mark.parametrize("inside", ["", "marker", "name"])
def test_mnist(name: str, marker: str, inside: str, tmp_path: Path) -> None:
    root = tmp_path / name if inside == "name" else tmp_path
    pixels = mnist(root, marker)
    data = datasets()[name](DataOptions(tmp_path / marker if inside == "marker" else tmp_path, subset=True))
    data.find()
    assert data.names == ()
    train, test = data.load()
    assert data.names[4:6] == {"mnist": (), "fashion-mnist": ("Coat", "Sandal")}[name]
    assert len(test.y) == 3
    x, y = train.batch(torch.tensor([5, 1]))
    assert y.tolist() == [5, 1]
    mean, deviation = {"mnist": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}[name]
    assert x.numpy() == pytest.approx((pixels[[5, 1], None] / 255 - mean) / deviation, abs=1e-6)
    with raises(DataError):
        datasets()[name](DataOptions(tmp_path / marker if inside == "marker" else tmp_path)).load()


def test_cut_mnist(tmp_path: Path) -> None:
    mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="is damaged or incomplete: shape"):
        datasets()["mnist"](DataOptions(tmp_path, subset=True)).load()
    path.unlink()
    said = r"MNIST' is damaged or incomplete: 'raw/train-images-idx3-ubyte' is missing$"
    with pytest.raises(DataError, match=said):
        datasets()["mnist"](DataOptions(tmp_path, subset=True)).load()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_missing(name: str, tmp_path: Path) -> None:
    with raises(DataError):
        datasets()[name](DataOptions(tmp_path)).find()
    with pytest.raises(DataError, match=rf"^no folder for dataset {name};"):
        datasets()[name]().find()


def cifar10(root: Path) -> Any:
    """Two images in each file."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32)).astype(np.uint8)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for number, name in enumerate(names):
        part = pixels[2 * number : 2 * number + 2]
        content = {"data": part.reshape(2, -1), "labels": [number, number + 1]}
        writers.pickled(root / "cifar-10-batches-py" / name, content)
    writers.pickled(root / "cifar-10-batches-py" / "batches.meta", {"label_names": ["airplane"]})
    return pixels


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = cifar10(tmp_path)
    said = r"cifar-10-batches-py' is damaged or incomplete: 'data_batch_1' differs from the published file$"
    with pytest.raises(DataError, match=said):
        datasets()["cifar10"](DataOptions(tmp_path)).load()
    monkeypatch.setattr(torchvision.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setitem(torchvision.CIFAR10.meta, "md5", None)
    data = datasets()["cifar10"](DataOptions(tmp_path, subset=True))
    train, test = data.load()
    assert data.names == ("airplane",)
    assert train.y.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    x, y = test.batch(torch.arange(2))
    assert y.tolist() == [5, 6]
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)))
    assert torch.allclose(x, (torch.from_numpy(pixels[10:]) / 255 - mean) / deviation)


def photographs(root: Path, names: tuple[str, ...] = ("n01440764", "n01443537")) -> None:
    """Grey ramps of odd sizes; the second class is dark."""
    for split, count in (("train", 5), ("val", 2)):
        for label, name in enumerate(names):
            for number in range(count):
                ramp = torch.linspace(0.5, 1, 40 + number).expand(3, 30, -1) / (1 + 9 * label)
                save_image(ramp, folder(root / split / name / f"{number}.{'JPEG' if number else 'png'}"))


class TestImageFolder:
    def data(self, root: Path, shape: tuple[int, ...] = (3, 24, 24), *, flip: bool = False) -> DataSet:
        return datasets()["image-folder"](
            DataOptions(root, shape=shape, classes=2, augmentation=Augmentation(flip=flip))
        )

    def test_middle_and_labels(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        assert self.data(tmp_path).find() == f"10 images for training and 4 for testing in '{tmp_path}'"
        data = self.data(tmp_path)
        train, test = data.load()
        assert (train.y.tolist(), test.y.tolist()) == ([0] * 5 + [1] * 5, [0, 0, 1, 1])
        assert data.names == ["n01440764", "n01443537"]
        x, _ = test.batch(torch.arange(4))
        assert x.shape == (4, 3, 24, 24)
        pixels = x * torch.tensor(DEVIATION)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        assert (pixels[:2] > 0.5).all()
        assert (pixels[2:] < 0.11).all()
        assert pixels[0, 0, 12].diff().min() >= -0.005
        assert pixels[0, 0, 12, 12].item() == pytest.approx(0.75, abs=0.02)

    @pytest.mark.parametrize("flip", [False, True])
    def test_random_parts(self, flip: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- a parameter
        photographs(tmp_path)
        train = self.data(tmp_path, flip=flip).load().train
        first, second = (train.batch(torch.arange(5), RandomSource(0, epoch)).x for epoch in range(2))
        assert not torch.equal(first, second)
        assert torch.equal(train.batch(torch.tensor([3]), RandomSource(0, 1)).x[0], second[3])
        rising = [bool(x[0, :, -1].mean() > x[0, :, 0].mean()) for x in (*first, *second)]
        assert all(rising) != flip

    @pytest.mark.parametrize("crop", ["middle", "whole"])
    def test_what_is_cut_out(self, crop: str, tmp_path: Path) -> None:
        photographs(tmp_path)
        setup = DataOptions(tmp_path, shape=(3, 24, 24), classes=2, crop=crop, statistics=((0.0,), (1.0,)))
        data = datasets()["image-folder"](setup)
        train, test = data.load()
        assert data.scaling() == "pixels from 0 to 1, minus 0, divided by 1"
        x = train.batch(torch.arange(5), RandomSource(0, 0)).x
        assert torch.equal(x, train.batch(torch.arange(5)).x)
        row = test.batch(torch.arange(1)).x[0, 0, 12]
        assert (row[0] < 0.52 and row[-1] > 0.98) == (crop == "whole")
        shifted = datasets()["image-folder"](replace(setup, augmentation=Augmentation(shift=4))).load().train
        assert (shifted.batch(torch.arange(5), RandomSource(0, 0)).x == 0).any()

    def test_statistics_are_for_channels(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        setup = DataOptions(tmp_path, shape=(3, 24, 24), classes=2, statistics=((0.5, 0.25, 0.0), (0.5, 1.0, 2.0)))
        x = datasets()["image-folder"](setup).load().test.batch(torch.arange(4)).x
        grey = (x[:, 0] * 0.5 + 0.5, x[:, 1] + 0.25, x[:, 2] * 2)
        assert torch.allclose(grey[0], grey[1], atol=1e-6)
        assert torch.allclose(grey[0], grey[2], atol=1e-6)
        wrong = replace(setup, statistics=((0.5, 0.5), None))
        with raises(DataError):
            datasets()["image-folder"](wrong).find()

    def test_a_folder_without_a_split(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        for name in ("n01440764", "n01443537"):
            (tmp_path / "train" / name).rename(tmp_path / name)
        with pytest.raises(DataError):
            self.data(tmp_path).find()  # 'val' is there, so that something is missing
        shutil.rmtree(tmp_path / "train")
        shutil.rmtree(tmp_path / "val")
        data = self.data(tmp_path)
        assert data.find() == f"8 images for training and 2 for testing in '{tmp_path}'"
        train, test = data.load()
        assert (train.y.tolist(), test.y.tolist()) == ([0] * 4 + [1] * 4, [0, 1])
        more = datasets()["image-folder"](DataOptions(tmp_path, shape=(3, 24, 24), classes=2, holdout=0.4)).load()
        assert more.test.y.tolist() == [0, 0, 1, 1]
        again = self.data(tmp_path).load().test
        assert isinstance(again, ImageFiles)
        assert isinstance(test, ImageFiles)
        assert again.files == test.files

    def test_threads_change_nothing(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        train = self.data(tmp_path).load().train
        assert train.readers >= 1
        one = [batch.x for batch in Batches(train, 3, seed=1)]
        order = np.random.default_rng((1, 0)).permutation(10)
        assert [len(x) for x in one] == [3, 3, 3, 1]
        assert torch.equal(torch.cat(one), train.batch(torch.from_numpy(order), RandomSource(1, 0)).x)

    def test_grey(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        assert self.data(tmp_path, (1, 16, 16)).load().test.batch(torch.arange(2)).x.shape == (2, 1, 16, 16)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_grey_of_16_bits(self, tmp_path: Path, channels: int) -> None:
        Image.fromarray(np.tile(np.array([0, 255, 256, 40_000, 65_535], np.uint16).repeat(8), (40, 1))).save(
            tmp_path / "grey.png"
        )
        files = ImageFiles([(0, tmp_path / "grey.png")], (channels, 40, 40), crop="whole")
        x, _ = files.batch(torch.tensor([0]))
        grey = x[0].movedim(0, -1)[0, ::8]
        expected = torch.tensor([0, 0, 1, 156, 255]) / 255
        torch.testing.assert_close(grey, expected[:, None].expand(-1, channels), atol=1e-6, rtol=0)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFOs")
    def test_a_fifo_is_not_read(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        path = tmp_path / "val" / "n01440764" / "1.JPEG"
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError, match=r"cannot read the image '.*1\.JPEG': it is a FIFO"):
            self.data(tmp_path).load().test.batch(torch.arange(4))

    def test_damaged(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        (tmp_path / "val" / "n01440764" / "1.JPEG").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"cannot read the image '.*1\.JPEG'"):
            self.data(tmp_path).load().test.batch(torch.arange(4))

    def test_far_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        photographs(tmp_path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(DataError, match=r"cannot read the image '.*0\.png': Image size .* exceeds limit"):
            self.data(tmp_path).load().test.batch(torch.arange(4))

    def test_misfits(self, tmp_path: Path) -> None:
        with raises(DataError):
            self.data(tmp_path).find()
        photographs(tmp_path, ("a", "b", "c"))
        with raises(DataError, "2"):
            self.data(tmp_path).find()
        with raises(DataError, "3"):
            self.data(tmp_path, (2, 24, 24)).find()

    def test_classes_that_differ(self, tmp_path: Path) -> None:
        photographs(tmp_path, ("one", "two", "zero"))
        (tmp_path / "val" / "one").rename(tmp_path / "val" / "uno")
        wanted = (
            f"^in '{tmp_path}', class 'one' has no samples in val, class 'uno' has no samples in train\n  add a folder"
        )
        for count in (3, 4):
            with pytest.raises(DataError, match=wanted):
                self.classes(tmp_path, count)
        with pytest.raises(DataError, match=wanted):
            self.classes(tmp_path, 3, subset=True)
        self.classes(tmp_path, 4, subset=True)
        self.classes(tmp_path, None, subset=True)
        (tmp_path / "val" / "uno").rename(tmp_path / "val" / "one")
        self.classes(tmp_path, 3)

    def test_class_without_samples(self, tmp_path: Path) -> None:
        photographs(tmp_path, ("a", "b"))
        for path in (tmp_path / "val" / "b").iterdir():
            path.unlink()
        with raises(DataError):
            self.classes(tmp_path, 2)
        (tmp_path / "train" / "c").mkdir()
        with raises(DataError, "2"):
            self.classes(tmp_path, 3)

    def test_more_outputs_than_classes(self, tmp_path: Path) -> None:
        photographs(tmp_path)
        with raises(DataError):
            self.classes(tmp_path, 10)
        self.classes(tmp_path, 10, subset=True)

    def test_many_classes_are_not_all_named(self, tmp_path: Path) -> None:
        photographs(tmp_path, tuple("abcdefgh"))
        with raises(DataError):
            self.classes(tmp_path, 7)

    def classes(self, root: Path, count: int | None, *, subset: bool = False) -> None:
        datasets()["image-folder"](DataOptions(root, shape=(3, 24, 24), classes=count, subset=subset)).find()

    def test_no_shift(self, tmp_path: Path) -> None:
        setup = DataOptions(tmp_path, shape=(3, 24, 24), classes=2, augmentation=Augmentation(shift=2))
        with raises(DataError):
            datasets()["image-folder"](setup).find()

    def test_imagenet_counts(self, tmp_path: Path) -> None:
        photographs(tmp_path / "imagenet")
        with raises(DataError):
            datasets()["imagenet"](DataOptions(tmp_path)).find()
        assert len(datasets()["imagenet"](DataOptions(tmp_path, subset=True)).load().test.y) == 4


def test_random_part_lies_inside() -> None:
    generator = np.random.default_rng(0)
    for height, width in ((30, 40), (1, 50), (500, 20), (7, 7)):
        for _ in range(50):
            top, left, h, w = random_crop(height, width, generator)
            assert 0 <= top <= top + h <= height
            assert 0 <= left <= left + w <= width
            assert h * w > 0


PHOTOS = """sewdsl 1
input {shape}
steps 2
encode direct
body c4k3-BN-IF-FC2

train on image-folder {{
    epochs 1
    optimizer Adam(lr=0.01)
    {statistics}
}}
"""


@pytest.mark.parametrize(
    ("shape", "statistics", "scaling"),
    [
        ("3x24x24", "", "minus 0.485, 0.456, 0.406 by channel, divided by 0.229, 0.224, 0.225"),
        ("3x24x24", "mean 0.5 0.4 0.3\nstd 0.25", "minus 0.5, 0.4, 0.3 by channel, divided by 0.25"),
        ("3x24x24", "mean 0\nstd 0.5 1 2", "minus 0, divided by 0.5, 1, 2"),
        ("1x24x24", "std 0.5", "minus 0.449, divided by 0.5"),
    ],
)
def test_files_have_the_scaling_of_the_training(shape: str, statistics: str, scaling: str, tmp_path: Path) -> None:
    photographs(tmp_path / "photos")
    spec = tmp_path / "photos.net"
    spec.write_text(PHOTOS.format(shape=shape, statistics=statistics), encoding="utf-8")
    model = sewdsl.compile(spec, seed=0).eval()
    x, _ = dataset_of(model.network, tmp_path / "photos").load().train.batch(torch.arange(4))
    pixels = to_integers(x, build_integer_network(model, input_scaling(model)))
    expected, divided = (text.split(",") for text in scaling.removeprefix("minus ").split(", divided by "))
    mean, deviation = (np.array([float(part.split()[0]) for part in parts]) for parts in (expected, divided))
    np.testing.assert_allclose(x.movedim(1, -1), (pixels / 255 - mean) / deviation, atol=1e-6)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "photos.safetensors")
    arguments = ["export", str(spec), str(tmp_path / "out"), "--to", "folder"]
    done = CliRunner().invoke(app, [*arguments, "--weights", str(tmp_path / "photos.safetensors")])
    assert done.exit_code == 0, done.output
    for name in ("README.md", "network.py"):
        assert scaling in re.sub(r"\s+", " ", (tmp_path / "out" / name).read_text("utf-8"))
