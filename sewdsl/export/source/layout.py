"""Expressions as text, in the layout that ruff and black give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from sewdsl.export.source.code import Arg, Call, Copies, Expr, Literal, Run, Unset
from sewdsl.export.source.names import is_identifier, quoted

WIDTH = 88
"""Columns: what both format to unless told otherwise."""
STEP = 4
MANY = 4
"""Copies in a row with the same values that are all written out."""


def flat(expr: Expr) -> str:
    """In one line, whatever its length, without comments."""
    match expr:
        case Literal():
            return repr(expr.value)
        case Call():
            return f"{expr.callee}({', '.join(_flat_arg(arg, label) for arg, label in _given(expr))})"
        case Copies():
            return f"repeat({_flat_copies(expr)})"


def statement(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """The lines of an expression behind a head, such as ``self.conv1 =``, and with a tail behind it."""
    line = f"{' ' * indent}{head}{flat(expr)}{tail}"
    if len(line) <= WIDTH and not _noted(expr):
        return [line]
    return _exploded(head, expr, indent, tail)


def _exploded(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """The lines of an expression that has more than one: with a comma behind every argument, so that they stay."""
    begin, end = f"{' ' * indent}{head}", f"{' ' * indent})"
    match expr:
        case Call() if expr.args:
            return [f"{begin}{expr.callee}(", *_arguments(expr, indent + STEP), f"{end}{tail}"]
        case Copies(runs=(run,)):
            return [f"{begin}repeat(", *_run(run, indent + STEP), f"{end}{tail}"]
        case Copies():
            inner = [line for run in expr.runs for line in _listed(run, indent + 2 * STEP)]
            bracket = " " * (indent + STEP)
            return [f"{begin}repeat(", f"{bracket}[", *inner, f"{bracket}]", f"{end}{tail}"]
        case _:
            return [f"{begin}{flat(expr)}{tail}"]


def comment(text: str, indent: int) -> str:
    """A line that says something."""
    return f"{' ' * indent}# {text}"


def _given(call: Call) -> list[tuple[Arg, str]]:
    """The arguments that are written, each with what stands before it."""
    found = []
    positional = True
    for arg in call.args:
        if isinstance(arg.value, Literal) and arg.value.value == arg.default and arg.default is not Unset.UNSET:
            positional = False
        elif arg.positional and positional:
            found.append((arg, ""))
        else:
            found.append((arg, f"{arg.name}=" if is_identifier(arg.name) else f"**{{{quoted(arg.name)}: "))
    return found


def _flat_arg(arg: Arg, label: str) -> str:
    return f"{label}{flat(arg.value)}{_closing(label)}"


def _closing(label: str) -> str:
    return "}" if label.startswith("**") else ""


def _arguments(call: Call, indent: int) -> Iterator[str]:
    """One below the other."""
    for arg, label in _given(call):
        if arg.note is not None and arg.note.text:
            yield comment(arg.note.text, indent)
        yield from statement(label, arg.value, indent, f"{_closing(label)},")


def _noted(expr: Expr) -> bool:
    match expr:
        case Literal():
            return False
        case Call():
            return any((arg.note and arg.note.text) or _noted(arg.value) for arg in expr.args)
        case Copies():
            return any(_noted(run.body) for run in expr.runs)


# --- copies ------------------------------------------------------------------------------------------------


def _flat_copies(copies: Copies) -> str:
    if len(copies.runs) == 1:
        return f"{flat(copies.runs[0].body)} {_loop(copies.runs[0])}"
    return f"[{', '.join(_flat_listed(run) for run in copies.runs)}]"


def _flat_listed(run: Run) -> str:
    return flat(run.body) if run.count == 1 else f"*({flat(run.body)} {_loop(run)})"


def _loop(run: Run) -> str:
    if not run.names:
        return f"for _ in range({run.count})"
    rows = _rows(run)
    return f"for {', '.join(run.names)} in ({', '.join(rows)}{',' if len(rows) == 1 else ''})"


def _rows(run: Run) -> list[str]:
    """The values of each copy; many that are the same, as ``*[4] * 39``."""
    rows = [(text, len(list(same))) for text, same in groupby(map(_row, run.rows))]
    return [part for text, count in rows for part in ([f"*[{text}] * {count}"] if count > MANY else [text] * count)]


def _row(row: Sequence[Expr]) -> str:
    values = ", ".join(map(flat, row))
    return values if len(row) == 1 else f"({values})"


def _run(run: Run, indent: int) -> Iterator[str]:
    """Copies as the only argument of a call."""
    yield from _exploded("", run.body, indent)
    loop = f"{' ' * indent}{_loop(run)}"
    if len(loop) <= WIDTH or not run.names:
        yield loop
        return
    yield f"{' ' * indent}for {', '.join(run.names)} in ("
    for row in _rows(run):
        yield f"{' ' * (indent + STEP)}{row},"
    yield f"{' ' * indent})"


def _listed(run: Run, indent: int) -> Iterator[str]:
    """Copies as an item of a list."""
    line = f"{' ' * indent}{_flat_listed(run)},"
    if len(line) <= WIDTH and not _noted(run.body):
        yield line
    elif run.count == 1:
        yield from _exploded("", run.body, indent, ",")
    else:
        yield f"{' ' * indent}*("
        yield from _run(run, indent + STEP)
        yield f"{' ' * indent}),"
