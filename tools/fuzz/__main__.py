"""``python -m tools.fuzz TARGET --count N --seed N``; exit code 1 where something does not hold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

from tools.fuzz.running import Outcome, run

EVERY = 30
"""Seconds between two lines about how far it is."""
PARTS = ("__main__", "fixing_law", "running", "texts", "worker")


def main() -> int:
    """Runs a target, prints what does not hold as it is found, and the slowest texts at the end."""
    targets = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - {*PARTS})
    options = argparse.ArgumentParser("python -m tools.fuzz", description="Asks a target about hostile texts.")
    options.add_argument("target", choices=targets)
    options.add_argument("--count", type=int, default=1000, help="how many texts (default 1000)")
    options.add_argument("--seed", type=int, default=1, help="of the texts (default 1)")
    options.add_argument("--first", type=int, default=0, help="number of the first text (default 0)")
    options.add_argument("--bound", type=float, help="processor seconds for each text (default: the target's own)")
    options.add_argument("--seconds", type=float, help="begin no further text after so many seconds")
    asked = options.parse_args()
    outcome, begun, told, printed = Outcome(), monotonic(), monotonic(), 0
    runs = run(asked.target, asked.seed, asked.first, asked.count, bound=asked.bound, limit=asked.seconds)
    for outcome in runs:
        for failure in outcome.failures[printed:]:
            _print(f"--- {failure}\n")
        printed = len(outcome.failures)
        if monotonic() - told > EVERY:
            told = monotonic()
            _print(f"{outcome.asked:,} texts, {printed} failures, {told - begun:.0f} s")
    _print(f"{outcome.asked:,} texts, {len(outcome.failures)} failures, {monotonic() - begun:.0f} s; the slowest:")
    for seconds, number in outcome.slowest:
        _print(f"{seconds:8.2f} s  number {number}")
    return 1 if outcome.failures else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
