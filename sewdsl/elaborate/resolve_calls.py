"""Calls in a sequence: from a name and its arguments to an op, or to a block with its parameters' values."""

from __future__ import annotations

from collections.abc import Collection

from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.compact_arguments import FilledName, fill_name
from sewdsl.elaborate.suggestions import rename
from sewdsl.elaborate.values import ValueReader
from sewdsl.elaborate.vocabulary import Vocabulary, check_unknown, did_you_mean_digits
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Op
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_NEURON
from sewdsl.syntax.tree import Call


class CallResolver:
    """Resolves the calls of one text.

    Attributes:
        default: The neuron of the header.
    """

    def __init__(self, vocabulary: Vocabulary, default: Activation | None, reporter: Reporter) -> None:
        self.vocabulary, self.default, self.reporter = vocabulary, default, reporter

    def reader(self, path: tuple[str, ...], frame: CallFrame) -> ValueReader:
        """Reads the values of the call to which a way leads."""
        return ValueReader(self.reporter, path, frame.parameters, kinds=self.vocabulary.neurons)

    def spell(self, call: Call, frame: CallFrame) -> FilledName:
        """The call's name as text.

        Raises:
            InvalidText: an interpolation has no value.
        """
        return fill_name(call.name, self.reader(frame.where(call.span.text), frame).evaluate)

    def op(
        self, call: Call, name: FilledName, frame: CallFrame, nearest: Activation | None, *, unsure: bool = False
    ) -> Op | None:
        """The op that a call names; None where that failed, with every problem reported.

        Args:
            nearest: The activation nearest before it.
            unsure: Whether something before it was not understood, which may have been an activation.

        Raises:
            InvalidText: the value of an argument has no meaning, which is reported too.
        """
        path = frame.where(call.span.text)
        if name.text == OWN_NEURON:
            if unsure and not (frame.neuron or nearest):
                return None
            return self._own_neuron(call, frame, nearest, path)
        found = self.vocabulary.kind(name.text)
        if found is None or name.gaps:
            if name.text not in self.vocabulary.neurons.broken:
                values = [value for value, found in frame.names.items() if found.computed]
                self._report_unknown(name, path, values)
            return None
        symbol, kind = found
        given = self._compact(kind, name, len(symbol), path)
        named = self.reader(path, frame).read_arguments(call)
        if given is None:
            return None
        twice = next((name for name in named if name in given), None)
        if twice is not None:
            self._duplicate(twice, "", named[twice].span, path)
            return None
        given |= named
        if self.default is not None and kind.named() is self.default.named():
            given = {**{n: GivenArgument(v, call.span) for n, v in self.default}, **given}
        made = self.reporter.take(validate_arguments(kind, f"'{kind.kind}'", given, call.span, path))
        return made if isinstance(made, Op) else None

    def _report_unknown(self, name: FilledName, path: tuple[str, ...], values: Collection[str] = ()) -> None:
        self.reporter.extend(check_unknown(name, self.vocabulary, path, values))

    def _own_neuron(self, call: Call, frame: CallFrame, nearest: Activation | None, path: tuple[str, ...]) -> Op | None:
        neuron = frame.neuron or nearest
        if neuron is None and "neuron" in self.vocabulary.unread:
            return None
        if neuron is None:
            message = "'SN' is the file's neuron, but none is set and none comes before it"
            hint = "add 'neuron PLIF' to the file, or --neuron PLIF"
            raise self.reporter.refuse("missing-neuron", message, call.span, help=hint, path=path)
        return self.reader(path, frame).change_neuron(neuron, call)

    def _compact(
        self, kind: type[Kind], name: FilledName, start: int, path: tuple[str, ...]
    ) -> dict[str, GivenArgument] | None:
        """The arguments that are written into the name."""
        letters = kind.letters()
        try:
            found = compact_arguments.split_arguments(name.text, start)
        except compact_arguments.CompactError as error:
            self._not_understood(kind, name, error, path)
            return None
        given: dict[str, GivenArgument] = {}
        for piece in found:
            span = name.at(piece.start, piece.end)
            argument = letters.get(piece.letter)
            if argument is None and self.vocabulary.splits(name.text):
                self._report_unknown(name, path)
                return None
            if argument is None:
                if not self._letters_for_digits(kind, name, span, path):
                    self._unknown_letter(kind, piece, span, path)
                return None
            if argument in given:
                self._duplicate(argument, piece.letter, span, path)
                return None
            given[argument] = GivenArgument(piece.value, span)
        return given

    def _unknown_letter(
        self, kind: type[Kind], piece: compact_arguments.CompactArgument, span: Span, path: tuple[str, ...]
    ) -> None:
        what = f"letter '{piece.letter}'" if piece.letter else "bare number"
        meant = next((known for known in kind.letters() if known and known.casefold() == piece.letter.casefold()), None)
        letter = span.part(0, len(piece.letter))
        self.reporter.report(
            "unknown-argument",
            f"'{kind.kind}' takes no {what}",
            span,
            help=f"did you mean '{meant}'?" if meant else _letters(kind),
            path=path,
            fixes=(rename(letter, meant),) if meant else (),
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
        """Reports letters that look like digits in the compact arguments of a call; whether there are any."""
        digits = self.vocabulary.with_digits(name.text)
        if digits is not None:
            message, fixes = f"'{kind.kind}': '{span.text}' has letters for digits", (rename(name.span, digits),)
            hint = did_you_mean_digits(digits)
            self.reporter.report("invalid-argument", message, span, help=hint, path=path, fixes=fixes)
        return digits is not None

    def _duplicate(self, argument: str, letter: str, span: Span, path: tuple[str, ...]) -> None:
        shown = f"{argument} ({letter}…)" if letter else argument
        self.reporter.report("duplicate-argument", f"{shown} is given twice", span, help="keep one", path=path)


def _letters(kind: type[Kind]) -> str:
    letters = kind.letters()
    if not letters:
        return f"'{kind.kind}' takes no compact arguments"
    shown = ", ".join(f"{letter} ({name})" for letter, name in letters.items() if letter)
    first = f"its {letters['']} right after it" if "" in letters else ""
    return f"'{kind.kind}' takes {' and '.join(filter(None, (first, shown)))}"
