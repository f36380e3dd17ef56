"""Dataset folders: search, class folders, and messages for missing data."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sewdsl.paths import is_folder

MAX_CLASSES_NAMED = 5
"""Maximum number of classes listed in a message."""
SHOWN_DIGITS = 20
"""Maximum length of a numeric folder name quoted in a message."""
MAX_CLASSES = 100_000
"""Maximum number of classes of a dataset."""
SUBSET_HINT = "  to accept a part of the dataset: 'subset on' in the train section, or --set train.subset=on"


def subfolders(folder: Path) -> dict[str, Path]:
    """Return the visible subfolders by name (empty if the folder does not exist)."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        # Skip hidden folders, and the metadata folders of archives from macOS.
        return {entry.name: Path(entry.path) for entry in entries if entry.is_dir() and entry.name[0] not in "._"}


def find_subfolder(folder: Path, *names: str) -> Path | None:
    """Return the subfolder with one of the lower-case names, ignoring case, or None."""
    return next((path for name, path in subfolders(folder).items() if name.lower() in names), None)


def class_labels(names: Iterable[str], known: Sequence[str] = ()) -> dict[str, int]:
    """Return the class of each folder name.

    If all names are numbers, a number is its own class. Other names are numbered in the order of their characters.

    Args:
        known: Names of all classes, in order, if the dataset defines them. Other folders are ignored.
    """
    names = sorted(set(names))
    if known:
        return {name: known.index(name) for name in names if name in known}
    if _numbers(names):
        return {name: int(name) for name in names}
    return {name: label for label, name in enumerate(names)}


def _numbers(names: Iterable[str]) -> bool:
    return all(name.isascii() and name.isdigit() for name in names)


def class_names(files: Iterable[tuple[int, Path]]) -> list[str]:
    """Return the names of the classes in order, from the folders of the files (empty if all names are numbers)."""
    # Replace invalid UTF-8: the names are printed.
    names = {label: os.fsencode(path.parent.name).decode(errors="replace") for label, path in files}
    if _numbers(names.values()):
        return []
    return [names.get(label, str(label)) for label in range(max(names) + 1)]


def class_files(folder: Path, suffixes: Sequence[str], label: dict[str, int]) -> list[tuple[int, Path]]:
    """Return ``(class, path)`` of the files with a given suffix in class folders, sorted by class and name."""
    return [
        (label[name], path / entry)
        for name, path in sorted(subfolders(folder).items(), key=lambda item: label.get(item[0], -1))
        if name in label
        for entry in sorted(os.listdir(path))  # noqa: PTH208 -- a tenth of the time, of a million files
        if Path(entry).suffix.lower() in suffixes and entry[0] != "."
    ]


def class_problem(
    folder: Path, parts: Mapping[str, Collection[int]], label: Mapping[str, int], count: int | None, *, subset: bool
) -> str:
    """Return the error message for the class folders of a custom dataset (empty if they are valid).

    Args:
        parts: Classes that have samples, by the name of the part of the data.
        count: Number of classes of the network. None accepts any number.
        subset: Whether classes may have no samples.
    """
    total = max(label.values()) + 1
    folder_names = {index: name for name, index in label.items()}
    if total > MAX_CLASSES:
        name = folder_names[total - 1][:SHOWN_DIGITS]
        return (
            f"folder '{name}' in '{folder}' exceeds the limit of {MAX_CLASSES:,} classes; numeric folder names are "
            "class numbers, from 0\n  rename the folders to names that are not all numbers"
        )
    missing = {n: [part for part, labels in parts.items() if n not in labels] for n in range(total)}
    # With a subset, a class may be missing from all parts, but not from some of them.
    incomplete = {n: where for n, where in missing.items() if where and (len(where) < len(parts) or not subset)}
    numbers = "; numeric folder names are class numbers, from 0" if _numbers(label) else ""
    if incomplete and not (subset and (count is None or total <= count)):
        gaps = [
            f"class '{folder_names.get(n, n)}' has no samples in {' and '.join(where)}"
            for n, where in incomplete.items()
        ]
        return f"in '{folder}', {first_words(gaps)}\n  add a folder with samples for each class to every part{numbers}"
    if count is None or total == count or (subset and total < count):
        return ""
    names = first_words([folder_names.get(n, str(n)) for n in range(total)])
    classes = f"{total} class{'es' if total > 1 else ''} ({names}{numbers})"
    part = ", or add 'subset on' to the train section to allow classes without samples" if total < count else ""
    return f"'{folder}' has {classes}, but the network has {count}\n  end the network with FC{total}{part}"


def first_words(words: Sequence[str]) -> str:
    """Join the first few words, followed by the number of omitted ones."""
    more = f", and {len(words) - MAX_CLASSES_NAMED} more" if len(words) > MAX_CLASSES_NAMED else ""
    return ", ".join(words[:MAX_CLASSES_NAMED]) + more


_FRAMES = re.compile(r"frames_number_([0-9]+)_split_by_number")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".h5.gz", ".7z", ".rar")


MAX_FOLDERS_WITH_TABLES = 20
"""Maximum number of subfolders that are searched for tables."""


def near_misses(folders: Sequence[Path], steps: int) -> list[str]:
    """Return a line for each incomplete, packed or mismatching copy of the data in the folders."""
    lines: list[str] = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # An unreadable folder must not replace the actual error.
        lines += [f"  found: {line}" for path in paths for line in _describe_near_miss(path, steps)]
        tables = (
            table for path in (folder, *paths[:MAX_FOLDERS_WITH_TABLES]) for table in path.glob("*.[cCtT][sS][vV]")
        )
        if table := next(tables, None):
            convert = "convert tables with numpy.loadtxt(FILE, delimiter=',') and numpy.save"
            lines.append(f"  found: '{table}', which no dataset reads; {convert}")
    return lines


def _describe_near_miss(path: Path, steps: int) -> Iterator[str]:
    frames = _FRAMES.fullmatch(path.name)
    if frames and int(frames[1]) != steps:
        yield f"frames for T = {frames[1]} in '{path}', but the network has steps {steps}"
    if frames or path.name == "events_np":
        parts = [name for name in ("train", "test") if find_subfolder(path, name)]
        if len(parts) == 1:
            missing = "test" if parts == ["train"] else "train"
            yield f"'{path}' with a folder '{parts[0]}', but no folder '{missing}'"
    if path.name.lower().endswith(_ARCHIVES) and path.is_file():
        yield f"'{path}', which is still packed; unpack it"


DATA_FOLDER_VARIABLE = "SEWDSL_DATA"
"""Environment variable for the folder that contains all datasets."""


def data_folder_variable() -> Path | None:
    """Return the folder in the environment variable ``SEWDSL_DATA``, or None."""
    named = os.environ.get(DATA_FOLDER_VARIABLE)
    return Path(named) if named else None


def candidate_folders(folder: Path | None, names: Sequence[str]) -> list[Path]:
    """Return the existing folders to search: the folder itself, and its subfolders with one of the names."""
    if folder is None:
        return []
    return [candidate for candidate in (folder, *(folder / name for name in names)) if is_folder(candidate)]


def missing_data_message(
    name: str, folder: Path | None, names: Sequence[str], patterns: Sequence[tuple[str, str]], source: str
) -> str:
    """Return the error message for a dataset that was not found.

    Args:
        folder: Searched folder, or None if none is set.
        names: Names of searched subfolders.
        patterns: Supported layouts as path patterns, each with its origin.
        source: Download address and size (empty for custom datasets).
    """
    if folder is None:
        first = f"no folder for dataset {name}; pass --data DIR, or set {DATA_FOLDER_VARIABLE} to its parent folder"
    elif not is_folder(folder):
        first = f"dataset {name} not found: '{folder}' is not a folder"
    else:
        inside = f" or its subfolder {' or '.join(names)}" if names else ""
        first = f"dataset {name} not found in '{folder}'{inside}"
    width = max(len(pattern) for pattern, _owner in patterns)
    rows = [f"    {pattern:<{width}}  {owner}".rstrip() for pattern, owner in patterns]
    return "\n".join([first, "  expected files:", *rows, *([f"  download: {source}"] if source else [])])
