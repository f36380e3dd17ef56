"""Where two snapshots differ."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import islice
from pathlib import Path


def compare(old: Path, new: Path, skip: Sequence[str] = (), lines: int = 12) -> int:
    """Prints which files differ, with the first lines of each difference; 1 where any does, 2 without files."""
    names = sorted({*_names(old), *_names(new)})
    wanted = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in skip)]
    if not wanted:
        print(f"nothing to compare in {old} and {new}")  # noqa: T201 -- what the command is for
        return 2
    differing: Counter[str] = Counter()
    for name in wanted:
        found = list(difference(old, new, name, lines))
        if found:
            differing[name.partition("/")[0]] += 1
            print("\n".join(found))  # noqa: T201
    whole = Counter(name.partition("/")[0] for name in wanted)
    for aspect, count in differing.items():
        print(f"{aspect}: {count} of {whole[aspect]} differ")  # noqa: T201
    print(f"{len(wanted)} files: {sum(differing.values()) or 'none'} differ")  # noqa: T201
    return 1 if differing else 0


def difference(old: Path, new: Path, name: str, lines: int) -> Iterator[str]:
    """A short account of how one file differs, nothing where it does not."""
    paths = old / name, new / name
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
        yield f"… and {len(shown) - lines} lines more"


def _names(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*.txt"))
