"""Binding of block calls: parameter values, and the meaning of ``g`` and ``SN`` in the block."""

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
from sewdsl.syntax.suggestions import advice, advise_on_kind, listed
from sewdsl.syntax.tree import Argument, BlockDefinition, Call, Interpolation, MergeOf, Parameter, Value, Word

Family = TypeVar("Family", bound=Kind)


def block_title(definition: BlockDefinition) -> str:
    """Return the name of a block as defined: ``SEW Block``."""
    return " ".join(part.text for part in definition.name.parts if isinstance(part, Word))


def block_key(definition: BlockDefinition) -> str:
    """Return the name of a block in ``state_dict`` keys, without its number: ``sew_block``, or ``Eye`` for a part."""
    title = block_title(definition)
    return title if definition.shared else title_key(title)


def title_key(title: str) -> str:
    """Return the name in ``state_dict`` keys of a block with a title: ``sew_block`` for ``SEW Block``."""
    return re.sub(r"\W+", "_", title).lower()


@dataclass(frozen=True)
class Binding:
    """Meaning of names inside a called block."""

    stated: Activation | None
    """Neuron set by ``SN=`` in this or an enclosing call."""
    join: Join
    """Meaning of ``g``."""
    parameters: Mapping[str, float]
    scope: int
    """Number shared by calls with equal parameter values."""
    title: str
    """Name of the block as defined."""
    arguments: str
    """Parameter values for paths in diagnostics: ``c128s2``."""
    shared: bool = False
    """Whether the block is a part."""


class BlockCalls:
    """Cache of the bindings of one source."""

    def __init__(self, default: Activation | None, join: Join, reporter: Reporter, kinds: NeuronKinds) -> None:
        self._kinds = kinds
        self._default, self._join, self._reporter = default, join, reporter
        self._bindings: dict[tuple[int | None, ...], Binding | Literal["problem"] | None] = {}
        self._scopes: dict[tuple[tuple[str, str], ...], int] = {}
        self._neurons: list[Activation | None] = []

    def frame(
        self, key: str, name: str, outer: CallFrame, binding: Binding, nearest: Activation | None, line: int
    ) -> CallFrame:
        """Return the frame of a block's expression.

        Args:
            name: Common part of the names of its nodes: ``sew_block1``.
            nearest: Nearest preceding activation, the meaning of ``SN`` if no neuron is set.
            line: Line of the call if user code calls a block of its own, else 0.
        """
        step = PathStep("block", binding.title, name, arguments=binding.arguments, line=line)
        if binding.shared:  # Every call of a part has the neuron and the join of the file.
            step = replace(step, kind="part")
            binding = replace(binding, stated=self._default, join=self._join)
        # A block does not see the named values of its caller.
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
        """Return the binding of a call, computed once for equal surroundings.

        Args:
            before: Signal that flows into the block, or None after an error.

        Returns:
            None if a default has no value, because of an error before the call or in the definition.

        Raises:
            InvalidText: If an argument is invalid or the block calls itself.
        """
        if key in outer.calls:
            chain = " > ".join([*outer.calls[outer.calls.index(key) :], key])
            path = outer.where(call.span.text)
            message, hint = f"recursive block: {chain}", "remove the recursive call; use a repeat for several copies"
            raise self._reporter.refuse("recursive-block", message, call.span, help=hint, path=path)
        channels = before.channels if before is not None else None
        neuron = outer.neuron or nearest
        surroundings = (id(call), outer.scope, id(outer.stated), id(outer.join), id(neuron), channels)
        if surroundings not in self._bindings:
            budget.spend_on_call(len(call.span.text), len(definition.parameters))
            self._bindings[surroundings] = "problem"
            # Keep a reference: CPython reuses the id of a deleted object.
            self._neurons.append(neuron)
            self._bindings[surroundings] = self._binding(call, definition, replace(outer, neuron=neuron), before)
        binding = self._bindings[surroundings]
        if binding == "problem":
            raise InvalidText
        return binding

    def forget_problems(self) -> None:
        """Remove failed bindings from the cache, so that their errors are reported again."""
        self._bindings = {key: bound for key, bound in self._bindings.items() if bound != "problem"}

    def _binding(
        self, call: Call | MergeOf, definition: BlockDefinition, outer: CallFrame, before: Signal | None
    ) -> Binding | None:
        path = outer.where(call.span.text)
        if definition.shared and call.arguments:
            title = block_title(definition)
            message, hint = f"'{title}' is a part and takes no arguments", f"write {title}, or define it as a block"
            raise self._reporter.refuse("unknown-argument", message, call.span, help=hint, path=path)
        arguments = self._arguments(call, definition, outer, path)
        stated = self._family(arguments.pop(OWN_NEURON, None), Activation, path) or outer.stated
        join = self._family(arguments.pop(OWN_JOIN, None), Join, path) or outer.join
        parameters = self._parameters(call, definition, arguments, before, path)
        if parameters is None:
            return None
        # repr() distinguishes 1.0 from 1: formulas reject the float.
        values = tuple((parameter, repr(value)) for parameter, value in parameters.items())
        scope = self._scopes.setdefault(values, len(self._scopes) + 1)
        shown = "".join(f"{letter}{number_text(value)}" for letter, value in parameters.items())
        return Binding(stated, join, parameters, scope, block_title(definition), shown, definition.shared)

    def _parameters(
        self,
        call: Call | MergeOf,
        definition: BlockDefinition,
        arguments: dict[str, GivenArgument],
        before: Signal | None,
        path: tuple[str, ...],
    ) -> dict[str, float] | None:
        """Return the values of all parameters: arguments, or else defaults."""
        values: dict[str, float] = {}
        for parameter in definition.parameters:
            if parameter.name in arguments:
                value, span = arguments[parameter.name].value, arguments[parameter.name].span
                if not isinstance(value, int | float) or isinstance(value, bool):
                    raise self._invalid(f"'{parameter.name}' must be a number, got '{span.text}'", span, path)
                values[parameter.name] = value
            elif (default := default_number(parameter)) is not None:
                values[parameter.name] = default
            elif parameter.default == Parameter(INPUT_CHANNELS_DEFAULT):
                if before is None:
                    return None
                values[parameter.name] = before.channels
            elif parameter.default is not None:
                return None  # The error is reported at the definition.
            else:
                message = f"'{block_title(definition)}' requires '{parameter.name}'"
                hint = f"write {block_title(definition)} ({parameter.name}32)"
                raise self._reporter.refuse("missing-argument", message, call.span, help=hint, path=path)
        return values

    def _family(self, argument: GivenArgument | None, family: type[Family], path: tuple[str, ...]) -> Family | None:
        if argument is None or isinstance(argument.value, family):
            return argument.value if argument else None
        expected = "a join" if family is Join else "a neuron"
        near = advise_on_kind(str(argument.value), sorted(self._kinds.names(family)), argument.span)
        message = f"expected {expected}, got '{argument.span.text}'"
        raise self._reporter.refuse("wrong-kind", message, argument.span, path=path, **near)

    def _arguments(
        self, call: Call | MergeOf, definition: BlockDefinition, outer: CallFrame, path: tuple[str, ...]
    ) -> dict[str, GivenArgument]:
        """Return the arguments of a call by name: ``c128s2`` has c and s."""
        names = [parameter.name for parameter in definition.parameters]
        arguments: dict[str, GivenArgument] = {}
        for argument in call.arguments:
            for name, value in self._split(argument, definition, outer, path):
                if name not in {*names, OWN_JOIN, OWN_NEURON}:
                    known = f"known arguments: {listed([*names, OWN_JOIN, OWN_NEURON])}"
                    message = f"'{block_title(definition)}' has no argument '{name}'"
                    near = advice(name, names, value.span, known)
                    raise self._reporter.refuse("unknown-argument", message, value.span, path=path, **near)
                if name in arguments:
                    message, hint = f"duplicate argument '{name}'", "remove one of them"
                    raise self._reporter.refuse("duplicate-argument", message, value.span, help=hint, path=path)
                arguments[name] = value
        return arguments

    def _split(
        self, argument: Argument, definition: BlockDefinition, outer: CallFrame, path: tuple[str, ...]
    ) -> Iterator[tuple[str, GivenArgument]]:
        """Yield the names and values of an argument, which can be several compact ones."""
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
                message = f"expected an argument of '{block_title(definition)}', got '{argument.span.text}'"
                raise self._invalid(message, argument.span, path, _usage(definition))
        except CompactError as error:
            message = f"expected an argument of '{block_title(definition)}', got '{argument.span.text}': {error}"
            raise self._invalid(message, argument.span, path, _usage(definition)) from error

    def _value(self, value: Value, reader: ValueReader) -> Any:
        """Return the value of a named argument. Neurons of the header's kind inherit its arguments."""
        result = reader.read(value)
        default = self._default
        alike = default is not None and isinstance(result, Kind) and result.named() is default.named()
        if default is not None and isinstance(value, Call) and alike:
            own = {argument.name for argument in value.arguments}
            return result.replace(**{name: item for name, item in default if name not in own})
        return result

    def _invalid(self, message: str, span: Span, path: tuple[str, ...], hint: str = "") -> InvalidText:
        return self._reporter.refuse("invalid-argument", message, span, path=path, help=hint)


def _usage(definition: BlockDefinition) -> str:
    first = f"{definition.parameters[0].name}32" if definition.parameters else "g=ADD"
    return f"write {block_title(definition)} ({first})"
