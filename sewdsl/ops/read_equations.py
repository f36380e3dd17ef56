"""Translation of equations to the tape of a time-step, with diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from keyword import iskeyword
from typing import NamedTuple, TypeVar, cast

from sewdsl.diagnostics import Diagnostic
from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import NORMAL, UNIFORM, Draw, Learned, NeuronStep, ResetSettings
from sewdsl.equations.tape import (
    LEARNED,
    MAX_NUMBER,
    STEP,
    Tape,
    TapeEntry,
    TapeTooLong,
    Value,
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
from sewdsl.syntax.printer import is_pointwise
from sewdsl.syntax.suggestions import advice, listed
from sewdsl.syntax.tree import (
    Assignment,
    Equation,
    FunctionCall,
    Gives,
    Infix,
    Interpolation,
    Learn,
    Negation,
    NeuronDefinition,
    Number,
    RealExpression,
    StateDeclaration,
    Variable,
    Word,
    child_nodes,
    names_in,
    variables_in,
)

MODULE_WORDS = frozenset({"keeps_inputs", "learned", "normalised", "spec", "state_axes"})
"""Attributes of sewdsl's neuron modules, in addition to :data:`MODULE_ATTRIBUTES`."""


Start = TypeVar("Start", float, float | Draw)
"""Initial value of a state, or of a learnable."""


class EquationFunction(NamedTuple):
    """A function in equations."""

    least: int
    """Minimum number of operands."""
    most: int
    """Maximum number of operands."""
    about: str
    """Description for editors."""


SUM = "sum"
"""Function that adds the numbers of a vector."""
FUNCTIONS: Mapping[str, EquationFunction] = {
    **{name: EquationFunction(item.arity, item.arity, item.about) for name, item in OPERATIONS.items() if item.about},
    RESET: EquationFunction(
        2,
        3,
        "`reset(h, s)`: the potential after a spike, set to `v_reset` or reduced by the threshold. `reset(h, s, by)` "
        "reduces it by `by`.",
    ),
}
RESERVED_VARIABLES = frozenset({*GIVEN_NAMES, *NEURON_SETTINGS, *FUNCTIONS, *EQUATION_KEYWORDS, PER}) - {SUM}
"""Names that cannot be defined in a neuron. The membrane potential is not included, because it is always a state.

``sum`` remains free, because it was not a function in the first release.
"""
DRAWS: Mapping[str, str] = {
    UNIFORM: "`uniform(low, high)`: random numbers between low and high, as the initial value after `learn`.",
    NORMAL: "`normal(mean, std)`: normally distributed random numbers, as the initial value after `learn`.",
}
"""Random initial values of learnables, by name."""
_OPERAND_NAMES = {"where": "condition, x, y", "min": "x, y", "max": "x, y", "clip": "x, low, high", RESET: "h, s"}
_DRAW_OPERANDS = 2
INDEX = "index"
"""Function of a length in initial values: 0, 1, … for the numbers of a vector."""
MAX_LENGTH = 256
"""Largest length of a vector, since a backward pass keeps all its numbers at all time-steps."""
_NUMBERS_ONLY = frozenset({"fire"})
"""Functions whose operands are single numbers."""
_MIRRORED = {">": "<", ">=": "<="}
_OPERATORS = {item.sign: name for name, item in OPERATIONS.items() if item.sign and item.arity > 1}


class _EquationError(Exception):
    """Invalid expression, with a diagnostic unless it was reported already."""

    def __init__(self, diagnostic: Diagnostic | None) -> None:
        super().__init__()
        self.diagnostic = diagnostic


def _error(code: str, message: str, span: Span, hint: str = "") -> _EquationError:
    return _EquationError(Diagnostic(code, message, span, help=hint))


def _too_large(span: Span, number: float) -> _EquationError:
    message = f"'{span.text}' involves the number {number:g}, beyond {MAX_NUMBER:.2g}"
    return _error(
        "invalid-equation",
        message,
        span,
        f"use numbers from -{MAX_NUMBER:.2g} to {MAX_NUMBER:.2g}, the range of float32",
    )


def parameter_defaults(definition: NeuronDefinition) -> Reported[Mapping[str, float]]:
    """Return the default values of a neuron's parameters, as integers if written so.

    An invalid default is reported and omitted.
    """
    defaults: dict[str, float] = {}
    diagnostics: list[Diagnostic] = [*_check_inputs(definition)]
    reserved = {*_reserved_names(definition), POTENTIAL}
    learned = (each for each in definition.equations if isinstance(each, Learn))
    # Only neurons that learn per time-step have an argument 'steps'.
    stepwise = any(axis.text == AXES[1] for each in learned for axis in each.axes)
    for parameter in definition.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in defaults:
            diagnostics.append(_duplicate(parameter.name, (each.name for each in definition.parameters)))
        elif name == "steps" and stepwise:
            diagnostics.append(_reserved("'steps' cannot be a parameter of a neuron that learns per step", span))
        elif name in reserved or "." in name:
            reason = "it is a setting of every neuron" if name in NEURON_SETTINGS else "the name is reserved"
            reason = "it is an input" if name in input_names(definition) else reason
            diagnostics.append(_reserved(f"'{name}' cannot be a parameter: {reason}", span))
        else:
            try:
                defaults[name] = _default(parameter.default)
            except _EquationError as wrong:
                diagnostics += [wrong.diagnostic] if wrong.diagnostic is not None else []
    return Reported(defaults, tuple(diagnostics))


def input_names(definition: NeuronDefinition) -> tuple[str, ...]:
    """Return the names of the inputs of a neuron in its equations."""
    return tuple(word.text for word in definition.inputs) or (INPUT,)


def _reserved_names(definition: NeuronDefinition) -> frozenset[str]:
    """Return the names that neither parameters nor equations of a neuron can define."""
    return RESERVED_VARIABLES - {INPUT} | {*input_names(definition)}


def _check_inputs(definition: NeuronDefinition) -> Iterator[Diagnostic]:
    """Report inputs with a reserved name, or with equal names."""
    for index, word in enumerate(definition.inputs):
        if word.text in RESERVED_VARIABLES - {INPUT} or "." in word.text:
            yield _reserved(f"'{word.text}' cannot be an input: the name is reserved", word.span)
        elif word.text in {before.text for before in definition.inputs[:index]}:
            yield _duplicate(word, definition.inputs)


def _default(expression: RealExpression) -> float:
    """Return the value of a default, or raise _EquationError if it is not a number."""
    if isinstance(expression, Negation) and isinstance(expression.operand, Number):
        return -_default(expression.operand)
    if isinstance(expression, Number):
        if not abs(expression.value) <= MAX_NUMBER:
            raise _too_large(expression.span, float(expression.text))
        return expression.value
    for word in variables_in(expression):
        hint = "use a number, and compute dependent values in an equation"
        raise _error("not-from-parameters", "a default must be a number", word.span, hint)
    # Constant expressions, such as 1/3, are computed.
    reader = _Reader(Tape(), {}, ResetSettings(), names=frozenset())
    entry = reader.expression(expression)
    if entry.number is None:
        raise _error("not-from-parameters", "a default must be a number", expression.span, "use a number")
    return entry.number


def _reserved(message: str, span: Span) -> Diagnostic:
    return Diagnostic("reserved-name", message, span, help="choose another name")


def _duplicate(word: Word, words: Iterable[Word]) -> Diagnostic:
    first = next(each.span for each in words if each.text == word.text)
    message, hint = f"'{word.text}' is defined twice", f"first defined in line {first.line}, column {first.column}"
    return Diagnostic("duplicate-name", message, word.span, help=hint)


@dataclass
class _Reader:
    """Translation of expressions to a tape."""

    tape: Tape
    """Tape that receives the results."""
    meanings: dict[str, TapeEntry | None]
    """Current entry of each name, or None if its definition has errors."""
    settings: ResetSettings
    names: frozenset[str]
    """Names that are assigned later."""
    ends: set[int] = field(default_factory=set)
    """Indices of entries that are not expanded in sums: values of names and functions."""
    read: set[str] = field(default_factory=set)
    signed: list[bool] = field(default_factory=list)
    """For each reset, whether its spike can be negative."""
    lengths: dict[str, int] = field(default_factory=dict)
    """Lengths of the vectors by name."""
    index: tuple[int, int] | None = None
    """Index and length during the initial values of a vector, else None."""

    def length(self, expression: RealExpression) -> int:
        """Return the length of a vector, or 0 for a number. Raise _EquationError for several lengths."""
        if isinstance(expression, Variable):
            return self.lengths.get(expression.name, 0)
        operands = (each for each in child_nodes(expression) if not isinstance(each, Word))
        lengths = {self.length(cast("RealExpression", each)) for each in operands} - {0}
        if len(lengths) > 1:
            one, other = sorted(lengths)[:2]
            message = f"'{expression.span.text}' combines a vector of {one} numbers with one of {other}"
            raise _error("invalid-equation", message, expression.span, "use vectors of one length, or sum one of them")
        adds_up = isinstance(expression, FunctionCall) and expression.name.text == SUM
        return 0 if adds_up else max(lengths, default=0)

    def single(self, expression: RealExpression, what: str) -> None:
        """Raise _EquationError if an expression, ``what`` in the message, is a vector."""
        if self.length(expression):
            message, hint = f"{what} is a vector, expected a single number", f"write sum({expression.span.text})"
            raise _error("vector-not-summed", message, expression.span, hint)

    def expression(self, expression: RealExpression) -> TapeEntry:
        """Return the tape entry of a sum in normal form."""
        start = len(self.tape.entries)
        try:
            entry = self._read(expression)
            # The normal form makes kernels independent of the order in which a sum is written.
            entry = normal_form(entry, self.ends) if entry.level == STEP else entry
        except TapeTooLong:
            hint = "use fewer or shorter equations"
            raise _error(
                "equations-too-large", "the equations have too many operations", expression.span, hint
            ) from None
        except (ArithmeticError, ValueError):  # a factor of the normal form has no value
            message, hint = f"'{expression.span.text}' has no value", "use other numbers or another expression"
            raise _error("invalid-equation", message, expression.span, hint) from None
        # Kernels compute in float32.
        for value in (each.number for each in self.tape.entries[start:]):
            if value is not None and not abs(value) <= MAX_NUMBER:
                raise _too_large(expression.span, value)
        return entry

    def number(self, expression: RealExpression, what: str) -> float:
        """Return the value of an expression of numbers and parameters, called ``what`` in messages."""
        entry = self.expression(expression)
        if entry.number is None:
            hint = "use only numbers, parameters, v_threshold and v_reset"
            message = f"{what} must depend only on numbers and parameters"
            raise _error("not-from-parameters", message, expression.span, hint)
        return entry.number

    def start(self, expression: RealExpression, what: str) -> float | Draw:
        """Return the initial value of a learnable, called ``what`` in messages."""
        if not isinstance(expression, FunctionCall) or expression.name.text not in DRAWS:
            return self.number(expression, what)
        name, count = expression.name.text, len(expression.operands)
        names = "low, high" if name == UNIFORM else "mean, std"
        if count != _DRAW_OPERANDS:
            message = f"'{name}' takes {_DRAW_OPERANDS} operands, got {count}"
            raise _error("operand-count", message, expression.span, f"use {name}({names})")
        first, second = (self.number(operand, what) for operand in expression.operands)
        if name == UNIFORM and first > second:
            message = f"'{expression.span.text}' has a lower bound of {first:g}, above its upper bound of {second:g}"
            raise _error("invalid-equation", message, expression.span, "use uniform(low, high) with low <= high")
        if name == NORMAL and second < 0:
            message = f"'{expression.span.text}' has a negative standard deviation of {second:g}"
            raise _error("invalid-equation", message, expression.span, "use a standard deviation of at least 0")
        return Draw(name, first, second)

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
                # The tape has 'less than' in one direction only.
                mirrored = operands[::-1] if operator in _MIRRORED else operands
                return self._put(_OPERATORS[_MIRRORED.get(operator, operator)], expression.span, *mirrored)
            case FunctionCall():
                return self._function(expression)
            case Interpolation():  # the elaborator replaces formulas by numbers
                raise _error("unknown-parameter", "no parameter here", expression.span, "use a number")

    def _put(self, operation: str, span: Span, *operands: TapeEntry) -> TapeEntry:
        try:
            return self.tape.put(operation, *operands)
        except (ArithmeticError, ValueError):
            numbers = ", ".join(f"{each.number:g}" for each in operands if each.number is not None)
            description = "a division by 0" if operation == "div" else f"{operation}({numbers})"
            reason = "has no value" if description == span.text else f"is {description}, which has no value"
            hint = "use other numbers or another expression"
            raise _error("invalid-equation", f"'{span.text}' {reason}", span, hint) from None

    def _variable(self, name: str, span: Span) -> TapeEntry:
        self.read.add(name)
        if name in self.meanings:
            entry = self.meanings[name]
            if entry is None:
                raise _EquationError(None)
            return entry
        if name in self.names:
            message = f"'{name}' is read before it is assigned"
            hint = f"to read its previous value, add 'state {name} = 0'"
            raise _error("read-before-assigned", message, span, hint)
        if name in FUNCTIONS:
            message, hint = f"'{name}' is a function", f"call it: {name}(…)"
            raise _error("unknown-name", message, span, hint)
        near = advice(name, [*self.meanings, *self.names], span, f"available: {listed(self.meanings)}")
        raise _EquationError(Diagnostic("unknown-name", f"unknown name '{name}'", span, **near))

    def _function(self, call: FunctionCall) -> TapeEntry:
        name, span, count = call.name.text, call.name.span, len(call.operands)
        if name == INDEX:
            return self._index(call)
        if name in DRAWS:
            message = f"'{name}' can only be the whole initial value of a learnable"
            hint = f"write 'learn w = {name}(…)'"
            raise _error("not-from-parameters", message, call.span, hint)
        if name not in FUNCTIONS:
            near = advice(name, {*FUNCTIONS, *DRAWS, INDEX}, span, f"functions: {', '.join(FUNCTIONS)}")
            raise _EquationError(Diagnostic("unknown-name", f"unknown function '{name}'", span, **near))
        least, most, _ = FUNCTIONS[name]
        if not least <= count <= most:
            expected = f"{least}" if least == most else f"{least} or {most}"
            message = f"'{name}' takes {expected} operand{'s' * (most > 1)}, got {count}"
            raise _error("operand-count", message, call.span, f"use {name}({_OPERAND_NAMES.get(name, 'x')})")
        for operand in call.operands if name in _NUMBERS_ONLY else ():
            self.single(operand, f"the operand of '{name}'")
        operands = [self.expression(each) for each in call.operands]
        if name == SUM and operands[0].width == 1:
            # The operand of a vector can be folded to a single number, such as 0*h + x.
            operands = [operands[0] * float(self.length(call.operands[0]) or 1)]
        if name == "clip":
            self._check_bounds(call, *(each.number for each in operands[1:]))
        if name == RESET:
            entry = self.settings.reset(*operands)
            self.signed.append(value_range(operands[1]).low < 0)
        else:
            entry = self._put(name, call.span, *operands)
        # The value of a function is a term of its own in sums.
        self.ends.add(entry.index)
        return entry

    def _index(self, call: FunctionCall) -> TapeEntry:
        """Return the index of a number in the initial values of a vector."""
        if self.index is None:
            hint = "use it after the '=' of a state or learnable with a length, e.g. learn a[N] = index(N)"
            message = f"'{INDEX}' is available in the initial values of vectors only"
            raise _error("not-from-parameters", message, call.span, hint)
        position, length = self.index
        (operand, *more) = call.operands
        if more or self.expression(operand).number != length:
            message, hint = f"'{INDEX}' takes the length of the vector, {length}", f"write {INDEX}(N) for a vector a[N]"
            raise _error("invalid-equation", message, call.span, hint)
        return self.tape.number(float(position))

    def _check_bounds(self, call: FunctionCall, low: float | None, high: float | None) -> None:
        """Raise _EquationError unless the bounds of a clip are numbers in the right order."""
        if low is None or high is None:
            message = "the bounds of 'clip' must depend only on numbers and parameters, not on learnables or states"
            hint = "use min and max, which accept all operands"
            raise _error("not-from-parameters", message, call.span, hint)
        if low > high:
            message = f"'{call.span.text}' has a lower bound of {low:g}, above its upper bound of {high:g}"
            raise _error("invalid-equation", message, call.span, "use clip(a, low, high) with low <= high")


def read_equations(
    definition: NeuronDefinition, arguments: Mapping[str, float], settings: ResetSettings
) -> Reported[NeuronStep | None]:
    """Return the time-step of a neuron, or None with diagnostics."""
    tape = Tape()
    translation = _Translation(definition, _Reader(tape, {}, settings, frozenset()))
    step = translation.step(arguments)
    return Reported(step, tuple(translation.diagnostics))


class _Translation:
    """Translation of the equations of a neuron, from top to bottom."""

    def __init__(self, definition: NeuronDefinition, reader: _Reader) -> None:
        self.definition, self.reader, self.tape = definition, reader, reader.tape
        self.diagnostics: list[Diagnostic] = []
        self.start: dict[str, Value] = {}
        self.learned: dict[str, Learned] = {}
        self.assigned: dict[str, Word] = {}  # first assignment of each name
        self.output: TapeEntry | None = None
        self.gives: Gives | None = None
        self.inputs = input_names(definition)
        self.reserved = _reserved_names(definition)

    def step(self, arguments: Mapping[str, float]) -> NeuronStep | None:
        """Return the time-step, or None if there are errors."""
        meanings, settings = self.reader.meanings, self.reader.settings
        meanings |= {name: self.tape.number(value, name) for name, value in arguments.items()}
        meanings |= {THRESHOLD: settings.threshold(self.tape), RESET_POTENTIAL: settings.rest(self.tape)}
        for equation in self.definition.equations:
            # Known in advance, to distinguish names that are assigned later from unknown names.
            if isinstance(equation, Assignment):
                self.assigned.setdefault(equation.name.text, equation.name)
        meanings |= {name: self.tape.leaf("x", index) for index, name in enumerate(self.inputs)}
        self._declare_states()
        for index, (name, value) in enumerate(self.start.items()):
            meanings[name] = self.tape.leaf("state", index, width=len(value) if isinstance(value, tuple) else 1)
        self.reader.names = frozenset(self.assigned)
        for equation in self.definition.equations:
            self._translate(equation)
        if self.gives is None:
            self._report(
                "missing-give",
                f"neuron '{self.definition.name.text}' has no 'give' line",
                self.definition.name.span,
                "add a line such as 'give s' at the end",
            )
        if self.diagnostics or self.output is None:
            return None
        after = tuple(entry for name in self.start if (entry := meanings[name]) is not None)
        signed, inputs = tuple(self.reader.signed), len(self.inputs)
        step = NeuronStep(self.tape, self.output, after, self.start, self.learned, signed, inputs)
        self._check_effects(step)
        return None if self.diagnostics else step

    def _report(self, code: str, message: str, span: Span, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(code, message, span, help=hint))

    def _declare_states(self) -> None:
        """Register all states, including the membrane potential if it is read."""
        declared = [each for each in self.definition.equations if isinstance(each, StateDeclaration)]
        names = {state.name.text for state in declared}
        read = list(names_in(self.definition.equations))
        potential = next((word for word in read if word.text == POTENTIAL), None)
        # The membrane potential needs no declaration. An input, or a learnable, with its name hides it.
        learned = {each.name.text for each in self.definition.equations if isinstance(each, Learn)}
        if POTENTIAL not in {*names, *learned, *self.inputs} and potential is not None:
            self.start[POTENTIAL] = self.reader.settings.v_reset or 0.0
            self._check_assigned(potential)
        for state in declared:
            name = state.name.text
            if not self._is_free(state.name):
                continue
            if name in self.start:
                self.diagnostics.append(_duplicate(state.name, (each.name for each in declared)))
                continue
            self._check_assigned(state.name)
            what = f"the initial value of '{name}'"
            try:
                values = self._values(state, partial(self.reader.number, what=what))
                self.start[name] = tuple(values) if len(values) > 1 else values[0]
            except _EquationError as wrong:
                self.diagnostics += [wrong.diagnostic] if wrong.diagnostic is not None else []
                # A default value avoids further errors about this state.
                self.start[name] = 0.0

    def _values(self, declaration: Learn | StateDeclaration, read: Callable[[RealExpression], Start]) -> list[Start]:
        """Return the initial values of a vector, or that of a single number, and register the length."""
        word, name = declaration.length, declaration.name.text
        if word is None:
            return [read(declaration.initial)]
        parameter = self.reader.meanings.get(word.text)
        value = float(word.text) if word.text.isdigit() else parameter.number if parameter is not None else None
        if value is None:
            message, hint = f"the length of '{name}' must be a number or a parameter", f"write {name}[8], or {name}[N]"
            raise _error("not-from-parameters", message, word.span, hint)
        if not 1 <= value <= MAX_LENGTH or value != int(value):
            message = f"the length of '{name}' is {value:g}, expected a whole number from 1 to {MAX_LENGTH}"
            raise _error("invalid-equation", message, word.span, f"use a length from 1 to {MAX_LENGTH}")
        self.reader.read.add(word.text)
        self.reader.lengths[name] = int(value)
        values: list[Start] = []
        for position in range(int(value)):
            self.reader.index = position, int(value)
            try:
                values.append(read(declaration.initial))
            finally:
                self.reader.index = None
        return values

    def _check_assigned(self, word: Word) -> None:
        if word.text not in self.assigned:
            message, hint = f"the state '{word.text}' is never assigned", f"add '{word.text} = …' at the end"
            self._report("unassigned-state", message, word.span, hint)

    def _is_free(self, word: Word) -> bool:
        """Return whether a name can be defined, and report it if not."""
        name = word.text
        parameters = {parameter.name.text for parameter in self.definition.parameters}
        if name not in {*self.reserved, *parameters, *self.learned} and "." not in name:
            return True
        description = "a parameter" if name in parameters else "learned" if name in self.learned else "predefined"
        if name in self.inputs and name != INPUT:
            description = "an input"
        elif name in FUNCTIONS:
            description = "a function"
        elif name in {*EQUATION_KEYWORDS, PER}:
            description = "a keyword"
        message = f"'{name}' cannot be assigned: it is {description}" if "." not in name else f"'{name}' contains a dot"
        self._report("reserved-name", message, word.span, "choose another name")
        return False

    def _translate(self, equation: Equation) -> None:
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
        except _EquationError as wrong:
            self.diagnostics += [wrong.diagnostic] if wrong.diagnostic is not None else []

    def _give(self, equation: Gives) -> None:
        if self.gives is not None:
            hint = f"the first one is in line {self.gives.span.line}"
            self._report("duplicate-name", "the neuron has a second 'give' line", equation.span, hint)
            return
        self.gives = equation
        # Errors inside of the expression are more specific.
        self.output = self.reader.expression(equation.value)
        self.reader.single(equation.value, "the output")

    def _learn(self, equation: Learn) -> None:
        name = equation.name.text
        for axis in equation.axes:
            if axis.text not in AXES:
                message, hint = f"unknown axis '{axis.text}'", f"use per {' or per '.join(AXES)}"
                self._report("unknown-name", message, axis.span, hint)
        if not self._is_free(equation.name):
            return
        if name in MODULE_ATTRIBUTES | MODULE_WORDS or iskeyword(name):
            message = f"'{name}' cannot be learned: PyTorch modules have an attribute of this name"
            hint = "choose another name"
            self._report("reserved-name", message, equation.name.span, hint)
        if name in self.start or name in self.reader.meanings:
            self._report("duplicate-name", f"'{name}' is defined twice", equation.name.span, "choose another name")
            return
        axes = {axis.text for axis in equation.axes}
        # Registered before the initial value is read, so that an error there does not make the name unknown.
        self.learned[name] = Learned(0.0)
        self.reader.meanings[name] = self.tape.leaf("undefined", name, LEARNED)
        start, *more = self._values(equation, partial(self.reader.start, what=f"the initial value of '{name}'"))
        others = None if equation.length is None else tuple(more)
        learned = self.learned[name] = Learned(start, AXES[0] in axes, AXES[1] in axes, others)
        self.reader.meanings[name] = self.tape.leaf("learned", name, LEARNED, learned.width)

    def _assign(self, equation: Assignment) -> None:
        name, meanings = equation.name.text, self.reader.meanings
        if not self._is_free(equation.name):
            meanings.setdefault(name, None)
            return
        if name in meanings and name not in self.start:
            first = self.assigned[name]
            message = f"'{name}' is assigned twice"
            hint = f"first assigned in line {first.span.line}; only states can be reassigned, choose another name"
            self._report("duplicate-name", message, equation.name.span, hint)
            return
        try:
            length = self.reader.length(equation.value)
            if name in self.start:
                self._check_state_length(equation, length)
            else:
                self.reader.lengths[name] = length
            entry = self.reader.expression(equation.value)
        except _EquationError:
            # Later uses of the name are not reported again.
            meanings[name] = None
            raise
        meanings[name] = entry
        self.reader.ends.add(entry.index)

    def _check_state_length(self, equation: Assignment, length: int) -> None:
        """Raise _EquationError if a state and its value have different lengths. A number fits every state."""
        name, expected = equation.name.text, self.reader.lengths.get(equation.name.text, 0)
        if not expected:
            self.reader.single(equation.value, f"the value of the state '{name}'")
        if length not in {0, expected}:
            message = f"the state '{name}' has {expected} numbers, but its value has {length}"
            raise _error("invalid-equation", message, equation.value.span, "use vectors of one length")

    def _check_effects(self, step: NeuronStep) -> None:
        """Report learnable parameters, assignments and inputs without effect on the output."""
        reached = {entry.index for entry in needed([step.output, *step.after])}
        neuron = self.definition.name.text
        for equation in self.definition.equations:
            if isinstance(equation, Learn):
                name = equation.name.text
                if self.tape.leaf("learned", name, LEARNED).index not in reached:
                    message, hint = f"the output of {neuron} does not depend on '{name}'", "use it, or remove the line"
                    self._report("without-effect", message, equation.name.span, hint)
        # A state is read in the next time-step.
        for name, word in self.assigned.items():
            if name not in self.start and name not in self.reader.read:
                self._report("without-effect", f"'{name}' is never read", word.span, "use it, or remove the equation")
        # MAP{1} is a constant in the shape of its input. In 0*x + 1, x is probably a mistake.
        constant = is_pointwise(neuron) and not any(names_in(self.definition.equations))
        for leaf, name in zip((step.x, *step.more_inputs), self.inputs, strict=True):
            if leaf.index not in reached and not constant:
                message = f"the output of {neuron} does not depend on its input {name}"
                hint = f"use {name} in an equation, as in 'h = v + {name}'"
                hint = f"use {name}, or write a constant without it: MAP{{1}}" if is_pointwise(neuron) else hint
                self._report("without-effect", message, self.definition.name.span, hint)
