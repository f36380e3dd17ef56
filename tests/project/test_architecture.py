"""How large modules and functions are; how they depend on each other is in the contracts of import-linter."""

import ast
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for part in ("benchmarks", "editors", "sewdsl") for path in (ROOT / part).rglob("*.py"))
MAX_MODULE, MAX_MEDIAN, MAX_FUNCTION = 300, 80, 40


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_modules_are_small(record_property: Callable[[str, object], None]) -> None:
    sizes = {str(path.relative_to(ROOT)): lines(path) for path in MODULES}
    median = statistics.median(size for size in sizes.values() if size)
    record_property("lines per module, median", median)
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE} == {}
    assert median <= MAX_MEDIAN


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": length
        for path in MODULES
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION
    }
    assert long == {}
