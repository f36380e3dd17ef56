"""The syntax tree: what was written, before any name has a meaning.

Equality ignores spans, so that ``parse(print(tree)) == tree``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import cached_property
from typing import Literal

from sewdsl.light_dataclass import dataclass
from sewdsl.source import BUILTIN, Span


@dataclass(frozen=True, kw_only=True)
class SyntaxNode:
    """Anything written; knows where."""

    span: Span = field(default=BUILTIN, compare=False, repr=False)


# --- values ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number(SyntaxNode):
    """A number as written: ``16``, ``0.25``, ``-1``, ``1e-3``; an int where it has neither point nor exponent."""

    text: str

    @property
    def value(self) -> int | float:
        """The number; an int where it has neither point nor exponent."""
        return float(self.text) if set(self.text) & set(".eE") else int(self.text)


@dataclass(frozen=True)
class Quantity(SyntaxNode):
    """A number with a unit, as written: ``0.13M``, ``2GB``, ``90%``."""

    text: str


@dataclass(frozen=True)
class Size(SyntaxNode):
    """Lengths joined by x: ``2x128x128``."""

    dims: tuple[int, ...]


@dataclass(frozen=True)
class Text(SyntaxNode):
    """A string between double quotes; no escapes."""

    text: str


@dataclass(frozen=True)
class Parameter(SyntaxNode):
    """The name of a block's parameter inside ``$(…)``."""

    name: str


@dataclass(frozen=True)
class Arithmetic(SyntaxNode):
    """Integer arithmetic inside ``$(…)``; ``/`` is exact division or an error."""

    operator: Literal["+", "-", "*", "/"]
    left: Formula
    right: Formula


Formula = Number | Parameter | Arithmetic


@dataclass(frozen=True)
class Interpolation(SyntaxNode):
    """``$(formula)``."""

    formula: Formula


# --- expressions -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word(SyntaxNode):
    """Letters, digits, dots and underscores, starting with a letter."""

    text: str


@dataclass(frozen=True)
class Name(SyntaxNode):
    """Words and interpolations that name one thing: ``SEW Block``, ``c$(c)k3``.

    Parts that touch in the text are one word; ``spaced[i]`` tells whether white space precedes part i.
    """

    parts: tuple[Word | Interpolation, ...]
    spaced: tuple[bool, ...]

    @cached_property
    def plain(self) -> str | None:
        """The words without white space, or None where something is interpolated: ``SEWBlock``."""
        words = [part.text for part in self.parts if isinstance(part, Word)]
        return "".join(words) if len(words) == len(self.parts) else None

    @classmethod
    def of(cls, text: str, span: Span) -> Name:
        """The name that is one word."""
        return cls((Word(text, span=span),), (False,), span=span)


@dataclass(frozen=True)
class Argument(SyntaxNode):
    """``c32``, ``c$(2*c)s2`` (name None) or ``g=IAND``, ``tau=2.0``."""

    name: str | None
    value: Value


@dataclass(frozen=True)
class Call(SyntaxNode):
    """A name with or without arguments: ``c32k3s1``, ``SEW Block (c32)``, ``LIF(tau=2.0)``.

    ``called`` tells ``BN()`` from ``BN``; it carries no meaning and is not compared.
    """

    name: Name
    arguments: tuple[Argument, ...] = ()
    called: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Repeat(SyntaxNode):
    """``{ … }*n``; with ``< … >`` the same."""

    body: Sequence
    count: Number | Interpolation
    brackets: Literal["{}", "<>"] = field(default="{}", compare=False)


@dataclass(frozen=True)
class Alternative(SyntaxNode):
    """``id or X``: the first where it fits, else the second."""

    first: Sequence
    second: Sequence


@dataclass(frozen=True)
class MergeOf(SyntaxNode):
    """``ADD[ branch | shortcut ]``, ``ATTN(heads=8)[ q | k | v ]``: at least two operands, each from the same value on.

    ``called`` tells ``CAT()[ a | b ]`` from ``CAT[ a | b ]``; it carries no meaning and is not compared.
    """

    name: Name
    operands: tuple[Sequence | Alternative, ...]
    arguments: tuple[Argument, ...] = ()
    called: bool = field(default=False, compare=False)


Item = Call | Repeat | MergeOf


@dataclass(frozen=True)
class Sequence(SyntaxNode):
    """``a-b-c``; never empty."""

    items: tuple[Item, ...]


Value = Number | Quantity | Size | Text | Interpolation | Call
"""What can follow ``=`` or a setting's key; a bare word is a Call without arguments."""


# --- a file ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version(SyntaxNode):
    """``sewdsl 1``."""

    number: Number


@dataclass(frozen=True)
class Setting(SyntaxNode):
    """A key and its values: ``steps 16``, ``network "7B-Net"``, ``init kaiming zero``, ``epochs 192`` in a section."""

    key: Word
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Let(SyntaxNode):
    """``let low = expression``: a name for what flows out of a sequence."""

    name: Word
    expression: Sequence


@dataclass(frozen=True)
class Give(SyntaxNode):
    """``give expression``, the last line between the braces of a block: what the block represents."""

    expression: Sequence


@dataclass(frozen=True)
class Body(SyntaxNode):
    """``body expression``."""

    expression: Sequence


@dataclass(frozen=True)
class BlockParameter(SyntaxNode):
    """A parameter of a block; default None: the call must give it, ``Parameter("in")``: the input's channels."""

    name: str
    default: Number | Parameter | None = None


@dataclass(frozen=True)
class BlockDefinition(SyntaxNode):
    """``block SEW Block(c=in, s=1) = expression``, or ``block NAME { let … give expression }``.

    Attributes:
        operands: The names between brackets, ``block Up(c)[low | high]``; none for a block with one input.
        long: Whether it is written with braces; it carries no meaning and is not compared.
    """

    name: Name
    parameters: tuple[BlockParameter, ...]
    expression: Sequence
    operands: tuple[Word, ...] = ()
    lets: tuple[Let, ...] = ()
    long: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Variable(SyntaxNode):
    """A name in an equation."""

    name: str


@dataclass(frozen=True)
class Negation(SyntaxNode):
    """``-x`` in an equation."""

    operand: RealExpression


@dataclass(frozen=True)
class Infix(SyntaxNode):
    """``a + b`` in an equation, or a comparison in the parentheses of a function."""

    operator: Literal["+", "-", "*", "/", "<", "<=", ">", ">="]
    left: RealExpression
    right: RealExpression


@dataclass(frozen=True)
class FunctionCall(SyntaxNode):
    """``clip(h, 0, D)`` in an equation."""

    name: Word
    operands: tuple[RealExpression, ...]


RealExpression = Number | Variable | Negation | Infix | FunctionCall


@dataclass(frozen=True)
class Learn(SyntaxNode):
    """``learn w per channel = -log(tau - 1)``: what a layer of neurons learns, and where it starts."""

    name: Word
    axes: tuple[Word, ...]
    initial: RealExpression


@dataclass(frozen=True)
class StateDeclaration(SyntaxNode):
    """``state i = 0``: what a time-step leaves to the next, and its value before the first."""

    name: Word
    initial: RealExpression


@dataclass(frozen=True)
class Assignment(SyntaxNode):
    """``h = v + x``."""

    name: Word
    value: RealExpression


@dataclass(frozen=True)
class Gives(SyntaxNode):
    """``give s``: what a neuron gives."""

    value: RealExpression


Equation = Learn | StateDeclaration | Assignment | Gives


@dataclass(frozen=True)
class NeuronParameter(SyntaxNode):
    """A parameter of a neuron, and the number that it is unless a call says otherwise: ``tau=2.0``."""

    name: Word
    default: RealExpression


@dataclass(frozen=True)
class NeuronDefinition(SyntaxNode):
    """``neuron LIF(tau=2.0) { … }``: the equations of a time-step, from top to bottom."""

    name: Word
    parameters: tuple[NeuronParameter, ...]
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Use(SyntaxNode):
    """``use "other.net"``."""

    path: Text


@dataclass(frozen=True)
class Expect(SyntaxNode):
    """``expect parameters 0.13M``: what must hold."""

    quantity: Word
    value: Value


@dataclass(frozen=True)
class Claim(SyntaxNode):
    """``claim parameters 23.23M "Tab. 5"``: what a source prints."""

    quantity: Word
    value: Value
    source: Text | None = None


@dataclass(frozen=True)
class Allow(SyntaxNode):
    """``allow vanishing-gradient "as in Fig. 6"``: a warning that is not to be given, and why."""

    code: Word
    reason: Text


@dataclass(frozen=True)
class Section(SyntaxNode):
    """``train on dvs128-gesture { … }``: a name, what it is on (words joined by ``-``), and settings."""

    name: Word
    on: str | None
    settings: tuple[Setting, ...]


Statement = (
    Version | Setting | Let | Give | Body | BlockDefinition | NeuronDefinition | Use | Expect | Claim | Allow | Section
)


@dataclass(frozen=True)
class Document(SyntaxNode):
    """A whole file, or a compact string as a document of one Body.

    Attributes:
        statements: Those without syntax errors.
        unread: Keys of the settings, and names, without white space, of the blocks, neurons and values with some.
    """

    statements: tuple[Statement, ...]
    unread: frozenset[str] = frozenset()


# --- walks -------------------------------------------------------------------------------------------------


def child_nodes(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """What a node consists of, in the order of its fields."""
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SyntaxNode):
                yield item


def walk_syntax(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """A node and all that is in it, outermost first."""
    yield node
    for child in child_nodes(node):
        yield from walk_syntax(child)


def names_in(equations: Iterable[Equation]) -> Iterator[Word]:
    """Every name in equations that is not that of a function, in the order of the text."""
    for equation in equations:
        if not isinstance(equation, Gives):
            yield equation.name
        value = equation.value if isinstance(equation, Gives | Assignment) else equation.initial
        yield from variables_in(value)


def variables_in(expression: RealExpression) -> Iterator[Word]:
    """Every name that an expression reads, in the order of the text."""
    for node in walk_syntax(expression):
        if isinstance(node, Variable):
            yield Word(node.name, span=node.span)
