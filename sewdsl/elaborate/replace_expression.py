"""Overrides that change the expression: another body, another argument of its block, another block in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from sewdsl.diagnostics import Diagnostic, Severity, errors_in
from sewdsl.elaborate.assembly import OUTPUTS, Assembly
from sewdsl.elaborate.named_values import live_names
from sewdsl.elaborate.suggestions import did_you_mean, listed
from sewdsl.limits import Limits
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Span
from sewdsl.syntax.parser import parse_compact, parse_excerpt
from sewdsl.syntax.tree import (
    Alternative,
    Argument,
    BlockDefinition,
    Body,
    Call,
    Let,
    MergeOf,
    Name,
    Number,
    Repeat,
    Sequence,
    Value,
    Word,
)

_LINEAR = re.compile(r"FC[0-9]+((?:b[01])?)")
_VOTES = re.compile(r"APk([0-9]+)(?:s\1)?")
"""An average pool of consecutive features, each of which votes for the same class."""

Part = TypeVar("Part", Body, Let, BlockDefinition)
Called = TypeVar("Called", Call, MergeOf)


def replace_body(assembly: Assembly, place: Span, limits: Limits) -> Reported[Assembly]:
    """Another expression in place of the body, with those named values that it reads; not where the text has errors."""
    read = parse_excerpt(place, parse_compact, limits)
    for statement in read.value.statements:
        if isinstance(statement, Body):
            live = live_names(assembly.lets, statement.expression)
            lets = tuple(let for let in assembly.lets if let.name.text in live)
            settings = {key: setting for key, setting in assembly.settings.items() if key != OUTPUTS}
            body = replace(statement, span=place)  # which is in place of outputs too
            return Reported(replace(assembly, body=body, lets=lets, settings=settings), read.diagnostics)
    return Reported(assembly, read.diagnostics)


def set_parameter(assembly: Assembly, name: str, values: tuple[Value, ...], span: Span) -> Reported[Assembly]:
    """Another argument for the block that is all of the body: n of ``body Net(n=4)``.

    The assembly stays as it is where the body is not one block, or where there are several values.
    """
    items = assembly.body.expression.items if assembly.body else ()
    call = items[0] if len(items) == 1 else None
    if assembly.body is None or not isinstance(call, Call) or (call.name.plain or "") not in assembly.blocks:
        message = f"the body is not one block of this file, of which '{name}' could be a parameter"
        hint = f"write the network as a block, e.g. 'block Net({name}) = …', and 'body Net({name}=4)'"
        return Reported(assembly, (Diagnostic("unknown-setting", Severity.ERROR, message, span, help=hint),))
    if len(values) != 1:
        message, hint = f"'{name}' takes one value", "write a number"
        return Reported(assembly, (Diagnostic("invalid-argument", Severity.ERROR, message, span, help=hint),))
    changed = _with_arguments(call, (Argument(name, values[0], span=span),))
    expression = replace(assembly.body.expression, items=(changed,))
    return Reported(replace(assembly, body=replace(assembly.body, expression=expression)))


def replace_block(
    assembly: Assembly, old: str, place: Span, known: Collection[str], limits: Limits
) -> Reported[Assembly]:
    """Another block wherever one is called, in the body and in the blocks of the file and of what it uses.

    The assembly stays as it is where the old block is not called, or the text is not the call of a block.

    Args:
        old: The one to replace, without white space; empty: the only one that is called.
        place: The new one, as a call: ``Spiking Block``, ``SEW Block (g=IAND)``; its arguments win over the old call's.
        known: Names of all blocks.
    """
    if assembly.expression is None:
        return Reported(assembly)
    expressions = [*(let.expression for let in assembly.lets), assembly.expression]
    for block in assembly.blocks.values():
        expressions += [*(let.expression for let in block.lets), block.expression]
    called = dict.fromkeys(name for expression in expressions for name in _calls(expression) if name in known)
    old = old or (next(iter(called)) if len(called) == 1 else "")
    if old not in called:
        return Reported(assembly, (_not_called(old, list(called), place),))
    read = _read_call(place, limits)
    if read.value is None:
        return Reported(assembly, read.diagnostics)
    new, body, reporter = read.value, assembly.body, Reporter(limits, [*read.diagnostics])

    def with_swapped(part: Part) -> Part:
        return replace(part, expression=_swapped(part.expression, old, new))

    def swapped() -> Assembly:
        blocks = {
            name: replace(with_swapped(block), lets=tuple(map(with_swapped, block.lets)))
            for name, block in assembly.blocks.items()
        }
        lets = tuple(map(with_swapped, assembly.lets))
        swapped_body = None if body is None else with_swapped(body)
        return replace(assembly, body=swapped_body, lets=lets, blocks=blocks)

    return reporter.follow(swapped)


def replace_classes(assembly: Assembly, values: tuple[Value, ...], place: Span) -> Reported[Assembly]:
    """Set the width of the last linear layer of the body so that the network has a number of classes.

    Where an average pool of ``k`` votes follows, ``FC110-LIF-APk10``, the width is ``k`` times as large.
    """

    def refuse(code: str, message: str, hint: str) -> Reported[Assembly]:
        return Reported(assembly, (Diagnostic(code, Severity.ERROR, message, place, help=hint),))

    match values:
        case (Number(value=int(classes)),) if classes > 0:
            pass
        case _:
            return refuse("invalid-argument", "classes is a whole number from 1", "e.g. 10")
    body = assembly.body
    items = list(body.expression.items) if body else []
    votes = 1
    for index in reversed(range(len(items))):
        item = items[index]
        name = item.name.plain or "" if isinstance(item, Call) else ""
        if pool := _VOTES.fullmatch(name):
            votes *= int(pool[1])
        elif body is not None and isinstance(item, Call) and (linear := _LINEAR.fullmatch(name)):
            word = Word(f"FC{classes * votes}{linear[1]}", span=place)
            items[index] = replace(item, name=Name((word,), (False,), span=place))
            expression = replace(body.expression, items=tuple(items))
            return Reported(replace(assembly, body=replace(body, expression=expression)))
    message = "the body has no last linear layer, such as FC10, whose width could be the number of classes"
    return refuse("unknown-setting", message, "write another 'body'")


def _not_called(old: str, called: list[str], place: Span) -> Diagnostic:
    if old:
        message = f"the network does not call '{old}'"
        hint = did_you_mean(old, called) or f"it calls {listed(called) or 'no block'}"
    else:
        message = "the network calls several blocks" if called else "the network calls no block that could be another"
        hint = f"say which: {listed(f'block.{name}' for name in called)}" if called else "give another 'body'"
    return Diagnostic("unknown-setting", Severity.ERROR, message, place, help=hint)


def _read_call(place: Span, limits: Limits) -> Reported[Call | None]:
    """The one call that a text is; None where it is anything else."""
    read = parse_excerpt(place, parse_compact, limits)
    statements = read.value.statements
    items = statements[0].expression.items if statements and isinstance(statements[0], Body) else ()
    if len(items) == 1 and isinstance(items[0], Call):
        return Reported(items[0], read.diagnostics)
    if errors_in(read.diagnostics):
        return Reported(None, read.diagnostics)
    message, hint = f"'{place.text}' is not the call of one block", "e.g. Spiking Block, or SEW Block (g=IAND)"
    return Reported(
        None, (*read.diagnostics, Diagnostic("invalid-argument", Severity.ERROR, message, place, help=hint))
    )


def _calls(node: Any) -> Iterator[str]:
    """Names that are called in an expression, in its order."""
    match node:
        case Call(name=name):
            yield name.plain or ""
        case Sequence(items=items):
            for item in items:
                yield from _calls(item)
        case Repeat(body=body):
            yield from _calls(body)
        case MergeOf(name=name, operands=operands):
            yield name.plain or ""
            for operand in operands:
                yield from _calls(operand)
        case Alternative(first=first, second=second):
            yield from _calls(first)
            yield from _calls(second)


def _swapped(node: Any, old: str, new: Call) -> Any:
    """An expression with other calls in it."""
    match node:
        case Call(name=name) if name.plain == old:
            return replace(_with_arguments(node, new.arguments), name=new.name)
        case Sequence(items=items):
            return replace(node, items=tuple(_swapped(item, old, new) for item in items))
        case Repeat(body=body):
            return replace(node, body=_swapped(body, old, new))
        case MergeOf(name=name, operands=operands):
            if name.plain == old:
                node = replace(_with_arguments(node, new.arguments), name=new.name)
            return replace(node, operands=tuple(_swapped(operand, old, new) for operand in operands))
        case Alternative(first=first, second=second):
            return replace(node, first=_swapped(first, old, new), second=_swapped(second, old, new))
        case _:
            return node


def _with_arguments(call: Called, arguments: tuple[Argument, ...]) -> Called:
    """A call with further arguments, in place of its own of the same name."""
    names = {argument.name for argument in arguments if argument.name is not None}
    kept: tuple[Argument, ...] = tuple(argument for argument in call.arguments if argument.name not in names)
    return replace(call, arguments=(*kept, *arguments), called=bool(kept or arguments) or call.called)
