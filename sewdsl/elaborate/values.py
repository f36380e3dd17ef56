"""Values in parentheses and settings, and integer arithmetic in ``$(…)``: from the syntax tree to Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from operator import add, floordiv, mul, sub
from typing import Any, TypeVar

from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.definitions import INPUT_CHANNELS_DEFAULT
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.elaborate.suggestions import advice, listed
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.op import Activation
from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.syntax.lexicon import OWN_NEURON
from sewdsl.syntax.tree import Arithmetic, Call, Formula, Interpolation, Number, Parameter, Quantity, Size, Text, Value

Made = TypeVar("Made", bound=Kind)

MAX_FORMULA_VALUE = 999_999_999
_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}
_NO_NEURONS = NeuronKinds()
_OPERATIONS = {"+": add, "-": sub, "*": mul, "/": floordiv}


@dataclass(frozen=True)
class ValueReader:
    """Reads the values at one place of a text; one that is wrong is reported, and raised as :class:`InvalidText`.

    Attributes:
        parameters: The values of the enclosing block's parameters, for ``$(…)``; none outside of blocks.
        neuron: What ``SN`` means here, for ``SN=SN(detach_reset=on)``; None: nothing.
    """

    reporter: Reporter
    path: tuple[str, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    neuron: Activation | None = None
    kinds: NeuronKinds = _NO_NEURONS

    def read(self, value: Value) -> Any:
        """A number, string, tuple of lengths, None, bool, kind, or else the word itself.

        Raises:
            InvalidText: it is none of these.
        """
        match value:
            case Number():
                return value.value
            case Size(dims=dims):
                return dims
            case Text(text=text) | Quantity(text=text):
                return text
            case Call():
                return self._word(value)
            case Interpolation(formula=formula):
                return self.evaluate(formula, signed=True)

    def _word(self, call: Call) -> Any:
        """What a name means: on, off, none, a kind, or itself."""
        word = "".join(call.span.text.split()) if call.name.plain is None else call.name.plain
        if not call.called and not call.arguments and word in _WORDS:
            return _WORDS[word]
        if word == OWN_NEURON and self.neuron is not None:
            return self.change_neuron(self.neuron, call)
        if self.kinds.find(word):
            return self.instantiate(call)
        if word in self.kinds.broken:
            raise InvalidText
        if not call.called:
            return word
        names = [name for name in self.kinds.names(Kind) if name != "input"]
        span = call.name.span
        near = advice(word, names, span)
        raise self.reporter.refuse("unknown-name", f"unknown name '{word}'", span, path=self.path, **near)

    def instantiate(self, call: Call) -> Kind:
        """The kind that a call such as ``LIF(tau=2.0)`` names, with its arguments.

        Raises:
            InvalidText: the name or an argument is wrong.
        """
        kind = self.kinds.find(call.name.plain or "")
        assert kind is not None  # noqa: S101 -- as the caller has seen
        return self._make(kind, self.read_arguments(call), call)

    def _make(self, kind: type[Made], given: Mapping[str, GivenArgument], call: Call) -> Made:
        made = self.reporter.take(validate_arguments(kind, f"'{kind.kind}'", given, call.span, self.path))
        if made is None:
            raise InvalidText
        return made

    def change_neuron(self, neuron: Activation, call: Call) -> Activation:
        """What ``SN(v_threshold=0.5)`` means: the neuron with other arguments.

        Raises:
            InvalidText: an argument is wrong.
        """
        if not call.arguments:
            return neuron
        given = {name: GivenArgument(value, call.span) for name, value in neuron} | self.read_arguments(call)
        return self._make(type(neuron), given, call)

    def read_arguments(self, call: Call) -> dict[str, GivenArgument]:
        """The ``name=value`` arguments of a call; of one that is given twice, the first.

        Raises:
            InvalidText: an argument has no name, or its value no meaning.
        """
        given: dict[str, GivenArgument] = {}
        for argument in call.arguments:
            if argument.name is None:
                message, hint = f"'{argument.span.text}' has no name", _how_to_name(call)
                raise self.reporter.refuse("invalid-argument", message, argument.span, help=hint, path=self.path)
            if argument.name in given:
                message = f"'{argument.name}' is given twice"
                self.reporter.report("duplicate-argument", message, argument.span, path=self.path, help="keep one")
                continue
            given[argument.name] = GivenArgument(self.read(argument.value), argument.span)
        return given

    def evaluate(self, formula: Formula, *, signed: bool = False) -> float:
        """The value of what is in ``$(…)``: of a name alone any number, of arithmetic a whole one.

        Args:
            signed: Whether a name alone may be below 0, as arguments may that are written by name.

        Raises:
            InvalidText: a name is not a parameter, arithmetic is done with a fraction, a division is not exact, or the
                value of arithmetic is not in 0..999,999,999.
        """
        value = self.parameters.get(formula.name) if isinstance(formula, Parameter) else None
        if value is not None and (signed or (isinstance(value, float) and value >= 0)):
            return value
        return self.evaluate_whole(formula)

    def evaluate_whole(self, formula: Formula) -> int:
        """The value of what is in ``$(…)`` where it must be a whole number, as it is in counts.

        Raises:
            InvalidText: as of :meth:`evaluate`, and where it is a fraction.
        """
        value = self._compute(formula)
        if not 0 <= value <= MAX_FORMULA_VALUE:
            message = f"'{formula.span.text}' is {value}, which is not in 0..{MAX_FORMULA_VALUE:,}"
            raise self._invalid(message, formula, "sizes and counts are whole numbers from 0 up")
        return value

    def _compute(self, formula: Formula) -> int:
        match formula:
            case Number(value=int(value)):
                return value
            case Number():
                message = f"'{formula.text}' is not a whole number"
                raise self._invalid(message, formula, "formulas are integer arithmetic")
            case Parameter(name=name) if name in self.parameters:
                given = self.parameters[name]
                if isinstance(given, int):
                    return given
                message = f"'{name}' is {format_value(given)}, which is not a whole number"
                hint = f"only $({name}) by itself can be a fraction: formulas are integer arithmetic"
                raise self._invalid(message, formula, hint)
            case Parameter():
                raise self._unknown(formula)
            case Arithmetic(operator=operator):
                left, right = self._compute(formula.left), self._compute(formula.right)
                if operator == "/" and (not right or left % right):
                    message = f"{left} / {right} is not a whole number"
                    raise self._invalid(message, formula, "divide only what is a multiple of the divisor")
                computed: int = _OPERATIONS[operator](left, right)
                return computed

    def _unknown(self, parameter: Parameter) -> InvalidText:
        name, known = parameter.name, f"its parameters: {listed(self.parameters)}"
        if not self.parameters:
            known = "a formula uses the parameters of a block: 'block NAME(c) = …'"
        message = (
            f"'{name}' is not a parameter of this block" if self.parameters else f"there is no parameter '{name}' here"
        )
        near = advice(name, self.parameters, parameter.span, known)
        if name == INPUT_CHANNELS_DEFAULT:
            hint = "'in' is the value of a parameter: write 'block NAME(i=in)', and i in the formula"
            near = {"help": hint, "fixes": ()}
        return self.reporter.refuse("unknown-parameter", message, parameter.span, path=self.path, **near)

    def _invalid(self, message: str, formula: Formula, hint: str) -> InvalidText:
        return self.reporter.refuse("invalid-formula", message, formula.span, help=hint, path=self.path)


def _how_to_name(call: Call) -> str:
    """An example with a real argument, where the kind has one that needs a name."""
    text = call.name.plain or ""
    head = text.rstrip("0123456789.") if find(text) is None else text
    kind = find(head)
    named = [name for name in argument_fields(kind) if name not in kind.letters().values()] if kind else []
    if named:
        return f"write name=value, e.g. {text}({named[0]}=…)"
    return f"'{head}' takes no arguments in parentheses; remove them"
