"""Frozen layers, learning rates per layer, and averaged weights."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.optim import Optimizer

from sewdsl.analysis.named_parts import fold_parts, match_nodes, part_names
from sewdsl.compiler import compile, read
from sewdsl.elaborate.train_section import read_train_section
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.ir.node import enclosing_parts
from sewdsl.ir.recipe import Recipe
from sewdsl.notation.net_file import write_net
from sewdsl.passes.memory.value_sizes import training_load
from sewdsl.source import Source
from sewdsl.train.fit.classifier import Classifier, first_nonfinite, weight_groups
from sewdsl.train.fit.lightning_loop import RunOptions, check_devices
from sewdsl.train.fit.load_run import load_model
from sewdsl.train.fit.processes import Processes
from sewdsl.train.fit.train_run import evaluate_run, resume_run, start_run
from sewdsl.train.report import write
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_record import load_record
from sewdsl.train.training_plan import plan_training
from tests.effort import examples
from tests.network_json import from_json
from tests.words import raises

from .conftest import SMALL, Run
from .made import finished
from .test_survival import BATCHES, At, assert_same, copy_folder

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

PARTS = SMALL.replace(
    "    schedule", "    freeze conv1 repeat1.1.* *.bn1\n    lr fc1 10x repeat1.2 0.001\n    schedule"
)
FROZEN = ("conv1", "repeat1.1.", "repeat1.2.sew_block1.branch.bn1")


def network_of(text: str) -> Network:
    return read(Source("small.net", text)).result()


def diagnostics(line: str) -> list[tuple[str, str, str]]:
    found = read(Source("small.net", SMALL.replace("    schedule", f"    {line}\n    schedule"))).diagnostics
    return [(said.code, said.span.text, said.help) for said in found]


class TestRecipe:
    def test_it_is_read_printed_and_kept(self) -> None:
        network = network_of(PARTS)
        recipe = network.recipe
        assert recipe is not None
        assert recipe.freeze == ("conv1", "repeat1.1.*", "*.bn1")
        assert recipe.lr == (("fc1", "10x"), ("repeat1.2", 0.001))
        assert network_of(write_net(network)).recipe == recipe
        assert from_json(to_json(network)).recipe == recipe

    @examples(15)
    @given(st.lists(st.sampled_from(["conv1", "repeat1", "repeat1.2.*", "*.conv1", "f?1", "[bc]*1", "none", "on"])))
    def test_every_pattern_can_be_written(self, patterns: list[str]) -> None:
        recipe = network_of(SMALL).recipe
        assert recipe is not None
        made = recipe.model_copy(update={"freeze": tuple(patterns), "lr": tuple((name, "0.5x") for name in patterns)})
        text = write_net(network_of(SMALL).with_recipe(made))
        again = read(Source("x.net", text))
        assert {said.code for said in again.diagnostics} <= {
            "unknown-name",
            "invalid-argument",
        }  # of parts, not of words
        section = again.assembly.sections["train"] if again.assembly else None
        assert section is not None
        kept = read_train_section(section).value
        assert kept == made

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("freeze conv", ("unknown-name", "conv", "did you mean 'conv1'?")),
            ("freeze conv1 stem.*", ("unknown-name", "stem.*", "layers and groups: conv1, bn1, plif1, repeat1, fc1")),
            ("lr fc2 10x", ("unknown-name", "fc2", "did you mean 'fc1'?")),
            ("freeze repeat1.1.max_pool1", ("invalid-argument", "repeat1.1.max_pool1", "remove it")),
            ("lr fc1", ("invalid-argument", "lr fc1", "write 'lr fc1 10x'")),
            ("lr fc1 10x conv1", ("invalid-argument", "lr fc1 10x conv1", "write 'lr fc1 10x'")),
            ("lr fc1 0x", ("invalid-argument", "lr fc1 0x", "")),
            ("freeze 3", ("invalid-argument", "freeze 3", "write 'freeze conv1 sew_block1'")),
            ("freeze conv1\n    lr conv1 2x", ("invalid-argument", "conv1", "remove one of them")),
            ('freeze "*"', ("invalid-argument", "train", "remove a layer from 'freeze'")),
            ("ema 1", ("invalid-argument", "1", "")),
        ],
    )
    def test_what_is_wrong_is_said_where_it_stands(self, line: str, said: tuple[str, str, str]) -> None:
        assert diagnostics(line) == [said]

    def test_the_command_line_puts_others_over_them(self) -> None:
        source = Source("small.net", PARTS)
        recipe = read(source, set={"train.freeze": "none", "train.lr": "conv1 0.1x fc1 0.5"}).result().recipe
        assert recipe is not None
        assert (recipe.freeze, recipe.lr) == ((), (("conv1", "0.1x"), ("fc1", 0.5)))

    def test_an_average_takes_memory(self) -> None:
        loads = [
            training_load(network_of(text).recipe) for text in (SMALL, SMALL.replace("epochs", "ema 0.9\n epochs"))
        ]
        assert [load.states for load in loads] == [2, 3]


class TestNames:
    @given(st.data())
    @examples(30)
    def test_folded_names_name_the_same_again(self, data: st.DataObject) -> None:
        network = network_of(SMALL)
        nodes = data.draw(st.sets(st.integers(1, len(network) - 1)))
        parts = fold_parts(network, nodes, range(1, len(network)))
        assert {index for part in parts for index in match_nodes(network, part)} == nodes

    def test_parts(self) -> None:
        network = network_of(SMALL)
        assert [*enclosing_parts("a.b.c")] == ["a", "a.b", "a.b.c"]
        assert {"repeat1", "repeat1.1", "repeat1.2.sew_block1.branch", "fc1"} <= {*part_names(network)}
        assert match_nodes(network, "repeat1") == match_nodes(network, "repeat1.*") != frozenset()
        assert match_nodes(network, "Conv1") == frozenset()


def gradients(
    optimize: int, freeze: tuple[str, ...], *, memory: str = "", dtype: torch.dtype = torch.float64
) -> dict[str, torch.Tensor]:
    """Return the gradients of the trainable weights after a backward pass."""
    changes = {"train.freeze": " ".join(freeze) or "none", **({"train.memory": memory} if memory else {})}
    network = read(Source("small.net", SMALL), set=changes).result()
    assert network.recipe is not None
    module = Classifier(compile(network, optimize=optimize, seed=1).to(dtype), network.recipe)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.01)
    module.setup("fit")
    module.train()
    x = torch.rand(8, 1, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(3))
    nn.functional.cross_entropy(module.model(x), torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    return {name: weight.grad for name, weight in module.model.named_parameters() if weight.grad is not None}


class TestFreezing:
    @pytest.mark.parametrize(
        "freeze", [("conv1", "repeat1.1"), ("bn1", "repeat1.2.*"), ("fc1",), ("*.conv1",)], ids=str
    )
    def test_all_levels_have_the_same_gradients(self, freeze: tuple[str, ...]) -> None:
        plain = gradients(0, freeze)
        whole = gradients(0, ())
        network = network_of(SMALL)
        frozen = {network.nodes[index].name for pattern in freeze for index in match_nodes(network, pattern)}
        assert plain.keys() == {name for name in whole if name.rpartition(".")[0] not in frozen}
        for optimize in (1, 2):
            found = gradients(optimize, freeze)
            assert found.keys() == plain.keys()
            for name in plain:
                torch.testing.assert_close(found[name], plain[name], msg=name)

    def test_what_is_recomputed_has_them_too(self) -> None:
        # In float32, whose kernels other tests compile too.
        found, plain = (gradients(1, ("conv1", "bn1"), memory=memory, dtype=torch.float32) for memory in ("3MB", ""))
        assert found.keys() == plain.keys()
        for name in plain:
            torch.testing.assert_close(found[name], plain[name], msg=name)

    def test_frozen_parts_stay_as_they_are_and_others_learn(self, tmp_path: Path) -> None:
        compilation = read(Source("small.net", PARTS))
        before: dict[str, torch.Tensor] = {}
        modes: dict[str, bool] = {}

        def look(module: nn.Module) -> None:
            model = module.get_submodule("model")
            before.update({key: value.clone() for key, value in model.state_dict().items()})
            modes.update({name: part.training for name, part in model.named_modules() if not [*part.children()]})

        second: dict[str, bool] = {}

        def look_again(module: nn.Module) -> None:
            second.update(
                {name: m.training for name, m in module.get_submodule("model").named_modules() if name in modes}
            )

        shown = (At(0, look), At(BATCHES, look_again))
        start_run(compilation, plan_training(compilation), RunFolder(tmp_path), RunOptions(shown))
        after = load_file(RunFolder(tmp_path).last)
        for key, value in before.items():
            if key.startswith(FROZEN):
                assert torch.equal(after[key], value), key
        for key in ("bn1.weight", "bn1.running_mean", "plif1.w", "fc1.weight"):
            assert not torch.equal(after[key], before[key]), key
        assert {name for name, training in modes.items() if not training} >= {
            "conv1",
            "repeat1.1.sew_block1.branch.bn2",
        }
        assert modes["fc1"]
        assert modes["plif1"]
        assert second == modes  # as they were after the pass that judged

    def test_a_run_that_diverges_is_looked_into(self) -> None:
        network = network_of(PARTS)
        assert network.recipe is not None
        module = Classifier(compile(network), network.recipe)
        module.setup("fit")
        with torch.no_grad():
            module.model.get_parameter("fc1.bias").fill_(torch.nan)
        x = torch.rand(2, 1, 8, 8)
        assert first_nonfinite(module.model, x, lambda: module.model(x).sum()) == "the bias of 'fc1'"
        with torch.no_grad():
            module.model.get_parameter("fc1.bias").zero_()
        found = first_nonfinite(module.model, x, lambda: module.model(x).sum() * torch.nan)
        assert found == "the loss"

    def test_what_is_loaded_is_not_frozen(self, tmp_path: Path) -> None:
        compilation = read(Source("small.net", PARTS), set={"train.epochs": 1, "train.batch": 500})
        start_run(compilation, plan_training(compilation), RunFolder(tmp_path))
        model = load_model(tmp_path)
        assert all(weight.requires_grad for weight in model.parameters())
        again = evaluate_run(RunFolder(tmp_path))
        assert again.measured == again.reported


class TestRates:
    def groups(self, text: str) -> tuple[dict[str, float], Optimizer, Recipe]:
        network = network_of(text)
        assert network.recipe is not None
        module = Classifier(compile(network), network.recipe)
        module.setup("fit")
        (optimizer,), (self.schedule,) = cast(
            "tuple[list[Optimizer], list[LRScheduler]]", module.configure_optimizers()
        )
        names = {weight: name for name, weight in module.model.named_parameters()}
        rates = {names[weight]: group["lr"] for group in optimizer.param_groups for weight in group["params"]}
        return rates, optimizer, network.recipe

    def test_each_part_has_its_own_and_the_schedule_keeps_their_ratios(self) -> None:
        text = PARTS.replace("Adam(lr=0.05)", "AdamW(lr=0.05, weight_decay=0.25)")
        rates, optimizer, recipe = self.groups(text)
        assert rates["fc1.weight"] == pytest.approx(0.5)
        assert rates["repeat1.2.sew_block1.branch.conv2.weight"] == 0.001
        assert rates["plif1.w"] == 0.05
        assert not any(name.startswith(FROZEN) for name in rates)
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0.25}
        before = [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        self.schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [rate * recipe.factor(1) for rate in before]

    def test_the_last_of_several_counts(self) -> None:
        rates, _, _ = self.groups(SMALL.replace("    schedule", "    lr repeat1 2x repeat1.1 3x\n    schedule"))
        assert rates["repeat1.1.sew_block1.branch.conv1.weight"] == pytest.approx(0.15)
        assert rates["repeat1.2.sew_block1.branch.conv1.weight"] == pytest.approx(0.1)

    def test_without_them_there_is_one_group(self) -> None:
        network = network_of(SMALL)
        assert network.recipe is not None
        model = compile(network)
        assert [*weight_groups(model, network.recipe)] == [*model.parameters()]


class Averaged(NamedTuple):
    """A run with averaged weights, and copies of its folder from each epoch, as if it was killed there."""

    folder: RunFolder
    result: Result
    killed: tuple[Path, Path]


@pytest.fixture(scope="module")
def averaged(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Averaged:
    compilation, path = read(small, set={"train.ema": 0.9}), tmp_path_factory.mktemp("averaged")
    folder, killed = RunFolder(path / "run"), (path / "killed-1", path / "killed-2")
    folder.path.mkdir()
    shown = [
        At(batch, partial(copy_folder, folder.path, to))
        for batch, to in zip((BATCHES // 2, BATCHES + 3), killed, strict=True)
    ]
    result = start_run(compilation, plan_training(compilation), folder, RunOptions(shown, save_every=0))
    return Averaged(folder, result, killed)


class TestAverage:
    def test_it_is_that_of_the_weights_after_each_step(self, trained: Callable[..., Run], tmp_path: Path) -> None:
        """By hand, from the weights that a run without one goes through."""
        plain = tmp_path / "small.net"
        plain.write_text(SMALL.replace("epochs 2", "epochs 1"), "utf-8")
        compilation = read(plain)
        steps: list[dict[str, torch.Tensor]] = []

        def look(module: nn.Module) -> None:
            steps.append({key: value.clone() for key, value in module.get_submodule("model").state_dict().items()})

        shown = tuple(At(batch, look) for batch in range(1, BATCHES))
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir()
        start_run(compilation, plan_training(compilation), folder, RunOptions(shown))
        steps.append(load_file(folder.last))
        run = trained(ema=0.9, epochs=1)
        found = load_file(run.folder.last)
        for key, value in found.items():
            if value.is_floating_point():
                average = steps[0][key].double()
                for step in steps[1:]:
                    average = 0.9 * average + 0.1 * step[key].double()
                torch.testing.assert_close(value, average.float(), msg=key)
            else:
                assert torch.equal(value, steps[-1][key]), key
        assert torch.load(run.folder.state, weights_only=True)["current_model_state"].keys() == {
            f"model.{key}" for key in found
        }

    def test_it_is_judged_and_kept(self, averaged: Averaged, run: Run) -> None:
        assert averaged.result.accuracy != run.result.accuracy
        again = evaluate_run(averaged.folder)
        assert again.measured == again.reported
        model = load_model(averaged.folder)
        last = load_file(averaged.folder.last)
        assert all(torch.equal(value, last[key]) for key, value in model.state_dict().items())

    @pytest.mark.parametrize("epoch", [0, 1], ids=["in the first epoch", "in the second"])
    def test_a_run_goes_on_bit_for_bit(self, averaged: Averaged, tmp_path: Path, epoch: int) -> None:
        folder = RunFolder(shutil.copytree(averaged.killed[epoch], tmp_path / "killed"))
        resume_run(folder)
        assert_same(folder, averaged.folder)

    def test_shared_weights_are_refused(self) -> None:
        recipe = network_of(SMALL.replace("epochs 2", "epochs 2\n    ema 0.9")).recipe
        assert recipe is not None
        with raises(RunError):
            check_devices(recipe, Processes(strategy="fsdp"))


def test_the_report_shows_parts_without_a_warning(tmp_path: Path) -> None:
    page = RunFolder(tmp_path / "run")
    write(finished(page.path, PARTS))
    text = page.report.read_text("utf-8")
    assert "conv1, repeat1.1.*, *.bn1" in text
    assert "fc1 10x, repeat1.2 0.001" in text
    assert load_record(page).wrong == {}
