"""Imports of the commands that read, check and draw: none of them is slow."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
PROGRAM = f"""
import json, sys, time

def note(what, began, heavy={HEAVY}):
    found[what] = [name for name in heavy if name in sys.modules], time.perf_counter() - began

found, began = {{}}, time.perf_counter()
import sewdsl.train.training_plan
assert sewdsl.train.training_plan.datasets()
note("facts of data sets", began, ({HEAVY} + ("numpy", "sklearn", "torchvision")))

began = time.perf_counter()
from sewdsl.compiler import read
from sewdsl.targets import find_target
assert find_target("mcu:256KB").check(read("mnist5k").result())
note("sizes of a microcontroller", began, ({HEAVY} + ("numpy",)))

began = time.perf_counter()
import {FRONT_END}
note("the front end", began)

sys.argv[0] = "sewdsl"
from sewdsl.cli.app import main
for command in sys.argv[1:]:
    began = time.perf_counter()
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, (command, exit.code)
    note(command, began)
print(json.dumps(found), file=sys.stderr)
"""


def test_nothing_heavy_is_loaded(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """By one process that does all of it, one after the other: what loads something is the first that has it."""
    (tmp_path / "copy.net").write_text("sewdsl 1\ninput 2x32x32\nbody  c32k3s1-BN-PLIF-FC11\n", encoding="utf-8")
    commands = [command.format(out=tmp_path) for command in COMMANDS]
    command = [sys.executable, "-c", PROGRAM, *commands]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert [*found] == ["facts of data sets", "sizes of a microcontroller", "the front end", *commands]
    assert {what: heavy for what, (heavy, _) in found.items() if heavy} == {}
    for what, (_, seconds) in found.items():
        record_property(what, f"{seconds:.2f} s")


LEAN = """
import sys
sys.argv[1:] = ["check", "sew-resnet-18"]
from sewdsl.__main__ import main
try:
    main()
except SystemExit as exit:
    assert not exit.code
print([name for name in sys.modules if name.startswith(("rich", "sewdsl.passes", "sewdsl.dialects", "sewdsl.draw"))])
from sewdsl.elaborate.definitions import shipped_blocks
print(sorted(shipped_blocks()._parsed))
import dataclasses
from sewdsl.light_dataclass import FrozenMethods
theirs = {
    f"{kind.__module__}.{kind.__name__}"
    for name, module in sys.modules.items() if name.startswith("sewdsl.")
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__.startswith("sewdsl.") and dataclasses.is_dataclass(kind)
    and vars(kind).get("__setattr__", FrozenMethods.__setattr__) is not FrozenMethods.__setattr__
}
print(sorted(theirs))
"""


def test_check_loads_what_it_needs() -> None:
    """No tables, no passes, of the blocks those that are called, and dataclasses that cost little."""
    done = subprocess.run([sys.executable, "-c", LEAN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-3:] == ["[]", "['SEWBlock']", "[]"], done.stderr


def test_equations_without_other_kinds() -> None:
    """Their default surrogate is available in a process that has not loaded the catalogue."""
    command = [sys.executable, "-m", "sewdsl", "check", "MAP{1 - x}", "--input", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
