"""Evaluation of values in arguments and settings, and of arithmetic in ``$(…)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction
from math import isfinite
from operator import add, mul, sub, truediv
from typing import Any, TypeVar

from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.compact_arguments import fill_name
from sewdsl.elaborate.definitions import INPUT_CHANNELS_DEFAULT
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.op import Activation, Layer
from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.ops.input import Input
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.syntax.lexicon import OWN_NEURON
from sewdsl.syntax.suggestions import advice, advise_on_kind, listed
from sewdsl.syntax.tree import (
    Arithmetic,
    Call,
    Formula,
    Interpolation,
    Name,
    Number,
    Opposite,
    Parameter,
    Quantity,
    Size,
    Text,
    Value,
)

Made = TypeVar("Made", bound=Kind)

MAX_FORMULA_VALUE = 999_999_999
LARGEST_SHOWN = 10**30
_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}
_USAGE = re.compile(r"In a (?:network|file): (.+?)(?:::|\.\s)", re.DOTALL)
_SIZE = re.compile(r"\d+(x\d+)+")
_NO_NEURONS = NeuronKinds()
_OPERATIONS = {"+": add, "-": sub, "*": mul, "/": truediv}


@dataclass(frozen=True)
class ValueReader:
    """Reader of values in one scope. Invalid values are reported, and raised as :class:`InvalidText`."""

    reporter: Reporter
    path: tuple[str, ...] = ()
    """Path of the diagnostics."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """Values of the enclosing block's parameters, for ``$(…)``."""
    neuron: Activation | None = None
    """Meaning of ``SN`` in values, e.g. in ``SN=SN(detach_reset=on)``, if any."""
    kinds: NeuronKinds = _NO_NEURONS

    def read(self, value: Value) -> Any:
        """Return a number, string, lengths, None, bool, kind or the word itself, or raise InvalidText if invalid."""
        match value:
            case Number():
                return value.value
            case Size(dims=dims):
                return dims
            case Name():
                text = fill_name(value, self.evaluate_whole).text
                if not _SIZE.fullmatch(text):
                    message = f"'{value.span.text}' is {text}, expected a shape"
                    hint = "join lengths by 'x', e.g. $(c)x1x1"
                    raise self.reporter.refuse("invalid-argument", message, value.span, help=hint, path=self.path)
                return tuple(map(int, text.split("x")))
            case Text(text=text) | Quantity(text=text):
                return text
            case Call():
                return self._word(value)
            case Interpolation(formula=formula):
                return self.evaluate(formula, signed=True)

    def _word(self, call: Call) -> Any:
        """Return the meaning of a name: a constant, a kind, or the name itself."""
        word = "".join(call.span.text.split()) if call.name.plain is None else call.name.plain
        if not call.called and not call.arguments and word in _WORDS:
            return _WORDS[word]
        if word == OWN_NEURON and self.neuron is not None:
            return self.change_neuron(self.neuron, call)
        kind = self.kinds.find(word)
        # As words, the input and a layer that requires arguments are names: targets of a loss.
        if kind is not None and word != Input.kind:
            bare = issubclass(kind, Layer) and not (call.called or call.arguments)
            if not bare or not any(info.is_required() for info in argument_fields(kind).values()):
                return self.instantiate(call)
        if word in self.kinds.broken:
            raise InvalidText
        # A bare word can be a choice such as 'mean'. The model validates it.
        if not call.called:
            return word
        names = [name for name in self.kinds.names(Kind) if name != Input.kind]
        span = call.name.span
        near = advise_on_kind(word, names, span)
        raise self.reporter.refuse("unknown-name", f"unknown name '{word}'", span, path=self.path, **near)

    def instantiate(self, call: Call) -> Kind:
        """Return the kind of a call such as ``LIF(tau=2.0)``, or raise InvalidText for an invalid argument."""
        kind = self.kinds.find(call.name.plain or "")
        assert kind is not None  # noqa: S101 -- checked by the caller
        return self._make(kind, self.read_arguments(call, kind.unnamed()), call)

    def _make(self, kind: type[Made], arguments: Mapping[str, GivenArgument], call: Call) -> Made:
        instance = self.reporter.take(validate_arguments(kind, f"'{kind.kind}'", arguments, call.span, self.path))
        if instance is None:
            raise InvalidText
        return instance

    def change_neuron(self, neuron: Activation, call: Call) -> Activation:
        """Return a neuron with other arguments, ``SN(v_threshold=0.5)``, or raise InvalidText if one is invalid."""
        if not call.arguments:
            return neuron
        arguments = {name: GivenArgument(value, call.span) for name, value in neuron} | self.read_arguments(call)
        return self._make(type(neuron), arguments, call)

    def read_arguments(self, call: Call, unnamed: str | None = None) -> dict[str, GivenArgument]:
        """Return the ``name=value`` arguments of a call. The first of duplicate arguments is returned.

        Args:
            unnamed: Name of the argument that the call may contain without its name.

        Raises:
            InvalidText: If an argument has no name or an invalid value.
        """
        arguments: dict[str, GivenArgument] = {}
        for argument in call.arguments:
            name = argument.name or unnamed
            if name is None:
                message, hint = f"argument '{argument.span.text}' has no name", _how_to_name(call)
                raise self.reporter.refuse("invalid-argument", message, argument.span, help=hint, path=self.path)
            if name in arguments:
                message, hint = f"duplicate argument '{name}'", "remove one of them"
                if argument.name is None and name == "shape":
                    shape = "x".join(each.value.span.text for each in call.arguments)
                    message = f"a shape has no commas, got '{argument.span.text}'"
                    hint = f"write '{shape}'{'; no length is inferred' * ('-' in shape)}"
                    raise self.reporter.refuse("duplicate-argument", message, argument.span, help=hint, path=self.path)
                self.reporter.report("duplicate-argument", message, argument.span, path=self.path, help=hint)
                continue
            arguments[name] = GivenArgument(self.read(argument.value), argument.span)
        return arguments

    def evaluate(self, formula: Formula, *, signed: bool = False) -> float:
        """Return the value of a ``$(…)``. The value of arithmetic is exact, and an integer if it is a whole number.

        Args:
            signed: Whether the value can be negative, and the quotient of two integers a fraction, as in named
                arguments.

        Raises:
            InvalidText: If a parameter is unknown, a division by zero or outside of named arguments has a remainder, or
                the magnitude exceeds 999,999,999.
        """
        value = self.parameters.get(formula.name) if isinstance(formula, Parameter) else None
        if value is not None and (signed or (isinstance(value, float) and value >= 0)):
            return value
        return self._in_range(formula, signed=signed)

    def evaluate_whole(self, formula: Formula) -> int:
        """Return the integer value of a ``$(…)``, e.g. a count, or raise InvalidText, also for fractions."""
        value = self._in_range(formula, signed=False)
        if isinstance(value, int):
            return value
        message = f"'{formula.span.text}' is {format_value(value)}, expected an integer"
        raise self._invalid(message, formula, "change the formula or the arguments of the block")

    def _in_range(self, formula: Formula, *, signed: bool) -> float:
        exact = self._compute(formula, fractions=signed)
        least = -MAX_FORMULA_VALUE if signed else 0
        if not least <= exact <= MAX_FORMULA_VALUE:
            # Decimals can have 300 digits, and their products too many for a text.
            shown = format_value(_number(exact)) if abs(exact) < LARGEST_SHOWN else "too large"
            message = f"'{formula.span.text}' is {shown}, expected {least:,} to {MAX_FORMULA_VALUE:,}"
            raise self._invalid(message, formula, "change the formula or the arguments of the block")
        return _number(exact)

    def _compute(self, formula: Formula, *, fractions: bool) -> Fraction:
        """Return the exact value of a formula. Unless ``fractions``, quotients of integers must be integers."""
        match formula:
            case Number(value=value):
                return self._exact(value, formula)
            case Parameter(name=name) if name in self.parameters:
                return self._exact(self.parameters[name], formula)
            case Parameter():
                raise self._unknown(formula)
            case Opposite(operand=operand):
                return -self._compute(operand, fractions=fractions)
            case Arithmetic(operator=operator):
                left = self._compute(formula.left, fractions=fractions)
                right = self._compute(formula.right, fractions=fractions)
                are_integers = not fractions and left.denominator == right.denominator == 1
                if operator == "/" and (not right or (are_integers and left % right)):
                    message = f"{left} / {right} is not an integer" if right else f"{left} / {right} has no value"
                    hint = "use a multiple of the divisor" if right else "use a divisor other than 0"
                    raise self._invalid(message, formula, hint)
                computed: Fraction = _OPERATIONS[operator](left, right)
                return computed

    def _exact(self, value: float, formula: Formula) -> Fraction:
        """Return the decimal number that is written, e.g. 1/10 for 0.1, or raise InvalidText for an infinite one."""
        if not isfinite(value):
            raise self._invalid(f"'{formula.span.text}' is {value}, expected a number", formula, "use a smaller number")
        return Fraction(repr(value) if isinstance(value, float) else value)

    def _unknown(self, parameter: Parameter) -> InvalidText:
        name, known = parameter.name, f"known parameters: {listed(self.parameters)}"
        if not self.parameters:
            known = "use formulas in blocks with parameters: 'block NAME(c) = …'"
        message = f"the block has no parameter '{name}'" if self.parameters else f"no parameter '{name}' here"
        near = advice(name, self.parameters, parameter.span, known)
        if name == INPUT_CHANNELS_DEFAULT:
            hint = "use 'in' as a default: write 'block NAME(i=in)', and i in the formula"
            near = {"help": hint, "fixes": ()}
        return self.reporter.refuse("unknown-parameter", message, parameter.span, path=self.path, **near)

    def _invalid(self, message: str, formula: Formula, hint: str) -> InvalidText:
        return self.reporter.refuse("invalid-formula", message, formula.span, help=hint, path=self.path)


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _how_to_name(call: Call) -> str:
    """Return help for an argument without a name, with examples from the kind."""
    text, first = call.name.plain or "", call.arguments[0].value
    kind = find(text) or find(text.rstrip("0123456789."))
    takes_number = kind is not None and "" in kind.letters() and text == kind.kind
    if takes_number and len(call.arguments) == 1 and isinstance(first, Number):
        return f"write the number after the name: {text}{first.text}"
    usage = _USAGE.search(kind.__doc__ or "") if kind else None
    return f"write {' '.join(usage[1].replace('``', chr(39)).split())}" if usage else "write name=value"
