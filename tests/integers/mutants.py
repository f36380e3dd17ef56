"""Mutants of Python functions: one changed number or operator each, exchanged within the running process.

A mutant replaces the code of a function that is defined already, so all references to the function see the change.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from tools.mutants import COMPARISONS
from tools.mutants import OPERATORS as COMMON

OPERATORS = {**COMMON, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr}
OPERATORS |= {ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult}
NAMES = {"minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min", "zeros": "ones", "ones": "zeros"}


class Mutant(NamedTuple):
    """Changed module.

    Attributes:
        key: Content that identifies the change: the function, its line and the replacement.
        module: Name of the module.
        codes: Changed codes, each with the code that it replaces, from the outermost function inwards.
        constants: Changed constants of the module, by name.
    """

    key: str
    module: str
    codes: list[tuple[CodeType, CodeType]]
    constants: dict[str, object]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Compute with the mutant."""
        replaced = [(each, pair) for pair in self.codes for each in functions(self.module, pair[1])]
        assert replaced or self.constants, self.key
        for function, (changed, _) in replaced:
            function.__code__ = changed
        places = [
            (module, name)
            for module in [*sys.modules.values()]
            for name in self.constants
            if module and module.__name__.startswith("sewdsl.integers") and name in vars(module)
        ]
        before = [vars(module)[name] for module, name in places]
        for module, name in places:
            setattr(module, name, self.constants[name])
        try:
            yield
        finally:
            for function, (_, original) in replaced:
                function.__code__ = original
            for (module, name), value in zip(places, before, strict=True):
                setattr(module, name, value)


def functions(module: str, code: CodeType) -> list[FunctionType]:
    """Return the functions with a code."""
    return [each for each in _functions().get(module, ()) if each.__code__ == code]


@cache
def _functions() -> dict[str, list[FunctionType]]:
    """Return the functions of the package by module."""
    # The settings of the tests exclude objects from garbage collection, and thereby from the list.
    gc.unfreeze()
    by_module: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__module__ and each.__module__.startswith("sewdsl."):
            by_module.setdefault(each.__module__, []).append(each)
    return by_module


def mutants(module: ModuleType, names: Sequence[str] = (), one_of: int = 1) -> Iterator[Mutant]:
    """Yield the mutants of a module.

    Args:
        names: Functions and methods to change. The default is all, and the constants of the module.
        one_of: Number of mutants of which one is drawn.
    """
    path = Path(str(module.__file__))
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    original = compile(tree, str(path), "exec", dont_inherit=True)
    for node, replacement in changes(tree):
        line = text.splitlines()[node.lineno - 1].strip()
        key = f"{line} [{ast.get_source_segment(text, node)} -> {ast.unparse(replacement)}]"
        if sha256(key.encode()).digest()[0] % one_of:
            continue
        changed_tree: Any = _Replaced(node, replacement).visit(ast.parse(text))
        changed = compile(ast.fix_missing_locations(changed_tree), str(path), "exec", dont_inherit=True)
        codes = list(_differences(original, changed))
        if not codes or (names and not {code.co_name for _, code in codes} & {*names}):
            continue
        if codes[1:]:
            yield Mutant(f"{codes[-1][1].co_qualname}: {key}", module.__name__, codes[1:], {})
        else:
            yield from _constant(module, node, replacement, tree)


def _constant(module: ModuleType, node: ast.expr, replacement: ast.expr, tree: ast.Module) -> Iterator[Mutant]:
    """Yield the mutant of a constant of a module."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(each is node for each in ast.walk(statement.value)):
            (target,) = statement.targets
            if isinstance(target, ast.Name) and target.id.isupper():
                source = ast.unparse(statement.value).replace(ast.unparse(node), ast.unparse(replacement), 1)
                number = eval(compile(source, "constant", "eval"), dict(vars(module)))  # noqa: S307 -- our own source
                yield Mutant(f"{target.id} = {source}", module.__name__, [], {target.id: number})


class _Replaced(ast.NodeTransformer):
    """Tree with another node in one place."""

    def __init__(self, node: ast.expr, replacement: ast.expr) -> None:
        self._place, self._replacement = _place(node), replacement
        self._type = type(node)

    def visit(self, node: ast.AST) -> ast.AST:
        if type(node) is self._type and _place(node) == self._place:
            return ast.copy_location(self._replacement, node)
        return self.generic_visit(node)


def _place(node: ast.AST) -> tuple[int | None, ...]:
    return tuple(getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))


def _differences(original: CodeType, changed: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Yield the codes that differ, changed and original, from the outermost inwards."""
    if original == changed:
        return
    yield changed, original
    inner, others = ([each for each in code.co_consts if isinstance(each, CodeType)] for code in (original, changed))
    if len(inner) == len(others):
        for before, after in zip(inner, others, strict=True):
            yield from _differences(before, after)


def changes(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the expressions of a tree, each with a replacement."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        match node:
            # Defaults of fields are no code of functions.
            case ast.JoinedStr() | ast.AnnAssign():
                skipped |= {id(each) for each in ast.walk(node)}
        if id(node) in skipped:
            continue
        match node:
            case ast.Compare(left, [comparison], right):
                yield node, ast.Compare(left, [COMPARISONS[type(comparison)]()], right)
            case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
                yield node, ast.BinOp(left, OPERATORS[type(operator)](), right)
            case ast.BoolOp(operator, values):
                yield node, ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            case ast.UnaryOp(ast.Not() | ast.USub(), operand):
                yield node, operand
            case ast.Constant(bool(value)):
                yield node, ast.Constant(not value)
            case ast.Constant(int(value) | float(value)):
                yield node, ast.Constant(value + 1)
                if value:
                    yield node, ast.Constant(value - 1)
            case ast.Attribute(value, name, context) if name in NAMES:
                yield node, ast.Attribute(value, NAMES[name], context)
            case ast.Name(name, context) if name in NAMES:
                yield node, ast.Name(NAMES[name], context)
