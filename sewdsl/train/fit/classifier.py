"""Lightning module of the classifier, with its random state and the search for non-finite values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from math import exp, isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, distributed, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from sewdsl.analysis.named_parts import match_nodes, match_parameters
from sewdsl.ir.recipe import Recipe
from sewdsl.lower import SpikingNetwork
from sewdsl.ops.schedules import Plateau
from sewdsl.plugins import installed_version
from sewdsl.snn.time_filters import DelayedLinear
from sewdsl.snn.weight_grid import WeightGrid
from sewdsl.train.data.dataset import Samples
from sewdsl.train.fit.execution import CompiledNetwork
from sewdsl.train.fit.integer_run import weight_grids
from sewdsl.train.fit.loss_and_accuracy import AccuracyTally, delete_steps, evaluate_batch, target_classes, total_loss
from sewdsl.train.store.run_folder import RunDiverged, RunError

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRScheduler
    from torch.optim import Optimizer

    from sewdsl.lower.inputs import Inputs
    from sewdsl.train.data.batches import Batches
    from sewdsl.train.fit.teacher import Teacher


def random_state() -> dict[str, Any]:
    """Return the random state of Python, numpy and PyTorch, including all GPUs."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 -- plugins may draw from the global generator
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        # Querying the state would initialise the GPUs, which a run on the CPU does not use.
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Restore the generators to the state of :func:`random_state`."""
    name, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 -- the global generator
    torch.set_rng_state(state["torch"].cpu())
    # On a machine with another number of GPUs, their states cannot be assigned.
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])


def is_finite(tensor: Tensor) -> bool:
    """Return whether all elements are finite."""
    return bool(torch.isfinite(tensor).all())


def first_nonfinite(model: nn.Module, x: Inputs, loss: Callable[[], Tensor]) -> str:
    """Find the first non-finite tensor of a step: input, weight, output, loss or gradient.

    The function repeats the forward and the backward pass of the batch with hooks on every layer. New random numbers,
    e.g. in dropout, can hide the cause.

    Args:
        model: The network. Its gradients are overwritten.
        loss: Computes the loss of the batch with the network.
    """
    for name, values in x.items() if isinstance(x, Mapping) else [("", x)]:
        if not is_finite(values):
            return f"the input {name}".rstrip()
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            return f"the {name.rpartition('.')[2]} of '{name.rpartition('.')[0]}'"
    nonfinite: list[str] = []
    layers = {name: module for name, module in model.named_modules() if name and not any(module.children())}
    handles = [module.register_forward_hook(partial(_check_output, name, nonfinite)) for name, module in layers.items()]
    for name, weight in model.named_parameters():
        layer = name.rpartition(".")[0]
        if weight.requires_grad:
            handles.append(weight.register_hook(partial(_record, nonfinite, f"the gradient of '{layer}'")))  # type: ignore[no-untyped-call]
    try:
        value = loss()
        if not nonfinite and not is_finite(value):
            return "the loss"
        if not nonfinite and value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    return nonfinite[0] if nonfinite else "unknown: repeating the batch gave finite values"


def _check_output(name: str, nonfinite: list[str], _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    """Check the output of a layer, and later the gradient."""
    _record(nonfinite, f"the output of '{name}'", output.detach())
    if output.requires_grad:
        output.register_hook(partial(_record, nonfinite, f"the gradient of '{name}'"))  # type: ignore[no-untyped-call]


def _record(nonfinite: list[str], name: str, values: Tensor) -> None:
    if not is_finite(values):
        nonfinite.append(name)


def modules_of(model: SpikingNetwork, pattern: str) -> list[nn.Module]:
    """Return the layers that match a pattern, in order (see :func:`sewdsl.analysis.named_parts.match_nodes`)."""
    return [
        model.get_submodule(model.network.nodes[index].name) for index in sorted(match_nodes(model.network, pattern))
    ]


def parameters_of(model: SpikingNetwork, pattern: str) -> list[nn.Parameter]:
    """Return the parameters of the layers that match a pattern, or the parameters whose keys match."""
    modules = modules_of(model, pattern)
    if modules:
        return [weight for module in modules for weight in module.parameters()]
    keys = match_parameters(model.network, pattern)
    return [weight for key, weight in model.named_parameters() if key in keys]


def weight_groups(model: SpikingNetwork, recipe: Recipe) -> Iterable[nn.Parameter] | Iterable[Mapping[str, Any]]:
    """Return the weights that require gradients, grouped by learning rate if the recipe sets rates for layers."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    if not recipe.lr:
        return trainable
    rates = {weight: recipe.rate(rate) for pattern, rate in recipe.lr for weight in parameters_of(model, pattern)}
    # The default group comes first: its learning rate is logged.
    groups: dict[float, list[nn.Parameter]] = {recipe.optimizer.lr: []}
    for weight in trainable:
        groups.setdefault(rates.get(weight, recipe.optimizer.lr), []).append(weight)
    return [{"params": weights, "lr": rate} for rate, weights in groups.items() if weights]


MAX_EXPONENT = 700.0
"""Largest loss with a finite perplexity, which is the exponential of the loss."""


class Classifier(LightningModule):
    """Classifier trained with the loss of the recipe and evaluated by its accuracy.

    Attributes:
        teacher: Trained network whose outputs are targets, or None.
        others: Results of the last evaluation of the further outputs that are trained to output the class, by name.
        model: Network from ``[N, C, H, W]`` or ``[T, N, C, H, W]`` to ``[N, classes]``.
        evaluation_split: Split to evaluate each epoch on: ``validation``, or ``test`` without a validation set.
        train_tally: Results of the epoch's training batches, each before its optimizer step.
        test_tally: Results of the last evaluation.
        history: Metrics of each epoch so far, counted from 1.
        state: Saved state of a resumed run, see :meth:`on_save_checkpoint`.
        spec: Source of the network, saved in checkpoints to detect changes when a run is resumed.
        start: Origin of the initial weights, saved in checkpoints, or None for random weights.
        steps: Number of optimizer steps of the whole training. Lightning's own count would request the samples before
            Lightning has restored the position of a resumed run.
    """

    def __init__(self, model: SpikingNetwork, recipe: Recipe, teacher: Teacher | None = None) -> None:
        super().__init__()
        # The network may have been loaded with another recipe.
        self.network = model.network.with_recipe(recipe)
        self.model, self.recipe, self.teacher = model, recipe, teacher
        self.others = {name: AccuracyTally() for name in self.network.classified if name != self.main}
        model.doubts_layout = False  # Samples have time first, and T_train may differ from the network's steps.
        self.evaluation_split = "validation" if recipe.validation else "test"
        self.train_tally, self.test_tally = AccuracyTally(), AccuracyTally()
        self.history: dict[int, dict[str, float]] = {}
        self.state: dict[str, Any] = {}
        self.spec = ""
        self.start: dict[str, Any] | None = None
        self.compiled: CompiledNetwork | None = None
        self.steps = 0
        self._start = perf_counter()
        self._batch: Samples | None = None
        self._taught: dict[str, Tensor] = {}
        self._rate = 0.0
        self._frozen: list[nn.Module] = []
        self._grids: dict[str, WeightGrid] = {}
        self._delayed = [module for module in model.modules() if isinstance(module, DelayedLinear)]
        # Callbacks and loggers are created later, and may draw random numbers.
        self._random = random_state()

    @property
    def main(self) -> str:
        """Name of the output of the first loss, or empty for the only output."""
        return self.recipe.terms[0].output

    @property
    def classifies(self) -> bool:
        """Whether the main output is trained to output the class of a sample or of the next token."""
        return self.recipe.terms[0].loss.classifies

    @property
    def monitor(self) -> str:
        """Metric that selects the best epoch."""
        return f"{self.evaluation_split}_{'accuracy' if self.classifies else 'loss'}"

    def is_better(self, figures: Mapping[str, float]) -> bool:
        """Return whether an epoch is better than all epochs so far."""
        sign = 1 if self.classifies else -1
        # The best weights must have the bits of the recipe, so epochs in floats do not compete with them.
        bits = self.recipe.weight_bits(self.current_epoch)
        rows = [row for epoch, row in self.history.items() if self.recipe.weight_bits(epoch - 1) == bits]
        return all(sign * figures[self.monitor] > sign * row[self.monitor] for row in rows)

    @property
    def figures(self) -> dict[str, float]:
        """Exact metrics of the current epoch. Lightning's logged values are rounded to 32 bits."""
        return {**self._figures("train", self.train_tally), **self.evaluation_figures}

    @property
    def evaluation_figures(self) -> dict[str, float]:
        """Metrics of the last evaluation, with the accuracy of each output that is trained to output the class."""
        split = self.evaluation_split
        others = {f"{split}_accuracy.{name}": tally.accuracy for name, tally in self.others.items()}
        return {**self._figures(split, self.test_tally), **others}

    def _figures(self, split: str, tally: AccuracyTally) -> dict[str, float]:
        """Return the loss, the accuracy of classes and of tokens, and the perplexity of tokens."""
        figures = {f"{split}_loss": tally.loss}
        if self.classifies:
            figures[f"{split}_accuracy"] = tally.accuracy
        if self.classifies and self.recipe.terms[0].loss.target:
            figures[f"{split}_perplexity"] = exp(min(tally.loss, MAX_EXPONENT))
        return figures

    @property
    def seconds(self) -> float:
        """Training time of all parts of the run so far."""
        return perf_counter() - self._start + float(self.state.get("seconds", 0.0))

    def setup(self, stage: str) -> None:
        """Freeze the layers in the recipe during training: no gradients, and evaluation mode."""
        if stage == "fit":
            if self.recipe.grid_bits is not None:
                self._grids = weight_grids(self.model, self.recipe.grid_bits)
            self._frozen = [module for pattern in self.recipe.freeze for module in modules_of(self.model, pattern)]
            for module in self._frozen:
                module.eval()
            for pattern in self.recipe.freeze:
                for weight in parameters_of(self.model, pattern):
                    weight.requires_grad = False

    def teardown(self, stage: str) -> None:
        """Remove the grids: saved weights are rounded."""
        self._set_grids(rounded=False)

    def _set_grids(self, *, rounded: bool) -> None:
        for name, grid in self._grids.items():
            self.model.get_submodule(name).weight_grid = grid if rounded else None  # type: ignore[assignment]

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 -- torch's
        """Set the mode of all layers that are not frozen."""
        # Lightning sets the training mode of all layers, also of the frozen ones.
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and the schedule of the recipe."""
        optimizer = self.recipe.optimizer.build(torch.optim, weight_groups(self.model, self.recipe))
        schedule = self.recipe.schedule
        if isinstance(schedule, Plateau):
            plateau = ReduceLROnPlateau(
                optimizer,
                "min" if schedule.monitor == "loss" else "max",
                factor=schedule.gamma,
                patience=schedule.patience,
                threshold=schedule.threshold,
                cooldown=schedule.cooldown,
                min_lr=schedule.min_lr,
            )
            monitor = f"{self.evaluation_split}_{schedule.monitor}"
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": monitor}}
        if schedule is not None and schedule.each == "step":
            per_step = LambdaLR(optimizer, lambda step: schedule.factor(step, self.steps))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": per_step, "interval": "step"}}
        return [optimizer], [LambdaLR(optimizer, self.recipe.factor)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of the run: metrics, float weights, and the counts and random state of each process."""
        floats = self._round_weights(checkpoint["state_dict"])
        own_state = {"tally": asdict(self.train_tally), "random": random_state()}
        checkpoint["run"] = {
            "version": installed_version("sewdsl"),
            "processes": _gather(own_state),
            "history": self.history,
            "seconds": self.seconds,
            "precision": self.trainer.precision,
            "threads": torch.get_num_threads(),
            "spec": self.spec,
            "start": self.start,
            **({"teacher": self.teacher.sha256} if self.teacher is not None else {}),
            **({"float_weights": floats} if floats else {}),
        }

    def _round_weights(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Round the weights of a checkpoint in place, and return them as floats, which training continues with."""
        floats = {}
        for name, grid in self._grids.items() if self.recipe.weight_bits(self.current_epoch) else ():
            key = f"model.{name}.weight"
            floats[key] = tensors[key]
            tensors[key] = grid.rounded(floats[key] * tensors.get(f"{key}_mask", 1))
        return floats

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of the run, or raise RunError if the processes or the teacher have changed."""
        self.state = checkpoint["run"]
        checkpoint["state_dict"] |= self.state.pop("float_weights", {})
        self.start = self.state["start"]
        self.history = {int(epoch): dict(figures) for epoch, figures in self.state["history"].items()}
        saved, now = len(self.state["processes"]), self.trainer.world_size
        teacher = None if self.teacher is None else self.teacher.sha256
        if teacher != self.state.get("teacher"):
            raise RunError(f"the weights of the teacher '{self.recipe.teacher}' changed after the run started")
        if saved != now:
            raise RunError(f"the run was saved by {saved} processes and cannot be resumed with {now}")

    def on_train_start(self) -> None:
        """Start the clock, and restore the random state of the run, or seed each process differently."""
        if self.teacher is not None:
            self.teacher.model.to(self.device)
        self._start = perf_counter()
        self._set_grids(rounded=self.recipe.weight_bits(self.current_epoch) is not None)
        if self.state:
            own_state = self.state["processes"][self.global_rank]
            self.train_tally = AccuracyTally(**own_state["tally"])
            self._random = own_state["random"]
        restore_random_state(self._random)
        # The first process continues with the recipe's seed, which also initialised the weights.
        if self.global_rank and not self.state:
            torch.manual_seed(self.recipe.seed + self.global_rank)

    def on_train_epoch_start(self) -> None:
        """Reset the counts, and set the epoch of samples, delay widths and rounded weights."""
        self.train_tally = AccuracyTally()
        self._set_grids(rounded=self.recipe.weight_bits(self.current_epoch) is not None)
        self._training.epoch = self.current_epoch
        if self.recipe.delay_width is not None:
            for module in self._delayed:
                width = self.recipe.delay_width.width(module.first_width, self.current_epoch, self.recipe.epochs)
                module.width.fill_(width)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step the optimizer, and clamp learned delays to their range."""
        super().optimizer_step(*args, **kwargs)
        for module in self._delayed:
            module.clamp_delays()

    def training_step(self, batch: Samples, index: int) -> Tensor:
        """Compute the loss of a batch, after deleting time-steps if the recipe sets ``T_train``.

        Raises:
            RunDiverged: If the loss is not finite.
        """
        x, y = batch
        taught = {} if self.teacher is None else self.teacher.readouts(x)
        if self.recipe.T_train is not None:
            x = delete_steps(x, self.recipe.T_train, self.model.network.settings)
        compiled = self.compiled and self.compiled.for_batch(len(y), self._training.largest)
        readouts, loss = total_loss(compiled or self.model, Samples(x, y), self.network, taught)
        self._batch, self._taught, value = Samples(x, y), taught, loss.item()
        if not isfinite(value):
            self._diverged(f"the loss is {value}", index)
        tally = self.train_tally
        classes = target_classes(Samples(x, y), self.network)
        accuracies = {"accuracy": tally.add(readouts[self.main], classes, value)} if self.classifies else {}
        if not self.classifies:
            tally.add_loss(len(y), value)
        self.log_dict({"loss": loss, **accuracies}, prog_bar=True, logger=False, batch_size=len(y))
        accumulate = self.recipe.accumulate
        if accumulate == 1:
            return loss
        # Lightning divides each loss by `accumulate`, but the last step of an epoch can have fewer batches.
        first = index - index % accumulate
        return loss * (accumulate / min(accumulate, self.trainer.num_training_batches - first))

    def on_after_backward(self) -> None:
        """Save the gradients of the first of several accumulated batches."""
        accumulated = self.trainer.accumulate_grad_batches
        if self.compiled and accumulated > 1 and self.trainer.fit_loop.batch_idx % accumulated == 0:
            self.compiled.keep_gradients(self.model.parameters())

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Raise RunDiverged if a gradient is not finite, before it changes the weights."""
        self._rate = float(optimizer.param_groups[0]["lr"])
        # A gradient scaler (float16) skips steps with non-finite gradients itself.
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
        """Log the metrics of the epoch."""
        schedule = self.recipe.schedule
        # Schedules by epoch give the rate directly. The rates of others are those of the last step.
        is_computable = schedule is None or not (schedule.by_validation or schedule.each == "step")
        rate = self.recipe.factor(self.current_epoch) * self.recipe.optimizer.lr if is_computable else self._rate
        self.log_dict({"learning_rate": rate, **self._figures("train", self.train_tally)})

    def on_validation_epoch_start(self) -> None:
        """Reset the counts."""
        self.test_tally = AccuracyTally()
        self.others = {name: AccuracyTally() for name in self.others}

    def validation_step(self, batch: Samples, _index: int) -> Tensor:
        """Evaluate a batch with all time-steps, and return the readout of the main output."""
        # Not through the compiled network: it would not run the hooks that measure firing rates.
        readouts, loss = evaluate_batch(self.model.forward, Samples(*batch), self.network)
        readout, y = readouts[self.main], batch[1]
        if self.classifies:
            self.test_tally.add(readout, target_classes(Samples(*batch), self.network), loss.item())
        else:
            self.test_tally.add_loss(len(y), loss.item())
        for name, tally in self.others.items():
            tally.add(readouts[name], y, 0.0)
        return readout

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the evaluation, and update the plateau schedule."""
        self.test_tally = self.test_tally.of_all(self.trainer.strategy)
        self.others = {name: tally.of_all(self.trainer.strategy) for name, tally in self.others.items()}
        self.log_dict(self.evaluation_figures)

        scheduler = self.lr_schedulers() if self.trainer.state.fn == "fit" else None
        if isinstance(scheduler, ReduceLROnPlateau):
            if self.recipe.weight_bits(self.current_epoch) != self.recipe.weight_bits(self.current_epoch - 1):
                # The metric of rounded weights is often worse than the best metric of floats.
                scheduler.best, scheduler.num_bad_epochs = scheduler.mode_worse, 0
            loss = self.recipe.schedule.monitor == "loss"  # type: ignore[union-attr]
            scheduler.step(self.test_tally.loss if loss else self.test_tally.accuracy)

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        """Skip plateau schedules: Lightning would update them after the epoch is saved, which is too late."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    @property
    def _training(self) -> Batches:
        return cast("Batches", self.trainer.train_dataloader)

    def _diverged(self, reason: str, index: int) -> NoReturn:
        """End the run with an error that names the first non-finite tensor."""
        assert self._batch is not None  # noqa: S101 -- a batch came before its loss
        (x, y), taught = self._batch, self._taught
        forward = self.model.forward  # A compiled network would not run the hooks of the search.
        with self.trainer.precision_plugin.forward_context():
            source = first_nonfinite(self.model, x, lambda: total_loss(forward, Samples(x, y), self.network, taught)[1])
        raise RunDiverged(
            f"{reason} in epoch {self.current_epoch + 1}, batch {index + 1}: the first non-finite tensor is {source}"
        )


def _gather(own_state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all processes, in the order of their ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own_state]
    states: list[dict[str, Any]] = [{}] * distributed.get_world_size()
    distributed.all_gather_object(states, own_state)
    return states
