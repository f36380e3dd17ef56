"""What reads, checks and draws a network answers at once, so it loads nothing heavy."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("jinja2", "lightning", "matplotlib", "networkx", "pygments", "torch")
FRONT_END = (
    "sewdsl.checks, sewdsl.diagnostics, sewdsl.draw, sewdsl.elaborate, sewdsl.highlight, sewdsl.ir, sewdsl.notation, "
    "sewdsl.ops, sewdsl.resources, sewdsl.source, sewdsl.syntax, sewdsl.compiler, sewdsl.cli.app"
)
COMMANDS = [
    "check sew-resnet-152",
    "check mnist5k",
    "show sew-resnet-152",
    "show sew-resnet-152 --json",
    "draw sew-resnet-152 -o {out}/net.svg",
    "draw sew-resnet-152 -o {out}/net.dot",
    "fmt {out}/copy.net",
    "nets",
    "notation sew-resnet-152",
    "notation sew-resnet-152 --as net",
    "diff sew-resnet-152 sew-resnet-152",
    "explain missing-hyphen",
    "runs {out}",
]
PROGRAM = """
import sys
sys.argv[0] = "sewdsl"
from sewdsl.cli.app import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print(*(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""


def loaded(program: str, *arguments: str) -> list[str]:
    """Which heavy packages a program has loaded when it ends."""
    command = [sys.executable, "-c", program.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


def test_importing_the_front_end() -> None:
    program = f"import sys, {FRONT_END}\nprint(*(n for n in {{heavy}} if n in sys.modules), file=sys.stderr)"
    assert loaded(program) == []


def test_facts_of_data_sets() -> None:
    program = "import sys, sewdsl.train.training_plan\nassert sewdsl.train.training_plan.datasets()\n"
    heavy = (*HEAVY, "numpy", "sklearn", "torchvision")
    assert loaded(f"{program}print(*(n for n in {heavy} if n in sys.modules), file=sys.stderr)") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    (tmp_path / "copy.net").write_text("sewdsl 1\ninput 2x32x32\nbody  c32k3s1-BN-PLIF-FC11\n", encoding="utf-8")
    start = time.perf_counter()
    assert loaded(PROGRAM, *command.format(out=tmp_path).split()) == []
    record_property(f"sewdsl {command}", f"{time.perf_counter() - start:.2f} s")
