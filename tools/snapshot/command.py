"""The command line, run in this process: starting one process per command would take hours."""

from __future__ import annotations

import os
import re
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple


class Printed(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        parts = [self.out]
        if self.err:
            parts.append(f"--- standard error\n{self.err}")
        return "\n".join(part.removesuffix("\n") for part in parts if part) + f"\n--- exit code {self.code}\n"


def sewdsl(*arguments: str, stdin: str = "") -> Printed:
    """Run the command ``sewdsl``. An uncaught exception counts as exit code 70."""
    main = _entry_point()
    # Files of bytes, since commands may write to the underlying buffer.
    streams = [TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    before = sys.stdin, sys.stdout, sys.stderr, sys.argv
    program = sys.modules["__main__"]
    # Otherwise, usage messages would name the program 'python -m …'.
    package, program.__package__ = program.__package__, None
    sys.stdin = TextIOWrapper(BytesIO(stdin.encode(errors="surrogateescape")), encoding="utf-8")
    sys.stdout, sys.stderr = streams
    sys.argv = ["sewdsl", *arguments]
    try:
        main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    except Exception:  # noqa: BLE001 -- errors are part of the snapshot
        code = 70
        sys.stderr.write("".join(traceback.format_exception_only(*sys.exc_info()[:2])))
    finally:
        sys.stdin, sys.stdout, sys.stderr, sys.argv = before
        program.__package__ = package
    out, err = (stream.buffer.getvalue().decode(errors="replace") for stream in streams)
    return Printed(code, plain(out), plain(err))


@cache
def _entry_point() -> Callable[[], None]:
    """Return the entry point of ``sewdsl``, by its name in the project file."""
    project = tomllib.loads(Path(os.environ["SNAPSHOT_TREE"], "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["sewdsl"].partition(":")
    function: Callable[[], None] = getattr(import_module(module), name)
    return function


def shown(*arguments: str, stdin: str = "") -> str:
    """Return a command and its output."""
    return f"$ sewdsl {' '.join(_quoted(each) for each in arguments)}\n{sewdsl(*arguments, stdin=stdin)}"


def _quoted(argument: str) -> str:
    return argument if re.fullmatch(r"[\w./=,:-]+", argument) else repr(argument)


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """Change to a folder within a context."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def plain(text: str) -> str:
    """Return a text without trailing blanks, with placeholders for temporary folders."""
    for variable in ("SNAPSHOT_SCRATCH", "SNAPSHOT_TREE"):
        folder = os.environ.get(variable)
        if folder:
            text = text.replace(folder, f"<{variable.removeprefix('SNAPSHOT_').lower()}>")
    return re.sub(r"[ \t]+$", "", text.replace("\r\n", "\n"), flags=re.MULTILINE)
