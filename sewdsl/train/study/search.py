"""Trials of a search: suggestions by Optuna, early stopping, and the order of runs.

A trial is chosen when the pool has room for a run, and trained with one seed after the other. For each suggestion,
Optuna receives all trials in the study folder. The suggestion therefore depends only on the search, the number of the
trial and the previous trials, and the search can be resumed in another process.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from sewdsl.compiler import CompiledVariant
from sewdsl.diagnostics import SewdslError
from sewdsl.elaborate.study_section import TRIAL, Search, Study, StudyAxis, StudyRange
from sewdsl.plugins import missing_package
from sewdsl.terminal import echo
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunError
from sewdsl.train.store.run_notes import find_inputs
from sewdsl.train.study.outcome import SearchOutcome, StudyFolder, Trial
from sewdsl.train.study.pool import Ending
from sewdsl.train.study.run_study import VariantRuns, plan_variant
from sewdsl.train.study.worker import Watch

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

Axes = tuple[StudyAxis | StudyRange, ...]


def suggest_values(search: Search, axes: Axes, number: int, before: Iterable[Trial]) -> dict[str, str]:
    """Return the values of the next trial, by axis.

    Args:
        number: Number of the trial, which seeds the suggestion together with the seed of the search.
        before: Previous trials. Running trials count as bad, so that different values are suggested meanwhile.
    """
    import optuna

    # A seed per trial makes a suggestion independent of earlier calls in this process.
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        # constant_liar is experimental. It prevents parallel trials with similar values.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            if search.method == "TPE"
            else optuna.samplers.RandomSampler(seed=seed)
        )
        parameters = _study(axes, before, sampler=sampler).ask(_distributions(axes)).params
    return {
        axis.name: axis.text(parameters[axis.name]) if isinstance(axis, StudyRange) else str(parameters[axis.name])
        for axis in axes
    }


def should_prune(search: Search, axes: Axes, trial: Trial, others: Iterable[Trial]) -> bool:
    """Return whether to stop a trial: its best epoch is worse than the median of other trials at the same epoch.

    The first five trials are never stopped.
    """
    if search.prune is None or not trial.epochs:
        return False
    import optuna

    pruner = optuna.pruners.MedianPruner()
    return bool(pruner.prune(_study(axes, others), _to_optuna(axes, trial)))


def _study(axes: Axes, trials: Iterable[Trial], **options: Any) -> OptunaStudy:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", **options)
    study.add_trials([_to_optuna(axes, trial) for trial in sorted(trials, key=lambda trial: trial.number)])
    return study


def _to_optuna(axes: Axes, trial: Trial) -> FrozenTrial:
    """Convert a trial to a trial of Optuna, where a diverged trial counts as the worst pruned trial."""
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
        parameters[axis.name] = text if isinstance(axis, StudyAxis) else int(text) if axis.is_integer else float(text)
    return create_trial(
        state=states[trial.state],
        value=trial.accuracy,
        params=parameters,
        distributions=_distributions(axes),
        # Without values, Optuna ranks a pruned trial last.
        intermediate_values={} if trial.state == "diverged" else dict(trial.epochs),
    )


def _distributions(axes: Axes) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    distributions: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis, StudyAxis):
            distributions[axis.name] = CategoricalDistribution([choice.label for choice in axis.choices])
        elif axis.is_integer:
            low, high = map(int, axis.bounds)
            distributions[axis.name] = IntDistribution(low, high, log=axis.scale == "log")
        else:
            distributions[axis.name] = FloatDistribution(*axis.bounds, log=axis.scale == "log")
    return distributions


CompileTrial = Callable[[int, Mapping[str, str]], CompiledVariant]
"""Compiles a trial by its number and its values by axis, once per seed."""


class SearchRuns:
    """Trials of a search, including those of an earlier call.

    Args:
        example: Any variant of the study, to check its dataset.

    Raises:
        RunError: If the folder contains other files, or Optuna is not installed.
        SewdslError, DataError: If the network does not fit its dataset, or data is missing.
    """

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        data: Path | None,
        compile_trial: CompileTrial,
        example: CompiledVariant,
    ) -> None:
        assert study.search is not None  # noqa: S101 -- checked by the caller
        if importlib.util.find_spec("optuna") is None:
            raise RunError(missing_package("a search", "optuna"))
        self._study, self._folder, self._data, self._compile = study, folder, data, compile_trial
        self._search = study.search
        planned = plan_variant(example, folder, data).plans[0][1]
        find_inputs(planned)
        if not planned.recipe.terms[0].loss.classifies:
            raise RunError("a search requires an accuracy, but the target of the first loss is not a class")
        self._metric: Any = "validation" if planned.recipe.validation else "test"
        self._space = {axis.name: str(axis) for axis in study.axes}
        self._repeats = max(1, len(study.seeds))
        self.total = study.search.trials * self._repeats
        before = folder.read_search()
        self._trials: list[Trial] = self._check_earlier(before) if before is not None else []
        numbers = range(max(study.search.trials, len(self._trials)))
        folder.open(f"{TRIAL}-{trial_index}" for trial_index in numbers)
        self._groups: dict[int, VariantRuns] = {}
        self._due: deque[tuple[VariantRuns, int]] = deque()
        for trial in self._trials:
            if trial.state != "invalid":
                self._restore(trial)

    @property
    def groups(self) -> list[VariantRuns]:
        """Valid trials, in order."""
        return [self._groups[trial_index] for trial_index in sorted(self._groups)]

    @property
    def search(self) -> SearchOutcome:
        """Outcome of the search so far."""
        ended = [trial for trial in self._trials if trial.accuracy is not None]
        # Of equal trials, take the first one.
        best = max(ended, key=lambda trial: (trial.accuracy or 0.0, -trial.number), default=None)
        return SearchOutcome(
            method=self._search.method,
            trials=self._search.trials,
            seed=self._search.seed,
            prune=self._search.prune,
            metric=self._metric,
            space=self._space,
            best=None if best is None else best.number,
            history=self._trials,
        )

    def next(self) -> tuple[VariantRuns, int] | None:
        """Return the next seed of a begun trial, or a new trial."""
        while not self._due and len(self._trials) < self._search.trials:
            self._begin()
        return self._due.popleft() if self._due else None

    def watch(self, group: VariantRuns, index: int) -> Watch | None:
        """Return a function that stops the first seed of a bad trial. Further seeds are never stopped."""
        if index or self._search.prune is None:
            return None
        trial_index, checked = self._number(group), 0

        def watch(epochs: Mapping[int, float]) -> bool:
            nonlocal checked
            # A resumed run reports all of its epochs at once.
            for epoch in sorted(each for each in epochs if each > checked):
                checked = epoch
                so_far = {each: accuracy for each, accuracy in epochs.items() if each <= epoch}
                trial = self._change(trial_index, epochs=so_far)
                others = [other for other in self._trials if other.number != trial_index]
                if should_prune(self._search, self._study.axes, trial, others):
                    return False
            return True

        return watch

    def take(self, group: VariantRuns, index: int, ending: Ending) -> None:
        """Record the end of a run, and schedule the next seed of the trial or finish the trial."""
        trial_index = self._number(group)
        if ending.kind in {"pruned", "diverged"}:
            self._change(trial_index, state=ending.kind)
        elif ending.kind == "ended":
            if index == 0:
                self._change(trial_index, epochs=self._epochs(group, 0))
            if index + 1 < len(group.plans):
                # Finish a begun trial before starting another one.
                self._due.appendleft((group, index + 1))
            else:
                last = [(epochs := self._epochs(group, each))[max(epochs)] for each in range(len(group.plans))]
                self._change(trial_index, state="ended", accuracy=fmean(last))

    def _begin(self) -> None:
        """Choose a trial, and record the trial as invalid if the values do not make a valid network."""
        trial_index = len(self._trials)
        values = suggest_values(self._search, self._study.axes, trial_index, self._trials)
        self._trials.append(Trial(number=trial_index, values=values))
        try:
            group = plan_variant(self._compile(trial_index, values), self._folder, self._data)
        except SewdslError as error:
            self._change(trial_index, state="invalid")
            described = ", ".join(f"{axis} {text}" for axis, text in values.items())
            echo(f"trial {trial_index} is invalid: {described}: {error.diagnostics[0].message}", err=True)
            return
        group.check_folders()
        self._groups[trial_index] = group
        self._due.append((group, 0))

    def _check_earlier(self, before: SearchOutcome) -> list[Trial]:
        """Return the trials of an earlier call of the same search. The number of trials may differ."""
        current = (self._search.method, self._search.seed, self._search.prune, self._metric, self._space)
        if (before.method, before.seed, before.prune, before.metric, before.space) != current:
            message = f"'{self._folder.path}' contains a search with other values or settings; choose another folder"
            raise RunError(message)
        return list(before.history)

    def _restore(self, trial: Trial) -> None:
        """Restore a trial of an earlier call, and schedule the trial if it has not ended."""
        group = plan_variant(self._compile(trial.number, trial.values), self._folder, self._data)
        group.check_folders()
        self._groups[trial.number] = group
        if trial.state == "running":
            self._due.append((group, 0))
            return
        for seed in group.seeds:
            if group.run_folder(seed).result.is_file():
                group.results.append(group.run_folder(seed).read_result())
        if trial.state == "diverged":
            seed = group.seeds[len(group.results)]
            group.diverged[seed] = "diverged in an earlier call"

    def _epochs(self, group: VariantRuns, index: int) -> dict[int, float]:
        """Return the accuracy of the search metric of a run, by epoch."""
        epochs = measurements.read_metrics(group.run_folder(group.seeds[index]).metrics)
        return {epoch: row[f"{self._metric}_accuracy"] for epoch, row in epochs.items()}

    def _number(self, group: VariantRuns) -> int:
        return int(group.varied.variant.labels[TRIAL])

    def _change(self, number: int, **fields: Any) -> Trial:
        self._trials[number] = self._trials[number].model_copy(update=fields)
        return self._trials[number]
