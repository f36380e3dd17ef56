"""Python expressions: call trees, unification of calls that differ in constants, and layout as ruff formats it."""

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
    """Piece of generated Python code. A literal of it is not quoted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Unset(Enum):
    """Marker for an argument without a default."""

    UNSET = "unset"


@dataclass(frozen=True)
class Note:
    """Content of a comment: layers in notation with their line, and their output signals in each copy."""

    text: str
    signals: tuple[Signal, ...]


@dataclass(frozen=True)
class Literal:
    """Number, boolean, pair of numbers, None, name, or piece of code."""

    value: object


@dataclass(frozen=True)
class Arg:
    """Argument of a call."""

    name: str
    value: Expr
    default: object = Unset.UNSET
    positional: bool = False
    """Whether it is written without its name."""
    channels: str = ""
    """``in`` or ``out`` for a number of input or output channels, else empty."""
    note: Note | None = field(default=None, compare=False)
    """Comment above the argument. Ignored by comparisons."""


@dataclass(frozen=True)
class PyCall:
    """Call of a class or function."""

    callee: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True)
class CopySequence:
    """Consecutive copies that differ in some values only."""

    body: Expr
    count: int
    names: tuple[str, ...] = ()
    """Loop variables in the body."""
    rows: tuple[tuple[Expr, ...], ...] = ()
    """Values of the variables for each copy. Empty without variables."""


@dataclass(frozen=True)
class Copies:
    """Copies of a repeat."""

    runs: tuple[CopySequence, ...]


Expr = Literal | PyCall | Copies


def variables(expr: Expr) -> set[str]:
    """Return the loop variables in an expression."""
    match expr:
        case Literal():
            return set()
        case PyCall():
            return set().union(*(variables(arg.value) for arg in expr.args))
        case Copies():
            return set().union(*({*run.names} | variables(run.body) for run in expr.runs))


Resolve = Callable[[tuple[Literal, ...], Arg], Literal]
"""Returns the literal that represents the values of an argument in several copies."""


def strip_numbers(expr: Expr) -> Hashable:
    """Return a value that is equal for expressions that differ in constants only."""
    match expr:
        case Literal():
            # Code is structure: only values may differ between instances.
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
    """Return one expression that represents several.

    Args:
        exprs: Expressions that differ in constants only.
        arg: Argument that the expressions are values of.
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
    """Return one argument that represents several. Its note has the signals of all."""
    first = args[0]
    notes = [arg.note for arg in args if arg.note is not None]
    note = Note(notes[0].text, tuple(signal for note in notes for signal in note.signals)) if notes else None
    return replace(first, value=unify([arg.value for arg in args], resolve, first), note=note)


def _unify_runs(runs: Sequence[CopySequence], resolve: Resolve, arg: Arg) -> CopySequence:
    first = runs[0]
    rows = tuple(
        tuple(
            # Loop variables have no argument: name them after themselves.
            unify([run.rows[row][column] for run in runs], resolve, Arg(name, Literal(0)))
            for column, name in enumerate(first.names)
        )
        for row in range(len(first.rows))
    )
    return replace(first, body=unify([run.body for run in runs], resolve, arg), rows=rows)


def merge_copies(exprs: Sequence[Expr], taken: AbstractSet[str] = frozenset()) -> Copies:
    """Return the copies of a repeat. Equal neighbours are merged, with variables that are not in ``taken``."""
    runs = []
    for _, group in groupby(exprs, strip_numbers):
        run = list(group)
        loop = _CopyVariables(variables(run[0]) | taken)
        body = unify(run, loop, Arg("copy", Literal(0)))
        rows = tuple(zip(*loop.columns.values(), strict=True))
        runs.append(CopySequence(body, len(run), tuple(loop.columns), rows))
    return Copies(tuple(runs))


class _CopyVariables:
    """Resolver that introduces variables, with a column of values each, for values that differ between copies."""

    def __init__(self, taken: set[str]) -> None:
        self._reserved_names = taken
        self.columns: dict[str, tuple[Expr, ...]] = {}

    def __call__(self, values: tuple[Literal, ...], arg: Arg) -> Literal:
        """Return a constant if all values are equal, else a variable."""
        if len(set(values)) == 1:
            return values[0]
        for name, column in self.columns.items():
            if column == values:
                return Literal(Code(name))
        name = free_name(arg.name, {*self._reserved_names, *self.columns})
        self.columns[name] = values
        return Literal(Code(name))


def free_name(name: str, taken: set[str], mark: str = "_") -> str:
    """Return the name, with a mark and a number appended if it is in use."""
    candidates = chain([name], (f"{name}{mark}{suffix}" for suffix in count(2)))
    return next(filterfalse(taken.__contains__, candidates))


# --- names and texts ---------------------------------------------------------------------------------------

MAX_IDENTIFIER_LENGTH = 40
"""Maximum length of a class name, in characters."""
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9]+")
_COMMENT = re.compile(r"#.*")


def is_identifier(name: str) -> bool:
    """Return whether a name can be used unchanged as an attribute or argument."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name)


def is_variable(name: str) -> bool:
    """Return whether a name can be used unchanged as a variable. Names with capital letters may be classes."""
    return is_identifier(name) and name.islower()


def string_literal(text: str) -> str:
    """Return a text as an ASCII string literal."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def one_line_prose(text: str) -> str:
    """Return a text as one line for a comment or docstring: printable ASCII without quotes and backslashes."""
    # Omit text after a "#", which tools could interpret as a directive.
    words = " ".join(" ".join(_COMMENT.sub("", line) for line in text.splitlines()).split())
    escaped = words.replace('"', "'").replace("\\", "/")
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in escaped)


def class_name(text: str, fallback: str, taken: set[str]) -> str:
    """Return a name for a class: ``SEW ResNet-18`` becomes ``SEWResNet18``, ``7B-Net`` becomes ``Net7B``.

    Args:
        fallback: Name if the text has no letters, and suffix of a name that is in use.
        taken: Names in use. The new name is added.
    """
    words = _WORD.findall(text)
    first_alphabetic = next((i for i, word in enumerate(words) if word[0].isalpha()), None)
    words = [fallback] if first_alphabetic is None else [*words[first_alphabetic:], *words[:first_alphabetic]]
    name = "".join(word[0].upper() + word[1:] for word in words)[:MAX_IDENTIFIER_LENGTH]
    if name in taken or keyword.iskeyword(name) or hasattr(builtins, name):
        name = free_name(name.removesuffix(fallback) + fallback, taken, "")
    taken.add(name)
    return name


# --- layout ------------------------------------------------------------------------------------------------

WIDTH = 88
"""Line width, the default of ruff and black."""
STEP = 4
MAX_EQUAL_COPIES = 4
"""Maximum number of equal consecutive values that are written out."""


def one_line(expr: Expr) -> str:
    """Return an expression on one line of any length, without comments."""
    match expr:
        case Literal(value=str(text)) if not isinstance(text, Code):
            return f'"{text}"'
        case Literal():
            return repr(expr.value)
        case PyCall():
            arguments = (f"{label}{one_line(arg.value)}{_closing(label)}" for arg, label in _explicit_arguments(expr))
            return f"{expr.callee}({', '.join(arguments)})"
        case Copies(runs=(run,)):
            return f"repeat({one_line(run.body)} {_loop(run)})"
        case Copies():
            return f"repeat([{', '.join(map(_flat_listed, expr.runs))}])"


def bracketed(begin: str, parts: Sequence[str], end: str, indent: int) -> list[str]:
    """Return bracketed parts on one line, or one part per line if the line is too long."""
    margin = " " * indent
    line = f"{margin}{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{margin}{begin}", *(f"{margin}    {part}," for part in parts), f"{margin}{end}"]


def format_statement(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """Return the lines of an expression, with a head such as ``self.conv1 =`` and a tail."""
    line = f"{' ' * indent}{head}{one_line(expr)}{tail}"
    if len(line) <= WIDTH and not _has_notes(expr):
        return [line]
    return _exploded(head, expr, indent, tail)


def _exploded(head: str, expr: Expr, indent: int, tail: str = "") -> list[str]:
    """Return the lines of a multi-line expression."""
    # Trailing commas keep formatters from joining the lines.
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
    """Return a comment line."""
    return f"{' ' * indent}# {text}"


def _explicit_arguments(call: PyCall) -> list[tuple[Arg, str]]:
    """Return the arguments to write, without defaults, each with its label."""
    labelled = []
    can_be_positional = True
    for arg in call.args:
        if isinstance(arg.value, Literal) and arg.value.value == arg.default and arg.default is not Unset.UNSET:
            # After an omitted argument, Python requires names.
            can_be_positional = False
        elif arg.positional and can_be_positional:
            labelled.append((arg, ""))
        else:
            labelled.append((arg, f"{arg.name}=" if is_identifier(arg.name) else f"**{{{string_literal(arg.name)}: "))
    return labelled


def _closing(label: str) -> str:
    return "}" if label.startswith("**") else ""


def _arguments(call: PyCall, indent: int) -> Iterator[str]:
    """Yield the lines of arguments, one below the other."""
    for arg, label in _explicit_arguments(call):
        if arg.note is not None and arg.note.text:
            yield format_comment(arg.note.text, indent)
        yield from format_statement(label, arg.value, indent, f"{_closing(label)},")


def _has_notes(expr: Expr) -> bool:
    match expr:
        case Literal():
            return False
        case PyCall():
            return any((arg.note and arg.note.text) or _has_notes(arg.value) for arg in expr.args)
        case Copies():
            return any(_has_notes(run.body) for run in expr.runs)


# --- copies ------------------------------------------------------------------------------------------------


def _flat_listed(run: CopySequence) -> str:
    """Return copies as an item of a list, on one line."""
    return one_line(run.body) if run.count == 1 else f"*({one_line(run.body)} {_loop(run)})"


def _loop(run: CopySequence) -> str:
    if not run.names:
        return f"for _ in range({run.count})"
    rows = _rows(run)
    return f"for {', '.join(run.names)} in ({', '.join(rows)}{',' if len(rows) == 1 else ''})"


def _rows(run: CopySequence) -> list[str]:
    # Many equal values are written as "*[4] * 39".
    texts = [one_line(row[0]) if len(row) == 1 else f"({', '.join(map(one_line, row))})" for row in run.rows]
    rows = [(text, len(list(same))) for text, same in groupby(texts)]
    return [
        part
        for text, count in rows
        for part in ([f"*[{text}] * {count}"] if count > MAX_EQUAL_COPIES else [text] * count)
    ]


def _run(run: CopySequence, indent: int) -> Iterator[str]:
    """Yield the lines of copies that are the only argument of a call."""
    yield from _exploded("", run.body, indent)
    loop = f"{' ' * indent}{_loop(run)}"
    # A clause without variables cannot be split.
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
    if len(line) <= WIDTH and not _has_notes(run.body):
        yield line
    elif run.count == 1:
        yield from _exploded("", run.body, indent, ",")
    else:
        yield f"{' ' * indent}*("
        yield from _run(run, indent + STEP)
        yield f"{' ' * indent}),"
