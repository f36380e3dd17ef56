"""How many small mistakes in the package the tests find: ``python -m tools.mutants results.json --count 200``.

Each mutant is one expression of one function, changed: another comparison, sum, constant or condition, or None in place
of what is returned. All are written into one copy of the project, in which a number says which of them is in force. So
the suite runs once, to learn which tests reach which mutants, and then for each mutant the tests that reach it. With
``--other TREE``, only functions that are the same there are changed, so that two commits can be compared: the same seed
draws the same mutants in both.
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
SECONDS = 300
"""For the tests of one mutant; one that takes longer has been found."""
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
"""What the copy's package begins with: ``_mutated(number)`` says whether a mutant is in force, and who reaches it."""
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
"""A process that has imported what most tests import, but nothing of the package, and forks for each mutant."""


class Mutant(NamedTuple):
    """One change.

    Attributes:
        path: The file, within the project.
        line: Where the expression begins.
        start, end: What it is of the file's bytes.
        text: What takes its place.
    """

    path: Path
    line: int
    start: int
    end: int
    text: str


def functions(tree: Path) -> dict[tuple[str, str], list[tuple[Path, ast.FunctionDef]]]:
    """The functions of a project's package, outermost ones only, by their name and what they do."""
    found = defaultdict(list)
    for path in sorted((tree / "sewdsl").rglob("*.py")):
        if "templates" not in path.parts:  # their text is compiled by others
            for name, function in _functions(ast.parse(path.read_bytes()), ""):
                found[name, ast.dump(function)].append((path, function))
    return found


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield f"{prefix}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def changes(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, str]]:
    """Expressions of a function, each with what a mistake would make of it."""
    passed_over: set[int] = set()
    for node in ast.walk(function):
        if id(node) in passed_over or isinstance(node, ast.JoinedStr | ast.match_case | ast.arguments):
            inner = (node.pattern,) if isinstance(node, ast.match_case) else (node,)
            passed_over |= {id(each) for outer in inner for each in ast.walk(outer)}
            continue
        match node:
            case ast.FunctionDef(decorator_list=decorators, returns=returns):
                kept = [*decorators, returns] if returns else decorators
                passed_over |= {id(each) for outer in kept for each in ast.walk(outer)}
            case ast.AnnAssign(annotation=annotation):
                passed_over |= {id(each) for each in ast.walk(annotation)}
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
    return any(
        isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in nodes
    )


def draw(tree: Path, other: Path | None, count: int, seed: int) -> list[Mutant]:
    """So many mutants, from all packages in proportion to what can be changed in them, one of a function at most."""
    here = {key: found[0] for key, found in functions(tree).items() if len(found) == 1}
    keys = here.keys() if other is None else here.keys() & {k for k, f in functions(other).items() if len(f) == 1}
    choices = [(key, number) for key in keys for number, _ in enumerate(changes(here[key][1]))]
    # By hashes and not by a shuffle, so that a function that is new or gone does not move all other draws.
    digests = {key: sha256(f"{seed} {key}".encode()).digest() for key in keys}
    choices.sort(key=lambda choice: sha256(digests[choice[0]] + str(choice[1]).encode()).digest())
    chosen = list(dict(choices[: 2 * count]).items())[:count]
    return [_mutant(*here[key], number) for key, number in chosen]


def _mutant(path: Path, function: ast.FunctionDef, number: int) -> Mutant:
    node, text = list(changes(function))[number]
    lines = path.read_bytes().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    return Mutant(path, node.lineno, start, end, text)


def write(mutants: list[Mutant], tree: Path, copy: Path, place: Path) -> None:
    """Writes all mutants into a copy of the project, none of them in force."""
    (place / "active").write_text("-1", encoding="ascii")
    of_file: dict[Path, list[tuple[int, Mutant]]] = defaultdict(list)
    for number, mutant in enumerate(mutants):
        of_file[mutant.path].append((number, mutant))
    for path, there in of_file.items():
        text = path.read_bytes()
        for number, mutant in sorted(there, key=lambda each: -each[1].start):  # none is inside another's function
            old = text[mutant.start : mutant.end].decode()
            new = f"(({mutant.text}) if _mutated({number}) else ({old}))".encode()
            text = text[: mutant.start] + new + text[mutant.end :]
        (copy / path.relative_to(tree)).write_bytes(text)
    with (copy / "sewdsl" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(SWITCH.replace("{place!r}", repr(str(place))))


OPTIONS = "-q", "-p", "no:cacheprovider", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"


def run_all(copy: Path, *options: str) -> None:
    """Run all tests in the copy."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *options]
    subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, check=False)


def start_runner(copy: Path) -> subprocess.Popen[str]:
    """Start a process that reads numbers of mutants and options of pytest, and prints exit codes."""
    command = [sys.executable, "-c", RUNNER, str(SECONDS)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=copy, env=environment(copy), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    )


def environment(copy: Path) -> dict[str, str]:
    """Return the environment in which the copy's package is imported."""
    return {**os.environ, "PYTHONPATH": str(copy)}


def main() -> None:
    """Draws, runs, and says what was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    place = Path(mkdtemp(prefix="mutants-"))
    copy = place / "project"
    subprocess.run(["git", "clone", "-q", str(asked.tree), str(copy)], check=True)  # noqa: S607
    mutants = draw(asked.tree.resolve(), asked.other, asked.count, asked.seed)
    write(mutants, asked.tree.resolve(), copy, place)
    ignored = "--ignore=tests/project/test_imports.py", "--ignore=tests/benchmarks"
    run_all(copy, f"--junitxml={place}/times.xml", *ignored)
    times = {
        f"{case.get('classname')}.{case.get('name')}": float(case.get("time", 0))
        for case in ET.parse(place / "times.xml").iter("testcase")  # noqa: S314 -- pytest's own
        if case.find("failure") is None and case.find("error") is None and case.find("skipped") is None
    }
    reached: dict[int, set[str]] = defaultdict(set)
    for line in (place / "reached").read_text(encoding="utf-8").splitlines():
        number, _, test = line.partition("\t")
        if _case(test) in times:
            reached[int(number)].add(test)

    def judge(number: int) -> str:
        tests = sorted(reached[number], key=lambda test: times[_case(test)])[:TESTS_OF_A_MUTANT]
        if not tests:
            return "not reached"
        runner = runners.get()
        assert runner.stdin
        assert runner.stdout
        print(json.dumps([number, [*OPTIONS, "-x", "-n", "0", *tests]]), file=runner.stdin, flush=True)
        status = int(runner.stdout.readline())
        runners.put(runner)
        return "survived" if status == 0 else "killed"

    runners: Queue[subprocess.Popen[str]] = Queue()
    for _ in range(asked.jobs):
        runners.put(start_runner(copy))

    rows: list[dict[str, str | int]] = []
    with ThreadPoolExecutor(asked.jobs) as pool:  # in the order in which they were drawn, so that what is there counts
        for mutant, state in zip(mutants, pool.map(judge, range(len(mutants))), strict=True):
            file = str(mutant.path.relative_to(asked.tree.resolve()))
            rows.append({"file": file, "line": mutant.line, "text": mutant.text, "state": state})
            asked.results.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    states = [str(row["state"]) for row in rows]
    sys.stdout.write("".join(f"{state}: {states.count(state)}\n" for state in sorted(set(states))))


def _case(test: str) -> str:
    """A test as pytest's report calls it."""
    path, _, name = test.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}.{name.replace('::', '.')}"


if __name__ == "__main__":
    main()
