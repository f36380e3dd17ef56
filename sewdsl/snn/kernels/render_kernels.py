"""Source text of all kernels, rendered from templates.

A template is a Python file that is formatted and linted but never imported. It imports constants that differ between
kernels from ``templates/variant.py``, and shared definitions from other templates. Rendering

* replaces imports of templates by their content,
* replaces constants by their values, and conditions on constants by the selected branch,
* drops definitions that the kernel does not use.

CPU kernels of one dtype start with the same text, the templates ``SHARED``. The end is marked, so that a process
compiles the source once (see :func:`sewdsl.snn.kernels.compile_cache.load_source`).
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
"""Size of a cache line of the processor, in bytes."""

STREAMED_BYTES = 1 << 25
"""Bytes from which a sequence is written with non-temporal stores, since caches would not hold it until it is read."""

WIDTHS = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per element of the dtypes that CPU kernels support."""

PLACES_APART = 16
"""Elements of padding between the 36 points of Winograd's transform: one cache line, so that the points do not compete
for the same lines of a cache."""
TILES_TOGETHER = 32
"""Number of tiles whose products are transformed back together, while they are in a near cache."""
SMALL_TILE = 2
"""Height and width of the smaller tiles of Winograd's algorithm."""
SPAN_BITS = 6
"""Binary logarithm of the largest allowed ratio between the largest input of a tile and of a window in it. Above this
ratio, an output is a plain sum: rounding errors are relative to the largest input of a tile."""
SHARED = ("number_formats", "channels", "equations")
"""Templates at the start of all CPU kernels, which depend on the dtype only."""

LANES = 64
"""Bytes in a group of packed values."""

MAX_WHOLE_PERIOD = 4096
"""Largest period of channels, in neurons, for which per-channel values are spread over a whole period."""


class EventConvolutionVariant(NamedTuple):
    """Parameters of a kernel of event-driven convolutions."""

    stored: str
    """Dtype of input and output."""
    counts: bool
    """Whether inputs may have values other than 0 and 1."""
    rows: int
    """Height of the convolution kernel."""
    columns: int
    """Width of the convolution kernel."""
    mask_lanes: int
    """Number of inputs that are compared together, one bit each."""
    vector: int
    """Elements per vector."""
    vectors: int
    """Vectors of output channels that are accumulated together."""


def render_event_convolution(function: str, variant: EventConvolutionVariant) -> str:
    """Return a module with the function ``count``, ``forward`` or ``weight_gradient``."""
    constants = {
        "COUNTS": variant.counts,
        "KERNEL_ROWS": variant.rows,
        "KERNEL_COLUMNS": variant.columns,
        "MASK_LANES": variant.mask_lanes,
        "VECTOR": variant.vector,
        "VECTORS": variant.vectors,
    }
    return _render_cpu("event_convolution", function, variant.stored, constants)


def render_winograd(function: str, tile: int, vector: int, vectors: int, rows: int) -> str:
    """Return a module with the function ``forward``, ``weight_gradient`` or ``sum_gradients``.

    Args:
        tile: Height and width of a tile of outputs, 2 or 4.
        vector: Elements per vector.
        vectors: Vectors per panel.
        rows: Rows of a matrix that are multiplied together.
    """
    sizes = {"TILE": tile, "SMALL_TILE": tile == SMALL_TILE, "VECTOR": vector, "VECTORS": vectors, "ROWS": rows}
    constants = {"APART": PLACES_APART, "BLOCK": TILES_TOGETHER, "SPAN_BITS": SPAN_BITS}
    return _render_cpu("winograd", function, "float32", sizes | constants)


def render_packing(function: str, stored: str, bits: int) -> str:
    """Return a module with ``pack``, from a dtype to bytes of 1, 2, 4 or 8 bits per value, or ``unpack``."""
    return _render_cpu("packed_bits", function, stored, {"BITS": bits, "LANES": LANES})


def render_max_pool(function: str, stored: str, *, overlap: bool = False) -> str:
    """Return a module with ``forward``, from feature maps to maxima and their positions, or ``backward``.

    Args:
        overlap: Whether windows overlap, for ``backward``.
    """
    return _render_cpu("max_pool", function, stored, {"WINDOWS_OVERLAP": overlap})


def render_statistics(function: str, stored: str) -> str:
    """Return a module with ``statistics``, sums of x and x² per group and channel, or ``settle``.

    ``settle`` adds the gradient through the statistics of batch norm to the gradient of the input.
    """
    return _render_cpu("statistics", function, stored, {})


def render_cuda_statistics() -> str:
    """Return a module with the CUDA kernels ``sums``, ``average`` and ``settle``."""
    return _render("cuda_channels", {"sums", "average", "settle"}, {})


def render_cuda_packing() -> str:
    """Return a module with the CUDA kernels ``pack`` and ``unpack``."""
    return _render("cuda_packed_bits", {"pack", "unpack"}, {})


def render_cuda_max_pool() -> str:
    """Return a module with the CUDA kernels ``forward`` and ``backward`` of max pooling."""
    return _render("cuda_max_pool", {"forward", "backward"}, {})


def render_cuda(text: str, functions: set[str]) -> str:
    """Return a module with generated CUDA kernels, which may use definitions of ``cuda_channels``."""
    return _render("cuda_channels", functions, {}, (), ast.parse(text).body)


def render_generated(text: str, function: str, stored: str) -> str:
    """Return a module with a generated function, which may use the templates ``SHARED``.

    Args:
        stored: Dtype of input and output.
    """
    return _shared_part(stored) + _render("entry_points", {function}, {}, SHARED, ast.parse(text).body)


def _render_cpu(template: str, function: str, stored: str, constants: Mapping[str, int | str]) -> str:
    """Return a module with a function of a CPU template."""
    return _shared_part(stored) + _render(template, {function}, {"STORED": stored, **constants}, SHARED)


@cache
def _shared_part(stored: str) -> str:
    """Return the text at the start of all CPU kernels of a dtype."""
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
    """Return a module with functions of a template or of generated statements.

    Definitions that the functions do not use, and imports from the templates ``known``, are dropped.
    """
    body = []
    # From the last statement to the first: a statement is needed if a later one uses a name that it binds.
    for statement in reversed([*_statements(template, _Specializer(constants), set(known)), *generated]):
        if functions & (bound := _bound_names(statement)):
            functions = functions - bound | {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            body.append(statement)
    return _text_of(reversed(body))


def _text_of(statements: Iterable[ast.stmt]) -> str:
    note = ast.Expr(ast.Constant("Generated kernel. This file can be deleted at any time."))
    return ast.unparse(ast.Module([note, *statements], [])) + "\n"


def _statements(template: str, specializer: _Specializer, included: set[str]) -> list[ast.stmt]:
    """Return the specialised statements of a template, after those of its imported templates."""
    included.add(template)
    statements: list[ast.stmt] = []
    # The first statement is the module docstring.
    for statement in ast.parse((TEMPLATES / f"{template}.py").read_text(encoding="utf-8")).body[1:]:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(f"{__package__}.templates."):
            other = (statement.module or "").rpartition(".")[2]
            if other not in {"variant", *included}:
                statements += _statements(other, specializer, included)
        else:
            statements += specializer.specialize([statement])
    return statements


def _bound_names(statement: ast.stmt) -> set[str]:
    """Return the names that a top-level statement binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name for alias in names}
        case _:
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


class _Specializer(ast.NodeTransformer):
    """AST transformer that replaces constants by values, and conditions on constants by a branch."""

    def __init__(self, constants: Mapping[str, int | str]) -> None:
        self._constants = dict(constants)

    def specialize(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Return the specialised statements."""
        specialised: list[ast.stmt] = []
        for statement in statements:
            result = self.visit(statement)
            specialised += result if isinstance(result, list) else [result]
        return specialised

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        """Return the branch that a condition on constants selects."""
        if self._is_constant(node.test):
            return self.specialize(node.body if self._value(node.test) else node.orelse)
        self.generic_visit(node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """Return the operand that a condition on constants selects."""
        if self._is_constant(node.test):
            operand: ast.expr = self.visit(node.body if self._value(node.test) else node.orelse)
            return operand
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the value of a constant."""
        return ast.Constant(self._constants[node.id]) if node.id in self._constants else node

    def _is_constant(self, test: ast.expr) -> bool:
        names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
        return bool(names) and names <= self._constants.keys()

    def _value(self, test: ast.expr) -> object:
        expression = compile(ast.Expression(test), "<template>", "eval")
        return eval(expression, {"__builtins__": {}}, self._constants)  # noqa: S307 -- an expression of a template
