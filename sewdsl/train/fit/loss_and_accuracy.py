"""Training losses, accuracy counts, and random temporal delete (appendix A.2 of Fang et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.ir.network import Network
from sewdsl.ir.recipe import Loss, LossTerm, Recipe
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.lower.spiking_network import READOUTS
from sewdsl.train.data.dataset import Samples

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy

    from sewdsl.lower.inputs import Inputs


INPUT, NEXT, TEACHER = "input", "next", "teacher"
"""Targets that are no outputs of the network: its input, also one time-step later, ``teacher`` or ``teacher.NAME``."""

TOP = 5
"""Number of largest logits that count as correct in the top-5 accuracy."""

TOP5_CLASSES = 20
"""Minimum number of classes for a top-5 accuracy: with 10 classes, chance level is 50 %."""


def total_loss(
    model: Callable[..., Any], batch: Samples, network: Network, taught: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the readouts of a batch by output, and the sum of all terms of the loss, each times its factor.

    Instead of the readout, a main output that predicts tokens has the logits of all tokens.

    Args:
        model: The network, possibly compiled.
        taught: Readouts of the teacher by output (empty without a teacher).
    """
    recipe = _recipe(network)
    readouts, values = _losses(model, batch, network, taught, recipe.terms, recipe.label_smoothing)
    total, *rest = (term.factor * value for term, value in zip(recipe.terms, values, strict=True))
    return readouts, sum(rest, total)


def evaluate_batch(model: Callable[..., Any], batch: Samples, network: Network) -> tuple[dict[str, Tensor], Tensor]:
    """Return the readouts of a batch by output (see :func:`total_loss`), and the evaluation loss of the main output.

    The evaluation loss is the cross-entropy, or the training loss for another target than the class.
    """
    main = _recipe(network).terms[0]
    if main.loss.target:
        readouts, (loss,) = _losses(model, batch, network, {}, (main,), smoothing=0)
        return readouts, loss
    readouts = _by_name(model(batch.x))
    return readouts, main.loss.judge(functional, readouts[main.output], batch.y)


def target_classes(batch: Samples, network: Network) -> Tensor:
    """Return the classes that the main output of a batch is compared with: of samples, or of all predicted tokens."""
    return _next_tokens(batch.x) if _recipe(network).terms[0].loss.target == NEXT else batch.y


def _next_tokens(x_TN: Tensor) -> Tensor:
    return x_TN[1:].flatten().long()


def _recipe(network: Network) -> Recipe:
    assert network.recipe is not None  # noqa: S101 -- a network without a recipe is not trained
    return network.recipe


def _by_name(outputs: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return outputs if isinstance(outputs, dict) else {"": outputs}


def _losses(
    model: Callable[..., Any],
    batch: Samples,
    network: Network,
    taught: Mapping[str, Tensor],
    terms: Sequence[LossTerm],
    smoothing: float,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the readouts of a batch by output, and the values of some terms."""
    x, y = batch

    # The input of an autoencoder is the target at each time-step, if it depends on time.
    def is_stepwise(loss: Loss) -> bool:
        return (
            loss.each_step or loss.target == NEXT or (loss.target == INPUT and x.ndim > len(network.settings.input) + 1)
        )

    if any(is_stepwise(term.loss) for term in terms):
        sequences = _by_name(model(x, return_sequence=True))
        readouts = {name: READOUTS[network.settings.readout](y_TN) for name, y_TN in sequences.items()}
    else:
        sequences = readouts = _by_name(model(x))
    values, scored = [], dict(readouts)
    for term in terms:
        head, _, name = term.loss.target.partition(".")
        if not head or head == NEXT:
            target = y
        elif head in {INPUT, TEACHER}:
            target = x if head == INPUT else taught[name]
        else:
            target = readouts[head].detach()
        output = (sequences if is_stepwise(term.loss) else readouts)[term.output]
        if head == NEXT:
            output, target = output[:-1], x[1:].to(output.dtype)
            if term.loss.classifies:
                # All tokens are samples: the classes become the last axis.
                output, target = output.movedim(2, -1).flatten(0, -2), _next_tokens(x)
                scored |= {term.output: output} if term is terms[0] else {}
        values.append(term.loss.value(functional, output, target, smoothing))
    return scored, values


def delete_steps(x: Inputs, keep: int, settings: Settings) -> Inputs:
    """Return an input, or several by name, with random time-steps (see :func:`temporal_delete`)."""
    if not isinstance(x, Mapping):
        # A static input has no time axis yet.
        static = x.ndim == len(settings.input) + 1
        return temporal_delete(x.expand(settings.steps, *x.shape) if static else x, keep)
    ranks = {source.name: len(source.shape) for source in settings.inputs}
    indices = temporal_delete(torch.arange(settings.steps), keep)
    # All inputs keep the same time-steps. A static input is repeated for each of them.
    return {
        name: each.expand(keep, *each.shape) if each.ndim == ranks[name] + 1 else each[indices.to(each.device)]
        for name, each in x.items()
    }


def temporal_delete(x_TN: Tensor, keep: int, generator: torch.Generator | None = None) -> Tensor:
    """Select random time-steps of a sequence, without replacement and in order.

    All samples of the batch keep the same time-steps, and each batch has a new selection.

    Args:
        x_TN: Sequence ``[T, N, *]``.
        keep: Number of time-steps T_train to keep, in 1..T.

    Returns:
        ``[keep, N, *]``.

    Raises:
        ValueError: If ``keep`` is out of range.
    """
    T = len(x_TN)
    if not 1 <= keep <= T:
        raise ValueError(f"cannot keep {keep} of {T} time-steps")
    selected = torch.randperm(T, generator=generator)[:keep].sort().values
    if x_TN.stride(0) == 0:
        return x_TN[:keep]  # An expanded static input: all time-steps are equal, and a slice needs no copy.
    return x_TN[selected.to(x_TN.device)]


@dataclass
class AccuracyTally:
    """Counts of correct samples, and the sum of the loss."""

    right: int = 0
    seen: int = 0
    total_loss: float = 0.0
    among_five: int = 0
    """Samples with their class among the five largest logits. Of equal logits, the smaller class counts as larger."""

    def add(self, logits: Tensor, y: Tensor, loss: float) -> float:
        """Count a batch with its mean loss, and return the accuracy of the batch."""
        labels = y if y.ndim == 1 else y.argmax(1)  # The class of a mixed sample is the one with the largest weight.
        right = int((logits.argmax(1) == labels).sum())
        self.right += right
        # A stable sort: results do not depend on the device for equal logits.
        largest = logits.sort(dim=1, descending=True, stable=True).indices[:, :TOP]
        self.among_five += int((largest == labels[:, None]).sum())
        self.seen += len(y)
        self.total_loss += loss * len(y)
        return right / len(y)

    def add_loss(self, samples: int, loss: float) -> float:
        """Count a batch without classes with its mean loss, and return an accuracy of 0."""
        self.seen += samples
        self.total_loss += loss * samples
        return 0.0

    def of_all(self, strategy: Strategy) -> AccuracyTally:
        """Return the sum of the counts of all processes."""
        if strategy.root_device.type == "mps":  # MPS has no float64, and runs have one process there.
            return self
        counts = torch.tensor(astuple(self), dtype=torch.float64, device=strategy.root_device)
        right, seen, total_loss, among_five = strategy.reduce(counts, reduce_op="sum").tolist()
        return AccuracyTally(int(right), int(seen), total_loss, int(among_five))

    @property
    def loss(self) -> float:
        """Mean loss of the samples."""
        return self.total_loss / self.seen

    @property
    def top5_accuracy(self) -> float:
        """Fraction of samples with their class among the five largest logits, in [0, 1]."""
        return self.among_five / self.seen

    @property
    def accuracy(self) -> float:
        """Fraction of correct samples, in [0, 1]."""
        return self.right / self.seen
