"""The classifier as a Lightning module, its random state in checkpoints, and the source of non-finite values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from sewdsl.analysis.named_parts import match_nodes
from sewdsl.ir.recipe import Recipe
from sewdsl.lower import SpikingNetwork
from sewdsl.ops.schedules import Plateau
from sewdsl.plugins import installed_version
from sewdsl.train.data.dataset import Samples
from sewdsl.train.fit.execution import CompiledNetwork
from sewdsl.train.fit.loss_and_accuracy import AccuracyTally, temporal_delete, training_loss
from sewdsl.train.store.run_folder import RunDiverged, RunError

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRScheduler
    from torch.optim import Optimizer

    from sewdsl.train.data.batches import Batches


def random_state() -> dict[str, Any]:
    """Return the state of Python's, numpy's and torch's generators, those of all GPUs included."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 -- the global generator is what others may draw from
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        # a run on the CPU uses no GPU, and asks none
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set all generators to what :func:`random_state` gave."""
    name, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 -- as above
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def is_finite(tensor: Tensor) -> bool:
    """Return whether every element is a number."""
    return bool(torch.isfinite(tensor).all())


def first_nonfinite(model: nn.Module, x: Tensor, loss: Callable[[], Tensor]) -> str:
    """Find what is the first to be not finite: the input, weights, a layer's output, the loss, or a layer's gradient.

    The batch is run once more, forward and backward, and each layer is looked at as its turn comes. What is drawn
    again in it, such as dropout masks, can hide what is looked for.

    Args:
        model: The network; its gradients are overwritten.
    """
    if not is_finite(x):
        return "the input"
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            return f"the {name.rpartition('.')[2]} of '{name.rpartition('.')[0]}'"
    nonfinite: list[str] = []
    layers = {name: module for name, module in model.named_modules() if name and not any(module.children())}
    hooks = [module.register_forward_hook(partial(_look, name, nonfinite)) for name, module in layers.items()]
    for name, weight in model.named_parameters():
        layer = name.rpartition(".")[0]
        if weight.requires_grad:
            hooks.append(weight.register_hook(partial(_note, nonfinite, f"the gradient of '{layer}'")))  # type: ignore[no-untyped-call]
    try:
        value = loss()
        if not nonfinite and not is_finite(value):
            return "the loss itself"
        if not nonfinite and value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
    return nonfinite[0] if nonfinite else "something that did not come back when the batch was run again"


def _look(name: str, nonfinite: list[str], _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    """Look at an output, and later at its gradient."""
    _note(nonfinite, f"the output of '{name}'", output.detach())
    if output.requires_grad:
        output.register_hook(partial(_note, nonfinite, f"the gradient of '{name}'"))  # type: ignore[no-untyped-call]


def _note(nonfinite: list[str], what: str, values: Tensor) -> None:
    if not is_finite(values):
        nonfinite.append(what)


def modules_of(model: SpikingNetwork, pattern: str) -> list[nn.Module]:
    """Return the layers that a pattern names, in order; see :func:`sewdsl.analysis.named_parts.match_nodes`."""
    return [
        model.get_submodule(model.network.nodes[index].name) for index in sorted(match_nodes(model.network, pattern))
    ]


def weight_groups(model: SpikingNetwork, recipe: Recipe) -> Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]:
    """Return the weights that an optimizer changes: all that are not frozen, with their own learning rates apart.

    Args:
        model: The network; what is frozen takes no gradient.
    """
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    if not recipe.lr:
        return learning
    own = {
        weight: recipe.rate(rate)
        for pattern, rate in recipe.lr
        for module in modules_of(model, pattern)
        for weight in module.parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {recipe.optimizer.lr: []}  # the first is the one whose rate is logged
    for weight in learning:
        groups.setdefault(own.get(weight, recipe.optimizer.lr), []).append(weight)
    return [{"params": weights, "lr": rate} for rate, weights in groups.items() if weights]


class Classifier(LightningModule):
    """Trains by the loss of the recipe; judged by the share of right answers.

    Attributes:
        model: The network, ``[N, C, H, W]`` or ``[T, N, C, H, W]`` to ``[N, classes]``.
        judge: What each epoch is judged by: ``test``, or ``validation`` where the recipe has a validation part.
        train_tally: Of the epoch's training batches, each counted before the step that it leads to.
        test_tally: Of the last pass over the samples that judge.
        history: The figures of each epoch so far, counted from 1.
        state: Where a run that goes on stood: what :meth:`on_save_checkpoint` saved.
        spec: What is trained, in the language; kept in checkpoints, for a run that goes on to be held against.
        start: Where the weights came from that it began with; None: they were random. Kept likewise.
        steps: Of the optimizer in the whole training. Lightning's own count would set up the samples before it knows
            where a run that goes on stood.
    """

    def __init__(self, model: SpikingNetwork, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        model.doubts_layout = False  # samples come time first, and T_train may differ from steps
        self.judge = "validation" if recipe.validation else "test"
        self.train_tally, self.test_tally = AccuracyTally(), AccuracyTally()
        self.history: dict[int, dict[str, float]] = {}
        self.state: dict[str, Any] = {}
        self.spec = ""
        self.start: dict[str, Any] | None = None
        self.compiled: CompiledNetwork | None = None
        self.steps = 0
        self._start = perf_counter()
        self._batch: Samples | None = None
        self._rate = 0.0
        self._frozen: list[nn.Module] = []

    @property
    def monitor(self) -> str:
        """The figure that the best epoch is chosen by."""
        return f"{self.judge}_accuracy"

    @property
    def figures(self) -> dict[str, float]:
        """Those of the epoch that ends, exactly: what is logged is rounded to 32 bits, and 18.825 % then up or down."""
        return {
            "train_loss": self.train_tally.loss,
            "train_accuracy": self.train_tally.accuracy,
            f"{self.judge}_loss": self.test_tally.loss,
            self.monitor: self.test_tally.accuracy,
        }

    @property
    def seconds(self) -> float:
        """Time spent on training so far, in all parts of the run."""
        return perf_counter() - self._start + float(self.state.get("seconds", 0.0))

    def setup(self, stage: str) -> None:
        """Freeze what the recipe says, for a training only: it takes no gradient, and computes as in evaluation."""
        if stage == "fit":
            self._frozen = [module for pattern in self.recipe.freeze for module in modules_of(self.model, pattern)]
            for module in self._frozen:
                module.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 -- torch's
        """Set the mode of all but what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and the learning rates of the recipe."""
        optimizer = self.recipe.optimizer.build(torch.optim, weight_groups(self.model, self.recipe))
        schedule = self.recipe.schedule
        if isinstance(schedule, Plateau):
            rates = ReduceLROnPlateau(
                optimizer,
                "min" if schedule.monitor == "loss" else "max",
                factor=schedule.gamma,
                patience=schedule.patience,
                threshold=schedule.threshold,
                cooldown=schedule.cooldown,
                min_lr=schedule.min_lr,
            )
            monitor = f"{self.judge}_{schedule.monitor}"
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "monitor": monitor}}
        if schedule is not None and schedule.each == "step":
            changing = LambdaLR(optimizer, lambda step: schedule.factor(step, self.steps))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": changing, "interval": "step"}}
        return [optimizer], [LambdaLR(optimizer, self.recipe.factor)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what belongs to the run: its figures, and of each process its counts and its random numbers."""
        mine = {"tally": asdict(self.train_tally), "random": random_state()}
        checkpoint["run"] = {
            "version": installed_version("sewdsl"),
            "processes": _gathered(mine),
            "history": self.history,
            "seconds": self.seconds,
            "precision": self.trainer.precision,
            "threads": torch.get_num_threads(),
            "spec": self.spec,
            "start": self.start,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back.

        Raises:
            RunError: If it was saved by another number of processes.
        """
        self.state = checkpoint["run"]
        self.start = self.state["start"]
        self.history = {int(epoch): dict(figures) for epoch, figures in self.state["history"].items()}
        saved, now = len(self.state["processes"]), self.trainer.world_size
        if saved != now:
            raise RunError(f"the run was saved by {saved} processes and cannot go on with {now}")

    def on_train_start(self) -> None:
        """Set the clock, and the random numbers: to where they stood, or of several processes to different ones."""
        self._start = perf_counter()
        if self.state:
            mine = self.state["processes"][self.global_rank]
            self.train_tally = AccuracyTally(**mine["tally"])
            restore_random_state(mine["random"])
        elif self.global_rank:
            torch.manual_seed(self.recipe.seed + self.global_rank)

    def on_train_epoch_start(self) -> None:
        """Count from zero, and say to the samples which epoch it is: their order depends on it."""
        self.train_tally = AccuracyTally()
        self._training.epoch = self.current_epoch

    def training_step(self, batch: Samples, index: int) -> Tensor:
        """Compute the loss of a batch, with some time-steps deleted if the recipe says so.

        Raises:
            RunDiverged: If it is not finite.
        """
        x, y = batch
        settings = self.model.network.settings
        if self.recipe.T_train is not None:
            static = x.ndim == len(settings.input) + 1
            x = temporal_delete(x.expand(settings.steps, *x.shape) if static else x, self.recipe.T_train)
        compiled = self.compiled and self.compiled.for_batch(len(y), self._training.largest)
        logits, loss = training_loss(compiled or self.model, x, y, self.recipe)
        self._batch, value = Samples(x, y), loss.item()
        if not isfinite(value):
            self._diverged(f"the loss is {value}", index)
        accuracy = self.train_tally.add(logits, y, value)
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True, logger=False, batch_size=len(y))
        return loss

    def on_after_backward(self) -> None:
        """Keep the gradients of the first of several batches that make one step."""
        several = self.trainer.accumulate_grad_batches
        if self.compiled and several > 1 and self.trainer.fit_loop.batch_idx % several == 0:
            self.compiled.keep_gradients(self.model.parameters())

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Look at the gradients before they spoil the weights; a scaler of gradients does so itself.

        Raises:
            RunDiverged: If one is not finite.
        """
        self._rate = float(optimizer.param_groups[0]["lr"])
        if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            return
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if not isfinite(torch.nn.utils.get_total_norm(gradients).item()):
            self._diverged("the gradient is not finite", self.trainer.fit_loop.batch_idx)

    def on_train_batch_end(self, *_: Any) -> None:
        """Add up the counts of all processes at the end of the epoch."""
        if self.trainer.is_last_batch:
            self.train_tally = self.train_tally.of_all(self.trainer.strategy)

    def on_train_epoch_end(self) -> None:
        """Log the epoch."""
        schedule = self.recipe.schedule
        known = schedule is None or not (schedule.by_validation or schedule.each == "step")
        rate = self.recipe.factor(self.current_epoch) * self.recipe.optimizer.lr if known else self._rate
        figures = {"train_loss": self.train_tally.loss, "train_accuracy": self.train_tally.accuracy}
        self.log_dict({"learning_rate": rate, **figures})

    def on_validation_epoch_start(self) -> None:
        """Count from zero."""
        self.test_tally = AccuracyTally()

    def validation_step(self, batch: Samples, _index: int) -> Tensor:
        """Evaluate a batch, all time-steps shown; return its logits. A compiled network would not run hooks."""
        x, y = batch
        logits: Tensor = self.model.forward(x)
        self.test_tally.add(logits, y, self.recipe.loss.judge(functional, logits, y).item())
        return logits

    def on_validation_epoch_end(self) -> None:
        """Log the pass."""
        self.test_tally = self.test_tally.of_all(self.trainer.strategy)
        self.log_dict({f"{self.judge}_loss": self.test_tally.loss, self.monitor: self.test_tally.accuracy})

        rates = self.lr_schedulers() if self.trainer.state.fn == "fit" else None
        if isinstance(rates, ReduceLROnPlateau):
            loss = self.recipe.schedule.monitor == "loss"  # type: ignore[union-attr]
            rates.step(self.test_tally.loss if loss else self.test_tally.accuracy)

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        """Leave out a step that a validation part decides: Lightning takes it after the epoch is saved, too late."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    @property
    def _training(self) -> Batches:
        """What it is trained on."""
        return cast("Batches", self.trainer.train_dataloader)

    def _diverged(self, what: str, index: int) -> NoReturn:
        """End the run, and say where it began."""
        assert self._batch is not None  # noqa: S101 -- a batch came before its loss
        x, y = self._batch
        forward = self.model.forward  # a compiled network would not run the hooks that look
        with self.trainer.precision_plugin.forward_context():
            began = first_nonfinite(self.model, x, lambda: training_loss(forward, x, y, self.recipe)[1])
        raise RunDiverged(
            f"{what} in epoch {self.current_epoch + 1}, batch {index + 1}: the first that is not finite is {began}"
        )


def _gathered(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each process has, in their order."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    of_all: list[dict[str, Any]] = [{}] * distributed.get_world_size()
    distributed.all_gather_object(of_all, mine)
    return of_all
