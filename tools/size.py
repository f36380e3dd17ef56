"""Size of the package, with a budget for each room: ``python -m tools.size [--tighten]``.

A room is a folder of ``sewdsl/``, or all modules beside the folders. Its size is the number of its lines of code: lines
with a token, without blank lines, comments and the docstrings of modules, classes and functions. The tokens are printed
beside the lines: denser code has fewer lines, but as many tokens. Exit code 1 if a room exceeds its budget or has none.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tokenize
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "sewdsl"
LOOSE = "modules"
"""Room of the modules beside the folders."""
BUDGETS = Path(__file__).with_suffix(".toml")
"""Lines of code by room. A budget is raised by a commit of its own, whose message gives the reason."""
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


class Size(NamedTuple):
    """Size of modules."""

    lines: int = 0
    """All lines."""
    code: int = 0
    """Lines of code."""
    tokens: int = 0

    def __add__(self, other: Size) -> Size:  # type: ignore[override]
        """Return the size of the modules of both."""
        return Size(self.lines + other.lines, self.code + other.code, self.tokens + other.tokens)


def measure(text: str) -> Size:
    """Return the size of a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
    }
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in NOT_CODE and not (token.type == tokenize.STRING and token.start[0] in docstrings)
    ]
    code = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    return Size(text.count("\n"), len(code), len(tokens))


def measure_rooms(modules: Iterable[tuple[PurePosixPath, str]]) -> dict[str, Size]:
    """Return the size of each room, by name in alphabetical order.

    Args:
        modules: Path in the package and text of each module.
    """
    rooms: dict[str, Size] = {}
    for path, text in modules:
        room = path.parts[0] if len(path.parts) > 1 else LOOSE
        rooms[room] = rooms.get(room, Size()) + measure(text)
    return dict(sorted(rooms.items()))


def current_rooms() -> dict[str, Size]:
    """Return the size of each room of the working tree."""
    package = ROOT / PACKAGE
    files = package.rglob("*.py")
    return measure_rooms((PurePosixPath(file.relative_to(package)), file.read_text(encoding="utf-8")) for file in files)


def tagged_rooms() -> dict[str, Size]:
    """Return the size of each room at the last tag, or nothing if no tag exists."""
    tag = _git("describe", "--tags", "--abbrev=0").decode().strip()
    if not tag:
        return {}
    with tarfile.open(fileobj=io.BytesIO(_git("archive", tag, PACKAGE))) as archive:
        return measure_rooms(
            (PurePosixPath(member.name).relative_to(PACKAGE), file.read().decode())
            for member in archive
            if member.name.endswith(".py") and (file := archive.extractfile(member))
        )


def _git(*arguments: str) -> bytes:
    """Return the output of git, or nothing if git fails: an archive of the sources has no repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout  # noqa: S607


def read_budgets() -> dict[str, int]:
    """Return the budget of each room, in lines of code."""
    return tomllib.loads(BUDGETS.read_text(encoding="utf-8"))


def tighten(budgets: dict[str, int], rooms: dict[str, Size]) -> dict[str, int]:
    """Return the budgets lowered to the sizes. A room that exceeds its budget keeps the budget."""
    return {room: min(budget, rooms[room].code) for room, budget in budgets.items() if room in rooms}


def faults(budgets: dict[str, int], rooms: dict[str, Size]) -> list[str]:
    """Return a message for each room whose size and budget do not match."""
    path = BUDGETS.relative_to(ROOT).as_posix()
    return [
        *(f"{room} has no budget; add '{room} = {rooms[room].code}' to {path}" for room in rooms.keys() - budgets),
        *(f"{room} does not exist; run 'python -m tools size --tighten'" for room in budgets.keys() - rooms),
        *(
            f"{room} has {size.code:,} lines of code, expected at most {budgets[room]:,}; "
            f"delete code, or raise the budget in {path} in a commit that gives the reason"
            for room, size in rooms.items()
            if size.code > budgets.get(room, size.code)
        ),
    ]


def table(budgets: dict[str, int], rooms: dict[str, Size], tagged: dict[str, Size]) -> str:
    """Return a line for each room and a line for their sum. The last column is empty without a tag."""
    change = {room: size.code - tagged.get(room, Size()).code for room, size in rooms.items()} if tagged else {}
    rows = [(room, *size, budgets.get(room, 0), change.get(room, 0)) for room, size in rooms.items()]
    total = sum(rooms.values(), Size())
    rows.append(("total", *total, sum(budgets.values()), sum(change.values())))
    lines = [f"{'room':10}{'lines':>8}{'code':>8}{'tokens':>9}{'budget':>8}{'since tag' if tagged else '':>11}"]
    for room, all_lines, code, tokens, budget, since_tag in rows:
        last = f"{since_tag:>+11,}" if tagged else ""
        lines.append(f"{room:10}{all_lines:>8,}{code:>8,}{tokens:>9,}{budget:>8,}{last}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the sizes and the faults, after writing lower budgets if requested."""
    parser = argparse.ArgumentParser("python -m tools.size", description="Print the size of each room of the package.")
    parser.add_argument("--tighten", action="store_true", help="Lower the budgets to the current sizes.")
    options = parser.parse_args(arguments)
    budgets, rooms = read_budgets(), current_rooms()
    if options.tighten:
        budgets = tighten(budgets, rooms)
        BUDGETS.write_text("".join(f"{room} = {budget}\n" for room, budget in budgets.items()), encoding="utf-8")
    messages = faults(budgets, rooms)
    sys.stdout.write(f"{table(budgets, rooms, tagged_rooms())}\n")
    sys.stdout.writelines(f"error: {message}\n" for message in messages)
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
