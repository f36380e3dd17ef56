"""Time of the compiler by number of nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import process
from benchmarks.case import Case, Comparison, Measurement, Scope
from benchmarks.job import Job, Task
from benchmarks.nodes import LIMITS, text
from benchmarks.plan import Plan
from benchmarks.results import Agreement, Sample
from benchmarks.settings import AS_IT_COMES

WRITTEN, REPEATED = "written.net", "repeated.net"


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of 10 to 100,000 nodes: the command, and its stages in Python."""
    sizes = (10,) if scope.quick else (10, 100, 1_000, 10_000, 100_000)
    return [Comparison(f"{n:,} nodes", MEASUREMENTS, partial(_prepare, n), n) for n in sizes]


def _prepare(nodes: int, folder: Path, plan: Plan) -> dict[str, Agreement]:  # noqa: ARG001 -- as all preparations
    (folder / WRITTEN).write_text(text(nodes, repeated=False), encoding="utf-8")
    (folder / REPEATED).write_text(text(nodes, repeated=True), encoding="utf-8")
    return {}


def _check(name: str, folder: Path, plan: Plan) -> Sample:
    limits = [word for limit, most in LIMITS.items() for word in ("--limit", f"{limit}={most}")]
    return process.command(["sewdsl", "check", folder / name, *limits], AS_IT_COMES, plan)


def _stage(task: Task, folder: Path, plan: Plan) -> Sample:
    sample: Sample = process.work(Job(task=task, plan=plan, file=folder / WRITTEN))
    return sample


MEASUREMENTS = (
    Measurement("sewdsl check, layers written out", AS_IT_COMES, partial(_check, WRITTEN)),
    Measurement("sewdsl check, layers repeated", AS_IT_COMES, partial(_check, REPEATED)),
    Measurement("sewdsl.load: text to network", AS_IT_COMES, partial(_stage, "load")),
    Measurement("sewdsl.compile: network to module", AS_IT_COMES, partial(_stage, "compile")),
)

CASE = Case("front-end", "Text to network to module", comparisons, unit="nodes")
