"""Mutants of Python functions: one changed number or operator each, exchanged within the running process.

A mutant replaces the code of a function that is defined already, so all references to the function see the change.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import is_dataclass
from functools import cache
from hashlib import sha256
from inspect import CO_OPTIMIZED
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
        modules = [vars(module) for name, module in [*sys.modules.items()] if name.startswith("sewdsl.") and module]
        names = [(module, name, module[name]) for module in modules for name in self.constants if name in module]
        # Records change in place, because tables of the package contain them.
        fields = {id(old): (vars(old), dict(vars(old))) for _, _, old in names if is_dataclass(old)}
        for module, name, old in names:
            number = self.constants[name]
            if is_dataclass(old):
                vars(old).update(vars(number))
            else:
                module[name] = number
        try:
            yield
        finally:
            for function, (_, original) in replaced:
                function.__code__ = original
            for module, name, old in names:
                module[name] = old
            for record, before in fields.values():
                record.update(before)


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
    lines, tree = text.splitlines(), ast.parse(text)
    original = compile(tree, str(path), "exec", dont_inherit=True)
    slots = {id(child): slot for parent in ast.walk(tree) for child, slot in _slots(parent)}
    for node, replacement in [*changes(tree)]:
        key = f"{lines[node.lineno - 1].strip()} [{ast.unparse(node)} -> {ast.unparse(replacement)}]"
        if sha256(key.encode()).digest()[0] % one_of:
            continue
        container, place = slots[id(node)]
        container[place] = ast.copy_location(replacement, node)
        changed = compile(tree, str(path), "exec", dont_inherit=True)
        # The bodies of modules and classes have run already.
        codes = [pair for pair in _differences(original, changed) if pair[1].co_flags & CO_OPTIMIZED]
        constants = [] if codes or names else [*_constants(tree, replacement)]
        container[place] = node
        if codes and (not names or {code.co_name for _, code in codes} & {*names}):
            yield Mutant(f"{codes[-1][1].co_qualname}: {key}", module.__name__, codes, {})
        for name, source in constants:
            number = eval(compile(source, "constant", "eval"), dict(vars(module)))  # noqa: S307 -- our own source
            yield Mutant(f"{name} = {source}", module.__name__, [], {name: number})


def _slots(parent: ast.AST) -> Iterator[tuple[ast.AST, tuple[Any, Any]]]:
    """Yield the children of a node, each with the list or the fields that hold it and its place there."""
    for name, value in ast.iter_fields(parent):
        if isinstance(value, ast.AST):
            yield value, (vars(parent), name)
        elif isinstance(value, list):
            yield from ((child, (value, index)) for index, child in enumerate(value) if isinstance(child, ast.AST))


def _constants(tree: ast.Module, replacement: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield the name and the source of the constant that contains an expression."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(each is replacement for each in ast.walk(statement.value)):
            (target,) = statement.targets
            if isinstance(target, ast.Name) and target.id.isupper():
                yield target.id, ast.unparse(statement.value)


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
            case ast.JoinedStr():
                skipped |= {id(each) for each in ast.walk(node)}
            case ast.AnnAssign(annotation=annotation):
                skipped |= {id(each) for each in ast.walk(annotation)}
            case ast.Call(ast.Attribute(attr="reshape"), lengths):
                # Any negative length is the rest of the elements.
                skipped |= {id(each.operand) for each in lengths if isinstance(each, ast.UnaryOp)}
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
                # The original keeps its location.
                yield node, copy(operand)
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
