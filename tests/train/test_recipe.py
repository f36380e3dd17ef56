"""Optimizers and schedules: what a file says is what torch does."""

import pytest
import torch
from pydantic import ValidationError
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, LRScheduler, OneCycleLR

from sewdsl.ir.recipe import Optimizer, Schedule
from sewdsl.ops import catalogue
from sewdsl.ops.optimizers import SGD, Adam, AdamW, NAdam, RAdam, RMSprop
from sewdsl.ops.schedules import Cosine, OneCycle, StepLR, WarmRestarts
from tests.words import check_words

OPTIMIZERS = [kind for kind in catalogue().values() if issubclass(kind, Optimizer)]
SCHEDULES = [kind for kind in catalogue().values() if issubclass(kind, Schedule)]


def test_all_are_found() -> None:
    assert {kind.kind for kind in OPTIMIZERS} == {"SGD", "Adam", "AdamW", "RMSprop", "NAdam", "RAdam"}
    assert {kind.kind for kind in SCHEDULES} == {"Step", "Cosine", "OneCycle", "Plateau", "WarmRestarts"}


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=str)
def test_arguments_reach_torch(kind: type[Optimizer]) -> None:
    chosen = kind.model_validate({"lr": 0.25, "weight_decay": 0.125})
    optimizer = chosen.build(torch.optim, [torch.nn.Parameter(torch.ones(3))])
    assert type(optimizer) is getattr(torch.optim, kind.kind)
    assert optimizer.defaults.items() >= dict(chosen).items()


@pytest.mark.parametrize("chosen", [Adam(), AdamW(), SGD(lr=0.001), RMSprop(), NAdam(), RAdam()], ids=str)
def test_defaults_are_those_of_torch(chosen: Optimizer) -> None:
    theirs = getattr(torch.optim, chosen.kind)([torch.nn.Parameter(torch.ones(1))])
    assert theirs.defaults.items() >= dict(chosen).items()


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValidationError) as caught:
        SGD(lr=0.1, nesterov=True)
    check_words(caught.value.errors()[0]["msg"])
    assert str(SGD(lr=0.1, momentum=0.9, nesterov=True)) == "SGD(lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=on)"


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (StepLR(size=4, gamma=0.1), lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.1)),
        (Cosine(), lambda optimizer: CosineAnnealingLR(optimizer, 12)),
        (Cosine(T_max=5), lambda optimizer: CosineAnnealingLR(optimizer, 5)),
        (WarmRestarts(T_0=5), lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 5)),
        (WarmRestarts(T_0=2, T_mult=3), lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 2, 3)),
        (OneCycle(), lambda optimizer: OneCycleLR(optimizer, 1.0, 13, cycle_momentum=False)),
        (
            OneCycle(pct_start=0.5, div_factor=10.0, final_div_factor=100.0),
            lambda optimizer: OneCycleLR(
                optimizer, 1.0, 13, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False
            ),
        ),
    ],
    ids=["step", "cosine", "cosine to 5", "restarts", "longer restarts", "one cycle", "another cycle"],
)
def test_schedules_are_those_of_torch(schedule: Schedule, theirs: type[LRScheduler]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    reference = theirs(optimizer)
    total = 13 if schedule.each == "step" else 12  # torch's one takes no step after the last
    for epoch in range(12):
        assert schedule.factor(epoch, total) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize(
    "chosen",
    [RMSprop(momentum=0.9, centered=True), RMSprop(), NAdam(), RAdam(), Adam(), SGD(lr=0.1, momentum=0.9)],
    ids=str,
)
def test_states_are_counted(chosen: Optimizer) -> None:
    weight = torch.nn.Parameter(torch.ones(7))
    optimizer = chosen.build(torch.optim, [weight])
    weight.grad = torch.ones(7)
    optimizer.step()
    kept = [value for value in optimizer.state[weight].values() if torch.is_tensor(value) and value.shape == (7,)]
    assert len(kept) == chosen.states
