"""Runner of targets, in processes that may hang or die.

A target is a module of this folder with a number ``SECONDS`` and a function ``ask(text, random)``, which raises an
error for a failure. It runs in a process (``worker``) that the system ends after ``SECONDS`` of processor time per
text, even inside of a regular expression. A target may define ``numbered_text(seed, number)`` to replace the hostile
texts.
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
"""Number of slowest texts to record."""


def text_for(target: str) -> Callable[[int, int], str]:
    """Return the function that returns the text of a seed and a number for a target."""
    function: Callable[[int, int], str] = getattr(import_module(f"tools.fuzz.{target}"), "numbered_text", numbered_text)
    return function


@dataclass(frozen=True)
class Failure:
    """Text with a failure."""

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
    """Outcome of a run.

    Attributes:
        texts: Number of texts so far.
        failures: Failures so far, in order of the texts.
        slowest: Seconds and number of the slowest texts, the slowest first.
    """

    texts: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: list[tuple[float, int]] = field(default_factory=list)


def run(
    target: str, seed: int, first: int, count: int, *, bound: float | None = None, limit: float | None = None
) -> Iterator[Outcome]:
    """Run a target on texts, and yield the same, updated outcome after each text.

    Args:
        target: Module of this folder.
        seed: Seed of the texts.
        first: Number of the first text.
        count: Number of texts to run, with consecutive numbers.
        bound: Processor time limit per text in seconds, or None for that of the target.
        limit: Seconds after which no further text is started, or None for no limit.
    """
    seconds: float = bound or import_module(f"tools.fuzz.{target}").SECONDS
    outcome, index, start = Outcome(), first, monotonic()
    while index < first + count:
        with TemporaryFile("w+") as errors:
            worker = _worker(target, seed, index, first + count, seconds, errors.fileno())
            # The worker prints a line before and after each text.
            for facts in _facts(worker):
                index = facts["number"]
                # The line before a text has only its number, which identifies the text if the worker dies.
                if "seconds" not in facts:
                    continue
                reason = facts["error"]
                if facts["seconds"] > seconds:
                    reason = f"{facts['seconds']:.1f} processor seconds, over the bound of {seconds}\n{reason}"
                _note(outcome, facts["seconds"], index)
                outcome.failures += [Failure(target, seed, index, reason)] if reason else []
                index += 1
                yield outcome
                if limit is not None and monotonic() - start > limit:
                    worker.kill()
                    worker.wait()
                    return
            # The worker died: continue after its text with a new one.
            if worker.wait() != 0:
                errors.seek(0)
                reason = f"the process ended with {worker.returncode}\n{errors.read()[-5000:]}"
                outcome.failures.append(Failure(target, seed, index, reason))
                outcome.texts += 1
                index += 1
                yield outcome


def _worker(target: str, seed: int, first: int, stop: int, seconds: float, errors: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.fuzz.worker", target, *map(str, (seed, first, stop, seconds))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)


def _facts(worker: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert worker.stdout is not None
    with worker.stdout:
        yield from map(json.loads, worker.stdout)


def _note(outcome: Outcome, seconds: float, number: int) -> None:
    outcome.texts += 1
    outcome.slowest = heapq.nlargest(SLOWEST, [*outcome.slowest, (seconds, number)])
