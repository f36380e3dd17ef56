"""Expressions that make modules, as trees, so that what differs from copy to copy can be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sewdsl.ir.signal import Signal


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
        name: Of the parameter.
        value: What is given.
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
        body: One copy.
        count: How many there are.
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
