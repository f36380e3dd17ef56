"""From the equations of a text to the tape of a time-step, with what is wrong at its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from difflib import get_close_matches
from keyword import iskeyword
from typing import NamedTuple

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import Learned, NeuronStep, ResetSettings
from sewdsl.equations.tape import (
    LEARNED,
    MAX_NUMBER,
    STEP,
    Tape,
    TapeEntry,
    TapeTooLong,
    needed,
    normal_form,
    value_range,
)
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.lexicon import (
    AXES,
    EQUATION_KEYWORDS,
    GIVEN_NAMES,
    INPUT,
    NEURON_SETTINGS,
    PER,
    POTENTIAL,
    RESET,
    RESET_POTENTIAL,
    THRESHOLD,
)
from sewdsl.syntax.tree import (
    Assignment,
    Equation,
    FunctionCall,
    Gives,
    Infix,
    Learn,
    Negation,
    NeuronDefinition,
    Number,
    RealExpression,
    StateDeclaration,
    Variable,
    Word,
    names_in,
    variables_in,
)

MODULE_WORDS = frozenset({"initial", "keeps_inputs", "learned", "normalised", "spec", "step"})
"""What our modules of neurons have in addition to those of :data:`MODULE_ATTRIBUTES`."""


class EquationFunction(NamedTuple):
    """A function of equations.

    Attributes:
        least: Operands at least.
        most: Operands at most.
        about: What editors say of it.
    """

    least: int
    most: int
    about: str


FUNCTIONS: Mapping[str, EquationFunction] = {
    **{name: EquationFunction(item.arity, item.arity, item.about) for name, item in OPERATIONS.items() if item.about},
    RESET: EquationFunction(
        2,
        3,
        "`reset(h, s)`: the potential after a spike, set or lowered as `v_reset` says; `reset(h, s, by)` lowers it by "
        "`by`.",
    ),
}
"""The functions of equations by name."""
RESERVED_VARIABLES = frozenset({*GIVEN_NAMES, *NEURON_SETTINGS, *FUNCTIONS, *EQUATION_KEYWORDS, PER})
"""Names that nothing in a neuron can be called, other than the potential, which is always a state."""
_OPERAND_NAMES = {
    "where": "condition, x, y",
    "min": "x, y",
    "max": "x, y",
    "clip": "x, low, high",
    RESET: "h, s",
}
_TURNED = {">": "<", ">=": "<="}
_OPERATORS = {item.sign: name for name, item in OPERATIONS.items() if item.sign and item.arity > 1}
_MAX_NAME = 200
"""Characters of a name to which a similar one is looked for."""


class _Wrong(Exception):
    """Something that an equation cannot say; None: it is said already."""

    def __init__(self, said: Diagnostic | None) -> None:
        super().__init__()
        self.said = said


def _wrong(code: str, message: str, span: Span, hint: str = "", fixes: tuple[Fix, ...] = ()) -> _Wrong:
    return _Wrong(Diagnostic(code, Severity.ERROR, message, span, help=hint, fixes=fixes))


def _too_large(span: Span, number: float) -> _Wrong:
    message = f"'{span.text}' needs the number {number:g}, which is beyond {MAX_NUMBER:.2g}"
    return _wrong(
        "invalid-equation",
        message,
        span,
        f"use numbers from -{MAX_NUMBER:.2g} to {MAX_NUMBER:.2g}, the range of float32",
    )


def _near(name: str, known: Iterable[str], span: Span) -> tuple[str, tuple[Fix, ...]]:
    """What may be intended, in words and as a fix."""
    found = get_close_matches(name, sorted(known), 1) if len(name) <= _MAX_NAME else []
    if not found:
        return "", ()
    return f"did you mean '{found[0]}'?", (Fix(f"write '{found[0]}'", (Edit(span, found[0]),), safe=False),)


def parameter_defaults(definition: NeuronDefinition) -> Reported[Mapping[str, float]]:
    """The parameters of a neuron, and the numbers that they are by default: integers where they are written so.

    A default that cannot be read is reported, and left out.
    """
    found: dict[str, float] = {}
    said: list[Diagnostic] = []
    learned = (each for each in definition.equations if isinstance(each, Learn))
    stepwise = any(axis.text == AXES[1] for each in learned for axis in each.axes)
    for parameter in definition.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in found:
            said.append(_twice(parameter.name, definition.parameters[[*found].index(name)].name))
        elif name == "steps" and stepwise:
            message, hint = "'steps' cannot be a parameter: what learns per step has it", "choose another name"
            said.append(Diagnostic("reserved-name", Severity.ERROR, message, span, help=hint))
        elif name in {*RESERVED_VARIABLES, POTENTIAL} or "." in name:
            what = "every neuron has it" if name in NEURON_SETTINGS else "it has a meaning already"
            message, hint = f"'{name}' cannot be a parameter: {what}", "choose another name"
            said.append(Diagnostic("reserved-name", Severity.ERROR, message, span, help=hint))
        else:
            try:
                found[name] = _default(parameter.default)
            except _Wrong as wrong:
                said += [wrong.said] if wrong.said is not None else []
    return Reported(found, tuple(said))


def _default(expression: RealExpression) -> float:
    if isinstance(expression, Negation) and isinstance(expression.operand, Number):
        return -_default(expression.operand)
    if isinstance(expression, Number):
        if not abs(expression.value) <= MAX_NUMBER:
            raise _too_large(expression.span, float(expression.text))
        return expression.value
    for word in variables_in(expression):
        hint = "write a number; what follows from others is computed in an equation"
        raise _wrong("not-from-parameters", "a default must be a number", word.span, hint)
    reader = _Reader(Tape(), {}, ResetSettings(), names=frozenset())
    entry = reader.expression(expression)
    if entry.number is None:
        raise _wrong("not-from-parameters", "a default must be a number", expression.span, "write a number")
    return entry.number


def _twice(word: Word, first: Word) -> Diagnostic:
    message, where = f"'{word.text}' is defined twice", f"the first is in line {first.span.line}"
    return Diagnostic("duplicate-name", Severity.ERROR, message, word.span, help=where)


@dataclass
class _Reader:
    """Reads expressions onto a tape.

    Attributes:
        tape: Gets the results.
        meanings: What each name means so far; None: what it is assigned is broken.
        settings: What ``reset`` does.
        names: Names that get a meaning further down.
        ends: Indices of results at which a sum ends: what names and functions mean.
        read: The names that were read.
        signed: For each reset so far, whether its spike can be negative.
    """

    tape: Tape
    meanings: dict[str, TapeEntry | None]
    settings: ResetSettings
    names: frozenset[str]
    ends: set[int] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    signed: list[bool] = field(default_factory=list)

    def expression(self, expression: RealExpression) -> TapeEntry:
        """A sum in its normal form."""
        begin = len(self.tape.entries)
        try:
            entry = self._read(expression)
            entry = normal_form(entry, self.ends) if entry.level == STEP else entry
        except TapeTooLong:
            hint = "write fewer equations, or shorter ones"
            raise _wrong(
                "equations-too-large", "the equations have too many operations", expression.span, hint
            ) from None
        except (ArithmeticError, ValueError):  # in the normal form: a factor has no value
            hint = "with other numbers for the parameters it may have one"
            raise _wrong("invalid-equation", "this has no value", expression.span, hint) from None
        for number in (made.number for made in self.tape.entries[begin:]):
            if number is not None and not abs(number) <= MAX_NUMBER:
                raise _too_large(expression.span, number)
        return entry

    def number(self, expression: RealExpression, what: str) -> float:
        """A number that follows from the parameters."""
        entry = self.expression(expression)
        if entry.number is None:
            hint = "only numbers, parameters, v_threshold and v_reset are known before the first time-step"
            raise _wrong("not-from-parameters", f"{what} must follow from the parameters", expression.span, hint)
        return entry.number

    def _read(self, expression: RealExpression) -> TapeEntry:
        match expression:
            case Number():
                return self.tape.number(expression.value)
            case Variable(name=name):
                return self._variable(name, expression.span)
            case Negation(operand=operand):
                return self._put("neg", expression.span, self._read(operand))
            case Infix(operator=operator, left=left, right=right):
                operands = self._read(left), self._read(right)
                turned = operands[::-1] if operator in _TURNED else operands
                return self._put(_OPERATORS[_TURNED.get(operator, operator)], expression.span, *turned)
            case FunctionCall():
                return self._function(expression)

    def _put(self, operation: str, span: Span, *operands: TapeEntry) -> TapeEntry:
        try:
            return self.tape.put(operation, *operands)
        except (ArithmeticError, ValueError):
            numbers = ", ".join(f"{each.number:g}" for each in operands if each.number is not None)
            signs = {"div": "a division by 0"}
            what = signs.get(operation, f"{operation}({numbers})")
            hint = "choose other numbers, or compute it in another way"
            raise _wrong("invalid-equation", f"'{span.text}' is {what}, which has no value", span, hint) from None

    def _variable(self, name: str, span: Span) -> TapeEntry:
        self.read.add(name)
        if name in self.meanings:
            entry = self.meanings[name]
            if entry is None:
                raise _Wrong(None)
            return entry
        if name in self.names:
            message, hint = (
                f"'{name}' is read before it is assigned",
                f"to read its last value, write 'state {name} = 0'",
            )
            raise _wrong("read-before-assigned", message, span, hint)
        if name in FUNCTIONS:
            message, hint = f"'{name}' is a function", f"write {name}(…)"
            raise _wrong("unknown-name", message, span, hint)
        hint, fixes = _near(name, [*self.meanings, *self.names], span)
        known = "names are parameters, states, x, v_threshold, v_reset, and what is assigned before"
        raise _wrong("unknown-name", f"unknown name '{name}'", span, hint or known, fixes)

    def _function(self, call: FunctionCall) -> TapeEntry:
        name, span, given = call.name.text, call.name.span, len(call.operands)
        if name not in FUNCTIONS:
            hint, fixes = _near(name, FUNCTIONS, span)
            known = f"functions: {', '.join(FUNCTIONS)}"
            raise _wrong("unknown-name", f"unknown function '{name}'", span, hint or known, fixes)
        least, most, _ = FUNCTIONS[name]
        if not least <= given <= most:
            takes = f"{least}" if least == most else f"{least} or {most}"
            message = f"'{name}' takes {takes} operand{'s' * (most > 1)}, not {given}"
            raise _wrong("operand-count", message, call.span, f"write {name}({_OPERAND_NAMES.get(name, 'x')})")
        operands = [self.expression(each) for each in call.operands]
        if name == "clip":
            self._check_bounds(call, *(each.number for each in operands[1:]))
        if name == RESET:
            entry = self.settings.reset(*operands)
            self.signed.append(value_range(operands[1]).low < 0)
        else:
            entry = self._put(name, call.span, *operands)
        self.ends.add(entry.index)
        return entry

    def _check_bounds(self, call: FunctionCall, low: float | None, high: float | None) -> None:
        """Refuse a clip whose bounds are not numbers, or are the wrong way round."""
        if low is None or high is None:
            message, hint = "the bounds of 'clip' must follow from the parameters", "use min and max"
            raise _wrong("not-from-parameters", message, call.span, hint)
        if low > high:
            message = f"'{call.span.text}' has a lower bound of {low:g}, above its upper bound of {high:g}"
            raise _wrong("invalid-equation", message, call.span, "write clip(a, low, high) with low <= high")


def read_equations(
    definition: NeuronDefinition, arguments: Mapping[str, float], settings: ResetSettings
) -> Reported[NeuronStep | None]:
    """The time-step of a neuron, or None with all that is wrong with its equations."""
    tape = Tape()
    reading = _Reading(definition, _Reader(tape, {}, settings, frozenset()))
    step = reading.step(arguments)
    return Reported(step, tuple(reading.said))


class _Reading:
    """One walk over the equations of a neuron, from top to bottom."""

    def __init__(self, definition: NeuronDefinition, reader: _Reader) -> None:
        self.definition, self.reader, self.tape = definition, reader, reader.tape
        self.said: list[Diagnostic] = []
        self.start: dict[str, float] = {}
        self.learned: dict[str, Learned] = {}
        self.assigned: dict[str, Word] = {}  # first assignments
        self.given: TapeEntry | None = None
        self.gives: Gives | None = None

    def step(self, arguments: Mapping[str, float]) -> NeuronStep | None:
        """The time-step, unless something is wrong."""
        meanings, settings = self.reader.meanings, self.reader.settings
        meanings |= {name: self.tape.number(value, name) for name, value in arguments.items()}
        meanings |= {THRESHOLD: settings.threshold(self.tape), RESET_POTENTIAL: settings.rest(self.tape)}
        for equation in self.definition.equations:
            if isinstance(equation, Assignment):
                self.assigned.setdefault(equation.name.text, equation.name)
        meanings[INPUT] = self.tape.leaf("x")
        self._declare_states()
        for number, name in enumerate(self.start):
            meanings[name] = self.tape.leaf("state", number)
        self.reader.names = frozenset(self.assigned)
        for equation in self.definition.equations:
            self._take(equation)
        if self.gives is None:
            self._say(
                "missing-give",
                f"'{self.definition.name.text}' does not say what it gives",
                self.definition.name.span,
                "end it with 'give' and a sum, as in 'give s'",
            )
        if self.said or self.given is None:
            return None
        after = tuple(entry for name in self.start if (entry := meanings[name]) is not None)
        step = NeuronStep(self.tape, self.given, after, self.start, self.learned, tuple(self.reader.signed))
        self._check_effects(step)
        return None if self.said else step

    def _say(self, code: str, message: str, span: Span, hint: str = "") -> None:
        self.said.append(Diagnostic(code, Severity.ERROR, message, span, help=hint))

    def _declare_states(self) -> None:
        declared = [each for each in self.definition.equations if isinstance(each, StateDeclaration)]
        names = {state.name.text for state in declared}
        read = list(names_in(self.definition.equations))
        potential = next((word for word in read if word.text == POTENTIAL), None)
        if POTENTIAL not in names and potential is not None:
            self.start[POTENTIAL] = self.reader.settings.v_reset or 0.0
            self._check_assigned(potential)
        for state in declared:
            name = state.name.text
            if not self._is_free(state.name):
                continue
            if name in self.start:
                self.said.append(_twice(state.name, next(s.name for s in declared if s.name.text == name)))
                continue
            self._check_assigned(state.name)
            try:
                self.start[name] = self.reader.number(state.initial, f"what '{name}' is before the first time-step")
            except _Wrong as wrong:
                self.said += [wrong.said] if wrong.said is not None else []
                self.start[name] = 0.0

    def _check_assigned(self, word: Word) -> None:
        if word.text not in self.assigned:
            message, hint = f"the state '{word.text}' is never assigned", f"end the time-step with '{word.text} = …'"
            self._say("unassigned-state", message, word.span, hint)

    def _is_free(self, word: Word) -> bool:
        """Whether a name can be given a meaning; if not, that is said."""
        name = word.text
        parameters = {parameter.name.text for parameter in self.definition.parameters}
        if name not in {*RESERVED_VARIABLES, *parameters, *self.learned} and "." not in name:
            return True
        what = "a parameter" if name in parameters else "learned" if name in self.learned else "given"
        if name in FUNCTIONS:
            what = "a function"
        elif name in {*EQUATION_KEYWORDS, PER}:
            what = "a keyword"
        message = f"'{name}' cannot be assigned: it is {what}" if "." not in name else f"'{name}' has a dot in it"
        self._say("reserved-name", message, word.span, "choose another name")
        return False

    def _take(self, equation: Equation) -> None:
        try:
            match equation:
                case Gives():
                    self._give(equation)
                case Learn():
                    self._learn(equation)
                case Assignment():
                    self._assign(equation)
                case StateDeclaration():
                    pass
        except _Wrong as wrong:
            self.said += [wrong.said] if wrong.said is not None else []

    def _give(self, equation: Gives) -> None:
        if self.gives is not None:
            where = f"the first is in line {self.gives.span.line}"
            self._say("duplicate-name", "a neuron gives one thing", equation.span, where)
            return
        self.gives = equation
        self.given = self.reader.expression(equation.value)

    def _learn(self, equation: Learn) -> None:
        name = equation.name.text
        for axis in equation.axes:
            if axis.text not in AXES:
                message, hint = f"'{axis.text}' has no values of its own", f"write per {' or per '.join(AXES)}"
                self._say("unknown-name", message, axis.span, hint)
        if not self._is_free(equation.name):
            return
        if name in MODULE_ATTRIBUTES | MODULE_WORDS or iskeyword(name):
            message, hint = f"'{name}' cannot be learned: modules of torch have it already", "choose another name"
            self._say("reserved-name", message, equation.name.span, hint)
        if name in self.start or name in self.reader.meanings:
            self._say("duplicate-name", f"'{name}' is defined twice", equation.name.span, "choose another name")
            return
        axes = {axis.text for axis in equation.axes}
        self.reader.meanings[name] = self.tape.leaf("learned", name, LEARNED)
        self.learned[name] = Learned(0.0)
        initial = self.reader.number(equation.initial, "where what is learned begins")
        self.learned[name] = Learned(initial, *(axis in axes for axis in AXES))

    def _assign(self, equation: Assignment) -> None:
        name, meanings = equation.name.text, self.reader.meanings
        if not self._is_free(equation.name):
            meanings.setdefault(name, None)
            return
        if name in meanings and name not in self.start:
            first = self.assigned[name]
            message = f"'{name}' is assigned twice"
            hint = f"the first is in line {first.span.line}; only states change: choose another name"
            self._say("duplicate-name", message, equation.name.span, hint)
            return
        try:
            entry = self.reader.expression(equation.value)
        except _Wrong:
            meanings[name] = None
            raise
        meanings[name] = entry
        self.reader.ends.add(entry.index)

    def _check_effects(self, step: NeuronStep) -> None:
        """Complains of what nothing depends on."""
        reached = {entry.index for entry in needed([step.given, *step.after])}
        neuron = self.definition.name.text
        for equation in self.definition.equations:
            if isinstance(equation, Learn):
                name = equation.name.text
                if self.tape.leaf("learned", name, LEARNED).index not in reached:
                    message, hint = f"nothing that {neuron} gives depends on '{name}'", "use it, or remove the line"
                    self._say("without-effect", message, equation.name.span, hint)
        for name, word in self.assigned.items():
            if name not in self.start and name not in self.reader.read:
                self._say("without-effect", f"nothing reads '{name}'", word.span, "use it, or remove the equation")
        if step.x.index not in reached:
            message = f"nothing that {neuron} gives depends on its input, x"
            self._say("without-effect", message, self.definition.name.span, "use x in an equation, as in 'h = v + x'")
