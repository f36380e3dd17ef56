"""Syntax tree of a source, before names are resolved.

Equality ignores spans, so ``parse(print(tree)) == tree``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import cached_property
from typing import Literal, dataclass_transform

from sewdsl.light_dataclass import dataclass
from sewdsl.source import BUILTIN, Span


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
@dataclass(frozen=True, kw_only=True)
class SyntaxNode:
    """Base class of syntax nodes, which are frozen dataclasses, with their span."""

    span: Span = field(default=BUILTIN, compare=False, repr=False)

    def __init_subclass__(cls) -> None:
        """Make each node a dataclass."""
        dataclass(frozen=True)(cls)


# --- values ------------------------------------------------------------------------------------------------


class Number(SyntaxNode):
    """Number as written: ``16``, ``0.25``, ``-1``, ``1e-3``."""

    text: str

    @property
    def value(self) -> int | float:
        """Value, an int if the text has neither a point nor an exponent."""
        return float(self.text) if set(self.text) & set(".eE") else int(self.text)


class Quantity(SyntaxNode):
    """Number with a unit, as written: ``0.13M``, ``2GB``, ``90%``."""

    text: str


class Size(SyntaxNode):
    """Lengths joined by x: ``2x128x128``."""

    dims: tuple[int, ...]


class Text(SyntaxNode):
    """String in double quotes, without escapes."""

    text: str


class Parameter(SyntaxNode):
    """Name of a block parameter inside ``$(…)``."""

    name: str


class Arithmetic(SyntaxNode):
    """Arithmetic inside ``$(…)``."""

    operator: Literal["+", "-", "*", "/"]
    left: Formula
    right: Formula


class Opposite(SyntaxNode):
    """Negation ``-c`` inside ``$(…)``."""

    operand: Formula


Formula = Number | Parameter | Arithmetic | Opposite


class Interpolation(SyntaxNode):
    """``$(formula)``."""

    formula: Formula


# --- expressions -------------------------------------------------------------------------------------------


class Word(SyntaxNode):
    """Word of letters, digits, dots and underscores, starting with a letter."""

    text: str


class Name(SyntaxNode):
    """Name of words and interpolations: ``SEW Block``, ``c$(c)k3``."""

    parts: tuple[Word | Interpolation, ...]
    spaced: tuple[bool, ...]
    """Whether white space precedes each part. Parts without white space between them form one word."""

    @cached_property
    def plain(self) -> str | None:
        """Words without white space, e.g. ``SEWBlock``, or None if there is an interpolation."""
        words = [part.text for part in self.parts if isinstance(part, Word)]
        return "".join(words) if len(words) == len(self.parts) else None

    @classmethod
    def of(cls, text: str, span: Span) -> Name:
        """Return the name of a single word."""
        return cls((Word(text, span=span),), (False,), span=span)


class Argument(SyntaxNode):
    """Argument of a call: ``c32``, ``c$(2*c)s2`` (name None), ``g=IAND`` or ``tau=2.0``."""

    name: str | None
    value: Value


class Call(SyntaxNode):
    """Name with or without arguments: ``c32k3s1``, ``SEW Block (c32)``, ``LIF(tau=2.0)``."""

    name: Name
    arguments: tuple[Argument, ...] = ()
    called: bool = field(default=False, compare=False)
    """Whether there are parentheses, as in ``BN()``. Not compared."""


class Repeat(SyntaxNode):
    """Repeat: ``{ … }*n`` or ``< … >*n``."""

    body: Sequence
    count: Number | Interpolation
    brackets: Literal["{}", "<>"] = field(default="{}", compare=False)


class Alternative(SyntaxNode):
    """Alternative ``id or X``: the first sequence if it fits, else the second."""

    first: Sequence
    second: Sequence


class MergeOf(SyntaxNode):
    """Item with operands: ``ADD[ branch | shortcut ]``, ``ATTN(heads=8)[ q | k | v ]``, ``Narrow[ x ]``."""

    name: Name
    operands: tuple[Sequence | Alternative, ...]
    arguments: tuple[Argument, ...] = ()
    called: bool = field(default=False, compare=False)
    """Whether there are parentheses, as in ``CAT()[ a | b ]``. Not compared."""


class Pointwise(SyntaxNode):
    """Function of each value: ``MAP{ 1 - x }``."""

    expression: RealExpression
    arguments: tuple[Argument, ...] = ()
    called: bool = field(default=False, compare=False)
    """Whether there are parentheses, as in ``MAP(){ … }``. Not compared."""


Item = Call | Repeat | MergeOf | Pointwise


class Sequence(SyntaxNode):
    """Sequence ``a-b-c`` of at least one item."""

    items: tuple[Item, ...]


Value = Number | Quantity | Size | Text | Interpolation | Name | Call
"""Value after ``=`` or after the key of a setting. A bare word is a Call without arguments."""


# --- a file ------------------------------------------------------------------------------------------------


class Version(SyntaxNode):
    """Version line ``sewdsl 1``."""

    number: Number


class Setting(SyntaxNode):
    """Setting of a header or a section: ``steps 16``, ``network "7B-Net"``, ``init kaiming zero``."""

    key: Word
    values: tuple[Value, ...]


class Let(SyntaxNode):
    """Named value ``let low = expression``."""

    name: Word
    expression: Sequence


class Give(SyntaxNode):
    """Output of a block with braces: ``give expression``."""

    expression: Sequence


class Body(SyntaxNode):
    """Network ``body expression``."""

    expression: Sequence


class BlockParameter(SyntaxNode):
    """Parameter of a block."""

    name: str
    default: Number | Parameter | None = None
    """Default value. ``Parameter("in")`` is the number of input channels. None makes the parameter required."""


class BlockDefinition(SyntaxNode):
    """Block definition ``block SEW Block(c=in, s=1) = expression`` or ``block NAME { let … give expression }``.

    A part, ``part Eye = expression``, is a block without parameters whose calls share their weights.
    """

    name: Name
    parameters: tuple[BlockParameter, ...]
    expression: Sequence
    operands: tuple[Word, ...] = ()
    """Names in brackets, as in ``block Up(c)[low | high]``. Empty for a block with one input."""
    lets: tuple[Let, ...] = ()
    long: bool = field(default=False, compare=False)
    """Whether the definition has braces. Not compared."""
    shared: bool = False
    """Whether the definition is a part."""

    @property
    def keyword(self) -> str:
        """First word of the definition: ``block`` or ``part``."""
        return "part" if self.shared else "block"


class Variable(SyntaxNode):
    """Name in an equation."""

    name: str


class Negation(SyntaxNode):
    """Negation ``-x`` in an equation."""

    operand: RealExpression


class Infix(SyntaxNode):
    """Operation ``a + b`` in an equation, or a comparison as an operand of a function."""

    operator: Literal["+", "-", "*", "/", "<", "<=", ">", ">="]
    left: RealExpression
    right: RealExpression


class FunctionCall(SyntaxNode):
    """Function call ``clip(h, 0, D)`` in an equation."""

    name: Word
    operands: tuple[RealExpression, ...]


RealExpression = Number | Variable | Negation | Infix | FunctionCall | Interpolation
"""Sum in an equation. ``$(…)`` occurs in ``MAP{ … }`` only."""


class Learn(SyntaxNode):
    """Learnable with its initial value: ``learn w per channel = -log(tau - 1)``, ``learn a[N] = index(N)``."""

    name: Word
    axes: tuple[Word, ...]
    initial: RealExpression
    length: Word | None = None
    """Number or parameter in brackets. None for a single number."""


class StateDeclaration(SyntaxNode):
    """State with its value before the first time-step: ``state i = 0``, ``state h[N] = 0``."""

    name: Word
    initial: RealExpression
    length: Word | None = None
    """Number or parameter in brackets. None for a single number."""


class Assignment(SyntaxNode):
    """Assignment ``h = v + x``."""

    name: Word
    value: RealExpression


class Gives(SyntaxNode):
    """Output of a neuron: ``give s``."""

    value: RealExpression


Equation = Learn | StateDeclaration | Assignment | Gives


class NeuronParameter(SyntaxNode):
    """Parameter of a neuron with its default: ``tau=2.0``."""

    name: Word
    default: RealExpression


class NeuronDefinition(SyntaxNode):
    """Neuron definition ``neuron LIF(tau=2.0) { … }`` with the equations of a time-step, in order."""

    name: Word
    parameters: tuple[NeuronParameter, ...]
    equations: tuple[Equation, ...]
    inputs: tuple[Word, ...] = ()
    """Names in brackets, as in ``neuron Two[basal | apical] { … }``. Empty for a neuron that reads ``x``."""


class Use(SyntaxNode):
    """Import ``use "other.net"``."""

    path: Text


class Expect(SyntaxNode):
    """Expectation ``expect parameters 0.13M``."""

    quantity: Word
    value: Value


class Claim(SyntaxNode):
    """Claim of a paper: ``claim parameters 23.23M "Tab. 5"``."""

    quantity: Word
    value: Value
    source: Text | None = None


class Allow(SyntaxNode):
    """Suppression of a warning, with a reason: ``allow vanishing-gradient "as in Fig. 6"``."""

    code: Word
    reason: Text


class Section(SyntaxNode):
    """Section ``train on dvs128-gesture { … }``. ``on`` is the name after it, the dataset of a ``train`` section.

    Attributes:
        unread: Keys of the settings with syntax errors.
    """

    name: Word
    on: str | None
    settings: tuple[Setting, ...]
    unread: frozenset[str] = frozenset()


Statement = (
    Version | Setting | Let | Give | Body | BlockDefinition | NeuronDefinition | Use | Expect | Claim | Allow | Section
)


class Document(SyntaxNode):
    """File, or layer string as a document with a Body."""

    statements: tuple[Statement, ...]
    """Statements without syntax errors."""
    unread: frozenset[str] = frozenset()
    """Keys of settings, and names without white space of blocks, neurons and values, that have syntax errors."""


# --- walks -------------------------------------------------------------------------------------------------


def child_nodes(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """Yield the child nodes of a node, in the order of its fields."""
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SyntaxNode):
                yield item


def walk_syntax(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """Yield a node and all its descendants in preorder."""
    yield node
    for child in child_nodes(node):
        yield from walk_syntax(child)


def names_in(equations: Iterable[Equation]) -> Iterator[Word]:
    """Yield the names in equations, except those of functions, in the order of the source."""
    for equation in equations:
        if not isinstance(equation, Gives):
            yield equation.name
        if isinstance(equation, Learn | StateDeclaration) and equation.length and not equation.length.text.isdigit():
            yield equation.length
        value = equation.value if isinstance(equation, Gives | Assignment) else equation.initial
        yield from variables_in(value)


def variables_in(expression: RealExpression) -> Iterator[Word]:
    """Yield the names that an expression reads, in the order of the source."""
    for node in walk_syntax(expression):
        if isinstance(node, Variable):
            yield Word(node.name, span=node.span)


def functions_in(node: SyntaxNode) -> Iterator[Word]:
    """Yield the names of the functions that equations call, in the order of the source."""
    for call in walk_syntax(node):
        if isinstance(call, FunctionCall):
            yield call.name
