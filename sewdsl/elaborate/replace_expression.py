"""Overrides that change the expression: another body, another argument of its block, another block in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from sewdsl.elaborate.assembly import Assembly
from sewdsl.elaborate.suggestions import did_you_mean, listed
from sewdsl.limits import Limits
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.parser import parse_compact, parse_excerpt
from sewdsl.syntax.tree import Alternative, Argument, Body, Call, JoinOf, Repeat, Sequence, Value


def replace_body(assembly: Assembly, place: Span, diagnostics: Reporter, limits: Limits) -> None:
    """Another expression in place of the body."""
    for statement in parse_excerpt(place, parse_compact, diagnostics, limits).statements:
        if isinstance(statement, Body):
            assembly.body = replace(statement, span=place)


def set_parameter(assembly: Assembly, name: str, values: tuple[Value, ...], span: Span, diagnostics: Reporter) -> None:
    """Another argument for the block that is all of the body: n of ``body Net(n=4)``."""
    items = assembly.body.expression.items if assembly.body else ()
    call = items[0] if len(items) == 1 else None
    if assembly.body is None or not isinstance(call, Call) or (call.name.plain or "") not in assembly.blocks:
        message = f"the body is not one block of this file, of which '{name}' could be a parameter"
        hint = f"write the network as a block, e.g. 'block Net({name}) = …', and 'body Net({name}=4)'"
        diagnostics.report("unknown-setting", message, span, help=hint)
        return
    if len(values) != 1:
        diagnostics.report("invalid-argument", f"'{name}' takes one value", span, help="write a number")
        return
    changed = _with_arguments(call, (Argument(name, values[0], span=span),))
    assembly.body = replace(assembly.body, expression=replace(assembly.body.expression, items=(changed,)))


def replace_block(  # noqa: PLR0913 -- what by what, and where to say what fails
    assembly: Assembly, old: str, place: Span, known: Collection[str], diagnostics: Reporter, limits: Limits
) -> None:
    """Another block wherever one is called, in the body and in the blocks of the file and of what it uses.

    Args:
        assembly: Changed in place.
        old: The one to replace, without white space; empty: the only one that is called.
        place: The new one, as a call: ``Spiking Block``, ``SEW Block (g=IAND)``; its arguments win over the old call's.
        known: Names of all blocks.
        diagnostics: Where to report.
        limits: Of the text.
    """
    if assembly.body is None:
        return
    expressions = [assembly.body.expression, *(block.expression for block in assembly.blocks.values())]
    called = dict.fromkeys(name for expression in expressions for name in _calls(expression) if name in known)
    old = old or (next(iter(called)) if len(called) == 1 else "")
    if old not in called:
        _not_called(old, list(called), place, diagnostics)
        return
    new = _call(place, diagnostics, limits)
    if new is None:
        return
    assembly.body = replace(assembly.body, expression=_swapped(assembly.body.expression, old, new))
    for name, block in assembly.blocks.items():
        assembly.blocks[name] = replace(block, expression=_swapped(block.expression, old, new))


def _not_called(old: str, called: list[str], place: Span, diagnostics: Reporter) -> None:
    if old:
        message = f"the network does not call '{old}'"
        hint = did_you_mean(old, called) or f"it calls {listed(called) or 'no block'}"
    else:
        message = "the network calls several blocks" if called else "the network calls no block that could be another"
        hint = f"say which: {listed(f'block.{name}' for name in called)}" if called else "give another 'body'"
    diagnostics.report("unknown-setting", message, place, help=hint)


def _call(place: Span, diagnostics: Reporter, limits: Limits) -> Call | None:
    """The one call that a text is; anything else is reported."""
    before = len(diagnostics.errors)
    statements = parse_excerpt(place, parse_compact, diagnostics, limits).statements
    items = statements[0].expression.items if statements and isinstance(statements[0], Body) else ()
    if len(items) == 1 and isinstance(items[0], Call):
        return items[0]
    if len(diagnostics.errors) == before:
        message = f"'{place.text}' is not the call of one block"
        diagnostics.report("invalid-argument", message, place, help="e.g. Spiking Block, or SEW Block (g=IAND)")
    return None


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
        case JoinOf(branch=first, shortcut=second) | Alternative(first=first, second=second):
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
        case JoinOf(branch=branch, shortcut=shortcut):
            return replace(node, branch=_swapped(branch, old, new), shortcut=_swapped(shortcut, old, new))
        case Alternative(first=first, second=second):
            return replace(node, first=_swapped(first, old, new), second=_swapped(second, old, new))
        case _:
            return node


def _with_arguments(call: Call, arguments: tuple[Argument, ...]) -> Call:
    """A call with further arguments, in place of its own of the same name."""
    names = {argument.name for argument in arguments if argument.name is not None}
    kept = tuple(argument for argument in call.arguments if argument.name not in names)
    return replace(call, arguments=(*kept, *arguments), called=bool(kept or arguments) or call.called)
