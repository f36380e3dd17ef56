"""Source text of all kernels, rendered from templates.

A template of CPU kernels is a Python file that is formatted and linted but never imported. It imports constants from
``templates/variant.py``, and shared definitions from other templates. Rendering

* replaces imports of templates by their content,
* replaces constants by their values, and conditions on constants by the selected branch,
* drops definitions that the kernel does not use.

CPU kernels of one dtype start with the same text, the templates ``SHARED``. The end is marked, so that a process
compiles the source once (see :func:`sewdsl.snn.kernels.compile_cache.load_source`). CUDA kernels are compiled from the
text of their template.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from sewdsl.snn.kernels import compile_cache
from sewdsl.snn.kernels.templates import variant

TEMPLATES = Path(__file__).with_name("templates")
SHARED = ("number_formats", "channels", "equations")
"""Templates at the start of all CPU kernels, which depend on the dtype only."""


@cache
def render_kernel(template: str, function: str, stored: str, **constants: int) -> str:
    """Return a module with a function of a CPU template.

    Args:
        stored: Dtype of input and output.
        **constants: Constants that differ from those in ``templates/variant.py``.
    """
    return _shared_part(stored) + _render(template, function, stored, constants)


@cache
def render_cuda(template: str, generated: str = "") -> str:
    """Return a module with the kernels of a CUDA template, and with generated kernels that use its functions."""
    return f"{(TEMPLATES / f'{template}.py').read_text(encoding='utf-8')}\n\n{generated}"


def render_generated(text: str, function: str, stored: str) -> str:
    """Return a module with a generated function, which may use the templates ``SHARED``.

    Args:
        stored: Dtype of input and output.
    """
    return _shared_part(stored) + _render("entry_points", function, stored, {}, ast.parse(text).body)


@cache
def _shared_part(stored: str) -> str:
    """Return the text at the start of all CPU kernels of a dtype."""
    specializer, included = _Specializer(stored), set[str]()
    statements = [each for name in SHARED if name not in included for each in _statements(name, specializer, included)]
    return f"{_text_of(statements)}{compile_cache.END_OF_SHARED}"


def _render(
    template: str, function: str, stored: str, constants: Mapping[str, int], generated: Sequence[ast.stmt] = ()
) -> str:
    """Return a module with a function of a template or of generated statements.

    Definitions that the function does not use, and imports from the templates ``SHARED``, are dropped.
    """
    body, needed = [], {function}
    # From the last statement to the first: a statement is needed if a later one uses a name that it binds.
    for statement in reversed([*_statements(template, _Specializer(stored, constants), {*SHARED}), *generated]):
        if needed & (bound := _bound_names(statement)):
            needed = needed - bound | {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
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

    def __init__(self, stored: str, constants: Mapping[str, int] = MappingProxyType({})) -> None:
        self._constants = {name: value for name, value in vars(variant).items() if name.isupper()}
        self._constants |= {"STORED": stored, **constants}

    def specialize(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Return the specialised statements."""
        module: ast.Module = self.visit(ast.Module([*statements], []))
        return module.body

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
