"""The text of every kernel, from the templates next to this module.

A template is a Python file that is formatted and linted as any other, and read as text, never imported. It imports
from ``templates/variant.py`` the names in which one kernel differs from another, and from other templates what kernels
share. Rendering

* puts the other templates in the place of their imports,
* replaces constants by their values, and conditions on them by the branch that they decide for,
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

from sewdsl.snn.kernels import compile_cache

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
    return _render_cpu("statistics", "settle", stored)


def render_cuda_statistics() -> str:
    """A module with the CUDA kernels ``sums``, ``average`` and ``settle``."""
    return _render("cuda_channels", {"sums", "average", "settle"}, {})


def render_cuda_packing() -> str:
    """A module with the CUDA kernels ``pack`` and ``unpack``."""
    return _render("cuda_packed_bits", {"pack", "unpack"}, {})


def render_cuda_max_pool() -> str:
    """A module with the CUDA kernels ``forward`` and ``backward`` of max pooling."""
    return _render("cuda_max_pool", {"forward", "backward"}, {})


def render_cuda(text: str, functions: set[str]) -> str:
    """Return a module with CUDA kernels of a generated text, which may use what ``cuda_channels`` has."""
    return _render("cuda_channels", functions, {}, (), ast.parse(text).body)


def render_generated(text: str, function: str, stored: str) -> str:
    """A module with a function of a generated text, which may use what the templates ``SHARED`` have.

    Args:
        text: Statements.
        function: Which of its functions.
        stored: Dtype of input and output.
    """
    return _shared_part(stored) + _render("entry_points", {function}, {}, SHARED, ast.parse(text).body)


def _render_cpu(template: str, function: str, stored: str, constants: Mapping[str, int | str] | None = None) -> str:
    """A module with a function of a CPU template, for a dtype of input and output."""
    return _shared_part(stored) + _render(template, {function}, {"STORED": stored, **(constants or {})}, SHARED)


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
    specializer, included = _Specializer(constants), set[str]()
    statements = [each for name in SHARED if name not in included for each in _statements(name, specializer, included)]
    return f"{_text_of(statements)}{compile_cache.END_OF_SHARED}"


def _render(
    template: str,
    functions: set[str],
    constants: Mapping[str, int | str],
    known: Iterable[str] = (),
    generated: Sequence[ast.stmt] = (),
) -> str:
    """A module with functions of a template, or of generated statements after it, and with all that they use.

    Templates that are known are not put in the place of their imports.
    """
    body = []
    for statement in reversed([*_statements(template, _Specializer(constants), set(known)), *generated]):
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
    """Puts values in the place of constants, and branches in that of conditions on them."""

    def __init__(self, constants: Mapping[str, int | str]) -> None:
        self._constants = dict(constants)

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

    def _is_constant(self, test: ast.expr) -> bool:
        names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
        return bool(names) and names <= self._constants.keys()

    def _value(self, test: ast.expr) -> object:
        expression = compile(ast.Expression(test), "<template>", "eval")
        return eval(expression, {"__builtins__": {}}, self._constants)  # noqa: S307 -- of a template
