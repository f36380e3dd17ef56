"""Run the benchmarks: ``python -m benchmarks [CASE …]``."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.case import Scope
from benchmarks.cases import cases
from benchmarks.contenders import CONTENDERS, ENGINES
from benchmarks.job import Job
from benchmarks.plan import QUICK, Plan
from benchmarks.process import work
from benchmarks.results import Results
from benchmarks.rounds import run_case
from benchmarks.settings import ALL, OWN
from benchmarks.table import table


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser("python -m benchmarks", description="Compare sewdsl with other libraries.")
    options.add_argument("cases", nargs="*", metavar="CASE", help=f"Cases: {', '.join(cases())}. [default: all]")
    options.add_argument("--quick", action="store_true", help="Run one round of small sizes, to test the benchmarks.")
    options.add_argument(
        "--only", default="", metavar="TEXT", help="Part of the names of rows to run, e.g. 'train step, fp32'."
    )
    options.add_argument("--rounds", type=int, help=f"Number of rounds. [default: {Plan().rounds}]")
    options.add_argument("--threads", type=int, help="Number of threads of PyTorch. [default: one per core]")
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="Device. [default: all available]"
    )
    options.add_argument("--out", type=Path, help="JSON file to write. [default: runs/benchmarks-DATE.json]")
    options.add_argument("--table", action="store_true", help="Print the Markdown tables at the end.")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the cases, write the file after each of them, and return 1 on any error."""
    options = parser().parse_args(arguments)
    unknown = [name for name in options.cases if name not in cases()]
    if unknown:
        parser().error(f"unknown case '{unknown[0]}'; expected {', '.join(cases())}")
    results = _results(_plan(options))
    out = options.out or Path("runs") / f"benchmarks-{results.started[:19].replace(':', '')}.json"
    installed = tuple(contender for contender in CONTENDERS if contender.installed)
    scope = Scope(options.quick, installed, _devices(options.device, gpu="gpu" in results.machine))
    chosen = [case for name, case in cases().items() if name in (options.cases or cases())]
    chosen = [case for case in chosen if any(options.only in row.name for row in case.comparisons(scope))]
    if not chosen:
        parser().error(f"no row name contains {options.only!r}")
    # Threads only wait for processes. Measurements must not overlap, except in quick runs.
    with ThreadPoolExecutor(machine.cores() if options.quick else 1) as pool:
        for result in pool.map(lambda case: run_case(case, scope, results.plan, _say, options.only), chosen):
            results.cases.append(result)
            results.write(out)
    if options.table:
        sys.stdout.write(table(results))
    _say(f"written to {out}")
    errors = [error for case in results.cases for error in case.errors]
    for error in errors:
        _say(f"error: {error}")
    return 1 if errors else 0


def _devices(requested: str, *, gpu: bool) -> tuple[str, ...]:
    if requested == "cuda" and not gpu:
        parser().error("--device cuda requires a GPU that PyTorch can use")
    return ("cpu", "cuda")[requested == "cuda" : 1 + (gpu and requested != "cpu")]


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    chosen = {"rounds": options.rounds or plan.rounds, "threads": options.threads or machine.cores()}
    return plan.model_copy(update=chosen)


def _results(plan: Plan) -> Results:
    device_facts: dict[str, str] = work(Job(task="describe", plan=plan), kind=dict[str, str])
    return Results(
        started=datetime.now(UTC).isoformat(),
        machine={**machine.describe(), **device_facts},
        versions=machine.versions(),
        settings={setting.name: dict(setting.environment) for setting in ALL},
        own=OWN.name,
        absent=[contender.name for contender in (*CONTENDERS, *ENGINES) if not contender.installed],
        plan=plan,
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    raise SystemExit(main())
