"""Parts of a traced module: its submodules that are called several times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import NamedTuple

import torch

from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.named_values import is_free_name
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.exchange.read.draft import Draft
from sewdsl.ir.node import PathStep

CALLED_TWICE = (
    "is called twice, with shared weights or membrane potential; "
    "if it is called in a loop over time-steps, import the inner network and pass steps"
)
"""Predicate of the message about a call that is not the call of a part."""
DIFFERS = "is called several times, and computes something else in one of the calls"
"""Predicate of the message about calls that differ."""


class ModuleCall(NamedTuple):
    """Call of a module."""

    name: str
    number: int
    outer: ModuleCall | None
    """Call that contains it, None for that of the model."""
    has_weights: bool
    """Whether the module has parameters or buffers."""


def assign_parts(draft: Draft, calls: Mapping[int, ModuleCall]) -> None:
    """Let the items of a draft belong to calls of parts, if some of them share weights.

    Args:
        calls: Innermost call of a module around each item.

    Raises:
        UnsupportedPart: If an item shares its weights, but not in a module that is called several times.
    """
    if all(item.weights is None for item in draft.items):
        return
    finder = _PartFinder(calls, taken={draft.items[index].origin.name for index in draft.inputs})
    inside: dict[tuple[PathStep, ...], list[int]] = {}
    for index, call in calls.items():
        path = tuple(finder.path(call))
        draft.change(index, path=path)
        if path:
            inside.setdefault(path, []).append(index)
        elif draft.items[index].weights is not None:
            raise draft.items[index].origin.refusal(CALLED_TWICE)
    owners: dict[str, list[int]] = {}
    for path, indices in inside.items():
        first = owners.setdefault(path[-1].label, indices)
        for owner, index in zip(first, indices, strict=False):
            if owner != index:
                _share(draft, owner, index)
        if len(first) != len(indices):
            raise draft.items[indices[0]].origin.refusal(DIFFERS)


def _share(draft: Draft, owner: int, index: int) -> None:
    """Let an item use the module of an equal item of the first call, or raise UnsupportedPart if they differ."""
    one, other = draft.items[owner], draft.items[index]
    is_equal = other.weights in {None, owner} and type(one.op) is type(other.op)
    if not is_equal or not all(
        name in one.tensors and torch.equal(value, one.tensors[name]) for name, value in other.tensors.items()
    ):
        raise other.origin.refusal(DIFFERS)
    # Factors may become layers of their own.
    draft.change(index, weights=owner)


class _PartFinder:
    def __init__(self, calls: Mapping[int, ModuleCall], taken: set[str]) -> None:
        self._calls: dict[str, dict[int, ModuleCall]] = {}
        for call in {call.number: call for call in calls.values()}.values():
            around: ModuleCall | None = call
            while around is not None and around.number not in self._calls.setdefault(around.name, {}):
                self._calls[around.name][around.number] = around
                around = around.outer
        self._parts: dict[str, bool] = {}
        self._taken = taken
        self._titles: dict[str, tuple[str, Iterator[int]]] = {}
        self._steps: dict[int, PathStep] = {}

    def path(self, call: ModuleCall) -> list[PathStep]:
        """Return the calls of parts around a call, with itself."""
        return [self._step(part) for part in reversed([*self._part_calls(call)])]

    def _part_calls(self, call: ModuleCall | None) -> Iterator[ModuleCall]:
        """Yield the calls of parts around a call, with itself, the innermost first."""
        while call is not None:
            if self._is_part(call.name):
                yield call
            call = call.outer

    def _is_part(self, name: str) -> bool:
        """Return whether a module is called several times, except once in each call of a module that contains it."""
        if name not in self._parts:
            self._parts[name] = False  # Modules that call themselves are no parts.
            calls = self._calls[name].values()
            if len(calls) > 1 and next(iter(calls)).has_weights:
                around = {call.number: next(self._part_calls(call.outer), None) for call in calls}
                outer = {None if each is None else each.name for each in around.values()}
                numbers = {each.number for each in around.values() if each is not None}
                self._parts[name] = len(outer) > 1 or len(numbers) < len(calls)
        return self._parts[name]

    def _step(self, call: ModuleCall) -> PathStep:
        if call.number not in self._steps:
            if call.name not in self._titles:
                self._titles[call.name] = self._title(call.name), count(2)
                title = key = self._titles[call.name][0]
            else:
                title, numbers = self._titles[call.name]
                key = f"{title}{next(numbers)}"
            self._steps[call.number] = PathStep("part", title, key)
        return self._steps[call.number]

    def _title(self, name: str) -> str:
        """Return a free name for a part, the last one of the module if possible."""
        vocabulary = Vocabulary(library=shipped_blocks())
        last = name.rpartition(".")[2]
        word = re.sub("[^A-Za-z0-9]", "", last)
        titles = chain((last, word, word[:1].upper() + word[1:]), (f"Part{ordinal}" for ordinal in count(1)))
        title = next(title for title in titles if title not in self._taken and is_free_name(title, vocabulary))
        self._taken.add(title)
        return title
