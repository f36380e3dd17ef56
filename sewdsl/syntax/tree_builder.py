"""Lark's parse tree to the syntax tree: an entry of a table or a method for each rule of the grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from lark import Token, Tree

from sewdsl.limits import raise_limit_help
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax import tree
from sewdsl.syntax.scanner import token_span
from sewdsl.syntax.tree import Interpolation, Number

Children = list[Any]
"""Trees and tokens of Lark's; which, and in which order, is what the grammar says."""

_NODES: dict[str, Callable[..., tree.SyntaxNode]] = {
    "version": tree.Version,
    "body": tree.Body,
    "compact": tree.Body,
    "let": tree.Let,
    "give": tree.Give,
    "use": tree.Use,
    "expect": tree.Expect,
    "claim": tree.Claim,
    "allow": tree.Allow,
    "neuron_parameter": tree.NeuronParameter,
    "state": tree.StateDeclaration,
    "assignment": tree.Assignment,
    "gives": tree.Gives,
    "real_negation": tree.Negation,
    "alternative": tree.Alternative,
    "interpolation": tree.Interpolation,
    "add": partial(tree.Arithmetic, "+"),
    "subtract": partial(tree.Arithmetic, "-"),
    "multiply": partial(tree.Arithmetic, "*"),
    "divide": partial(tree.Arithmetic, "/"),
    "real_plus": partial(tree.Infix, "+"),
    "real_minus": partial(tree.Infix, "-"),
    "real_times": partial(tree.Infix, "*"),
    "real_over": partial(tree.Infix, "/"),
    "below": partial(tree.Infix, "<"),
    "at_most": partial(tree.Infix, "<="),
    "above": partial(tree.Infix, ">"),
    "at_least": partial(tree.Infix, ">="),
}
"""Rules whose node has all that the rule consists of as its fields, in order."""

_TEXTS = {"variable": tree.Variable, "parameter": tree.Parameter, "quantity": tree.Quantity}
"""Rules of one token, which is the node's text."""

_PASSED_ON = frozenset({"statement", "line", "equation", "axis"})
"""Rules that are one of others."""


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
        if child.data in _NODES:
            return _NODES[child.data](*self._all(child.children), span=span)
        if child.data in _TEXTS:
            return _TEXTS[child.data](str(child.children[0]), span=span)
        if child.data in _PASSED_ON:
            return self.build(child.children[0])
        return getattr(self, f"_{child.data}")(child.children, span)

    def _all(self, children: Children) -> tuple[Any, ...]:
        return tuple(map(self.build, children))

    def _span(self, child: Tree[Token] | Token) -> Span:
        if isinstance(child, Token):
            return token_span(self.source, child)
        return Span(self.source, child.meta.start_pos, child.meta.end_pos)

    # --- statements

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

    def _block_parameter(self, children: Children, span: Span) -> tree.BlockParameter:
        name, *default = self._all(children)
        return tree.BlockParameter(name.text, *default, span=span)

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

    def _learn(self, children: Children, span: Span) -> tree.Learn:
        name, *axes, initial = self._all(children)
        return tree.Learn(name, tuple(axes), initial, span=span)

    def _function(self, children: Children, span: Span) -> tree.FunctionCall:
        name, *operands = self._all(children)
        return tree.FunctionCall(name, tuple(operands), span=span)

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
        return tree.Call(tree.Name.of(str(children[0]), span), span=span)

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

    # --- values

    def _number(self, children: Children, span: Span) -> tree.Number:
        return tree.Number(children[0].replace("\u2212", "-"), span=span)

    _integer = _real_number = _number

    def _negative(self, children: Children, span: Span) -> tree.Number:
        return tree.Number("-" + children[0].replace("\u2212", "-"), span=span)

    def _size(self, children: Children, span: Span) -> tree.Size:
        return tree.Size(tuple(map(int, children[0].replace("\u00d7", "x").split("x"))), span=span)

    def _text(self, children: Children, span: Span) -> tree.Text:
        return tree.Text(children[0][1:-1], span=span)
