"""Fuzzing: ``python -m tools.fuzz TARGET --count N --seed N``. Exit code 1 on failures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

from tools.fuzz.running import Outcome, run

EVERY = 30
"""Time between two progress lines, in seconds."""
PARTS = ("__main__", "fixing_law", "running", "sound", "texts", "worker")


def main() -> int:
    """Run a target, print failures as they occur, and print the slowest texts at the end."""
    targets = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - {*PARTS})
    parser = argparse.ArgumentParser("python -m tools.fuzz", description="Run a target on hostile texts.")
    parser.add_argument("target", choices=targets)
    parser.add_argument("--count", type=int, default=1000, help="Number of texts. [default: 1000]")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the texts. [default: 1]")
    parser.add_argument("--first", type=int, default=0, help="Number of the first text. [default: 0]")
    parser.add_argument("--bound", type=float, help="Processor time limit per text, in seconds. [default: (by target)]")
    parser.add_argument("--seconds", type=float, help="Seconds after which no further text is started.")
    options = parser.parse_args()
    outcome, start, last_line, printed = Outcome(), monotonic(), monotonic(), 0
    runs = run(options.target, options.seed, options.first, options.count, bound=options.bound, limit=options.seconds)
    for outcome in runs:
        for failure in outcome.failures[printed:]:
            _print(f"--- {failure}\n")
        printed = len(outcome.failures)
        if monotonic() - last_line > EVERY:
            last_line = monotonic()
            _print(f"{outcome.texts:,} texts, {printed} failures, {last_line - start:.0f} s")
    _print(f"{outcome.texts:,} texts, {len(outcome.failures)} failures, {monotonic() - start:.0f} s; the slowest:")
    for seconds, number in outcome.slowest:
        _print(f"{seconds:8.2f} s  number {number}")
    return 1 if outcome.failures else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
