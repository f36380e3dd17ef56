"""The one command: ``python -m benchmarks [CASE …]``."""

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
    """The options."""
    found = argparse.ArgumentParser("python -m benchmarks", description="Measures sewdsl beside its peers.")
    found.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(cases())}; all without any")
    found.add_argument("--quick", action="store_true", help="one round of small sizes: does everything run?")
    found.add_argument(
        "--only", default="", metavar="TEXT", help="only rows with this in their name, such as 'train step, fp32'"
    )
    found.add_argument("--rounds", type=int, help=f"how often each is measured (default {Plan().rounds})")
    found.add_argument("--threads", type=int, help="of torch (default: one for each core)")
    found.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it runs (default: both that are there)"
    )
    found.add_argument("--out", type=Path, help="the JSON file (default: runs/benchmarks-DATE.json)")
    found.add_argument("--table", action="store_true", help="print the Markdown table at the end")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the cases, writes the file after each of them, and returns 1 if anything went wrong."""
    options = parser().parse_args(arguments)
    unknown = [name for name in options.cases if name not in cases()]
    if unknown:
        parser().error(f"no case '{unknown[0]}'; there are {', '.join(cases())}")
    results = _results(_plan(options))
    out = options.out or Path("runs") / f"benchmarks-{results.started[:19].replace(':', '')}.json"
    installed = tuple(contender for contender in CONTENDERS if contender.installed)
    scope = Scope(options.quick, installed, _devices(options.device, gpu="gpu" in results.machine))
    chosen = [case for name, case in cases().items() if name in (options.cases or cases())]
    chosen = [case for case in chosen if any(options.only in row.name for row in case.comparisons(scope))]
    if not chosen:
        parser().error(f"no row has {options.only!r} in its name")
    with ThreadPoolExecutor(machine.cores() if options.quick else 1) as pool:  # threads only wait for processes
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


def _devices(asked: str, *, gpu: bool) -> tuple[str, ...]:
    if asked == "cuda" and not gpu:
        parser().error("there is no GPU that torch can use")
    return ("cpu", "cuda")[asked == "cuda" : 1 + (gpu and asked != "cpu")]


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    chosen = {"rounds": options.rounds or plan.rounds, "threads": options.threads or machine.cores()}
    return plan.model_copy(update=chosen)


def _results(plan: Plan) -> Results:
    asked: dict[str, str] = work(Job(task="describe", plan=plan), kind=dict[str, str])
    return Results(
        started=datetime.now(UTC).isoformat(),
        machine={**machine.describe(), **asked},
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
