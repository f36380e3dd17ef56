"""Mutation testing: count the small mistakes in the package that the tests find.

Usage: ``python -m tools.mutants results.json --count 200``.

A mutant is a function with one changed expression: another comparison, operator, constant or condition, or None as
return value. All mutants are written into one copy of the project, and an environment variable selects the active one.
So the suite runs once, to learn which tests reach which mutants, and then the tests that reach a mutant run for it.
``--other TREE`` restricts mutants to functions that are equal in both trees. The same seed then draws the same mutants
for two commits.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from queue import Queue
from tempfile import mkdtemp
from typing import NamedTuple
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
TESTS_OF_A_MUTANT = 200
"""Largest number of tests to run for a mutant, the fastest first."""
SECONDS = 300
"""Time limit of the tests of a mutant. A mutant that exceeds it counts as killed."""
SWITCH = """

import builtins as _builtins
import os as _os


def _switch(place):
    with open(place + "/active", encoding="ascii") as file:
        active = int(file.read()) if "SEWDSL_MUTANT" not in _os.environ else int(_os.environ["SEWDSL_MUTANT"])
    seen = set()

    def mutated(number):
        if active == -1:
            key = number, _os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            if key not in seen:
                seen.add(key)
                with open(place + "/reached", "a", encoding="utf-8") as file:
                    file.write(f"{key[0]}\\t{key[1]}\\n")
        return number == active

    return mutated


_builtins._mutated = _switch({place!r})
"""
"""Code appended to the package in the copy. ``_mutated(number)`` returns whether a mutant is active, and records the
tests that reach it."""
RUNNER = """
import json, os, signal, sys, time

os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
import hypothesis, lightning.pytorch, numba, onnx, pydantic, pytest, spikingjelly.activation_based, torch, typer.testing

seconds = float(sys.argv[1])
for line in sys.stdin:
    number, options = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.environ["SEWDSL_MUTANT"] = str(number)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os._exit(pytest.main(options))
    begun = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done or time.monotonic() - begun > seconds:
            break
        time.sleep(0.02)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if not done:
        os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status) if done else -1, flush=True)
"""
"""Program of a process that imports the libraries of most tests but not the package, and forks for each mutant."""


class Mutant(NamedTuple):
    """Replacement of an expression.

    Attributes:
        path: Path of the file.
        line: First line of the expression.
        start, end: Byte offsets of the expression.
        text: Python expression to write instead.
    """

    path: Path
    line: int
    start: int
    end: int
    text: str


def functions(tree: Path) -> dict[tuple[str, str], list[tuple[Path, ast.FunctionDef]]]:
    """Return the outermost functions and methods of the package, by name and syntax tree."""
    by_name = defaultdict(list)
    for path in sorted((tree / "sewdsl").rglob("*.py")):
        # Templates are read as text, never imported.
        if "templates" not in path.parts:
            for name, function in _functions(ast.parse(path.read_bytes()), ""):
                by_name[name, ast.dump(function)].append((path, function))
    return by_name


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield f"{prefix}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def changes(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, str]]:
    """Yield the expressions of a function, each with a replacement."""
    skipped: set[int] = set()
    for node in ast.walk(function):
        # Skip nodes without code that runs: formatted strings, patterns, default arguments and annotations.
        if id(node) in skipped or isinstance(node, ast.JoinedStr | ast.match_case | ast.arguments):
            inner = (node.pattern,) if isinstance(node, ast.match_case) else (node,)
            skipped |= {id(each) for outer in inner for each in ast.walk(outer)}
            continue
        match node:
            case ast.FunctionDef(decorator_list=decorators, returns=returns):
                annotations = [*decorators, returns] if returns else decorators
                skipped |= {id(each) for outer in annotations for each in ast.walk(outer)}
            case ast.AnnAssign(annotation=annotation):
                skipped |= {id(each) for each in ast.walk(annotation)}
            case ast.Compare(left, [comparison], right):
                yield node, ast.unparse(ast.Compare(left, [COMPARISONS[type(comparison)]()], right))
            case ast.BinOp(left, operator, right) if type(operator) in OPERATORS and not _is_text(left, right):
                yield node, ast.unparse(ast.BinOp(left, OPERATORS[type(operator)](), right))
            case ast.BoolOp(operator, values):
                yield node, ast.unparse(ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values))
            case ast.UnaryOp(ast.Not(), operand):
                yield node, ast.unparse(operand)
            case ast.Constant(bool(value)):
                yield node, str(not value)
            case ast.Constant(int(value) | float(value)):
                yield node, str(value + 1)
            case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
                yield value, "None"
            case ast.Expr(ast.Call() as call):
                yield call, "None"
            case ast.If(test=test) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
                yield test, f"not ({ast.unparse(test)})"


def _is_text(*nodes: ast.expr) -> bool:
    # Strings can be added, but not subtracted.
    return any(
        isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in nodes
    )


def draw(tree: Path, other: Path | None, count: int, seed: int) -> list[Mutant]:
    """Draw mutants from all functions, at most one per function.

    Args:
        tree: Root folder of the project to mutate.
        other: Project that must contain the functions too, or None.
        count: Number of mutants, if there are enough functions.
        seed: Seed of the draw.
    """
    unique = {key: matches[0] for key, matches in functions(tree).items() if len(matches) == 1}
    keys = unique.keys() if other is None else unique.keys() & {k for k, f in functions(other).items() if len(f) == 1}
    choices = [(key, index) for key in keys for index, _ in enumerate(changes(unique[key][1]))]
    # Sort by hashes instead of shuffling: a new or removed function then does not change other draws.
    digests = {key: sha256(f"{seed} {key}".encode()).digest() for key in keys}
    choices.sort(key=lambda choice: sha256(digests[choice[0]] + str(choice[1]).encode()).digest())
    chosen = list(dict(choices[: 2 * count]).items())[:count]
    return [_mutant(*unique[key], index) for key, index in chosen]


def _mutant(path: Path, function: ast.FunctionDef, index: int) -> Mutant:
    node, text = list(changes(function))[index]
    lines = path.read_bytes().splitlines(keepends=True)
    # ast counts columns in UTF-8 bytes, so work on bytes.
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    return Mutant(path, node.lineno, start, end, text)


def write(mutants: list[Mutant], tree: Path, copy: Path, state_folder: Path) -> None:
    """Write all mutants into a copy of the project, none of them active."""
    (state_folder / "active").write_text("-1", encoding="ascii")
    by_file: dict[Path, list[tuple[int, Mutant]]] = defaultdict(list)
    for index, mutant in enumerate(mutants):
        by_file[mutant.path].append((index, mutant))
    for path, file_mutants in by_file.items():
        text = path.read_bytes()
        # From the end, so that offsets stay valid. Mutants do not overlap: each is in a function of its own.
        for index, mutant in sorted(file_mutants, key=lambda each: -each[1].start):
            old = text[mutant.start : mutant.end].decode()
            new = f"(({mutant.text}) if _mutated({index}) else ({old}))".encode()
            text = text[: mutant.start] + new + text[mutant.end :]
        (copy / path.relative_to(tree)).write_bytes(text)
    with (copy / "sewdsl" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(SWITCH.replace("{place!r}", repr(str(state_folder))))


OPTIONS = "-q", "-p", "no:cacheprovider", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"


def run_all(copy: Path, *options: str) -> None:
    """Run all tests in the copy."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *options]
    subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, check=False)


def start_runner(copy: Path) -> subprocess.Popen[str]:
    """Start a process that reads mutant numbers and pytest options, and prints exit codes."""
    # Importing the libraries takes seconds, so each mutant forks a process that has imported them.
    command = [sys.executable, "-c", RUNNER, str(SECONDS)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=copy, env=environment(copy), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    )


def environment(copy: Path) -> dict[str, str]:
    """Return an environment that imports the package from the copy."""
    return {**os.environ, "PYTHONPATH": str(copy)}


def main() -> None:
    """Draw mutants, run the tests that reach them, and print the counts by outcome."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("results", type=Path, help="JSON file to write, with one entry per mutant.")
    parser.add_argument("--count", type=int, default=200, help="Number of mutants. [default: 200]")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the draw. [default: 1]")
    parser.add_argument("--tree", type=Path, default=ROOT, help="Project to mutate. [default: this one]")
    parser.add_argument("--other", type=Path, help="Draw only from functions that this project has too.")
    parser.add_argument("--jobs", type=int, default=2, help="Number of test processes at a time. [default: 2]")
    options = parser.parse_args()
    state_folder = Path(mkdtemp(prefix="mutants-"))
    copy = state_folder / "project"
    subprocess.run(["git", "clone", "-q", str(options.tree), str(copy)], check=True)  # noqa: S607
    mutants = draw(options.tree.resolve(), options.other, options.count, options.seed)
    write(mutants, options.tree.resolve(), copy, state_folder)
    ignored = "--ignore=tests/project/test_imports.py", "--ignore=tests/benchmarks"
    run_all(copy, f"--junitxml={state_folder}/times.xml", *ignored)
    times = {
        f"{case.get('classname')}.{case.get('name')}": float(case.get("time", 0))
        for case in ET.parse(state_folder / "times.xml").iter("testcase")  # noqa: S314 -- pytest's own
        if case.find("failure") is None and case.find("error") is None and case.find("skipped") is None
    }
    reached: dict[int, set[str]] = defaultdict(set)
    # In the first run, the copy records which test reaches which mutant.
    for line in (state_folder / "reached").read_text(encoding="utf-8").splitlines():
        index, _, test = line.partition("\t")
        # Tests that fail without a mutant cannot judge one.
        if _case(test) in times:
            reached[int(index)].add(test)

    def judge(index: int) -> str:
        # Fast tests first, since pytest stops at the first failure.
        tests = sorted(reached[index], key=lambda test: times[_case(test)])[:TESTS_OF_A_MUTANT]
        if not tests:
            return "not reached"
        runner = runners.get()
        assert runner.stdin
        assert runner.stdout
        print(json.dumps([index, [*OPTIONS, "-x", "-n", "0", *tests]]), file=runner.stdin, flush=True)
        status = int(runner.stdout.readline())
        runners.put(runner)
        return "survived" if status == 0 else "killed"

    runners: Queue[subprocess.Popen[str]] = Queue()
    for _ in range(options.jobs):
        runners.put(start_runner(copy))

    rows: list[dict[str, str | int]] = []
    # Results are in the order of the draw, so that partial results are a random sample.
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, state in zip(mutants, pool.map(judge, range(len(mutants))), strict=True):
            file = str(mutant.path.relative_to(options.tree.resolve()))
            rows.append({"file": file, "line": mutant.line, "text": mutant.text, "state": state})
            options.results.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    states = [str(row["state"]) for row in rows]
    sys.stdout.write("".join(f"{state}: {states.count(state)}\n" for state in sorted(set(states))))


def _case(test: str) -> str:
    """Return the name of a test in the JUnit report of pytest."""
    path, _, name = test.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}.{name.replace('::', '.')}"


if __name__ == "__main__":
    main()
