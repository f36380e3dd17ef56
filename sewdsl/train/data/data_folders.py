"""Folders of datasets: where they are searched for, what to say if they are missing, and folders that are classes."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sewdsl.paths import is_folder

MAX_CLASSES_NAMED = 5
"""Most classes that a message names."""
SHOWN_DIGITS = 20
"""Most digits of a folder's name that a message quotes."""
MAX_CLASSES = 100_000
"""Classes of a dataset; folders whose names are larger numbers are an error."""
SUBSET_HINT = "  if a part of it will do, say so: 'subset on' in the train section, or --set train.subset=on"


def subfolders(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by their names, those of the system left out; none where it is no folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: Path(entry.path) for entry in entries if entry.is_dir() and entry.name[0] not in "._"}


def find_subfolder(folder: Path, *names: str) -> Path | None:
    """Return the folder in a folder that has one of these names, capitals or not; None where there is none."""
    return next((path for name, path in subfolders(folder).items() if name.lower() in names), None)


def class_labels(names: Iterable[str], known: Sequence[str] = ()) -> dict[str, int]:
    """Return the class of each name of a folder.

    A number is its own class, so that '10' is 10; other names are counted in the order of their characters.

    Args:
        known: The names of all classes, in order, where the dataset says so; other folders are none of its classes.
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
    """Return the names of the classes, in order, from files in their folders; none where the names are numbers.

    What is no UTF-8 in a name is replaced, so that it can be printed.
    """
    names = {label: os.fsencode(path.parent.name).decode(errors="replace") for label, path in files}
    if _numbers(names.values()):
        return []
    return [names.get(label, str(label)) for label in range(max(names) + 1)]


def class_files(folder: Path, suffixes: Sequence[str], label: dict[str, int]) -> list[tuple[int, Path]]:
    """Return the files with one of the suffixes in folders of classes, each with its class; by class, then by name."""
    return [
        (label[name], path / entry)
        for name, path in sorted(subfolders(folder).items(), key=lambda item: label.get(item[0], -1))
        if name in label
        for entry in sorted(os.listdir(path))  # noqa: PTH208 -- a tenth of the time, of a million files
        if Path(entry).suffix.lower() in suffixes and entry[0] != "."
    ]


def class_problem(
    place: Path, parts: Mapping[str, Collection[int]], label: Mapping[str, int], count: int | None, *, subset: bool
) -> str:
    """Return what is wrong with the classes in a folder of one's own; empty where nothing is.

    Args:
        parts: The classes that have samples, by the name of each part of the data.
        count: How many classes the network tells apart; None: as many as there are.
        subset: Whether classes may be without samples.
    """
    total = max(label.values()) + 1
    called = {number: name for name, number in label.items()}
    if total > MAX_CLASSES:
        name = called[total - 1][:SHOWN_DIGITS]
        return (
            f"in '{place}', the folder '{name}' is a number, which is its own class, from 0, but there are at most "
            f"{MAX_CLASSES:,} classes\n  give the folders names that are not all numbers"
        )
    lacking = {n: [part for part, there in parts.items() if n not in there] for n in range(total)}
    torn = {n: where for n, where in lacking.items() if where and (len(where) < len(parts) or not subset)}
    numbers = "; a number is its own class, from 0" if _numbers(label) else ""
    if torn and not (subset and (count is None or total <= count)):
        gaps = [f"class '{called.get(n, n)}' has no samples in {' and '.join(where)}" for n, where in torn.items()]
        remedy = f"each class has a folder of one name, with samples, in every part{numbers}"
        return f"in '{place}', {first_words(gaps)}\n  {remedy}"
    if count is None or total == count or (subset and total < count):
        return ""
    names = first_words([called.get(n, str(n)) for n in range(total)])
    classes = f"{total} class{'es' if total > 1 else ''} ({names}{numbers})"
    part = "; if outputs without samples are intended, say 'subset on' in the train section" if total < count else ""
    return f"'{place}' has {classes}, but the network tells {count} apart\n  let it end in FC{total}{part}"


def first_words(words: Sequence[str]) -> str:
    """Return the first words of a list, and how many more there are."""
    more = f", and {len(words) - MAX_CLASSES_NAMED} more" if len(words) > MAX_CLASSES_NAMED else ""
    return ", ".join(words[:MAX_CLASSES_NAMED]) + more


_FRAMES = re.compile(r"frames_number_([0-9]+)_split_by_number")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".h5.gz", ".7z", ".rar")


def near_misses(folders: Sequence[Path], steps: int) -> list[str]:
    """Return a line for each recording in folders that explains why it was not found."""
    lines: list[str] = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # it cannot be read
        lines += [f"  there: {line}" for path in paths for line in _said(path, steps)]
    return lines


def _said(path: Path, steps: int) -> Iterator[str]:
    frames = _FRAMES.fullmatch(path.name)
    if frames and int(frames[1]) != steps:
        yield f"frames for T = {frames[1]} in '{path}', but the network has steps {steps}"
    if frames or path.name == "events_np":
        parts = [name for name in ("train", "test") if find_subfolder(path, name)]
        if len(parts) == 1:
            missing = "test" if parts == ["train"] else "train"
            yield f"'{path}' with a folder '{parts[0]}', but none '{missing}'"
    if path.name.lower().endswith(_ARCHIVES) and path.is_file():
        yield f"'{path}', which has to be unpacked"


DATA_FOLDER_VARIABLE = "SEWDSL_DATA"
"""Environment variable with the folder of all datasets."""


def data_folder_variable() -> Path | None:
    """Return the folder that the environment variable names; None if it is not set."""
    named = os.environ.get(DATA_FOLDER_VARIABLE)
    return Path(named) if named else None


def candidate_folders(folder: Path | None, names: Sequence[str]) -> list[Path]:
    """Return the folder itself, and the folders in it that have one of the names."""
    if folder is None:
        return []
    return [place for place in (folder, *(folder / name for name in names)) if is_folder(place)]


def missing_data_message(
    name: str, folder: Path | None, names: Sequence[str], patterns: Sequence[tuple[str, str]], source: str
) -> str:
    """Return the message that a dataset is not found.

    Args:
        folder: Where it was looked for; None: not given.
        names: Of the folders in it that were looked into as well.
        patterns: How the files may lie, and who leaves them so.
        source: Where to get it, and how large it is; empty: it is the user's own.
    """
    if folder is None:
        first = f"where does {name} lie? Say --data DIR, or set {DATA_FOLDER_VARIABLE} to the folder of all data sets"
    elif not is_folder(folder):
        first = f"{name} is not there: '{folder}' is not a folder"
    else:
        inside = f", nor in a folder {' or '.join(names)} there" if names else ""
        first = f"{name} is not in '{folder}'{inside}"
    width = max(len(pattern) for pattern, _owner in patterns)
    rows = [f"    {pattern:<{width}}  {owner}".rstrip() for pattern, owner in patterns]
    return "\n".join([first, "  expected in the folder:", *rows, *([f"  get it: {source}"] if source else [])])
