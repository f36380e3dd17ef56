"""Conversion of Lark's parse tree to the syntax tree, with a table entry or a method for each grammar rule."""

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
"""Children of a Lark tree, in the order of the grammar rule."""

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
    "assignment": tree.Assignment,
    "gives": tree.Gives,
    "real_negation": tree.Negation,
    "formula_negation": tree.Opposite,
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
"""Rules whose children are the fields of the node, in order."""

_TEXTS = {"variable": tree.Variable, "parameter": tree.Parameter, "quantity": tree.Quantity}
"""Rules with a single token, which is the text of the node."""

_PASSED_ON = frozenset({"statement", "line", "equation", "axis", "length"})
"""Rules that only delegate to another rule."""


class TreeBuilder:
    """Builder of the syntax tree of one source. Limits on nesting and on copies of repeats bound its recursion."""

    def __init__(self, source: Source, reporter: Reporter) -> None:
        self.source, self.reporter = source, reporter

    def build(self, child: Tree[Token] | Token) -> Any:
        """Convert a Lark tree to a node of the class of its rule, or a token to a Word."""
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
        # The lines between the braces are parsed separately.
        return replace(self._defined(children[:-2], tree.Sequence(()), span), long=True)

    def _defined(self, head: Children, expression: tree.Sequence, span: Span) -> tree.BlockDefinition:
        name, *parameters = head
        operands: tuple[Any, ...] = ()
        if parameters and parameters[-1].data == "block_operands":
            operands = self._all(parameters.pop().children)
        return tree.BlockDefinition(self.build(name), self._all(parameters), expression, operands, span=span)

    def _part(self, children: Children, span: Span) -> tree.BlockDefinition:
        *head, expression = children
        return replace(self._defined(head, self.build(expression), span), shared=True)

    def _long_part(self, children: Children, span: Span) -> tree.BlockDefinition:
        return replace(self._defined(children[:-2], tree.Sequence(()), span), long=True, shared=True)

    def _block_parameter(self, children: Children, span: Span) -> tree.BlockParameter:
        name, *default = self._all(children)
        return tree.BlockParameter(name.text, *default, span=span)

    def _section(self, children: Children, span: Span) -> tree.Section:
        name, *target = self._all(children[:-2])
        return tree.Section(name, target[0].text if target else None, (), span=span)

    def _place(self, children: Children, span: Span) -> tree.Word:
        return tree.Word("-".join(children), span=span)

    def _setting(self, children: Children, span: Span) -> tree.Setting:
        key, *values = self._all(children)
        return tree.Setting(key, tuple(values), span=span)

    def _values(self, children: Children, span: Span) -> tree.Setting:
        return tree.Setting(tree.Word("set"), self._all(children), span=span)

    # --- neurons

    def _neuron(self, children: Children, span: Span) -> tree.NeuronDefinition:
        # The equations between the braces are parsed separately.
        name, *parameters = children[:-2]
        inputs: tuple[Any, ...] = ()
        if parameters and parameters[-1].data == "block_operands":
            inputs = self._all(parameters.pop().children)
        return tree.NeuronDefinition(self.build(name), self._all(parameters), (), inputs, span=span)

    def _learn(self, children: Children, span: Span) -> tree.Learn:
        (name, *axes, initial), length = self._declared(children)
        return tree.Learn(name, tuple(axes), initial, length, span=span)

    def _state(self, children: Children, span: Span) -> tree.StateDeclaration:
        (name, initial), length = self._declared(children)
        return tree.StateDeclaration(name, initial, length, span=span)

    def _declared(self, children: Children) -> tuple[tuple[Any, ...], tree.Word | None]:
        """Return the nodes of a declaration without its length, and the length."""
        name, *rest = children
        has_length = isinstance(rest[0], Tree) and rest[0].data == "length"
        return self._all([name, *rest[has_length:]]), self.build(rest[0]) if has_length else None

    def _function(self, children: Children, span: Span) -> tree.FunctionCall:
        name, *operands = self._all(children)
        return tree.FunctionCall(name, tuple(operands), span=span)

    # --- expressions

    def _sequence(self, children: Children, span: Span) -> tree.Sequence:
        # A call without a name is a placeholder of the repair for a missing item.
        items = (item for item in self._all(children) if not (isinstance(item, tree.Call) and item.name.plain == ""))
        return tree.Sequence(tuple(items), span=span)

    def _call(self, children: Children, span: Span) -> tree.Call:
        name, *arguments = children
        values = arguments[0].children if arguments else []
        return tree.Call(self.build(name), self._all(values), called=bool(arguments), span=span)

    _plain_call = _call

    def _name(self, children: Children, span: Span) -> tree.Name:
        parts = self._all(children)
        spaced = [before.span.end != part.span.start for before, part in pairwise(parts)]
        return tree.Name(parts, (False, *spaced), span=span)

    _block_name = _part_name = _plain_name = _filled_size = _name

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
        """Report a count of zero or above the limit, and replace it with 1."""
        limit = self.reporter.limits.repeat
        # The value of an interpolation is only known in a call, and checked there.
        if isinstance(count, Interpolation) or 1 <= count.value <= limit:
            return count
        if count.value:
            self.reporter.report(
                "repeat-too-large",
                f"{count.value:,} copies exceed the limit of {limit:,}",
                count.span,
                label="too many copies",
                help=raise_limit_help("repeat"),
            )
        else:
            self.reporter.report(
                "zero-count",
                "a repeat of 0 copies",
                count.span,
                label="must be at least 1",
                help="change the number of copies, or remove the repeat",
            )
        return Number("1", span=count.span)

    def _merge(self, children: Children, span: Span) -> tree.MergeOf:
        name, *rest = children
        called = isinstance(rest[0], Tree) and rest[0].data == "arguments"
        arguments, operands = (rest[0].children, rest[1:]) if called else ([], rest)
        return tree.MergeOf(self.build(name), self._all(operands), self._all(arguments), called=called, span=span)

    def _pointwise(self, children: Children, span: Span) -> tree.Pointwise:
        *arguments, _, expression, _ = children
        values = arguments[0].children if arguments else []
        return tree.Pointwise(self.build(expression), self._all(values), called=bool(arguments), span=span)

    # --- values

    def _number(self, children: Children, span: Span) -> tree.Number:
        return tree.Number(children[0].replace("\u2212", "-"), span=span)

    _integer = _real_number = _number

    def _negative(self, children: Children, span: Span) -> tree.Number:
        return tree.Number("-" + children[0].replace("\u2212", "-"), span=span)

    def _opposite(self, children: Children, span: Span) -> tree.Interpolation:
        return tree.Interpolation(tree.Opposite(self.build(children[0]).formula, span=span), span=span)

    def _size(self, children: Children, span: Span) -> tree.Size:
        return tree.Size(tuple(map(int, children[0].replace("\u00d7", "x").split("x"))), span=span)

    def _text(self, children: Children, span: Span) -> tree.Text:
        return tree.Text(children[0][1:-1], span=span)
