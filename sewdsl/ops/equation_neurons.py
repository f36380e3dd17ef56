"""Kinds defined by source text: neurons whose time-step is given by equations.

``neuron NAME(…) { … }`` defines classes like those of :mod:`sewdsl.ops.neurons`, one for each of three families. The
arguments of a call and its settings determine the family, and validation returns an instance of that class. If the
equations describe a neuron with linear dynamics, fire and reset, the family is :class:`LinearNeuron`, with its kernels,
its theory, and its names in other libraries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, cast
from weakref import WeakValueDictionary

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, SerializeAsAny, create_model, model_validator

from sewdsl.diagnostics import SewdslError
from sewdsl.equations.operations import COMPARISONS, OPERATIONS, SIGNS
from sewdsl.equations.step import NeuronStep, ResetSettings
from sewdsl.equations.tape import LEARNED, MAX_NUMBER, STEP, TapeEntry, TapeTooLong, linear_terms, needed, normal_form
from sewdsl.ir.kind import Positive
from sewdsl.ir.op import (
    Activation,
    KnowsSteps,
    LinearDynamics,
    LinearNeuron,
    Merge,
    Op,
    SavedForBackward,
    Spiking,
    Surrogate,
    common_shape,
)
from sewdsl.ir.signal import BINARY, MAX_COUNT, REAL, Signal, ValueRange
from sewdsl.ops.read_equations import input_names, parameter_defaults, read_equations
from sewdsl.ops.surrogates import ATan
from sewdsl.reporter import Reported
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES
from sewdsl.source import BUILTIN, Source, Span
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.parser import parse, parse_compact
from sewdsl.syntax.printer import is_pointwise, print_expression, print_neuron
from sewdsl.syntax.tree import Body, Gives, NeuronDefinition, Pointwise, RealExpression, Word, functions_in

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


def _in_range(value: object) -> object:
    """Check that a number is in the range of float32."""
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise ValueError(f"must be a number from -{MAX_NUMBER:.2g} to {MAX_NUMBER:.2g}, the range of float32")
    return value


class EquationKind(Op):
    """Base class of neurons defined by equations."""

    defined_by_text: ClassVar[bool] = True
    is_activation = True

    definition: ClassVar[NeuronDefinition]
    defaults: ClassVar[Mapping[str, float]]
    """Default values of the parameters, by name."""
    families: ClassVar[dict[type[EquationKind], type[EquationKind]]]
    """Classes of the definition, by family."""

    v_threshold: Annotated[float, Field(gt=0), BeforeValidator(_in_range)] = 1.0
    """Value of the name ``v_threshold`` in the equations, > 0."""
    v_reset: Annotated[float | None, BeforeValidator(_in_range)] = 0.0
    """Membrane potential after a spike, and initial value of v. None: a reset subtracts, and v starts at 0."""
    detach_reset: bool = True
    """Whether the gradient ignores the spike in the reset."""
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=ATan)
    """Derivative of the step function in the backward pass."""

    @property
    def step_surrogate(self) -> Surrogate | None:
        """Surrogate, if the equations contain a step function."""
        # Without a step function, the surrogate has no effect and no kernel needs it.
        return self.surrogate if any(name.text == "fire" for name in functions_in(self.definition)) else None

    @classmethod
    def definition_text(cls) -> str:
        return print_neuron(cls.definition)

    @classmethod
    def call_text(cls, head: str, arguments: Sequence[str]) -> str:
        """Return the text of a call: ``N(a=2.0)``, or ``MAP(surrogate=Sigmoid){fire(x)}``."""
        name, brace, expression = head.partition("{")
        return super().call_text(name, arguments) + brace + expression

    @classmethod
    def named(cls) -> type[EquationKind]:
        """Return the class for any arguments, in the family without restrictions on the equations."""
        return _of_family(cls, _widest_family(cls.definition))

    @property
    def arguments(self) -> Mapping[str, float]:
        """Values of the parameters, by their names in the source."""
        return {name: getattr(self, _field_name(index)) for index, name in enumerate(self.defaults)}

    @property
    def equations(self) -> NeuronStep:
        """Equations of a time-step with arguments and settings."""
        # Cached by _resolve, because kernels, shapes and checks read the equations often.
        return self.resolved.step

    @property
    def can_be_silent(self) -> bool:
        """True if the output for a zero input is 0, with initial parameters."""
        return _can_be_silent(self.equations)

    @model_validator(mode="wrap")
    @classmethod
    def _decide_family(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Return an instance of the class for the family of the arguments."""
        neuron = validate(values)
        kind = _of_family(cls, neuron.resolved.family)
        # model_construct skips validation, which has just succeeded.
        if kind is not type(neuron):
            kind.model_rebuild()  # pydantic before 2.14 cannot dump instances of a deferred class otherwise
            neuron = cast("Self", kind.model_construct(neuron.model_fields_set, **neuron.__dict__))
        return neuron

    @property
    def resolved(self) -> ResolvedNeuron:
        """Time-step and family for the arguments."""
        settings = ResetSettings(self.v_threshold, self.v_reset, self.detach_reset)
        resolved = _resolve(self.named(), tuple(self.arguments.values()), settings)
        if isinstance(resolved, str):
            raise ValueError(resolved)  # noqa: TRY004 -- pydantic converts ValueError only
        return resolved

    def __iter__(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]  # pydantic's is a generator too
        """Yield arguments and settings by their names in the source."""
        # Fields have generated names, with the names in the source as aliases.
        for name, info in type(self).model_fields.items():
            yield info.alias or name, getattr(self, name)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the definition and arguments for pickle, which cannot import generated classes."""
        return unpickled, (self.definition, dict(self))


def _field_name(index: int) -> str:
    # Names in the source may be any word, so they must not be attributes.
    return f"parameter{index}"


def unpickled(definition: NeuronDefinition, arguments: dict[str, Any]) -> EquationKind:
    """Return a neuron from its definition and all arguments."""
    return equation_kind(definition).model_validate(arguments)


class ResolvedNeuron(NamedTuple):
    """Time-step of a neuron with its arguments, and the family that follows from it."""

    step: NeuronStep
    family: type[EquationKind]


@lru_cache(maxsize=1024)
def _resolve(kind: type[EquationKind], arguments: tuple[float, ...], settings: ResetSettings) -> ResolvedNeuron | str:
    """Return the time-step and family, or the message of the first error with these arguments."""
    result = read_equations(kind.definition, dict(zip(kind.defaults, arguments, strict=True)), settings)
    step = result.value
    # A ValueError would not be cached.
    if step is None:
        return result.diagnostics[0].message
    if step.inputs > 1:
        return ResolvedNeuron(step, EquationMerge)
    if _is_linear(step, settings):
        return ResolvedNeuron(step, EquationNeuron)
    return ResolvedNeuron(step, EquationSpiking if _values(step) == BINARY else EquationActivation)


class _AnyEquations(EquationKind):
    """Equations without a predefined kernel."""

    @property
    def has_kernel(self) -> bool:
        """True if the equations are short enough for a generated kernel."""
        return self.equations.entries <= MAX_KERNEL_ENTRIES

    @property
    def takes_norm(self) -> bool:
        """True for a neuron with state and a kernel, and without vectors."""
        # Without a state, a static input is computed once, outside the kernel over all time-steps.
        return bool(self.equations.after) and self.has_kernel and not self.equations.law.has_vectors

    def parameters(self, *inputs: Signal) -> int:
        """Return the number of learnable parameters, over the layer, its channels or the time-steps."""
        sizes = inputs[0].channels, self.time_steps
        return sum(prod(learned.shape(*sizes)) for learned in self.equations.learned.values())

    def parameter_names(self) -> tuple[str, ...]:
        return tuple(self.equations.learned)

    @property
    def time_steps(self) -> int:
        """Number of time-steps with their own learnable parameters, or 1 if they are shared."""
        return self.T if isinstance(self, KnowsSteps) else 1

    def hard_reset_numbers(self, learned: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the factors of the normal form, for a neuron with one state that a spike sets to ``v_reset``."""
        try:
            form = None if self.v_reset is None else linear_form(self.equations)
        except TapeTooLong:  # The equations fill the tape, which the factors extend.
            return None
        return None if form is None else (*factor_numbers(self.equations, form, learned), self.v_reset)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input, from which states are recomputed."""
        return SavedForBackward((0,))

    def output(self, *inputs: Signal) -> Signal:
        """Return a signal in the shape of the first input, with the range that follows from the equations."""
        step = self.equations
        # A state changes over time even if the inputs do not.
        changes = bool(step.after) or any(learned.per_step for learned in step.learned.values())
        return Signal(inputs[0].shape, _values(step), varies=changes or any(signal.varies for signal in inputs))

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.fire_equations(self.equations, self.surrogate, *inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        module_class = runtime.SpikingEquations if _values(self.equations) == BINARY else runtime.Equations
        return module_class(self, inputs[0].channels, self.time_steps)


class EquationActivation(_AnyEquations, Activation):
    """Neuron defined by equations whose output is not binary: counts, signed spikes or real numbers.

    Shape: any, unchanged.
    """

    def infer(self, *inputs: Signal) -> Signal:
        return self.output(*inputs)


class EquationSpiking(_AnyEquations, Spiking):
    """Neuron defined by equations whose output is spikes, each 0 or 1.

    Shape: ``[T, N, *]`` input to ``[T, N, *]`` spikes.
    """


class EquationMerge(_AnyEquations, Merge):
    """Neuron defined by equations with several inputs, which is called like a merge and cannot be ``SN``.

    Shape: operands of one shape, unchanged.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal with the range of the equations and the common shape, or raise ShapeMismatch."""
        common_shape(self.kind, *inputs, names=self.operand_names)
        return self.output(*inputs)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the size of a copy of all inputs in float32, from which states are recomputed."""
        return SavedForBackward(bytes_per_step=4 * sum(signal.elements for signal in inputs))


class EquationNeuron(EquationKind, LinearNeuron):
    """Neuron defined by equations with H[t] = decay · V[t-1] + gain · X[t] + drift, fire and reset.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def learnable(self) -> Mapping[str, float]:
        return {name: learned.initial for name, learned in self.equations.learned.items()}

    def dynamics(self, /, *args: Any, **learned: Any) -> LinearDynamics:
        """Return (decay, gain, drift) from the normal form."""
        step = self.equations
        h = _charged(step)
        assert h is not None  # noqa: S101 -- a condition of this family
        terms = linear_terms(h, frozenset())
        factors = (terms.get(key) for key in (step.states[0], step.x, None))
        return LinearDynamics(*factor_numbers(step, factors, learned))


def _factor(entry: TapeEntry, values: Mapping[int, Any]) -> Any:
    """Return the value of a tape entry from numbers or tensors."""
    if entry.number is not None:
        return entry.number
    operands = [values[each.index] for each in entry.operands]
    operation = OPERATIONS[entry.operation]
    # A tensor method, so that gradients reach the learnable parameter.
    if operation.smooth and not isinstance(operands[0], float):
        return getattr(operands[0], operation.spelling.torch)()
    return operation.number(*operands)


class LinearForm(NamedTuple):
    """A time-step with H = decay · V + gain · X + drift, fire at H >= threshold, and hard reset."""

    decay: TapeEntry | None
    """Factor of the membrane potential. None: 0. All entries are numbers or depend on learnable parameters only."""
    gain: TapeEntry | None
    """Factor of the input. None: 0."""
    drift: TapeEntry | None
    """Constant term. None: 0."""
    threshold: TapeEntry


def linear_form(step: NeuronStep) -> LinearForm | None:
    """Return the factors of a neuron with one state, linear dynamics, fire, and hard reset to ``v_reset``."""
    spike, h = step.output, _charged(step)
    if spike.operation != "fire" or h is None or len(step.rest) != 1:
        return None
    threshold_terms = linear_terms(spike.operands[0], {h.index})
    negative_threshold, charge_factor = threshold_terms.get(None), threshold_terms.get(h)
    # The charged potential must be linear in the input and the state, and depend on nothing else.
    terms = linear_terms(h, frozenset())
    if (
        negative_threshold is None
        or charge_factor is None
        or charge_factor.number != 1
        or not terms.keys() <= {step.x, step.states[0], None}
    ):
        return None
    (rest,) = step.rest
    # Both variants of the reset have equal values, but different gradients.
    resets = (ResetSettings(v_reset=rest, detach_reset=detach).reset(h, spike) for detach in (False, True))
    if not any(step.after[0] is after for after in resets):
        return None
    form = LinearForm(terms.get(step.states[0]), terms.get(step.x), terms.get(None), -negative_threshold)
    return form if _are_factors(filter(None, form)) else None


def factor_numbers(step: NeuronStep, factors: Iterable[TapeEntry | None], learned: Mapping[str, Any]) -> list[Any]:
    """Return the values of factors as numbers or tensors, or 0 for None."""
    values: dict[int, Any] = {step.tape.leaf("learned", name, LEARNED).index: value for name, value in learned.items()}
    results = []
    for factor in factors:
        for entry in needed([factor] if factor is not None else []):
            if entry.index not in values:
                values[entry.index] = _factor(entry, values)
        results.append(0.0 if factor is None else values[factor.index])
    return results


def _charged(step: NeuronStep) -> TapeEntry | None:
    """Return the charged potential, i.e. the term in the step function that varies over time."""
    varying = [each for each in step.output.operands[0].operands if each.level == STEP] if step.output.operands else []
    return varying[0] if len(varying) == 1 else None


def _values(step: NeuronStep) -> ValueRange:
    low, high, is_integer = step.values
    if not is_integer or max(-low, high) > MAX_COUNT or high <= 0:
        return REAL
    return ValueRange(int(high), lower=min(0, int(low)))


def _are_factors(results: Iterable[TapeEntry]) -> bool:
    """Return whether :func:`factor_numbers` supports all operations of the entries."""
    computed = (entry for entry in needed(results) if entry.level == LEARNED and entry.operands)
    smooth = {name for name, item in OPERATIONS.items() if item.smooth}
    return all(entry.operation in smooth | SIGNS - COMPARISONS for entry in computed)


def _is_linear(step: NeuronStep, settings: ResetSettings) -> bool:
    """Return whether equations are those of a linear neuron with the reset of the settings."""
    spike = step.output
    # A linear neuron has the membrane potential as its only state and scalar parameters only.
    if (
        dict(step.start) != {"v": settings.v_reset or 0.0}
        or spike.operation != "fire"
        or not all(each.is_scalar for each in step.learned.values())
    ):
        return False
    h = _charged(step)
    if h is None:
        return False
    # Tape entries are unique: equal expressions in normal form are the same object.
    try:
        if normal_form(h - settings.threshold(spike.tape), {h.index}) is not spike.operands[0]:
            return False
        if step.after[0] is not settings.reset(h, spike):
            return False
        terms = linear_terms(h, frozenset())
    except TapeTooLong:  # The tape of a linear neuron already contains these entries.
        return False
    if not {each for each in terms if each is not None} <= {step.x, step.states[0]}:
        return False
    return _are_factors(terms.values())


def _widest_family(definition: NeuronDefinition) -> type[EquationKind]:
    """Return the family of a definition without restrictions on its equations."""
    return EquationMerge if len(definition.inputs) > 1 else EquationActivation


def read_kind(definition: NeuronDefinition) -> Reported[type[EquationKind] | None]:
    """Return the class of a definition, or None with diagnostics."""
    defaults = parameter_defaults(definition)
    if defaults.diagnostics:
        return Reported(None, defaults.diagnostics)
    result = read_equations(definition, defaults.value, ResetSettings())
    if result.value is None:
        return Reported(None, result.diagnostics)
    # Equal definitions share a class, so that equal networks compare equal.
    existing = _KINDS.get(definition)
    family = _widest_family(definition)
    return Reported(existing or _KINDS.setdefault(definition, _create_class(definition, family, {})), ())


def equation_kind(definition: NeuronDefinition) -> type[EquationKind]:
    """Return the class of a valid definition, or raise SewdslError if it has errors."""
    result = read_kind(definition)
    if result.value is None:
        raise SewdslError(result.diagnostics)
    return result.value


def defined_kind(text: str) -> type[EquationKind]:
    """Return the class of a definition as source text.

    Raises:
        SewdslError: If the definition has errors.
        ValueError: If the text is not a single definition.
    """
    if is_pointwise(text):
        document = parse_compact(Source("<definition>", text))
        items = [item for body in document.value.statements if isinstance(body, Body) for item in body.expression.items]
        match items:
            case [Pointwise(expression=expression)] if not document.diagnostics:
                return equation_kind(pointwise_definition(expression))
    # A definition is parsed as a file, which starts with a version.
    result = parse(Source("<definition>", f"sewdsl {VERSION}\n{text}\n"))
    if result.diagnostics:
        raise SewdslError(result.diagnostics)
    definitions = [statement for statement in result.value.statements if isinstance(statement, NeuronDefinition)]
    if len(definitions) != 1:
        raise ValueError(f"{text!r} must define exactly one neuron")
    return equation_kind(definitions[0])


def pointwise_definition(expression: RealExpression, span: Span = BUILTIN) -> NeuronDefinition:
    """Return the definition of ``MAP{ expression }``, whose name is its text."""
    name = Word(print_expression(Pointwise(expression)), span=span)
    return NeuronDefinition(name, (), (Gives(expression, span=expression.span),), span=span)


_KINDS: WeakValueDictionary[NeuronDefinition, type[EquationKind]] = WeakValueDictionary()
"""Classes of the definitions in use. Equal definitions share a class."""


def _of_family(kind: type[EquationKind], family: type[EquationKind]) -> type[EquationKind]:
    """Return the class of a definition for a family."""
    if family not in kind.families:
        _create_class(kind.definition, family, kind.families)
    return kind.families[family]


def _create_class(
    definition: NeuronDefinition, family: type[EquationKind], families: dict[type[EquationKind], type[EquationKind]]
) -> type[EquationKind]:
    """Create the class of a definition for a family, and register it in ``families``."""
    name, defaults = definition.name.text, parameter_defaults(definition).value
    step = read_equations(definition, defaults, ResetSettings()).value
    assert step is not None  # noqa: S101 -- callers have validated the definition
    # Parameters per time-step need the number of time-steps.
    stepwise = any(learned.per_step for learned in step.learned.values())
    bases = (family, KnowsSteps) if stepwise else (family,)
    fields: dict[str, Any] = {
        _field_name(index): (Annotated[int | float, BeforeValidator(_in_range)], Field(value, alias=key))
        for index, (key, value) in enumerate(defaults.items())
    }
    if stepwise:
        fields["steps"] = (Positive | None, None)
    kind = cast("type[EquationKind]", create_model(name, __base__=cast("Any", bases), __module__=__name__, **fields))
    kind.kind, kind.key = name, name.partition("{")[0].lower()
    kind.definition, kind.defaults = definition, defaults
    reads: Literal["step", "past"] = "past" if step.after or stepwise else "step"
    kind.reads = reads
    kind.fixed_steps = stepwise
    if issubclass(kind, Merge):
        kind.operand_names = input_names(definition)
    # Editors and the catalogue read the docstring.
    kind.__doc__ = _doc(kind, step)
    kind.families = families
    return families.setdefault(family, kind)


@lru_cache(maxsize=1024)
def _can_be_silent(step: NeuronStep) -> bool:
    """Return whether the output for a zero input is 0."""
    states = tuple(step.start.values())
    for _ in range(_SILENT_STEPS):
        result = step.run(0.0, states)
        if result is None or result[0] != 0:
            return False
        states = result[1]
    return True


_SILENT_STEPS = 32
"""Number of time-steps to simulate."""


def _doc(kind: type[EquationKind], step: NeuronStep) -> str:
    output_text = "spikes, each 0 or 1" if _values(step) == BINARY else f"values, {_values(step)}"
    lines = "\n".join(f"    {line.strip()}" for line in kind.definition_text().splitlines()[1:-1])
    arguments = "\n".join(f"    {name}: Parameter of the equations." for name in kind.defaults)
    shape = f"Shape: any, unchanged. With the default arguments, the output is {output_text}."
    operands = f"[ {' | '.join(input_names(kind.definition))} ]" if issubclass(kind, Merge) else ""
    head = f"Neuron defined by equations, ``{kind.kind}{operands}``::"
    parts = [head, lines, shape] if lines else [f"Function of each value, ``{kind.kind}``.", shape]
    return "\n\n".join([*parts, f"Attributes:\n{arguments}"] if arguments else parts)
