import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

from sewdsl.cli.run_setup import run_errors
from sewdsl.train.data import datasets
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import DataError, DataMismatch, DataOptions, DataSet, Samples, SampleSet
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.recording import EventFile, FrameFile
from sewdsl.train.data.recorded_dataset import RecordedDataSet, Recordings
from sewdsl.train.store.run_folder import RunFolder
from tests.train.data import trees, writers
from tests.train.data.writers import folder, some_events
from tests.words import raises


def whole(samples: SampleSet) -> Samples:
    return samples.batch(torch.arange(len(samples.y)))


def data(name: str, root: Path | None, steps: int = 4, **more: Any) -> DataSet:
    return datasets()[name](DataOptions(root, steps, **{"subset": True, **more}))


@pytest.mark.parametrize("make", trees.GESTURE.values(), ids=trees.GESTURE)
class TestGesture:
    def test_same_frames_in_each_layout(self, make: Callable[[Path], None], tmp_path: Path) -> None:
        make(tmp_path / "data")
        gestures = data("dvs128-gesture", tmp_path / "data")
        for number, samples in enumerate(gestures.load()):
            x, y = whole(samples)
            assert x.dtype == torch.float32
            assert y.tolist() == list(range(11))  # class 10 is 10
            for label in range(11):
                wanted = event_stream.frames(trees.trial(label, number), 4, (128, 128))
                assert np.array_equal(x[:, label].numpy(), wanted)
        assert (gestures.names[0], gestures.names[10]) == ("hand clapping", "other gestures")

    def test_in_a_folder_of_data_sets(self, make: Callable[[Path], None], tmp_path: Path) -> None:
        make(tmp_path / "DVS128Gesture")
        assert len(data("dvs128-gesture", tmp_path).load().train.y) == 11

    def test_part_is_not_taken_for_all(self, make: Callable[[Path], None], tmp_path: Path) -> None:
        make(tmp_path)
        with pytest.raises(DataError) as caught:
            data("dvs128-gesture", tmp_path, subset=False).find()
        train, test = ("1,077", "264") if make is trees.gesture_tonic else ("1,176", "288")
        assert f"has 11 of {train} training and 11 of {test} test recordings" in str(caught.value)
        assert "--set train.subset=on" in str(caught.value)


def test_folder_that_is_the_layout(tmp_path: Path) -> None:
    trees.gesture_events_np(tmp_path)
    assert len(data("dvs128-gesture", tmp_path / "events_np").load().train.y) == 11


def test_frames_of_another_number_are_not_taken(tmp_path: Path) -> None:
    trees.gesture_frames(tmp_path, 8)
    with pytest.raises(DataError, match=r"frames_number_4_split_by_number/{train,test}/<class>/"):
        data("dvs128-gesture", tmp_path).find()
    trees.gesture_events_np(tmp_path)
    assert whole(data("dvs128-gesture", tmp_path).load().test).x.shape == (4, 11, 2, 128, 128)


def test_what_is_nearly_there_is_named(tmp_path: Path) -> None:
    trees.gesture_frames(tmp_path, 20)
    (tmp_path / "events_np" / "train").mkdir(parents=True)
    (tmp_path / "DvsGesture.tar.gz").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data("dvs128-gesture", tmp_path, 16).find()
    assert str(caught.value).splitlines()[-3:] == [
        f"  found: '{tmp_path}/DvsGesture.tar.gz', which is still packed; unpack it",
        f"  found: '{tmp_path}/events_np' with a folder 'train', but no folder 'test'",
        f"  found: frames for T = 20 in '{tmp_path}/frames_number_20_split_by_number', but the network has steps 16",
    ]
    trees.gesture_events_np(tmp_path)
    shutil.rmtree(tmp_path / "events_np" / "test")
    with raises(DataError):
        data("dvs128-gesture", tmp_path, 16, subset=False).find()


@pytest.mark.parametrize("name", ["frame-folder", "event-folder"])
@pytest.mark.parametrize("table", ["a.csv", "cat/a.csv", "train/A.TSV"])
def test_tables_are_named(name: str, table: str, tmp_path: Path) -> None:
    path = tmp_path / table
    path.parent.mkdir(exist_ok=True)
    path.write_text("1,2\n")
    with pytest.raises(DataError) as caught:
        data(name, tmp_path, 16).find()
    assert str(caught.value).splitlines()[-1] == (
        f"  found: '{path}', which no dataset reads; convert tables with numpy.loadtxt(FILE, delimiter=',') and "
        "numpy.save"
    )


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("kind", [EventFile, FrameFile])
def test_no_advice_to_load_unsafely(kind: type[EventFile | FrameFile], suffix: str, tmp_path: Path) -> None:
    """One file is not an archive, and one contains Python objects."""
    garbage, objects = tmp_path / f"garbage{suffix}", tmp_path / f"objects{suffix}"
    garbage.write_bytes(b"garbage")
    content: Any = np.array([{}], dtype=object)
    if suffix == ".npz":
        np.savez(objects, t=content, x=content, y=content, p=content, frames=content)
    else:
        np.save(objects, content)
    no_arrays = "not an array of numbers in numpy's format"
    no_archive = "not a zip archive of arrays, or a truncated one" if suffix == ".npz" else no_arrays
    for path, said in ((garbage, no_archive), (objects, no_arrays)):
        with pytest.raises(DataError, match=rf"^cannot read '.*': {said}$"):
            kind(0, path).frames(4, (2, 8, 8))


@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8"])
def test_counts_in_floats_are_kept_in_small_integers(dtype: str, tmp_path: Path) -> None:
    frames = np.arange(32).reshape(1, 2, 4, 4)
    np.save(tmp_path / "frames.npy", frames.astype(dtype))
    found = FrameFile(0, tmp_path / "frames.npy").frames(1, (2, 4, 4))
    assert found.dtype == np.uint8
    assert np.array_equal(found, frames)


def test_complete_layout_is_taken_before_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.gesture_events_np(tmp_path, range(5))
    trees.gesture_raw(tmp_path)
    kind = datasets()["dvs128-gesture"]
    assert issubclass(kind, RecordedDataSet)
    for layout in kind.layouts:
        monkeypatch.setitem(layout.__dict__, "counts", (11, 11))
    found = kind(DataOptions(tmp_path, 4))
    assert isinstance(found, RecordedDataSet)
    assert found.listing.folder == tmp_path / "DvsGesture"


def test_class_twice_in_a_recording(tmp_path: Path) -> None:
    trees.gesture_raw(tmp_path)
    table = tmp_path / "DvsGesture" / "user01_led_labels.csv"
    again = trees.trial(7, 0)
    table.write_text(f"{table.read_text()}\n8,{again.t[0]},{again.t[20]}")
    train = data("dvs128-gesture", tmp_path).load().train
    assert train.y.tolist() == [*range(8), 7, 8, 9, 10]
    assert whole(train).x.sum((0, 2, 3, 4)).tolist()[7:10] == [40, np.sum(again.t < again.t[20]), 40]


def test_trial_behind_the_end(tmp_path: Path) -> None:
    trees.gesture_raw(tmp_path)
    (tmp_path / "DvsGesture" / "user01_led_labels.csv").write_text("class,start,end\n1,900000000,900000001\n")
    with raises(DataError):
        whole(data("dvs128-gesture", tmp_path).load().train)


def test_damaged_table(tmp_path: Path) -> None:
    trees.gesture_raw(tmp_path)
    (tmp_path / "DvsGesture" / "user01_led_labels.csv").write_text("class,start,end\n1,x,5\n")
    with pytest.raises(DataError, match=r"cannot read the table .*user01_led_labels\.csv'"):
        data("dvs128-gesture", tmp_path).find()


@pytest.mark.parametrize(
    ("marker", "suffix", "write"),
    [
        ("", ".aedat", writers.aedat2),
        ("extract", ".aedat", writers.aedat2),
        ("", ".aedat4", writers.aedat4),
        ("CIFAR10DVS", ".aedat4", writers.aedat4),
        ("events_np", ".npz", lambda path, events: writers.npz(path, events, ">u4")),
        (
            "frames_number_4_split_by_number",
            ".npz",
            lambda path, events: writers.frames_npz(path, events, event_stream.frames, 4, (128, 128)),
        ),
    ],
)
def test_cifar10_dvs(marker: str, suffix: str, write: Callable[..., None], tmp_path: Path) -> None:
    trees.cifar10_dvs(tmp_path, marker, suffix, write)
    train, test = data("cifar10-dvs", tmp_path).load()
    assert train.y.bincount().tolist() == [11] * 10
    assert test.y.bincount().tolist() == [1] * 10
    for label, sequence in enumerate(whole(test).x.unbind(1)):  # '9' is the last of 0 to 11 as characters have it
        wanted = event_stream.frames(some_events(40, 128, 100 * label + 9), 4, (128, 128))
        assert np.array_equal(sequence.numpy(), wanted)
    with raises(DataError):
        data("cifar10-dvs", tmp_path, subset=False).find()


def test_classes_keep_their_numbers_in_a_subset(tmp_path: Path) -> None:
    trees.cifar10_dvs(tmp_path, "", ".aedat", writers.aedat2, 2)
    for name in ("airplane", "cat"):
        shutil.rmtree(tmp_path / name)
    assert set(data("cifar10-dvs", tmp_path).load().train.y.tolist()) == {1, 2, 4, 5, 6, 7, 8, 9}


class TestNMnist:
    def test_split_on_disk(self, tmp_path: Path) -> None:
        trees.nmnist(tmp_path / "NMNIST", {"Train": 3, "Test": 2})
        train, test = data("nmnist", tmp_path).load()
        assert train.y.bincount().tolist() == [3] * 10
        assert test.y.bincount().tolist() == [2] * 10
        assert np.array_equal(whole(test).x[:, 5].numpy(), event_stream.frames(some_events(40, 34, 201), 4, (34, 34)))

    def test_no_test_folder(self, tmp_path: Path) -> None:
        trees.nmnist(tmp_path, {"Train": 10})
        parts = data("nmnist", tmp_path).load()
        assert [part.y.bincount().tolist() for part in parts] == [[8] * 10, [2] * 10]
        again = data("nmnist", tmp_path).load()
        for part, same in zip(parts, again, strict=True):
            assert isinstance(part, Recordings)
            assert isinstance(same, Recordings)
            assert part.recordings == same.recordings
        with raises(DataError):
            data("nmnist", tmp_path, subset=False).find()

    def test_real_recordings(self, shared: Path) -> None:
        train, test = data("nmnist", shared / "nmnist", 6).load()
        assert (len(train.y), len(test.y)) == (800, 200)
        assert test.y.bincount().min() >= 17
        x, _ = test.batch(torch.arange(8))
        assert x.shape == (6, 8, 2, 34, 34)
        assert (x.sum((2, 3, 4)) > 100).all()

    def test_shift_moves_all_frames_alike_and_only_in_training(self, tmp_path: Path) -> None:
        trees.nmnist(tmp_path, {"Train": 1, "Test": 1})
        samples = data("nmnist", tmp_path, augmentation=Augmentation(shift=3)).load().train
        draw = RandomSource(1, 2)
        plain, moved = whole(samples).x, samples.batch(torch.arange(10), draw).x
        assert not torch.equal(plain, moved)
        for index in range(10):
            down, right = draw.generator(index).integers(-3, 3, size=2, endpoint=True).tolist()
            padded = torch.nn.functional.pad(plain[:, index], (3, 3, 3, 3))
            wanted = padded[..., 3 - down : 37 - down, 3 - right : 37 - right]
            assert torch.equal(moved[:, index], wanted)


class TestFolders:
    def test_events_of_many_formats(self, tmp_path: Path) -> None:
        events = some_events(30, 20)
        for split in ("train", "test"):
            for label in (0, 2, 10):
                writers.npz(folder(tmp_path / split / str(label) / "a.npz"), events)
                writers.structured_npy(tmp_path / split / str(label) / "b.npy", events)
                writers.nmnist_bin(tmp_path / split / str(label) / "c.bin", events)
                writers.aedat3(tmp_path / split / str(label) / "d.aedat", events)
        with raises(DataError):
            data("event-folder", tmp_path, 3, shape=(2, 20, 20), classes=11, subset=False).find()
        set_ = data("event-folder", tmp_path, 3, shape=(2, 20, 20), classes=11)
        train, test = set_.load()
        assert set_.names == [], "numbers are no names"
        assert train.y.tolist() == [0] * 4 + [2] * 4 + [10] * 4
        for sequence in whole(test).x.unbind(1):
            assert np.array_equal(sequence.numpy(), event_stream.frames(events, 3, (20, 20)))

    def test_names_are_counted_and_a_fifth_held_out(self, tmp_path: Path) -> None:
        for name in ("left", "right"):
            for number in range(5):
                writers.npz(folder(tmp_path / name / f"{number}.npz"), some_events(30, 20))
        set_ = data("event-folder", tmp_path, 3, shape=(2, 20, 20), classes=2, subset=False)
        train, test = set_.load()
        assert (train.y.tolist(), test.y.tolist()) == ([0] * 4 + [1] * 4, [0, 1])
        assert set_.names == ["left", "right"]

    @pytest.mark.parametrize("name", ["event-folder", "frame-folder"])
    def test_classes_that_differ(self, name: str, tmp_path: Path) -> None:
        for place in ("train/left", "train/right", "test/left", "test/rigth"):
            writers.npz(folder(tmp_path / place / "0.npz"), some_events(30, 20))
        with raises(DataError):
            data(name, tmp_path, shape=(2, 20, 20), classes=3, subset=False).find()

    def test_class_without_samples(self, tmp_path: Path) -> None:
        writers.npz(folder(tmp_path / "left" / "0.npz"), some_events(30, 20))
        (tmp_path / "right").mkdir()
        with raises(DataError):
            data("event-folder", tmp_path, shape=(2, 20, 20), classes=2, subset=False).find()

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    @pytest.mark.parametrize("scale", [1.0, 0.5])
    def test_ready_frames(self, suffix: str, scale: float, tmp_path: Path) -> None:
        frames = event_stream.frames(some_events(400, 20), 3, (20, 20)) * scale
        for split in ("train", "test"):
            path = folder(tmp_path / split / "0" / f"a{suffix}")
            np.save(path, frames) if suffix == ".npy" else np.savez(path, frames=frames)
        _, test = data("frame-folder", tmp_path, 3, shape=(2, 20, 20), classes=1, subset=False).load()
        assert np.array_equal(whole(test).x[:, 0].numpy(), frames)
        with raises(DataError):
            whole(data("frame-folder", tmp_path, 5, shape=(2, 20, 20), classes=1).load().test)

    def test_what_does_not_fit(self, tmp_path: Path) -> None:
        writers.npz(folder(tmp_path / "7" / "a.npz"), some_events(30, 20))
        writers.npz(tmp_path / "7" / "b.npz", some_events(30, 20))
        with raises(DataError):
            data("event-folder", tmp_path, shape=(2, 20, 20), classes=7).find()
        with raises(DataError, "2"):
            data("event-folder", tmp_path, shape=(3, 20, 20), classes=8).find()
        with raises(DataMismatch, "3"):
            whole(data("event-folder", tmp_path, shape=(2, 10, 10), classes=8).load().train)

    def test_to_resume_is_not_proposed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "spec.net").touch()
        error = DataMismatch("another shape")
        with pytest.raises(typer.Exit), run_errors(lambda: RunFolder(tmp_path)):
            raise error
        said = capsys.readouterr().err
        assert "--overwrite" in said
        assert "--resume" not in said


class TestMissing:
    @pytest.mark.parametrize("name", ["dvs128-gesture", "cifar10-dvs", "nmnist", "event-folder", "frame-folder"])
    def test_says_what_is_expected(self, name: str, tmp_path: Path) -> None:
        setup: dict[str, Any] = {"shape": (2, 8, 8), "classes": 3}
        with raises(DataError):
            data(name, None, **setup).find()
        with raises(DataError, "2"):
            data(name, tmp_path / "nowhere", **setup).find()
        with raises(DataError, "3") as caught:
            data(name, tmp_path, **setup).find()
        assert "<class>/*" in str(caught.value)
        assert ("download: https://" in str(caught.value)) == ("folder" not in name)

    def test_all_layouts_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as caught:
            data("dvs128-gesture", tmp_path, 16).find()
        for word in ("frames_number_16_split_by_number", "events_np", "ibmGestureTrain", "trials_to_train.txt", "3 GB"):
            assert word in str(caught.value)
