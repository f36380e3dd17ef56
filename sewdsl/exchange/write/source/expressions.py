"""Expressions of Python: calls as trees, one for several that differ in numbers, and the text as ruff formats it."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from enum import Enum
from itertools import chain, count, filterfalse, groupby

from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass


class Code(str):
    """A piece of Python of our own making; a literal of it is not quoted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Unset(Enum):
    """What an argument without a default has for one."""

    UNSET = "unset"


@dataclass(frozen=True)
class Note:
    """What a comment says.

    Attributes:
        text: The layers in the notation, and where they are written.
        signals: What flows out of them, in each copy.
    """

    text: str
    signals: tuple[Signal, ...]


@dataclass(frozen=True)
class Literal:
    """A number, a switch, a pair of numbers, None, or a piece of code."""

    value: object


@dataclass(frozen=True)
class Arg:
    """An argument.

    Attributes:
        default: What leaving it out means.
        positional: Whether it is written without its name.
        channels: For numbers of channels: whether they go ``in`` or come ``out``.
        note: What a comment above it says; two arguments are equal whatever is said of them.
    """

    name: str
    value: Expr
    default: object = Unset.UNSET
    positional: bool = False
    channels: str = ""
    note: Note | None = field(default=None, compare=False)


@dataclass(frozen=True)
class PyCall:
    """A call of a class or function."""

    callee: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True)
class CopySequence:
    """Copies in a row that differ in some values only.

    Attributes:
        names: Variables in the body.
        rows: Their values, copy by copy; empty without variables.
    """

    body: Expr
    count: int
    names: tuple[str, ...] = ()
    rows: tuple[tuple[Expr, ...], ...] = ()


@dataclass(frozen=True)
class Copies:
    """The copies of a repeat."""

    runs: tuple[CopySequence, ...]


Expr = Literal | PyCall | Copies


def variables(expr: Expr) -> set[str]:
    """Return the variables that an expression binds."""
    match expr:
        case Literal():
            return set()
        case PyCall():
            return set().union(*(variables(arg.value) for arg in expr.args))
        case Copies():
            return set().union(*({*run.names} | variables(run.body) for run in expr.runs))


Resolve = Callable[[tuple[Literal, ...], Arg], Literal]
"""What represents the values of an argument, one of each copy."""


def strip_numbers(expr: Expr) -> Hashable:
    """Return a value that two expressions share exactly if they differ in their numbers only."""
    match expr:
        case Literal():
            return expr.value if isinstance(expr.value, Code) else None
        case PyCall():
            return expr.callee, tuple((arg.name, strip_numbers(arg.value)) for arg in expr.args)
        case Copies():
            return tuple(
                (
                    run.count,
                    run.names,
                    strip_numbers(run.body),
                    tuple(tuple(map(strip_numbers, row)) for row in run.rows),
                )
                for run in expr.runs
            )


def unify(exprs: Sequence[Expr], resolve: Resolve, arg: Arg) -> Expr:
    """Return the expression that represents several.

    Args:
        exprs: Of one skeleton.
        arg: The argument whose values they are.
    """
    first = exprs[0]
    match first:
        case Literal():
            return resolve(tuple(expr for expr in exprs if isinstance(expr, Literal)), arg)
        case PyCall():
            calls = [expr.args for expr in exprs if isinstance(expr, PyCall)]
            return PyCall(first.callee, tuple(unify_args(args, resolve) for args in zip(*calls, strict=True)))
        case Copies():
            copies = [expr.runs for expr in exprs if isinstance(expr, Copies)]
            return Copies(tuple(_unify_runs(runs, resolve, arg) for runs in zip(*copies, strict=True)))


def unify_args(args: Sequence[Arg], resolve: Resolve) -> Arg:
    """Return the argument that represents several; its note has the signals of each."""
    first = args[0]
    notes = [arg.note for arg in args if arg.note is not None]
    note = Note(notes[0].text, tuple(signal for note in notes for signal in note.signals)) if notes else None
    return replace(first, value=unify([arg.value for arg in args], resolve, first), note=note)


def _unify_runs(runs: Sequence[CopySequence], resolve: Resolve, arg: Arg) -> CopySequence:
    first = runs[0]
    rows = tuple(
        tuple(
            unify([run.rows[row][column] for run in runs], resolve, Arg(name, Literal(0)))
            for column, name in enumerate(first.names)
        )
        for row in range(len(first.rows))
    )
    return replace(first, body=unify([run.body for run in runs], resolve, arg), rows=rows)


def merge_copies(exprs: Sequence[Expr], taken: AbstractSet[str] = frozenset()) -> Copies:
    """Return the copies of a repeat, equal neighbours written once, with variables of other names than these."""
    runs = []
    for _, group in groupby(exprs, strip_numbers):
        run = list(group)
        loop = _CopyVariables(variables(run[0]) | taken)
        body = unify(run, loop, Arg("copy", Literal(0)))
        rows = tuple(zip(*loop.columns.values(), strict=True))
        runs.append(CopySequence(body, len(run), tuple(loop.columns), rows))
    return Copies(tuple(runs))


class _CopyVariables:
    """Gives variables to values that differ from copy to copy.

    Attributes:
        columns: The values of each variable.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self.columns: dict[str, tuple[Expr, ...]] = {}

    def __call__(self, values: tuple[Literal, ...], arg: Arg) -> Literal:
        if len(set(values)) == 1:
            return values[0]
        for name, column in self.columns.items():
            if column == values:
                return Literal(Code(name))
        name = free_name(arg.name, {*self._taken, *self.columns})
        self.columns[name] = values
        return Literal(Code(name))


def free_name(name: str, taken: set[str], mark: str = "_") -> str:
    """Return the name, with a mark and a number after it if it is taken."""
    numbered = chain([name], (f"{name}{mark}{number}" for number in count(2)))
    return next(filterfalse(taken.__contains__, numbered))


# --- names and texts ---------------------------------------------------------------------------------------

MAX_IDENTIFIER_LENGTH = 40
"""Characters of a name that are kept."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9]+")
_COMMENT = re.compile(r"#.*")


def is_identifier(name: str) -> bool:
    """Return whether Python takes a name as it is, for an attribute or an argument."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name)


def string_literal(text: str) -> str:
    """Return a text as a literal of Python, in ASCII."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def one_line_prose(text: str) -> str:
    """Return a text as one line of a comment: without line breaks, quotes, backslashes and invisible signs.

    What follows a ``#`` is left out, so that no tool takes it for an instruction.
    """
    words = " ".join(" ".join(_COMMENT.sub("", line) for line in text.splitlines()).split())
    harmless = words.replace('"', "'").replace("\\", "/")
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in harmless)


def class_name(text: str, otherwise: str, taken: set[str]) -> str:
    """Return a name for a class: ``SEW ResNet-18`` becomes ``SEWResNet18``, ``7B-Net`` becomes ``Net7B``.

    Args:
        text: What it is the class of.
        otherwise: What to call it where nothing of the text is left, and what to put after a name that is taken.
        taken: The names in use; the new one is added.
    """
    words = _WORD.findall(text)
    letters = next((i for i, word in enumerate(words) if word[0].isalpha()), None)
    words = [otherwise] if letters is None else [*words[letters:], *words[:letters]]
    name = "".join(word[0].upper() + word[1:] for word in words)[:MAX_IDENTIFIER_LENGTH]
    if name in taken or keyword.iskeyword(name) or hasattr(builtins, name):
        name = free_name(name.removesuffix(otherwise) + otherwise, taken, "")
    taken.add(name)
    return name


# --- layout ------------------------------------------------------------------------------------------------

WIDTH = 88
"""Columns: the default of both formatters."""
STEP = 4
MAX_EQUAL_COPIES = 4
"""Copies in a row with the same values that are all written out."""


def one_line(expr: Expr) -> str:
    """Return an expression in one line of any length, without comments."""
    match expr:
        case Literal():
            return repr(expr.value)
        case PyCall():
            arguments = (f"{label}{one_line(arg.value)}{_closing(label)}" for arg, label in _given(expr))
            return f"{expr.callee}({', '.join(arguments)})"
        case Copies(runs=(run,)):
            return f"repeat({one_line(run.body)} {_loop(run)})"
        case Copies():
            return f"repeat([{', '.join(map(_flat_listed, expr.runs))}])"


def bracketed(begin: str, parts: Sequence[str], end: str, indent: int) -> list[str]:
    """Return the lines of a text with parts in brackets: one, or one for each part where that is too long."""
    margin = " " * indent
    line = f"{margin}{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{margin}{begin}", *(f"{margin}    {part}," for part in parts), f"{margin}{end}"]


def format_statement(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """Return the lines of an expression after a head, such as ``self.conv1 =``, and with a tail after it."""
    line = f"{' ' * indent}{head}{one_line(expr)}{tail}"
    if len(line) <= WIDTH and not _noted(expr):
        return [line]
    return _exploded(head, expr, indent, tail)


def _exploded(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """The lines of an expression that has more than one: with a comma after every argument, so that they stay."""
    begin, end = f"{' ' * indent}{head}", f"{' ' * indent})"
    match expr:
        case PyCall() if expr.args:
            return [f"{begin}{expr.callee}(", *_arguments(expr, indent + STEP), f"{end}{tail}"]
        case Copies(runs=(run,)):
            return [f"{begin}repeat(", *_run(run, indent + STEP), f"{end}{tail}"]
        case Copies():
            inner = [line for run in expr.runs for line in _listed(run, indent + 2 * STEP)]
            bracket = " " * (indent + STEP)
            return [f"{begin}repeat(", f"{bracket}[", *inner, f"{bracket}]", f"{end}{tail}"]
        case _:
            return [f"{begin}{one_line(expr)}{tail}"]


def format_comment(text: str, indent: int) -> str:
    """Return the line of a comment."""
    return f"{' ' * indent}# {text}"


def _given(call: PyCall) -> list[tuple[Arg, str]]:
    """Return the arguments that are written, each with what precedes it."""
    found = []
    positional = True
    for arg in call.args:
        if isinstance(arg.value, Literal) and arg.value.value == arg.default and arg.default is not Unset.UNSET:
            positional = False
        elif arg.positional and positional:
            found.append((arg, ""))
        else:
            found.append((arg, f"{arg.name}=" if is_identifier(arg.name) else f"**{{{string_literal(arg.name)}: "))
    return found


def _closing(label: str) -> str:
    return "}" if label.startswith("**") else ""


def _arguments(call: PyCall, indent: int) -> Iterator[str]:
    """Yield the lines of arguments, one below the other."""
    for arg, label in _given(call):
        if arg.note is not None and arg.note.text:
            yield format_comment(arg.note.text, indent)
        yield from format_statement(label, arg.value, indent, f"{_closing(label)},")


def _noted(expr: Expr) -> bool:
    match expr:
        case Literal():
            return False
        case PyCall():
            return any((arg.note and arg.note.text) or _noted(arg.value) for arg in expr.args)
        case Copies():
            return any(_noted(run.body) for run in expr.runs)


# --- copies ------------------------------------------------------------------------------------------------


def _flat_listed(run: CopySequence) -> str:
    return one_line(run.body) if run.count == 1 else f"*({one_line(run.body)} {_loop(run)})"


def _loop(run: CopySequence) -> str:
    if not run.names:
        return f"for _ in range({run.count})"
    rows = _rows(run)
    return f"for {', '.join(run.names)} in ({', '.join(rows)}{',' if len(rows) == 1 else ''})"


def _rows(run: CopySequence) -> list[str]:
    """Return the values of each copy; many that are the same, as ``*[4] * 39``."""
    rows = [(text, len(list(same))) for text, same in groupby(map(_row, run.rows))]
    return [
        part
        for text, count in rows
        for part in ([f"*[{text}] * {count}"] if count > MAX_EQUAL_COPIES else [text] * count)
    ]


def _row(row: Sequence[Expr]) -> str:
    values = ", ".join(map(one_line, row))
    return values if len(row) == 1 else f"({values})"


def _run(run: CopySequence, indent: int) -> Iterator[str]:
    """Yield the lines of copies that are the only argument of a call."""
    yield from _exploded("", run.body, indent)
    loop = f"{' ' * indent}{_loop(run)}"
    if len(loop) <= WIDTH or not run.names:
        yield loop
        return
    yield f"{' ' * indent}for {', '.join(run.names)} in ("
    for row in _rows(run):
        yield f"{' ' * (indent + STEP)}{row},"
    yield f"{' ' * indent})"


def _listed(run: CopySequence, indent: int) -> Iterator[str]:
    """Yield the lines of copies that are an item of a list."""
    line = f"{' ' * indent}{_flat_listed(run)},"
    if len(line) <= WIDTH and not _noted(run.body):
        yield line
    elif run.count == 1:
        yield from _exploded("", run.body, indent, ",")
    else:
        yield f"{' ' * indent}*("
        yield from _run(run, indent + STEP)
        yield f"{' ' * indent}),"
