"""Lark's parse tree to the syntax tree: one method for each rule of the grammar."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from lark import Token, Tree

from sewdsl.limits import raise_limit_help
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax import tree
from sewdsl.syntax.scanner import token_end, token_start
from sewdsl.syntax.tree import Interpolation, Number

Children = list[Any]
"""Trees and tokens of Lark's; which, and in which order, is what the grammar says."""


class TreeBuilder:
    """Builds the nodes of one source; nesting is limited, so recursion is.

    Attributes:
        reporter: Gets what is wrong with it, and knows how many copies a repeat may have.
    """

    def __init__(self, source: Source, reporter: Reporter) -> None:
        self.source, self.reporter = source, reporter

    def build(self, child: Tree[Token] | Token) -> Any:
        """The node for a tree of Lark's, of the class that belongs to its rule; a Word for a token."""
        span = self._span(child)
        if isinstance(child, Token):
            return tree.Word(str(child).replace("\u00d7", "x"), span=span)
        return getattr(self, f"_{child.data}")(child.children, span)

    def _all(self, children: Children) -> tuple[Any, ...]:
        return tuple(map(self.build, children))

    def _span(self, child: Tree[Token] | Token) -> Span:
        if isinstance(child, Token):
            return Span(self.source, token_start(child), token_end(child))
        return Span(self.source, child.meta.start_pos, child.meta.end_pos)

    # --- statements

    def _statement(self, children: Children, _: Span) -> tree.Statement:
        statement: tree.Statement = self.build(children[0])
        return statement

    def _version(self, children: Children, span: Span) -> tree.Version:
        return tree.Version(self.build(children[0]), span=span)

    def _body(self, children: Children, span: Span) -> tree.Body:
        return tree.Body(self.build(children[0]), span=span)

    _compact = _body

    def _block(self, children: Children, span: Span) -> tree.BlockDefinition:
        *head, expression = children
        return self._defined(head, self.build(expression), span)

    def _long_block(self, children: Children, span: Span) -> tree.BlockDefinition:
        """Without the lines between its braces, which are statements of their own to the parser."""
        return replace(self._defined(children[:-2], tree.Sequence(()), span), long=True)

    def _defined(self, head: Children, expression: tree.Sequence, span: Span) -> tree.BlockDefinition:
        name, *given = head
        operands = self._all(given.pop().children) if given and given[-1].data == "block_operands" else ()
        return tree.BlockDefinition(self.build(name), self._all(given), expression, operands, span=span)

    _line = _statement

    def _let(self, children: Children, span: Span) -> tree.Let:
        return tree.Let(*self._all(children), span=span)

    def _give(self, children: Children, span: Span) -> tree.Give:
        return tree.Give(self.build(children[0]), span=span)

    def _block_parameter(self, children: Children, span: Span) -> tree.BlockParameter:
        name, *default = self._all(children)
        return tree.BlockParameter(name.text, *default, span=span)

    def _use(self, children: Children, span: Span) -> tree.Use:
        return tree.Use(self.build(children[0]), span=span)

    def _expect(self, children: Children, span: Span) -> tree.Expect:
        return tree.Expect(*self._all(children), span=span)

    def _claim(self, children: Children, span: Span) -> tree.Claim:
        return tree.Claim(*self._all(children), span=span)

    def _allow(self, children: Children, span: Span) -> tree.Allow:
        return tree.Allow(*self._all(children), span=span)

    def _section(self, children: Children, span: Span) -> tree.Section:
        name, *place = self._all(children[:-2])
        return tree.Section(name, place[0].text if place else None, (), span=span)

    def _place(self, children: Children, span: Span) -> tree.Word:
        return tree.Word("-".join(children), span=span)

    def _setting(self, children: Children, span: Span) -> tree.Setting:
        key, *values = self._all(children)
        return tree.Setting(key, tuple(values), span=span)

    def _values(self, children: Children, span: Span) -> tree.Setting:
        return tree.Setting(tree.Word("set"), self._all(children), span=span)

    # --- neurons

    def _neuron(self, children: Children, span: Span) -> tree.NeuronDefinition:
        """Without what is between its braces, which is parsed statement by statement."""
        name, *parameters = children[:-2]
        return tree.NeuronDefinition(self.build(name), self._all(parameters), (), span=span)

    def _neuron_parameter(self, children: Children, span: Span) -> tree.NeuronParameter:
        return tree.NeuronParameter(*self._all(children), span=span)

    _equation = _statement

    def _learn(self, children: Children, span: Span) -> tree.Learn:
        name, *axes, initial = self._all(children)
        return tree.Learn(name, tuple(axes), initial, span=span)

    def _axis(self, children: Children, _: Span) -> tree.Word:
        word: tree.Word = self.build(children[0])
        return word

    def _state(self, children: Children, span: Span) -> tree.StateDeclaration:
        return tree.StateDeclaration(*self._all(children), span=span)

    def _assignment(self, children: Children, span: Span) -> tree.Assignment:
        return tree.Assignment(*self._all(children), span=span)

    def _gives(self, children: Children, span: Span) -> tree.Gives:
        return tree.Gives(self.build(children[0]), span=span)

    def _variable(self, children: Children, span: Span) -> tree.Variable:
        return tree.Variable(str(children[0]), span=span)

    def _function(self, children: Children, span: Span) -> tree.FunctionCall:
        name, *operands = self._all(children)
        return tree.FunctionCall(name, tuple(operands), span=span)

    def _real_negation(self, children: Children, span: Span) -> tree.Negation:
        return tree.Negation(self.build(children[0]), span=span)

    def _real_plus(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("+", *self._all(children), span=span)

    def _real_minus(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("-", *self._all(children), span=span)

    def _real_times(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("*", *self._all(children), span=span)

    def _real_over(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("/", *self._all(children), span=span)

    def _below(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("<", *self._all(children), span=span)

    def _at_most(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix("<=", *self._all(children), span=span)

    def _above(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix(">", *self._all(children), span=span)

    def _at_least(self, children: Children, span: Span) -> tree.Infix:
        return tree.Infix(">=", *self._all(children), span=span)

    # --- expressions

    def _sequence(self, children: Children, span: Span) -> tree.Sequence:
        # A call without a name only marks where an item is missing.
        items = (item for item in self._all(children) if not (isinstance(item, tree.Call) and item.name.plain == ""))
        return tree.Sequence(tuple(items), span=span)

    def _call(self, children: Children, span: Span) -> tree.Call:
        name, *arguments = children
        given = arguments[0].children if arguments else []
        return tree.Call(self.build(name), self._all(given), called=bool(arguments), span=span)

    _plain_call = _call

    def _name(self, children: Children, span: Span) -> tree.Name:
        parts = self._all(children)
        spaced = [before.span.end != part.span.start for before, part in pairwise(parts)]
        return tree.Name(parts, (False, *spaced), span=span)

    _block_name = _plain_name = _name

    def _pattern(self, children: Children, span: Span) -> tree.Call:
        name = tree.Name((tree.Word(str(children[0]), span=span),), (False,), span=span)
        return tree.Call(name, span=span)

    def _argument(self, children: Children, span: Span) -> tree.Argument:
        *name, value = children
        return tree.Argument(str(name[0]) if name else None, self.build(value), span=span)

    def _repeat(self, children: Children, span: Span) -> tree.Repeat:
        opener, body, _, count = children
        brackets: Literal["{}", "<>"] = "{}" if opener.type == "LBRACE" else "<>"
        times = self._check_count(self.build(count))
        return tree.Repeat(self.build(body), times, brackets, span=span)

    def _check_count(self, count: Number | Interpolation) -> Number | Interpolation:
        """The count itself, or 1 where it is reported as zero or too large; a computed one is known only in a call."""
        limit = self.reporter.limits.repeat
        if isinstance(count, Interpolation) or 1 <= count.value <= limit:
            return count
        if count.value:
            self.reporter.report(
                "repeat-too-large",
                f"{count.text} copies are over the limit of {limit}",
                count.span,
                label="too many copies",
                help=raise_limit_help("repeat"),
            )
        else:
            self.reporter.report(
                "zero-count",
                "a repeat of 0 copies is nothing",
                count.span,
                label="must be 1 or more",
                help="write the number of copies, or leave the repeat out",
            )
        return Number("1", span=count.span)

    def _merge(self, children: Children, span: Span) -> tree.MergeOf:
        name, *rest = children
        called = isinstance(rest[0], Tree) and rest[0].data == "arguments"
        given, operands = (rest[0].children, rest[1:]) if called else ([], rest)
        return tree.MergeOf(self.build(name), self._all(operands), self._all(given), called=called, span=span)

    def _alternative(self, children: Children, span: Span) -> tree.Alternative:
        return tree.Alternative(*self._all(children), span=span)

    # --- values

    def _number(self, children: Children, span: Span) -> tree.Number:
        return tree.Number(children[0].replace("\u2212", "-"), span=span)

    _integer = _real_number = _number

    def _negative(self, children: Children, span: Span) -> tree.Number:
        return tree.Number("-" + children[0].replace("\u2212", "-"), span=span)

    def _quantity(self, children: Children, span: Span) -> tree.Quantity:
        return tree.Quantity(str(children[0]), span=span)

    def _size(self, children: Children, span: Span) -> tree.Size:
        return tree.Size(tuple(map(int, children[0].replace("\u00d7", "x").split("x"))), span=span)

    def _text(self, children: Children, span: Span) -> tree.Text:
        return tree.Text(children[0][1:-1], span=span)

    # --- arithmetic

    def _interpolation(self, children: Children, span: Span) -> tree.Interpolation:
        return tree.Interpolation(self.build(children[0]), span=span)

    def _parameter(self, children: Children, span: Span) -> tree.Parameter:
        return tree.Parameter(str(children[0]), span=span)

    def _add(self, children: Children, span: Span) -> tree.Arithmetic:
        return tree.Arithmetic("+", *self._all(children), span=span)

    def _subtract(self, children: Children, span: Span) -> tree.Arithmetic:
        return tree.Arithmetic("-", *self._all(children), span=span)

    def _multiply(self, children: Children, span: Span) -> tree.Arithmetic:
        return tree.Arithmetic("*", *self._all(children), span=span)

    def _divide(self, children: Children, span: Span) -> tree.Arithmetic:
        return tree.Arithmetic("/", *self._all(children), span=span)
