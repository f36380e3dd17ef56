"""Calls of blocks: the values of the parameters, and what ``g`` and ``SN`` mean inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from sewdsl.elaborate.arguments import GivenArgument
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.compact_arguments import CompactError, fill_name, split_arguments
from sewdsl.elaborate.definitions import INPUT_CHANNELS_DEFAULT, default_number
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.elaborate.suggestions import advice, listed
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.kind import Kind
from sewdsl.ir.node import PathStep
from sewdsl.ir.op import Activation, Join
from sewdsl.ir.printed_values import number_text
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Budget
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON
from sewdsl.syntax.tree import Argument, BlockDefinition, Call, Interpolation, MergeOf, Parameter, Value, Word

Family = TypeVar("Family", bound=Kind)


def block_title(definition: BlockDefinition) -> str:
    """The block's name as defined: ``SEW Block``."""
    return " ".join(part.text for part in definition.name.parts if isinstance(part, Word))


def block_key(definition: BlockDefinition) -> str:
    """The same in a ``state_dict`` key, without its number: ``sew_block``."""
    return re.sub(r"\W+", "_", block_title(definition)).lower()


@dataclass(frozen=True)
class Binding:
    """What a call says of the inside of a block, wherever it comes by.

    Attributes:
        stated: What an enclosing call says that ``SN`` means.
        scope: A number that calls with the same values of the parameters share.
        arguments: The values of the parameters, as a way shows them: ``c128s2``.
    """

    stated: Activation | None
    join: Join
    parameters: Mapping[str, float]
    scope: int
    title: str
    arguments: str


class BlockCalls:
    """Binds the calls of one text."""

    def __init__(self, default: Activation | None, reporter: Reporter, kinds: NeuronKinds) -> None:
        self._kinds = kinds
        self._default, self._reporter = default, reporter
        self._bindings: dict[tuple[int | None, ...], Binding | Literal["problem"] | None] = {}
        self._scopes: dict[tuple[tuple[str, str], ...], int] = {}
        self._neurons: list[Activation | None] = []

    def frame(
        self, key: str, name: str, outer: CallFrame, binding: Binding, nearest: Activation | None, line: int
    ) -> CallFrame:
        """The frame of a block's expression.

        Args:
            name: The part of its nodes' names that they share: ``sew_block1``.
            nearest: The activation nearest before, which ``SN`` means where nothing is stated.
            line: Where the user's text calls a block of its own; else 0.
        """
        step = PathStep("block", binding.title, name, arguments=binding.arguments, line=line)
        return replace(
            outer.inside(step),
            parameters=binding.parameters,
            scope=binding.scope,
            neuron=binding.stated or nearest,
            stated=binding.stated,
            join=binding.join,
            calls=(*outer.calls, key),
            names={},
        )

    def binding(
        self,
        call: Call | MergeOf,
        key: str,
        definition: BlockDefinition,
        outer: CallFrame,
        nearest: Activation | None,
        before: Signal | None,
        budget: Budget,
    ) -> Binding | None:
        """What a call says of the inside of its block; worked out once for the same surroundings.

        Args:
            before: What flows into the block; None where that is broken.

        Returns:
            None where a default has no value: that of ``c=in`` if what comes before is broken, or one that is reported
            in the definition.

        Raises:
            InvalidText: an argument is wrong, or the block calls itself.
        """
        if key in outer.calls:
            chain = " > ".join([*outer.calls[outer.calls.index(key) :], key])
            path = outer.where(call.span.text)
            message, hint = f"the block calls itself: {chain}", "nothing would end it"
            raise self._reporter.refuse("recursive-block", message, call.span, help=hint, path=path)
        channels = before.channels if before is not None else None
        neuron = outer.neuron or nearest
        surroundings = (id(call), outer.scope, id(outer.stated), id(outer.join), id(neuron), channels)
        if surroundings not in self._bindings:
            budget.spend_on_call(len(call.span.text), len(definition.parameters))
            self._bindings[surroundings] = "problem"
            self._neurons.append(neuron)  # so that its id is not given to another
            self._bindings[surroundings] = self._binding(call, definition, replace(outer, neuron=neuron), before)
        found = self._bindings[surroundings]
        if found == "problem":
            raise InvalidText
        return found

    def forget_problems(self) -> None:
        """Has what is wrong with a call reported again when it comes by again."""
        self._bindings = {key: bound for key, bound in self._bindings.items() if bound != "problem"}

    def _binding(
        self, call: Call | MergeOf, definition: BlockDefinition, outer: CallFrame, before: Signal | None
    ) -> Binding | None:
        path = outer.where(call.span.text)
        given = self._arguments(call, definition, outer, path)
        stated = self._family(given.pop(OWN_NEURON, None), Activation, path) or outer.stated
        join = self._family(given.pop(OWN_JOIN, None), Join, path) or outer.join
        parameters = self._parameters(call, definition, given, before, path)
        if parameters is None:
            return None
        values = tuple((parameter, repr(value)) for parameter, value in parameters.items())  # 1.0 is not 1 here
        scope = self._scopes.setdefault(values, len(self._scopes) + 1)
        arguments = "".join(f"{letter}{number_text(value)}" for letter, value in parameters.items())
        return Binding(stated, join, parameters, scope, block_title(definition), arguments)

    def _parameters(
        self,
        call: Call | MergeOf,
        definition: BlockDefinition,
        given: dict[str, GivenArgument],
        before: Signal | None,
        path: tuple[str, ...],
    ) -> dict[str, float] | None:
        values: dict[str, float] = {}
        for parameter in definition.parameters:
            if parameter.name in given:
                value, span = given[parameter.name].value, given[parameter.name].span
                if not isinstance(value, int | float) or isinstance(value, bool):
                    raise self._invalid(f"'{parameter.name}' must be a number, not '{span.text}'", span, path)
                values[parameter.name] = value
            elif (number := default_number(parameter)) is not None:
                values[parameter.name] = number
            elif parameter.default == Parameter(INPUT_CHANNELS_DEFAULT):
                if before is None:
                    return None
                values[parameter.name] = before.channels
            elif parameter.default is not None:
                return None  # the definition is wrong, which is reported there
            else:
                message = f"{block_title(definition)} needs its '{parameter.name}'"
                hint = f"write {block_title(definition)} ({parameter.name}32)"
                raise self._reporter.refuse("missing-argument", message, call.span, help=hint, path=path)
        return values

    def _family(self, given: GivenArgument | None, family: type[Family], path: tuple[str, ...]) -> Family | None:
        if given is None or isinstance(given.value, family):
            return given.value if given else None
        what = "a join such as ADD" if family is Join else "a neuron such as IF"
        names = sorted(self._kinds.names(family))
        hint = f"known: {', '.join(names)}"
        message = f"'{given.span.text}' is not {what}"
        raise self._reporter.refuse("wrong-kind", message, given.span, help=hint, path=path)

    def _arguments(
        self, call: Call | MergeOf, definition: BlockDefinition, outer: CallFrame, path: tuple[str, ...]
    ) -> dict[str, GivenArgument]:
        """Every argument by name: ``c128s2`` gives c and s."""
        names = [parameter.name for parameter in definition.parameters]
        given: dict[str, GivenArgument] = {}
        for argument in call.arguments:
            for name, value in self._split(argument, definition, outer, path):
                if name not in {*names, OWN_JOIN, OWN_NEURON}:
                    known = f"its arguments: {listed([*names, OWN_JOIN, OWN_NEURON])}"
                    message = f"{block_title(definition)} has no argument '{name}'"
                    near = advice(name, names, value.span, known)
                    raise self._reporter.refuse("unknown-argument", message, value.span, path=path, **near)
                if name in given:
                    message = f"'{name}' is given twice"
                    raise self._reporter.refuse("duplicate-argument", message, value.span, help="keep one", path=path)
                given[name] = value
        return given

    def _split(
        self, argument: Argument, definition: BlockDefinition, outer: CallFrame, path: tuple[str, ...]
    ) -> Iterator[tuple[str, GivenArgument]]:
        value = argument.value
        reader = ValueReader(self._reporter, path, outer.parameters, outer.neuron, self._kinds)
        try:
            if isinstance(value, Interpolation):
                yield argument.name or "", GivenArgument(reader.evaluate(value.formula, signed=True), argument.span)
            elif argument.name is not None:
                yield argument.name, GivenArgument(self._value(value, reader), argument.span)
            elif isinstance(value, Call) and not value.called:
                spelled = fill_name(value.name, reader.evaluate)
                for piece in split_arguments(spelled.text):
                    yield piece.letter, GivenArgument(piece.value, spelled.at(piece.start, piece.end))
            else:
                message = f"'{argument.span.text}' is not an argument of {block_title(definition)}"
                raise self._invalid(message, argument.span, path, _usage(definition))
        except CompactError as error:
            message = f"'{argument.span.text}' is not an argument of {block_title(definition)}: {error}"
            raise self._invalid(message, argument.span, path, _usage(definition)) from error

    def _value(self, value: Value, reader: ValueReader) -> Any:
        """A named argument; a bare neuron of the header's kind takes the header's arguments."""
        made = reader.read(value)
        default = self._default
        alike = default is not None and isinstance(made, Kind) and made.named() is default.named()
        if default is not None and isinstance(value, Call) and alike:
            own = {argument.name for argument in value.arguments}
            return made.replace(**{name: item for name, item in default if name not in own})
        return made

    def _invalid(self, message: str, span: Span, path: tuple[str, ...], hint: str = "") -> InvalidText:
        return self._reporter.refuse("invalid-argument", message, span, path=path, help=hint)


def _usage(definition: BlockDefinition) -> str:
    first = f"{definition.parameters[0].name}32" if definition.parameters else "g=ADD"
    return f"write {block_title(definition)} ({first})"
