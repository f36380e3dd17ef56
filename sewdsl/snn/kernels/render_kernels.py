"""The text of every kernel, from the templates next to this module.

A template is a Python file that is formatted and linted as any other, and read as text, never imported. It imports
from ``templates/variant.py`` the names in which one kernel differs from another, and from other templates what kernels
share. Rendering

* puts the other templates in the place of their imports,
* replaces constants by their values, and conditions on them by the branch that they decide for,
* replaces calls of a surrogate's slope, of a join and of its slopes by the lines of their tapes,
* leaves out definitions that the kernel does not use.

CPU kernels of one dtype begin with the same text, the templates ``SHARED``. Its end is marked, so that a process
compiles what is in it once (see :func:`sewdsl.snn.kernels.compile_cache.load_source`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import Tape, TapeEntry, needed
from sewdsl.snn.kernels import compile_cache
from sewdsl.snn.kernels.tapes import join_slopes, read_tape

TEMPLATES = Path(__file__).with_name("templates")

CACHE_LINE_BYTES = 64
"""Bytes of a line of the processor's caches."""

STREAMED_BYTES = 1 << 25
"""From how many bytes on a sequence is written past the caches, where it would not stay until it is read."""

WIDTHS = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by the dtypes that CPU kernels are there for."""

PLACES_APART = 16
"""Numbers between two places of Winograd's algorithm, a line of a cache, so that 36 of them do not share lines."""
TILES_TOGETHER = 32
"""Tiles whose products are transformed back together, while they are in a near cache."""
SMALL_TILE = 2
"""Height and width of the smaller tiles of Winograd's algorithm."""
SPAN_BITS = 6
"""Binary logarithm of how many times a window's largest input the largest of its tile may be. Beyond it, an output is a
plain sum: rounding errors are relative to the largest input of a tile."""
SHARED = ("number_formats", "channels", "equations")
"""Templates that all CPU kernels begin with; nothing in them depends on more than the dtype."""

LANES = 64
"""Bytes in a group of packed numbers."""

MAX_WHOLE_PERIOD = 4096
"""Up to this many neurons, a period of channels is held as a whole."""

CUDA_INSTRUCTIONS = {name: operation.spelling.triton for name, operation in OPERATIONS.items()}
"""Text of operations in a CUDA kernel."""

TAPE_RESULTS = {"surrogate_slope": "t", "join": "y", "join_slope_by_spikes": "d", "join_slope_by_other": "o"}
"""The functions of ``templates/variant.py`` that are replaced by tapes, and what the results of each are called."""


class EventConvolutionVariant(NamedTuple):
    """What distinguishes one kernel of convolutions by events from another.

    Attributes:
        stored: Dtype of input and output.
        counts: Whether inputs may be other numbers than 0 and 1.
        rows: Height of the convolution's kernel.
        columns: Its width.
        mask_lanes: Inputs that are looked at together.
        vector: Numbers in a vector.
        vectors: Vectors of output channels that are summed up at once.
    """

    stored: str
    counts: bool
    rows: int
    columns: int
    mask_lanes: int
    vector: int
    vectors: int


def render_event_convolution(variant: EventConvolutionVariant, function: str) -> str:
    """A module with the function ``count``, ``forward`` or ``weight_gradient``."""
    constants = {
        "COUNTS": variant.counts,
        "KERNEL_ROWS": variant.rows,
        "KERNEL_COLUMNS": variant.columns,
        "MASK_LANES": variant.mask_lanes,
        "VECTOR": variant.vector,
        "VECTORS": variant.vectors,
    }
    return _render_cpu("event_convolution", function, variant.stored, constants)


def render_winograd(tile: int, vector: int, vectors: int, rows: int, function: str) -> str:
    """Return a module with the function ``forward``, ``weight_gradient`` or ``sum_gradients``.

    Args:
        tile: Height and width of a tile of outputs, 2 or 4.
        vector: Numbers in a vector.
        vectors: Vectors in a panel.
        rows: Rows of a matrix that are multiplied at once.
        function: Which.
    """
    sizes = {"TILE": tile, "SMALL_TILE": tile == SMALL_TILE, "VECTOR": vector, "VECTORS": vectors, "ROWS": rows}
    constants = {"APART": PLACES_APART, "BLOCK": TILES_TOGETHER, "SPAN_BITS": SPAN_BITS}
    return _render_cpu("winograd", function, "float32", sizes | constants)


def render_pack(stored: str, bits: int) -> str:
    """A module with the function ``pack``, from numbers of a dtype to bytes of 1, 2, 4 or 8 bits a number."""
    return _render_cpu("packed_bits", "pack", stored, {"BITS": bits, "LANES": LANES})


def render_unpack(stored: str, bits: int) -> str:
    """A module with the function ``unpack``, the inverse of ``pack`` with the same arguments."""
    return _render_cpu("packed_bits", "unpack", stored, {"BITS": bits, "LANES": LANES})


def render_max_pool(stored: str) -> str:
    """A module with the function ``forward``, from feature maps to maxima and their positions in the windows."""
    return _render_cpu("max_pool", "forward", stored)


def render_max_pool_backward(stored: str, *, overlap: bool) -> str:
    """A module with the function ``backward``, from gradients and positions to the gradient of the feature maps.

    Args:
        stored: Dtype of the maps.
        overlap: Whether windows overlap.
    """
    return _render_cpu("max_pool", "backward", stored, {"WINDOWS_OVERLAP": overlap})


def render_statistics(stored: str) -> str:
    """A module with the function ``statistics``: for each group and channel, the sum of x and of its square."""
    return _render_cpu("statistics", "statistics", stored)


def render_statistics_terms(stored: str) -> str:
    """A module with the function ``settle``, which adds the statistics' terms to the gradient of the input."""
    return _render_cpu("settle", "settle", stored)


def render_cuda_neurons(slope: str) -> str:
    """A module with the CUDA kernels ``forward``, ``backward`` and ``backward_in_registers``.

    Args:
        slope: The tape of a surrogate's derivative.
    """
    lines = {"surrogate_slope": _cuda_lines("surrogate_slope", read_tape(Tape(), slope))}
    return _render("cuda_neuron", {"forward", "backward", "backward_in_registers"}, {}, lines)


def render_cuda_statistics() -> str:
    """A module with the CUDA kernels ``sums`` and ``average``."""
    return _render("cuda_norm_neuron", {"sums", "average"}, {}, {})


def render_cuda_norm_neurons(join: str) -> str:
    """A module with the CUDA kernel ``forward``: spikes, or the result of a join whose tape is not empty."""
    constants = {"HAS_JOIN": bool(join), "READS_OTHER": "z" in join.replace(";", "").split()}
    lines = {"join": _cuda_lines("join", read_tape(Tape(), join))} if join else {}
    return _render("cuda_norm_neuron", {"forward"}, constants, lines)


def render_cuda_norm_neurons_backward(slope: str, join: str) -> str:
    """A module with the CUDA kernels ``backward``, ``conclude`` and ``settle``.

    Args:
        slope: The tape of a surrogate's derivative.
        join: The tape of the join that takes the spikes; empty without a join.
    """
    slopes = join_slopes(join) if join else None  # there are some: other joins are not fused
    constants = {
        "HAS_JOIN": slopes is not None,
        "READS_OTHER": slopes is not None and slopes.reads_other,
        "PASSES_SPIKES": slopes is not None and slopes.spikes.number == 1,
    }
    tapes = {"surrogate_slope": read_tape(Tape(), slope)}
    if slopes is not None:
        tapes |= {"join_slope_by_spikes": slopes.spikes, "join_slope_by_other": slopes.other}
    lines = {name: _cuda_lines(name, tape) for name, tape in tapes.items()}
    return _render("cuda_norm_neuron", {"backward", "conclude", "settle"}, constants, lines)


def render_cuda_packing() -> str:
    """A module with the CUDA kernels ``pack`` and ``unpack``."""
    return _render("cuda_packed_bits", {"pack", "unpack"}, {}, {})


def render_cuda_max_pool() -> str:
    """A module with the CUDA kernels ``forward`` and ``backward`` of max pooling."""
    return _render("cuda_max_pool", {"forward", "backward"}, {}, {})


def _cuda_lines(name: str, root: TapeEntry) -> list[str]:
    """A result as lines of a CUDA kernel."""
    names, lines = dict[TapeEntry, str](), list[str]()
    for entry in needed([root]):
        if entry.operands:
            names[entry] = f"{TAPE_RESULTS[name]}{len(lines)}"
            text = CUDA_INSTRUCTIONS[entry.operation].format(*(names[each] for each in entry.operands))
            lines.append(f"{names[entry]} = {text}")
        else:
            names[entry] = entry.operation if entry.number is None else repr(entry.number)
    lane = "u" if name == "surrogate_slope" else "s"  # a number is there as many times as there are lanes
    return lines or [f"{TAPE_RESULTS[name]}0 = {names[root]} + 0.0 * {lane}"]


def render_generated(text: str, function: str, stored: str) -> str:
    """A module with a function of a generated text, which may use what the templates ``SHARED`` have.

    Args:
        text: Statements, without tapes.
        function: Which of its functions.
        stored: Dtype of input and output.
    """
    return _shared_part(stored) + _render("entry_points", {function}, {}, {}, SHARED, ast.parse(text).body)


def _render_cpu(template: str, function: str, stored: str, constants: Mapping[str, int | str] | None = None) -> str:
    """A module with a function of a CPU template, for a dtype of input and output."""
    return _shared_part(stored) + _render(template, {function}, {"STORED": stored, **(constants or {})}, {}, SHARED)


@cache
def _shared_part(stored: str) -> str:
    """The text that CPU kernels of a dtype begin with."""
    constants: dict[str, int | str] = {
        "STORED": stored,
        "CACHE_LINE_ELEMENTS": CACHE_LINE_BYTES // WIDTHS[stored],
        "STREAMED_ELEMENTS": STREAMED_BYTES // WIDTHS[stored],
        "STREAMED_LANES": CACHE_LINE_BYTES // 2 // WIDTHS[stored],
        "MAX_WHOLE_PERIOD": MAX_WHOLE_PERIOD,
    }
    specializer, included = _Specializer(constants, {}), set[str]()
    statements = [each for name in SHARED if name not in included for each in _statements(name, specializer, included)]
    return f"{_text_of(statements)}{compile_cache.END_OF_SHARED}"


def _render(  # noqa: PLR0913 -- of the text alone
    template: str,
    functions: set[str],
    constants: Mapping[str, int | str],
    tapes: Mapping[str, Sequence[str]],
    known: Iterable[str] = (),
    generated: Sequence[ast.stmt] = (),
) -> str:
    """A module with functions of a template, or of generated statements after it, and with all that they use.

    Templates that are known are not put in the place of their imports.
    """
    body = []
    for statement in reversed([*_statements(template, _Specializer(constants, tapes), set(known)), *generated]):
        if functions & (bound := _bound_names(statement)):
            functions = functions - bound | {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            body.append(statement)
    return _text_of(reversed(body))


def _text_of(statements: Iterable[ast.stmt]) -> str:
    note = ast.Expr(ast.Constant("A generated kernel; this file may be removed at any time."))
    return ast.unparse(ast.Module([note, *statements], [])) + "\n"


def _statements(template: str, specializer: _Specializer, included: set[str]) -> list[ast.stmt]:
    """The specialised statements of a template, after those of the templates that it imports from, each once."""
    included.add(template)
    statements: list[ast.stmt] = []
    for statement in ast.parse((TEMPLATES / f"{template}.py").read_text(encoding="utf-8")).body[1:]:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(f"{__package__}.templates."):
            other = (statement.module or "").rpartition(".")[2]
            if other not in {"variant", *included}:
                statements += _statements(other, specializer, included)
        else:
            statements += specializer.specialize([statement])
    return statements


def _bound_names(statement: ast.stmt) -> set[str]:
    """The names that a statement at the top of a module gives a meaning."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name for alias in names}
        case _:
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


class _Specializer(ast.NodeTransformer):
    """Puts values in the place of constants, branches in that of conditions, and lines in that of calls of tapes.

    Args:
        constants: Values by name.
        tapes: Lines by name, each an assignment; a call means the result of the last one.
    """

    def __init__(self, constants: Mapping[str, int | str], tapes: Mapping[str, Sequence[str]]) -> None:
        self._constants, self._tapes = dict(constants), tapes
        self._before: list[ast.stmt] = []

    def specialize(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """What remains of statements."""
        found: list[ast.stmt] = []
        for statement in statements:
            result = self.visit(statement)
            found += result if isinstance(result, list) else [result]
        return found

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        """The branch that a condition on constants decides for."""
        if self._is_constant(node.test):
            return self.specialize(node.body if self._value(node.test) else node.orelse)
        self.generic_visit(node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """The operand that a condition on constants decides for."""
        if self._is_constant(node.test):
            operand: ast.expr = self.visit(node.body if self._value(node.test) else node.orelse)
            return operand
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The value of a constant."""
        return ast.Constant(self._constants[node.id]) if node.id in self._constants else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """The result of a tape, whose lines are left for the statement that it is in."""
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id in self._tapes):
            return node
        lines = self._tapes[node.func.id]
        self._before += ast.parse("\n".join(lines)).body
        return ast.Name(lines[-1].split()[0], ast.Load())

    def _visit_line(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement after the lines of the tapes that it calls."""
        self.generic_visit(node)
        found, self._before = [*self._before, node], []
        return found

    visit_Assign = visit_Return = _visit_line

    def _is_constant(self, test: ast.expr) -> bool:
        names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
        return bool(names) and names <= self._constants.keys()

    def _value(self, test: ast.expr) -> object:
        expression = compile(ast.Expression(test), "<template>", "eval")
        return eval(expression, {"__builtins__": {}}, self._constants)  # noqa: S307 -- of a template
