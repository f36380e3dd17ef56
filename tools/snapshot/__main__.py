"""Write snapshots of the program's behaviour, and compare them."""

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
    """Run one of the commands."""
    options = _parser().parse_args()
    if options.command == "compare":
        raise SystemExit(comparison.compare(options.old, options.new, options.skip, options.lines))
    if options.command == "list":
        print(*ASPECTS, *program.ASPECTS, sep="\n")  # noqa: T201 -- output of the command
        raise SystemExit
    if options.command == "work":
        _work(options)
    else:
        _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.snapshot", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "Write a snapshot into a folder."), ("work", argparse.SUPPRESS)):
        run = commands.add_parser(name, help=text)
        run.add_argument("out", type=Path, help="Folder to write. Files of an earlier snapshot are replaced.")
        run.add_argument("--tree", type=Path, default=HERE.parents[1], help="Checkout to run. [default: this one]")
        run.add_argument("--inputs", type=Path, help="Checkout with the networks and examples. [default: TREE]")
        run.add_argument("--only", action="append", metavar="ASPECT", help="Aspect to write, see `list` (repeatable).")
        run.add_argument("--nets", default="*", metavar="PATTERN", help="Names of texts, e.g. 'g0*'. [default: all]")
        run.add_argument("--jobs", type=int, default=2, help="Number of processes. [default: 2]")
        run.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    compare = commands.add_parser("compare", help="Print the differences of two snapshots (exit code 1 if any).")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    compare.add_argument(
        "--skip", action="append", default=[], metavar="PATTERN", help="Files to skip, e.g. 'help/*' (repeatable)."
    )
    compare.add_argument("--lines", type=int, default=12, help="Number of lines per difference. [default: 12]")
    commands.add_parser("list", help="Print the aspects.")
    return parser


def _run(options: argparse.Namespace) -> None:
    """Share the work among processes that import only the given checkout."""
    unknown = set(options.only or ()) - {*ASPECTS, *program.ASPECTS}
    if unknown:
        sys.exit(f"unknown aspect {', '.join(sorted(unknown))}; 'list' prints the aspects")
    start, tree, out = time.monotonic(), options.tree.resolve(), options.out.resolve()
    with tempfile.TemporaryDirectory(prefix="snapshot-") as scratch:
        # Workers run in another folder, so that the checkout of this program is not imported.
        command = [sys.executable, "-m", HERE.name, "work", str(out), "--scratch", scratch, "--tree", str(tree)]
        command += ["--inputs", str((options.inputs or tree).resolve()), "--nets", options.nets]
        command += [part for aspect in options.only or () for part in ("--only", aspect)]
        workers = [subprocess.Popen(command, cwd=scratch, env=_environment(tree, scratch)) for _ in range(options.jobs)]
        failed = [worker.wait() for worker in workers]
    print(f"{sum(1 for _ in out.rglob('*.txt'))} files in {out} in {time.monotonic() - start:.0f} s")  # noqa: T201
    raise SystemExit(max(failed, key=abs))


def _environment(tree: Path, scratch: str) -> dict[str, str]:
    """Return a reproducible environment: one thread, no colours, a fixed width, no user settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEWDSL_", "PYTHON"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **inherited,
        **threads,
        "PYTHONPATH": os.pathsep.join((str(tree), str(HERE.parent))),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SNAPSHOT_TREE": str(tree),
        "SNAPSHOT_SCRATCH": scratch,
        # Kernels are stored by their text, so commits can share the cache.
        "SEWDSL_CACHE": f"{tempfile.gettempdir()}/sewdsl-snapshot-kernels",
        "COLUMNS": "120",
        "LINES": "40",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }


def _work(options: argparse.Namespace) -> None:
    """Do one piece of work after another, unless another process does it."""
    import sewdsl  # noqa: PLC0415 -- only workers have the checkout on their path

    if not Path(sewdsl.__file__).is_relative_to(options.tree):
        sys.exit(f"imported sewdsl from {sewdsl.__file__}, expected {options.tree}")
    aspects = options.only or [*ASPECTS, *program.ASPECTS]
    for name in program.ASPECTS:
        if name in aspects and options.nets == "*" and _taken(options.scratch, name):
            with inside(options.scratch / name), _noting(options.out, name, "failed"):
                for part, content in program.ASPECTS[name](options.tree):
                    _write(options.out, name, part, content)
    # Texts are taken one by one, since their times differ a lot.
    for text in _interleaved(list(texts(options.inputs))):
        if fnmatch.fnmatch(text.name, options.nets) and _taken(options.scratch, text.name):
            folder = options.scratch / "texts" / text.name
            text.write(folder)
            with inside(folder):
                for name in of(text):
                    if name in aspects:
                        with _noting(options.out, name, text.name):
                            _write(options.out, name, text.name, ASPECTS[name](text))


@contextmanager
def _noting(out: Path, aspect: str, name: str) -> Iterator[None]:
    """Write errors into the snapshot, and continue."""
    try:
        yield
    except Exception:  # noqa: BLE001 -- errors are part of the snapshot
        trace = traceback.format_exc()
        _write(out, aspect, name, plain(f"failed\n{trace}"))
        sys.stderr.write(f"{aspect} of {name}: {trace.splitlines()[-1]}\n")


def _interleaved(inputs: list[Text]) -> Iterator[Text]:
    """Yield large networks first, which keeps all processes busy until the end."""
    yield from sorted(inputs, key=lambda text: (text.group != "nets", "152" not in text.name, "101" not in text.name))


def _taken(scratch: Path, name: str) -> bool:
    """Return whether this process gets a piece of work that no other one has taken."""
    marker = scratch / "taken" / name
    marker.parent.mkdir(exist_ok=True)
    # Creating a file is atomic between processes.
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _write(out: Path, aspect: str, name: str, text: str) -> None:
    file = out / aspect / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
