"""The sentences that the program says, word for word, in one place: ``tests/golden/words``, one file for each folder.

A test calls :func:`check_words` with a text, or :func:`raises` in place of ``pytest.raises``. So whoever improves the
English of messages changes no test: ``UPDATE_GOLDEN=1 pytest -n 0 FILE`` writes the sentences of a file's tests anew,
and ``git diff tests/golden/words`` shows them before and after. Codes, places and numbers are what tests assert
themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "golden" / "words"
HEADING = re.compile(r"^@@ (.+)\n", re.MULTILINE)
TEMPORARY = re.compile(r"[^\s'\"]*pytest-of-[^/]+/pytest-\d+/(popen-gw\d+/)?[^/\s'\"]+")
"""The folder that pytest makes for a test."""
Error = TypeVar("Error", bound=BaseException)
written: dict[str, str] = {}
"""What this process has written to the files."""


def check_words(text: str, part: str = "") -> None:
    """Compare a text with the one that is kept for the running test.

    Args:
        text: The text. The test's temporary folder in it counts as ``TMP``, the project's as ``ROOT``.
        part: Tells this text from others that the same test compares.
    """
    __tracebackhide__ = True
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    path, _, name = test.partition("::")
    file, entry = file_of(path), f"{path.removeprefix('tests/')}::{name}" + (f" {part}" if part else "")
    text = TEMPORARY.sub("TMP", text).replace(str(ROOT), "ROOT").strip("\n")
    if os.environ.get("UPDATE_GOLDEN"):
        key = f"{file} {entry}"
        assert written.setdefault(key, text) == text, "a test that compares several texts gives each a `part`"
        write_entries(file, read_entries(file) | {entry: text})
    else:
        kept = read_once(file).get(entry)
        assert text == kept, f"after a look at the words: UPDATE_GOLDEN=1 pytest -n 0 '{path}'"


@contextmanager
def raises(error: type[Error] | tuple[type[Error], ...], part: str = "") -> Iterator[pytest.ExceptionInfo[Error]]:
    """Expect an error, as ``pytest.raises`` does, and compare its message by :func:`check_words`."""
    __tracebackhide__ = True
    with pytest.raises(error) as caught:
        yield caught
    check_words(str(caught.value), part)


def file_of(path: str) -> Path:
    """The golden file for a test file, ``tests/train/data/test_x.py``: that of its topmost folder below ``tests``."""
    parts = Path(path).parts
    return FOLDER / f"{parts[1] if len(parts) > 2 else 'tests'}.txt"


def read_entries(file: Path) -> dict[str, str]:
    """The texts of a golden file, by test and part."""
    if not file.exists():
        return {}
    _, *pieces = HEADING.split(file.read_text(encoding="utf-8"))
    return {name: text.strip("\n") for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


read_once = cache(read_entries)


def write_entries(file: Path, entries: dict[str, str]) -> None:
    """Write the texts of a golden file, sorted by test and part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "\n".join(f"@@ {name}\n{text}\n" for name, text in sorted(entries.items())), encoding="utf-8", newline="\n"
    )
