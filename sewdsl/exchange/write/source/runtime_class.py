"""Classes of the runtime as text, for files that run without sewdsl."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.resources import files

SHAPE_SUFFIX = re.compile(r"(?<=[a-z])_T?N\b")
LINTER_COMMENT = re.compile(r"  # (?:noqa|type): .*")
WITHOUT = frozenset({"extra_repr", "normalised"})
"""Methods that files leave out: what ``print`` shows, and what is computed together with the batch norm."""

ALL_STEPS = '        """All time-steps."""'
"""Docstring of a ``forward`` that has none in the runtime, where the class says it."""


@cache
def _classes(module: str) -> tuple[tuple[str, ...], dict[str, ast.ClassDef]]:
    """Return the lines of a module, without what files leave out of lines, and its classes by name."""
    text = files("sewdsl.snn").joinpath(f"{module}.py").read_text("utf-8")  # an import would take as long as torch's
    lines = [SHAPE_SUFFIX.sub("", LINTER_COMMENT.sub("", line)).replace("``", "") for line in text.splitlines()]
    found = ast.parse("\n".join(lines)).body
    return tuple(lines), {node.name: node for node in found if isinstance(node, ast.ClassDef)}


def runtime_class(module: str, name: str) -> str:
    """Return a class of :mod:`sewdsl.snn` as files have it.

    Suffixes of shapes, comments for linters and the methods :data:`WITHOUT` are left out, and all but the first line of
    the docstring.

    Args:
        module: Module of the class: ``layers``. The class uses nothing else of the runtime than classes of this module.
    """
    lines, classes = _classes(module)
    definition = classes[name]
    summary = (ast.get_docstring(definition) or "").partition("\n")[0]
    text = [lines[definition.lineno - 1], f'    """{summary}"""']
    for method in definition.body:
        if isinstance(method, ast.FunctionDef) and method.name not in WITHOUT:
            first = method.decorator_list[0].lineno if method.decorator_list else method.lineno
            body = method.body[0].lineno - 1
            stated = method.name != "forward" or ast.get_docstring(method) is not None
            text += ["", *lines[first - 1 : body], *([] if stated else [ALL_STEPS]), *lines[body : method.end_lineno]]
    return "\n".join([*text, ""])
