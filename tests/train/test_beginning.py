"""Runs that begin with the weights in a file: exactly these, whatever becomes of the file."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.cli.options import load_initial_weights
from sewdsl.compiler import compile, read
from sewdsl.exchange.weights import take_weights
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.run_weights import InitialWeights
from sewdsl.train.fit.run_weights import read_initial_weights as read_beginning
from sewdsl.train.fit.train_run import resume_run, start_run
from sewdsl.train.store.result import WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words, raises

from .conftest import SMALL, Run
from .test_survival import BATCHES, At, assert_same, copy_folder

SHORT = ("--set", "train.epochs=1", "--set", "train.batch=500")


@pytest.fixture
def shared(run: Run) -> Run:
    """The run of all tests, under a name of its own."""
    return run


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def tensors(small: Path) -> dict[str, Tensor]:
    """Weights of the small network that no seed gives, its running statistics and counts too."""
    generator = torch.Generator().manual_seed(7)
    state = compile(small, seed=3).state_dict()
    return {
        key: torch.rand(value.shape, generator=generator) + 0.1 if value.is_floating_point() else value + 5
        for key, value in state.items()
    }


@pytest.fixture
def file(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """A file of them."""
    path = tmp_path / "given.safetensors"
    save_file(tensors, path)
    return path


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def begin(small: Path, folder: Path, tensors: dict[str, Tensor], *shown: At) -> RunFolder:
    compilation = read(small)
    folder.mkdir()
    start = InitialWeights(WeightsOrigin(file="given", sha256="0" * 64), tensors)
    start_run(compilation, plan_training(compilation), RunFolder(folder), RunOptions(shown), start)
    return RunFolder(folder)


class Whole(NamedTuple):
    """A run that nobody killed.

    Attributes:
        first: Weights before the first step.
        killed: Copies of its folder before a batch of each epoch, as if it was killed there.
    """

    folder: RunFolder
    first: dict[str, Tensor]
    killed: tuple[Path, Path]


@pytest.fixture(scope="module")
def whole(small: Path, tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    path = tmp_path_factory.mktemp("whole")
    killed = (path / "killed-1", path / "killed-2")
    copies = [At(4 + epoch * BATCHES, partial(copy_folder, path / "run", to)) for epoch, to in enumerate(killed)]
    first: dict[str, Tensor] = {}

    def look(module: torch.nn.Module) -> None:
        first.update({key: value.clone() for key, value in module.get_submodule("model").state_dict().items()})

    return Whole(begin(small, path / "run", tensors, At(0, look), *copies), first, killed)


def test_it_begins_with_exactly_these(whole: Whole, tensors: dict[str, Tensor]) -> None:
    assert same(whole.first, tensors)
    assert same(load_file(whole.folder.start), tensors)
    assert not same(load_file(whole.folder.last), tensors)


@pytest.mark.parametrize("saved", [False, True], ids=["before the first save", "after it"])
def test_it_goes_on_bit_for_bit_without_the_file(whole: Whole, tmp_path: Path, *, saved: bool) -> None:
    shutil.copytree(whole.killed[saved], tmp_path / "killed")
    folder = RunFolder(tmp_path / "killed")
    assert folder.state.exists() == saved
    if saved:
        folder.start.unlink()  # the checkpoint says where the weights came from
    result = resume_run(folder)
    assert_same(folder, whole.folder)
    assert result.start == WeightsOrigin(file="given", sha256="0" * 64)


def test_random_weights_have_no_origin(small: Path, tmp_path: Path) -> None:
    compilation = read(small, set={"train.epochs": 1, "train.batch": 500})
    result = start_run(compilation, plan_training(compilation), RunFolder(tmp_path))
    assert result.start is None
    assert not RunFolder(tmp_path).start.exists()
    assert read_beginning(RunFolder(tmp_path)) is None


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda _: b""]
)
def test_a_damaged_copy_is_not_begun_with(whole: Whole, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(whole.folder.path, folder.path)
    for path in (folder.state, folder.previous_state, folder.result):
        path.unlink()
    folder.start.write_bytes(damage(folder.start.read_bytes()))
    with raises(RunError):
        resume_run(folder)


class TestCommand:
    def test_it_says_with_what_it_begins(self, small: Path, file: Path, tmp_path: Path) -> None:
        digest = sha256(file.read_bytes()).hexdigest()
        done = run("train", small, "--out", tmp_path / "run", "--weights", file, *SHORT)
        assert done.exit_code == 0, done.output
        assert f"initial weights from {file}, sha256 {digest}\n" in done.stderr
        folder = RunFolder(tmp_path / "run")
        assert folder.read_result().start == WeightsOrigin(file=str(file), sha256=digest)
        assert digest in folder.report.read_text("utf-8")
        assert same(load_file(folder.start), load_file(file))

    @pytest.mark.parametrize("whole", [True, False], ids=["folder", "checkpoint"])
    def test_it_begins_where_another_run_ended(
        self,
        shared: Run,
        small: Path,
        tmp_path: Path,
        whole: bool,  # noqa: FBT001
    ) -> None:
        where = shared.folder.path if whole else shared.folder.last
        done = run("train", small, "--out", tmp_path / "run", "--weights", where, *SHORT)
        assert done.exit_code == 0, done.output
        ended = load_file(shared.folder.last)
        assert same(load_file(RunFolder(tmp_path / "run").start), ended)

    def test_wider_numbers_are_rounded_and_that_is_said(
        self, small: Path, tensors: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "wide.pt"
        torch.save({**tensors, "conv1.weight": tensors["conv1.weight"].double()}, file)
        found = load_initial_weights(file, read(small).result())
        assert found is not None
        assert found.origin == WeightsOrigin(file=str(file), sha256=sha256(file.read_bytes()).hexdigest())
        assert capsys.readouterr().err.endswith("\n  rounded from float64 to float32: conv1.weight\n")

    def test_what_does_not_fit_is_listed_and_begins_anew(
        self, small: Path, tensors: dict[str, Tensor], tmp_path: Path
    ) -> None:
        others = {**tensors, "fc1.weight": torch.zeros(11, 4), "fc2.bias": torch.zeros(2), "stem.a.w": torch.zeros(2)}
        del others["plif1.w"]
        del others["bn1.bias"]
        del others["bn1.num_batches_tracked"]
        del others["repeat1.1.sew_block1.branch.bn1.num_batches_tracked"]
        save_file(others, tmp_path / "other.safetensors")
        done = run("train", small, "--out", tmp_path / "run", "--weights", tmp_path / "other.safetensors", *SHORT)
        assert done.exit_code == 0, done.output
        said = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")][:6]
        assert said == [
            "loaded: conv1, repeat1 (29 of 37 tensors, 684 values)",
            "new: bn1, plif1, fc1",
            "unused: bn1, for which the file has no bn1.bias",
            "unused: fc1.weight has shape [11, 4], but fc1 (FC10b1) requires [10, 16]",
            "unused: fc2, stem, which Small does not have",
            "num_batches_tracked is missing and was set to 0: repeat1.1.sew_block1.branch.bn1.num_batches_tracked",
        ]
        folder = RunFolder(tmp_path / "run")
        kept = load_file(folder.start)
        assert kept.keys() == {key for key in tensors if key.startswith(("conv1.", "repeat1."))}
        start = folder.read_result().start
        assert start is not None
        assert start.taken == ("conv1", "repeat1")
        assert start.new == ("bn1", "plif1", "fc1")
        assert [f"unused: {text}" for text in start.left] == said[2:5]
        assert "for which the file has no bn1.bias" in folder.report.read_text("utf-8")

    def test_layers_that_begin_anew_do_so_by_the_seed_and_a_run_goes_on(
        self, small: Path, tensors: dict[str, Tensor], tmp_path: Path
    ) -> None:
        network = read(small).result()
        found = take_weights({**tensors, "fc1.weight": torch.zeros(11, 4)}, network, ["repeat1", "fc1"])
        origin = WeightsOrigin(
            file="x", sha256="0" * 64, only=("a",), taken=found.taken, new=found.new, left=found.left
        )
        compilation = read(small, set={"train.epochs": 1})
        first: dict[str, Tensor] = {}

        def look(module: torch.nn.Module) -> None:
            first.update({key: value.clone() for key, value in module.get_submodule("model").state_dict().items()})

        start = InitialWeights(origin, found.tensors)
        whole = RunFolder(tmp_path / "whole")
        whole.path.mkdir()
        shown = At(0, look), At(4, partial(copy_folder, whole.path, tmp_path / "left"))
        start_run(compilation, plan_training(compilation), whole, RunOptions(shown), start)
        random = compile(network, seed=0).state_dict()
        assert {key for key, value in first.items() if torch.equal(value, random[key])} == {
            key for key in random if not key.startswith("repeat1.")
        }
        assert all(torch.equal(first[key], tensors[key]) for key in tensors if key.startswith("repeat1."))
        result = resume_run(RunFolder(tmp_path / "left"))
        assert result.start == origin
        assert_same(RunFolder(tmp_path / "left"), whole)

    def test_only_some_parts(self, small: Path, file: Path, tmp_path: Path) -> None:
        only = ("--weights-only", "conv1", "--weights-only", "repeat1.1.*")
        done = run("train", small, "--out", tmp_path / "run", "--weights", file, *only, *SHORT)
        assert done.exit_code == 0, done.output
        assert "  loaded: conv1, repeat1.1 (" in done.stderr
        assert "  new: bn1, plif1, repeat1.2, fc1\n" in done.stderr
        assert "  unused: bn1, plif1, repeat1.2, fc1, which --weights-only does not select\n" in done.stderr
        start = RunFolder(tmp_path / "run").read_result().start
        assert start is not None
        assert start.only == ("conv1", "repeat1.1.*")

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("convs1", "matches no layer or group of Small; did you mean 'conv1'?"),
            ("stem.*", "matches no layer or group of Small; groups with weights: conv1, bn1, plif1, repeat1, fc1"),
            (
                "repeat1.*.max_pool1",
                "matches no layer with weights; groups with weights: conv1, bn1, plif1, repeat1, fc1",
            ),
        ],
    )
    def test_a_pattern_that_names_nothing(
        self, small: Path, file: Path, tmp_path: Path, pattern: str, said: str
    ) -> None:
        done = run("train", small, "--out", tmp_path / "run", "--weights", file, "--weights-only", pattern)
        assert done.exit_code == 1
        assert f"--weights-only '{pattern}' {said}\n" in done.stderr
        assert not (tmp_path / "run").exists()

    def test_weights_of_which_nothing_fits(self, small: Path, tmp_path: Path) -> None:
        save_file({"fc1.weight": torch.zeros(11, 4), "conv1.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
        done = run("train", small, "--out", tmp_path / "run", "--weights", tmp_path / "x.safetensors")
        assert done.exit_code == 1
        check_words(done.stderr)
        assert not (tmp_path / "run").exists()

    def test_only_needs_weights(self, small: Path) -> None:
        assert run("train", small, "--weights-only", "conv1").exit_code == 2

    def test_the_keys_of_others_are_to_be_converted(self, tmp_path: Path) -> None:
        blocks = "c4k3-BN-IF-{SEW Block (c4)}*2-SEW Block (c8s2)-GAP-FC10"
        spec = tmp_path / "r.net"
        spec.write_text(SMALL.replace("c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10", blocks), "utf-8")
        state = {key: value.contiguous() for key, value in compile(spec, seed=0).state_dict().items()}
        save_file(state, tmp_path / "ours.safetensors")
        theirs = tmp_path / "theirs.safetensors"
        done = run("weights", "convert", tmp_path / "ours.safetensors", theirs, "--net", spec, "--to", "torchvision")
        assert done.exit_code == 0, done.output
        refused = run("train", spec, "--out", tmp_path / "run", "--weights", theirs)
        assert refused.exit_code == 1
        check_words(refused.stderr)
        assert f"sewdsl weights convert {theirs} converted.safetensors --net SPEC" in refused.stderr

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "cannot read"),
            (b"no weights", "is damaged or not a weights file"),
            (b"", "is damaged or not a weights file"),
        ],
    )
    def test_a_file_without_weights(self, small: Path, tmp_path: Path, content: bytes | None, said: str) -> None:
        file = tmp_path / "x.pt"
        if content is not None:
            file.write_bytes(content)
        done = run("train", small, "--out", tmp_path / "run", "--weights", file)
        assert done.exit_code == 1
        assert said in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")

    def test_beside_resume_it_is_refused(self, file: Path, tmp_path: Path) -> None:
        done = run("train", "--resume", tmp_path, "--weights", file)
        assert done.exit_code == 2

    def test_repeats_all_begin_with_it(self, small: Path, file: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        command = ("train", small, "--out", out, "--repeat", 2, *SHORT)
        assert run(*command, "--weights", file).exit_code == 0
        for seed in (0, 1):
            folder = RunFolder(out / f"seed-{seed}")
            assert same(load_file(folder.start), load_file(file))
            assert json.loads(folder.result.read_text("utf-8"))["start"]["file"] == file.name
        assert run(*command, "--weights", file).exit_code == 0
        refused = run(*command)
        assert refused.exit_code == 1
        assert "with other initial weights" in refused.stderr
        fewer = run(*command, "--weights", file, "--weights-only", "conv1")
        assert "with other initial weights" in fewer.stderr
        shutil.copy(file, tmp_path / "same.safetensors")
        (out / "seed-1" / "result.json").unlink()
        assert run(*command, "--weights", tmp_path / "same.safetensors").exit_code == 0
        (out / "seed-1" / "result.json").unlink()
        assert "with other initial weights" in run(*command).stderr
