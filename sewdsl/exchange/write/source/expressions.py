"""Constructor calls as expression trees, and one expression for several that differ in numbers only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from enum import Enum
from itertools import groupby

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
    """The variables that an expression binds."""
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
    """What is equal for two expressions exactly if they differ in their numbers only."""
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
    """The expression that represents all of them.

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
    """The argument that represents all of them; its note tells of what flows in each."""
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
    """The copies of a repeat, neighbours of one skeleton written once, with variables of other names than these."""
    runs = []
    for _, group in groupby(exprs, strip_numbers):
        run = list(group)
        loop = _Loop(variables(run[0]) | taken)
        body = unify(run, loop, Arg("copy", Literal(0)))
        rows = tuple(zip(*loop.columns.values(), strict=True))
        runs.append(CopySequence(body, len(run), tuple(loop.columns), rows))
    return Copies(tuple(runs))


class _Loop:
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


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number after it if it is taken."""
    number = 1
    found = name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
