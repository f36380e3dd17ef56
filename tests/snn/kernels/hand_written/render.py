"""The text of the hand-written kernels for a surrogate and a join."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from types import ModuleType

import triton

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import pull_back
from sewdsl.equations.tape import Tape, TapeEntry, needed
from sewdsl.snn.kernels import compile_cache, render_kernels
from sewdsl.snn.kernels.neuron.plan_kernel import write_lines
from sewdsl.snn.kernels.neuron.tapes import read_tape

SPELLING = {name: operation.spelling.triton for name, operation in OPERATIONS.items()}
TEMPLATES = Path(__file__).with_name("templates")
SHARED = "cuda_channels"
"""Template of the package that the kernels of batch norm share."""
HEAD = "import triton\nimport triton.language as tl\n\n"


@cache
def load(*files: str, slope: str = "", join: str = "", backward: bool = False) -> ModuleType:
    """Return the module of templates, with a surrogate's derivative and a join."""
    text = HEAD + _surrogate(slope) + _join(join, backward=backward)
    for file in files:
        folder = render_kernels.TEMPLATES if file == SHARED else TEMPLATES
        tree = ast.parse((folder / f"{file}.py").read_text(encoding="utf-8"))
        functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        text += ast.unparse(ast.Module([*functions], [])) + "\n\n"
    return compile_cache.load_source(text, f"triton {triton.__version__}")


def _surrogate(slope: str) -> str:
    tape = Tape()
    return _function("surrogate_slope", {tape.leaf("u"): "u"}, read_tape(tape, slope or "set 1.0"))


def _join(join: str, *, backward: bool) -> str:
    tape = Tape()
    names = {tape.leaf("s"): "s", tape.leaf("z"): "z"}
    s, z = names
    joined = read_tape(tape, join) if join else s
    slopes = pull_back([(joined, tape.number(1.0))])
    one = tape.number(1.0)
    results = [slopes.get(s, one), slopes.get(z, one)] if backward else [joined]
    constants = {
        "HAS_JOIN": bool(join),
        "READS_OTHER": bool(join) and z in needed(results),
        "PASSES_SPIKES": slopes.get(s, one) is one,
    }
    text = "".join(f"{name} = tl.constexpr({value})\n" for name, value in constants.items())
    text += _function("join", names, joined)
    for name, entry in (("join_slope_by_spikes", s), ("join_slope_by_other", z)):
        text += _function(name, names, slopes.get(entry, one))
    return text


def _function(name: str, names: dict[TapeEntry, str], result: TapeEntry) -> str:
    """Return a function of what the names mean, whose result is there for each lane."""
    numbers = {entry: repr(entry.number) for entry in needed([result]) if entry.number is not None}
    lines, named = write_lines(names | numbers, [result], SPELLING)
    value = named[result] if result.operands else f"{named[result]} + 0.0 * {next(iter(names.values()))}"
    body = "".join(f"    {line}\n" for line in [*lines, f"return {value}"])
    return f"@triton.jit\ndef {name}({', '.join(names.values())}):\n{body}\n"
