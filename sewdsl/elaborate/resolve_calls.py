"""Resolution of calls in sequences: name and arguments to an op."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.compact_arguments import FilledName, fill_name
from sewdsl.elaborate.values import ValueReader
from sewdsl.elaborate.vocabulary import Vocabulary, check_unknown, did_you_mean_digits
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ir.printed_values import number_text
from sewdsl.ops.equation_neurons import pointwise_definition, read_kind
from sewdsl.ops.joins import Add
from sewdsl.ops.read_equations import DRAWS, INDEX
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_NEURON, POINTWISE, POTENTIAL
from sewdsl.syntax.suggestions import rename
from sewdsl.syntax.tree import (
    Call,
    Interpolation,
    Name,
    Negation,
    Number,
    Pointwise,
    SyntaxNode,
    functions_in,
    variables_in,
)

_READ_BY = {"surrogate": "fire", "v_threshold": "v_threshold", "v_reset": "reset", "detach_reset": "reset"}
"""Function or name of an expression that reads an argument of ``MAP``."""


class CallResolver:
    """Resolver of the calls of one source.

    Attributes:
        vocabulary: Names that the source can use.
        default: Neuron of the header.
        join: Join of the header.
    """

    def __init__(
        self, vocabulary: Vocabulary, default: Activation | None, reporter: Reporter, join: Join | None = None
    ) -> None:
        self.vocabulary, self.default, self.reporter = vocabulary, default, reporter
        self.join: Join = Add() if join is None else join

    def reader(self, path: tuple[str, ...], frame: CallFrame) -> ValueReader:
        """Return a reader for the values of a call at a path."""
        return ValueReader(self.reporter, path, frame.parameters, kinds=self.vocabulary.neurons)

    def spell(self, call: Call, frame: CallFrame) -> FilledName:
        """Return the name of a call with the values of interpolations, or raise InvalidText if one has no value."""
        return fill_name(call.name, self.reader(frame.where(call.span.text), frame).evaluate)

    def op(
        self, call: Call, name: FilledName, frame: CallFrame, nearest: Activation | None, *, unsure: bool = False
    ) -> Op | None:
        """Return the op of a call, or report errors and return None.

        Args:
            unsure: Whether an unknown item before the call may be an activation.

        Raises:
            InvalidText: If the value of an argument is invalid, which is reported too.
        """
        path = frame.where(call.span.text)
        if name.text == OWN_NEURON:
            if unsure and not (frame.neuron or nearest):
                return None
            return self._own_neuron(call, frame, nearest, path)
        entry = self.vocabulary.kind(name.text)
        if entry is None or name.gaps:
            if name.text not in self.vocabulary.neurons.broken:
                values = [value_name for value_name, value in frame.names.items() if value.computed]
                self._report_unknown(name, path, values)
            return None
        symbol, kind = entry
        arguments = self._compact(kind, name, len(symbol), path)
        named = self.reader(path, frame).read_arguments(call, kind.unnamed())
        if arguments is None:
            return None
        duplicate = next((name for name in named if name in arguments), None)
        if duplicate is not None:
            self._duplicate(duplicate, "", named[duplicate].span, path)
            return None
        arguments |= named
        # A neuron of the header's kind inherits the arguments of the header.
        if self.default is not None and kind.named() is self.default.named():
            arguments = {**{n: GivenArgument(v, call.span) for n, v in self.default}, **arguments}
        instance = self.reporter.take(validate_arguments(kind, f"'{kind.kind}'", arguments, call.span, path))
        return instance if isinstance(instance, Op) else None

    def pointwise(self, item: Pointwise, frame: CallFrame) -> Op | None:
        """Return the op of a ``MAP``, or report errors and return None.

        Raises:
            InvalidText: If the value of an argument or a formula is invalid, which is reported too.
        """
        path = frame.where(item.span.text)
        reader = self.reader(path, frame)
        call = Call(Name.of(POINTWISE, item.span.part(0, len(POINTWISE))), item.arguments, span=item.span)
        arguments = reader.read_arguments(call)
        expression = _filled(item.expression, reader)
        names = [*variables_in(expression), *functions_in(expression)]
        for word in names:
            if word.text in {POTENTIAL, *DRAWS, INDEX}:
                message = f"'{word.text}' is for initial values, but {POINTWISE} has no state"
                message = f"{POINTWISE} has no membrane potential '{POTENTIAL}'" if word.text == POTENTIAL else message
                hint = "define a neuron with 'neuron NAME { … }'"
                raise self.reporter.refuse("unknown-name", message, word.span, help=hint, path=path)
        words = {word.text for word in names}
        for name in arguments.keys() & _READ_BY.keys():
            if words.isdisjoint({name, _READ_BY[name]}):
                message = f"'{name}' has no effect: the expression does not contain '{_READ_BY[name]}'"
                span, hint = arguments[name].span, "remove the argument"
                raise self.reporter.refuse("unknown-argument", message, span, help=hint, path=path)
        read = read_kind(pointwise_definition(expression, item.span))
        self.reporter.extend(replace(each, path=path) for each in read.diagnostics)
        if read.value is None:
            return None
        return self.reporter.take(validate_arguments(read.value, f"'{POINTWISE}'", arguments, item.span, path))

    def _report_unknown(self, name: FilledName, path: tuple[str, ...], values: Collection[str] = ()) -> None:
        self.reporter.extend(check_unknown(name, self.vocabulary, path, values))

    def _own_neuron(self, call: Call, frame: CallFrame, nearest: Activation | None, path: tuple[str, ...]) -> Op | None:
        neuron = frame.neuron or nearest
        if neuron is None and "neuron" in self.vocabulary.unread:
            return None
        if neuron is None:
            message = "no neuron is set for 'SN', and none precedes it"
            hint = "add 'neuron PLIF' to the file, or --neuron PLIF"
            raise self.reporter.refuse("missing-neuron", message, call.span, help=hint, path=path)
        return self.reader(path, frame).change_neuron(neuron, call)

    def _compact(
        self, kind: type[Kind], name: FilledName, start: int, path: tuple[str, ...]
    ) -> dict[str, GivenArgument] | None:
        """Return the compact arguments of a name from an offset, or report an error and return None."""
        letters = kind.letters()
        try:
            pieces = compact_arguments.split_arguments(name.text, start)
        except compact_arguments.CompactError as error:
            self._not_understood(kind, name, error, path)
            return None
        arguments: dict[str, GivenArgument] = {}
        for piece in pieces:
            span = name.at(piece.start, piece.end)
            argument = letters.get(piece.letter)
            # The word may be several names with a lost hyphen.
            if argument is None and self.vocabulary.splits(name.text):
                self._report_unknown(name, path)
                return None
            if argument is None:
                if not self._letters_for_digits(kind, name, span, path):
                    self._unknown_letter(kind, piece, span, path)
                return None
            if argument in arguments:
                self._duplicate(argument, piece.letter, span, path)
                return None
            arguments[argument] = GivenArgument(piece.value, span)
        return arguments

    def _unknown_letter(
        self, kind: type[Kind], piece: compact_arguments.CompactArgument, span: Span, path: tuple[str, ...]
    ) -> None:
        argument = f"argument '{piece.letter}'" if piece.letter else "number without a letter"
        similar = next((mark for mark in kind.letters() if mark and mark.casefold() == piece.letter.casefold()), None)
        letter = span.part(0, len(piece.letter))
        if not piece.letter and "" not in kind.letters():
            similar = next(iter(kind.letters()), None)
        hint = "use at most two numbers, e.g. 2x3" if piece.letter == "x" else _letters(kind)
        self.reporter.report(
            "unknown-argument",
            f"'{kind.kind}' takes no {argument}",
            span,
            help=f"did you mean '{similar}{'' if piece.letter else span.text}'?" if similar else hint,
            path=path,
            fixes=(rename(letter, similar),) if similar else (),
        )

    def _not_understood(
        self, kind: type[Kind], name: FilledName, error: compact_arguments.CompactError, path: tuple[str, ...]
    ) -> None:
        if self.vocabulary.splits(name.text):
            self._report_unknown(name, path)
            return
        span = name.at(error.start, error.end)
        if not self._letters_for_digits(kind, name, span, path):
            self.reporter.report("invalid-argument", f"'{kind.kind}': {error}", span, help=_letters(kind), path=path)

    def _letters_for_digits(self, kind: type[Kind], name: FilledName, span: Span, path: tuple[str, ...]) -> bool:
        """Report letters that look like digits in compact arguments, and return whether there are any."""
        digits = self.vocabulary.with_digits(name.text)
        if digits is not None:
            message, fixes = f"'{kind.kind}': '{span.text}' has letters instead of digits", (rename(name.span, digits),)
            hint = did_you_mean_digits(digits)
            self.reporter.report("invalid-argument", message, span, help=hint, path=path, fixes=fixes)
        return digits is not None

    def _duplicate(self, argument: str, letter: str, span: Span, path: tuple[str, ...]) -> None:
        shown = f"{argument} ({letter}…)" if letter else f"'{argument}'"
        message, hint = f"duplicate argument {shown}", "remove one of them"
        self.reporter.report("duplicate-argument", message, span, help=hint, path=path)


def _filled(node: Any, reader: ValueReader) -> Any:
    """Return a part of an expression with the values of formulas, or raise InvalidText if one has no value."""
    if isinstance(node, tuple):
        return tuple(_filled(each, reader) for each in node)
    if isinstance(node, Interpolation):
        value = reader.evaluate(node.formula, signed=True)
        literal = Number(number_text(abs(value)), span=node.span)
        return Negation(literal, span=node.span) if value < 0 else literal
    if not isinstance(node, SyntaxNode):
        return node
    return replace(node, **{name: _filled(getattr(node, name), reader) for name in node.__dataclass_fields__})


def _letters(kind: type[Kind]) -> str:
    letters = kind.letters()
    if not letters:
        return f"'{kind.kind}' takes no compact arguments"
    shown = ", ".join(f"{letter} ({name})" for letter, name in letters.items() if letter)
    first = f"a number ({letters['']})" if "" in letters else ""
    return f"'{kind.kind}' takes {' and '.join(filter(None, (first, shown)))}"
