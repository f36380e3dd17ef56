"""Comparison of two snapshots."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import islice
from pathlib import Path


def compare(old: Path, new: Path, skip: Sequence[str] = (), lines: int = 12) -> int:
    """Print the files that differ, with the first lines of each difference.

    Returns:
        1 if any file differs, 2 if there are no files, else 0.
    """
    names = sorted({*_names(old), *_names(new)})
    selected = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in skip)]
    if not selected:
        print(f"no files to compare in {old} and {new}")  # noqa: T201 -- output of the command
        return 2
    differing: Counter[str] = Counter()
    for name in selected:
        changes = list(difference(old, new, name, lines))
        if changes:
            differing[name.partition("/")[0]] += 1
            print("\n".join(changes))  # noqa: T201
    totals = Counter(name.partition("/")[0] for name in selected)
    for aspect, count in differing.items():
        print(f"{aspect}: {count} of {totals[aspect]} differ")  # noqa: T201
    print(f"{len(selected)} files: {sum(differing.values()) or 'none'} differ")  # noqa: T201
    return 1 if differing else 0


def difference(old: Path, new: Path, name: str, lines: int) -> Iterator[str]:
    """Yield a short description of the difference of a file, or nothing."""
    paths = old / name, new / name
    # A file may be in one snapshot only.
    for path, other in (paths, paths[::-1]):
        if not path.exists():
            yield f"=== {name}: only in {other.parents[1]}"
            return
    before, after = (path.read_text(encoding="utf-8") for path in paths)
    if before == after:
        return
    yield f"=== {name}"
    changes = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    shown = list(islice(changes, 2, None))
    yield from (line if len(line) <= 400 else f"{line[:400]}…" for line in shown[:lines])
    if len(shown) > lines:
        yield f"… and {len(shown) - lines} more lines"


def _names(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*.txt"))
