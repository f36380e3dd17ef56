"""``python -m tools.snapshot``: writes down what the program does, and compares two such accounts."""

from __future__ import annotations

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import comparison, program
from .aspects import ASPECTS, of
from .command import inside, plain
from .inputs import Text, texts

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Runs one of the commands."""
    options = _parser().parse_args()
    if options.command == "compare":
        raise SystemExit(comparison.compare(options.old, options.new, options.skip, options.lines))
    if options.command == "list":
        print(*ASPECTS, *program.ASPECTS, sep="\n")  # noqa: T201 -- what the command is for
        raise SystemExit
    if options.command == "work":
        _work(options)
    else:
        _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.snapshot", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "write a snapshot into a folder"), ("work", argparse.SUPPRESS)):
        run = commands.add_parser(name, help=text)
        run.add_argument("out", type=Path, help="the folder; files of another snapshot in it are replaced")
        run.add_argument("--tree", type=Path, default=HERE.parents[1], help="the checkout to look at; this one")
        run.add_argument("--inputs", type=Path, help="the checkout whose nets and examples are the texts; TREE")
        run.add_argument("--only", action="append", metavar="ASPECT", help="only this aspect; repeatable; see list")
        run.add_argument("--nets", default="*", metavar="PATTERN", help="only texts of such names, such as 'g0*'")
        run.add_argument("--jobs", type=int, default=2, help="processes; 2")
        run.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    compare = commands.add_parser("compare", help="say where two snapshots differ; exit code 1 where they do")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    compare.add_argument("--skip", action="append", default=[], metavar="PATTERN", help="not files such as 'help/*'")
    compare.add_argument("--lines", type=int, default=12, help="lines of each difference; 12")
    commands.add_parser("list", help="print the aspects")
    return parser


def _run(options: argparse.Namespace) -> None:
    """Lets processes share the work, each with nothing but the checkout that is looked at."""
    unknown = set(options.only or ()) - {*ASPECTS, *program.ASPECTS}
    if unknown:
        sys.exit(f"there is no aspect {', '.join(sorted(unknown))}; see list")
    begun, tree, out = time.monotonic(), options.tree.resolve(), options.out.resolve()
    with tempfile.TemporaryDirectory(prefix="snapshot-") as scratch:
        command = [sys.executable, "-m", HERE.name, "work", str(out), "--scratch", scratch, "--tree", str(tree)]
        command += ["--inputs", str((options.inputs or tree).resolve()), "--nets", options.nets]
        command += [part for aspect in options.only or () for part in ("--only", aspect)]
        workers = [subprocess.Popen(command, cwd=scratch, env=_environment(tree, scratch)) for _ in range(options.jobs)]
        failed = [worker.wait() for worker in workers]
    print(f"{sum(1 for _ in out.rglob('*.txt'))} files in {out} in {time.monotonic() - begun:.0f} s")  # noqa: T201
    raise SystemExit(max(failed, key=abs))


def _environment(tree: Path, scratch: str) -> dict[str, str]:
    """What a worker knows: one thread, no colours, a fixed width, no settings of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEWDSL_", "PYTHON"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "PYTHONPATH": os.pathsep.join((str(tree), str(HERE.parent))),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SNAPSHOT_TREE": str(tree),
        "SNAPSHOT_SCRATCH": scratch,
        "SEWDSL_CACHE": f"{tempfile.gettempdir()}/sewdsl-snapshot-kernels",  # by their text, so of any commit
        "COLUMNS": "120",
        "LINES": "40",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }


def _work(options: argparse.Namespace) -> None:
    """Takes one piece of work after another that no other process has taken."""
    import sewdsl  # noqa: PLC0415 -- only here

    if not Path(sewdsl.__file__).is_relative_to(options.tree):
        sys.exit(f"this is the sewdsl of {sewdsl.__file__}, not of {options.tree}")
    wanted = options.only or [*ASPECTS, *program.ASPECTS]
    for name in program.ASPECTS:
        if name in wanted and options.nets == "*" and _taken(options.scratch, name):
            with inside(options.scratch / name), _noting(options.out, name, "failed"):
                for part, found in program.ASPECTS[name](options.tree):
                    _write(options.out, name, part, found)
    for text in _interleaved(list(texts(options.inputs))):
        if fnmatch.fnmatch(text.name, options.nets) and _taken(options.scratch, text.name):
            folder = options.scratch / "texts" / text.name
            text.write(folder)
            with inside(folder):
                for name in of(text):
                    if name in wanted:
                        with _noting(options.out, name, text.name):
                            _write(options.out, name, text.name, ASPECTS[name](text))


@contextmanager
def _noting(out: Path, aspect: str, name: str) -> Iterator[None]:
    """Writes down what went wrong where something did, and goes on."""
    try:
        yield
    except Exception:  # noqa: BLE001 -- whatever it is
        told = traceback.format_exc()
        _write(out, aspect, name, plain(f"failed\n{told}"))
        sys.stderr.write(f"{aspect} of {name}: {told.splitlines()[-1]}\n")


def _interleaved(found: list[Text]) -> Iterator[Text]:
    """The large networks first, so that no process waits for another at the end."""
    yield from sorted(found, key=lambda text: (text.group != "nets", "152" not in text.name, "101" not in text.name))


def _taken(scratch: Path, name: str) -> bool:
    """Takes a piece of work, unless somebody has."""
    place = scratch / "taken" / name
    place.parent.mkdir(exist_ok=True)
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _write(out: Path, aspect: str, name: str, text: str) -> None:
    place = out / aspect / f"{name}.txt"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
