"""What a search chooses next, and which trial it ends early: Optuna's samplers and pruners, asked anew each time.

Optuna gets every trial that the study's folder remembers, and is asked for one more. So what it answers follows from
the search, the number of the trial and the trials before it, and from no state that a process would lose.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from sewdsl.elaborate import Search, StudyRange
from sewdsl.elaborate.study_section import StudyAxis
from sewdsl.train.store.run_folder import RunError
from sewdsl.train.study.outcome import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

Axes = tuple[StudyAxis | StudyRange, ...]


def require_optuna() -> None:
    """Says how to install Optuna where it is missing.

    Raises:
        RunError: it is.
    """
    if importlib.util.find_spec("optuna") is None:
        message = "a search needs Optuna: pip install 'sewdsl[sweep]'"
        raise RunError(message)


def search_space(axes: Axes) -> dict[str, str]:
    """What is searched, in words, by axis: ``log 0.0001 0.1``, ``ADD AND IAND``."""
    return {
        axis.name: str(axis) if isinstance(axis, StudyRange) else " ".join(one.label for one in axis.choices)
        for axis in axes
    }


def suggest_values(search: Search, axes: Axes, number: int, before: Iterable[Trial]) -> dict[str, str]:
    """The values of the next trial, by axis.

    Args:
        search: How they are chosen.
        axes: Among what.
        number: Of the trial; with the search's seed it decides what is random.
        before: The trials so far. Those that still run are taken to be bad, so that others are tried meanwhile.
    """
    import optuna

    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            if search.method == "TPE"
            else optuna.samplers.RandomSampler(seed=seed)
        )
        chosen = _study(axes, before, sampler=sampler).ask(_distributions(axes)).params
    return {
        axis.name: axis.text(chosen[axis.name]) if isinstance(axis, StudyRange) else str(chosen[axis.name])
        for axis in axes
    }


def should_prune(search: Search, axes: Axes, trial: Trial, others: Iterable[Trial]) -> bool:
    """Whether a trial ends early: its best epoch so far is worse than the median of the others by the same epoch.

    The first five that end are not compared with any.
    """
    if search.prune is None or not trial.epochs:
        return False
    import optuna

    pruner = optuna.pruners.MedianPruner()
    return bool(pruner.prune(_study(axes, others), _told(axes, trial)))


def _study(axes: Axes, trials: Iterable[Trial], **options: Any) -> OptunaStudy:
    """A study of Optuna's in memory that knows these trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", **options)
    study.add_trials([_told(axes, trial) for trial in sorted(trials, key=lambda trial: trial.number)])
    return study


def _told(axes: Axes, trial: Trial) -> FrozenTrial:
    """A trial as Optuna has it; one that diverged is the worst of those that were pruned."""
    from optuna.trial import TrialState, create_trial

    states = {
        "running": TrialState.RUNNING,
        "ended": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "diverged": TrialState.PRUNED,
        "invalid": TrialState.FAIL,
    }
    parameters: dict[str, str | float] = {}
    for axis in axes:
        text = trial.values[axis.name]
        parameters[axis.name] = text if isinstance(axis, StudyAxis) else int(text) if axis.whole else float(text)
    return create_trial(
        state=states[trial.state],
        value=trial.accuracy,
        params=parameters,
        distributions=_distributions(axes),
        intermediate_values={} if trial.state == "diverged" else dict(trial.epochs),
    )


def _distributions(axes: Axes) -> dict[str, BaseDistribution]:
    """What each value is drawn from."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis, StudyAxis):
            found[axis.name] = CategoricalDistribution([one.label for one in axis.choices])
        elif axis.whole:
            low, high = map(int, axis.bounds)
            found[axis.name] = IntDistribution(low, high, log=axis.scale == "log")
        else:
            found[axis.name] = FloatDistribution(*axis.bounds, log=axis.scale == "log")
    return found
