"""Runs a target over many texts in processes that may hang or die, and says which text was the reason.

A target is a module of this folder with a number ``SECONDS`` and a function ``ask(text, random)``, which raises where
something does not hold. It runs in a process of its own (``worker``), which the system ends where a text takes more
than ``SECONDS`` of processor time, also inside of a regular expression. Where it has a function
``numbered_text(seed, number)`` of its own, it is asked about those texts and not about hostile ones.
"""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import Any

from tools.fuzz.texts import numbered_text

ROOT = Path(__file__).parents[2]
SLOWEST = 10
"""Texts of which the time is remembered."""


def text_for(target: str) -> Callable[[int, int], str]:
    """What gives a target the text of a seed and a number."""
    found: Callable[[int, int], str] = getattr(import_module(f"tools.fuzz.{target}"), "numbered_text", numbered_text)
    return found


@dataclass(frozen=True)
class Failure:
    """A text for which something does not hold."""

    target: str
    seed: int
    number: int
    reason: str

    def __str__(self) -> str:
        text = text_for(self.target)(self.seed, self.number)
        shown = repr(text[:300]) + (f" … {len(text):,} characters" if len(text) > 300 else "")
        command = f"python -m tools.fuzz {self.target} --seed {self.seed} --first {self.number} --count 1"
        return f"{command}\n{shown}\n{self.reason}"


@dataclass
class Outcome:
    """What came out of a run.

    Attributes:
        asked: How many texts were asked about.
        failures: What does not hold.
        slowest: Seconds and numbers of the texts that took most, the slowest first.
    """

    asked: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: list[tuple[float, int]] = field(default_factory=list)


def run(
    target: str, seed: int, first: int, count: int, *, bound: float | None = None, limit: float | None = None
) -> Iterator[Outcome]:
    """Asks about texts, going on after one that hangs; yields what is known, the same object, after each text.

    Args:
        target: The module of this folder.
        seed: Of the texts.
        first: Number of the first text.
        count: How many.
        bound: Processor seconds for each; None: the target's own.
        limit: Seconds after which no further text is begun; None: no limit.
    """
    seconds: float = bound or import_module(f"tools.fuzz.{target}").SECONDS
    outcome, number, begun = Outcome(), first, monotonic()
    while number < first + count:
        with TemporaryFile("w+") as errors:
            worker = _worker(target, seed, number, first + count, seconds, errors.fileno())
            for facts in _facts(worker):
                number = facts["number"]
                if "seconds" not in facts:
                    continue
                reason = facts["error"]
                if facts["seconds"] > seconds:
                    reason = f"{facts['seconds']:.1f} processor seconds, over the bound of {seconds}\n{reason}"
                _note(outcome, facts["seconds"], number)
                outcome.failures += [Failure(target, seed, number, reason)] if reason else []
                number += 1
                yield outcome
                if limit is not None and monotonic() - begun > limit:
                    worker.kill()
                    worker.wait()
                    return
            if worker.wait() != 0:
                errors.seek(0)
                reason = f"the process ended with {worker.returncode}\n{errors.read()[-5000:]}"
                outcome.failures.append(Failure(target, seed, number, reason))
                outcome.asked += 1
                number += 1
                yield outcome


def _worker(target: str, seed: int, first: int, stop: int, seconds: float, errors: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.fuzz.worker", target, *map(str, (seed, first, stop, seconds))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)


def _facts(worker: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert worker.stdout is not None
    with worker.stdout:
        yield from map(json.loads, worker.stdout)


def _note(outcome: Outcome, seconds: float, number: int) -> None:
    outcome.asked += 1
    outcome.slowest = heapq.nlargest(SLOWEST, [*outcome.slowest, (seconds, number)])
