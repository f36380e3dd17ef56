"""Kinds that a text defines: neurons whose time-step is written as equations.

``neuron NAME(…) { … }`` becomes classes like those of :mod:`sewdsl.ops.neurons`, one for each of three families. The
numbers of a call and its settings decide of which family the neuron is: validation returns an instance of that class.
Where the equations are those of a neuron that charges linearly, fires and resets, it is a :class:`LinearNeuron`, and
all that is known of such holds for it: their kernels, their theory, what other libraries call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
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
    SavedForBackward,
    Spiking,
    Surrogate,
    default_surrogate,
)
from sewdsl.ir.signal import BINARY, MAX_COUNT, REAL, Signal, ValueRange
from sewdsl.ops.read_equations import parameter_defaults, read_equations
from sewdsl.reporter import Reported
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES
from sewdsl.source import Source
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.parser import parse
from sewdsl.syntax.printer import print_neuron
from sewdsl.syntax.tree import NeuronDefinition

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


def _in_range(value: object) -> object:
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        message = f"must be a number from -{MAX_NUMBER:.2g} to {MAX_NUMBER:.2g}, the range of float32"
        raise ValueError(message)
    return value


class EquationKind(Activation):
    """What all neurons of a text have in common.

    Attributes:
        definition: The equations.
        defaults: The parameters, and the numbers that they are by default.
        families: The classes of the definition, by family.
        v_threshold: The number that the equations read by this name, > 0.
        v_reset: Potential after a spike, and where v starts; None: a reset subtracts, and v starts at 0.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        surrogate: Derivative of the step function in the backward pass.
    """

    defined_by_text: ClassVar[bool] = True

    definition: ClassVar[NeuronDefinition]
    defaults: ClassVar[Mapping[str, float]]
    families: ClassVar[dict[type[EquationKind], type[EquationKind]]]

    v_threshold: Annotated[float, Field(gt=0), BeforeValidator(_in_range)] = 1.0
    v_reset: Annotated[float | None, BeforeValidator(_in_range)] = 0.0
    detach_reset: bool = True
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=default_surrogate)

    @property
    def step_surrogate(self) -> Surrogate | None:
        """The surrogate, if the equations have a step function."""
        return self.surrogate if "fire(" in self.definition_text() else None

    @classmethod
    def definition_text(cls) -> str:
        """The equations as text."""
        return print_neuron(cls.definition)

    @classmethod
    def named(cls) -> type[EquationKind]:
        """The class that the name means before there are numbers: the family that takes any equations."""
        return _of_family(cls, EquationActivation)

    @property
    def arguments(self) -> Mapping[str, float]:
        """The numbers of the parameters, by the names of the text, which are no attributes: any name is free."""
        return {name: getattr(self, _field_name(place)) for place, name in enumerate(self.defaults)}

    @property
    def equations(self) -> NeuronStep:
        """What it computes in a time-step, with its arguments and settings filled in."""
        return self.resolved.step

    @property
    def can_be_silent(self) -> bool:
        """Whether it gives 0 as long as it is given 0, before anything is learned."""
        return _can_be_silent(self.equations)

    @model_validator(mode="wrap")
    @classmethod
    def _decide_family(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Make an instance of the class of the family that the numbers decide."""
        neuron = validate(values)
        kind = _of_family(cls, neuron.resolved.family)
        if kind is not type(neuron):
            kind.model_rebuild()  # pydantic before 2.14 cannot dump what model_construct makes of a deferred class
            neuron = cast("Self", kind.model_construct(neuron.model_fields_set, **neuron.__dict__))
        return neuron

    @property
    def resolved(self) -> ResolvedNeuron:
        """What it is with its numbers."""
        settings = ResetSettings(self.v_threshold, self.v_reset, self.detach_reset)
        resolved = _resolve(self.named(), tuple(self.arguments.values()), settings)
        if isinstance(resolved, str):
            raise ValueError(resolved)  # noqa: TRY004 -- pydantic wants it
        return resolved

    def __iter__(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]  # pydantic's is a generator too
        """Arguments and settings by the names of the text."""
        for name, info in type(self).model_fields.items():
            yield info.alias or name, getattr(self, name)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from self

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which does not find classes that no module has."""
        return unpickled, (self.definition, dict(self))


def _field_name(place: int) -> str:
    """The attribute that stores a parameter: no name of a text, so that none can hide what a class has."""
    return f"parameter{place}"


def unpickled(definition: NeuronDefinition, arguments: dict[str, Any]) -> EquationKind:
    """A neuron, from its equations and all its arguments."""
    return equation_kind(definition).model_validate(arguments)


class ResolvedNeuron(NamedTuple):
    """What a neuron is with its numbers: its time-step, and the family that this makes it."""

    step: NeuronStep
    family: type[EquationKind]


@lru_cache(maxsize=1024)
def _resolve(kind: type[EquationKind], arguments: tuple[float, ...], settings: ResetSettings) -> ResolvedNeuron | str:
    """The time-step and the family, or what keeps the equations from being read with these arguments."""
    read = read_equations(kind.definition, dict(zip(kind.defaults, arguments, strict=True)), settings)
    step = read.value
    if step is None:
        return read.diagnostics[0].message
    if _is_linear(step, settings):
        return ResolvedNeuron(step, EquationNeuron)
    return ResolvedNeuron(step, EquationSpiking if _values(step) == BINARY else EquationActivation)


class _AnyEquations(EquationKind):
    """Those whose time-step no kernel knows beforehand."""

    @property
    def has_kernel(self) -> bool:
        """Whether it is short enough for one."""
        return self.equations.entries <= MAX_KERNEL_ENTRIES

    @property
    def takes_norm(self) -> bool:
        """Whether it has a state: without one, of an input that is the same at all time-steps, it runs once."""
        return bool(self.equations.after) and self.has_kernel

    def parameters(self, *inputs: Signal) -> int:
        """One for each learned number, of a layer, a channel or a time-step."""
        count = 0
        for learned in self.equations.learned.values():
            values = 1
            for length in learned.shape(inputs[0].channels, self.time_steps):
                values *= length
            count += values
        return count

    @property
    def time_steps(self) -> int:
        """For how many time-steps it learns numbers of their own; 1 where it does not."""
        return self.T if isinstance(self, KnowsSteps) else 1

    def hard_reset_numbers(self, learned: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The factors of the normal form, for one state that a spike sets to ``v_reset``."""
        form = None if self.v_reset is None else linear_form(self.equations)
        return None if form is None else (*factor_numbers(self.equations, form, learned), self.v_reset)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Its input: the states are recomputed."""
        return SavedForBackward((0,))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """The runtime's module for equations."""
        made = runtime.SpikingEquations if isinstance(self, Spiking) else runtime.Equations
        return made(self, inputs[0].channels, self.time_steps)


class EquationActivation(_AnyEquations):
    """A neuron of a text that gives anything but spikes: counts, spikes of two signs, real numbers.

    Shape: any, unchanged.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """The range that follows from the equations; it varies over time if there is a state."""
        step = self.equations
        varies = inputs[0].varies or bool(step.after) or any(learned.per_step for learned in step.learned.values())
        return Signal(inputs[0].shape, _values(step), varies=varies)


class EquationSpiking(_AnyEquations, Spiking):
    """A neuron of a text that gives spikes, each 0 or 1.

    Shape: ``[T, N, *]`` input to ``[T, N, *]`` spikes.
    """


class EquationNeuron(EquationKind, LinearNeuron):
    """A neuron of a text that charges by H[t] = decay · V[t-1] + gain · X[t] + drift, fires, and resets as all neurons.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def learnable(self) -> Mapping[str, float]:
        """What it learns, at the start."""
        return {name: learned.initial for name, learned in self.equations.learned.items()}

    def dynamics(self, /, *args: Any, **learned: Any) -> LinearDynamics:
        """(decay, gain, drift), read off the normal form."""
        step = self.equations
        h = _charged(step)
        assert h is not None  # noqa: S101 -- as was seen when the family was decided
        terms = linear_terms(h, frozenset())
        factors = (terms.get(key) for key in (step.states[0], step.x, None))
        return LinearDynamics(*factor_numbers(step, factors, learned))


def _factor(entry: TapeEntry, known: Mapping[int, Any]) -> Any:
    """The value of a result of numbers, or of tensors."""
    if entry.number is not None:
        return entry.number
    operands = [known[each.index] for each in entry.operands]
    operation = OPERATIONS[entry.operation]
    if operation.smooth and not isinstance(operands[0], float):
        return getattr(operands[0], operation.spelling.torch)()
    return operation.number(*operands)


class LinearForm(NamedTuple):
    """A time-step that charges by H = decay · V + gain · X + drift, fires where H >= threshold, and resets hard.

    Attributes:
        decay: Factor of the potential; None: 0. It and the others are numbers, or depend on what is learned alone.
        gain: Factor of the input; likewise.
        drift: What is added; likewise.
        threshold: What is subtracted before the neuron fires.
    """

    decay: TapeEntry | None
    gain: TapeEntry | None
    drift: TapeEntry | None
    threshold: TapeEntry


def linear_form(step: NeuronStep) -> LinearForm | None:
    """The factors of a neuron with one state that charges linearly, fires, and is set to ``v_reset`` by a spike."""
    fired, h = step.given, _charged(step)
    if fired.operation != "fire" or h is None or len(step.after) != 1:
        return None
    ends = linear_terms(fired.operands[0], {h.index})
    below, one = ends.get(None), ends.get(h)
    terms = linear_terms(h, frozenset())
    if below is None or one is None or one.number != 1 or not terms.keys() <= {step.x, step.states[0], None}:
        return None
    (rest,) = step.start.values()
    resets = (ResetSettings(v_reset=rest, detach_reset=detach).reset(h, fired) for detach in (False, True))
    if not any(step.after[0] is after for after in resets):
        return None
    form = LinearForm(terms.get(step.states[0]), terms.get(step.x), terms.get(None), -below)
    return form if _are_factors(filter(None, form)) else None


def factor_numbers(step: NeuronStep, factors: Iterable[TapeEntry | None], learned: Mapping[str, Any]) -> list[Any]:
    """What factors come to: numbers, or what tensors of what is learned come to; of None, 0."""
    known: dict[int, Any] = {step.tape.leaf("learned", name, LEARNED).index: value for name, value in learned.items()}
    found = []
    for factor in factors:
        for entry in needed([factor] if factor is not None else []):
            if entry.index not in known:
                known[entry.index] = _factor(entry, known)
        found.append(0.0 if factor is None else known[factor.index])
    return found


def _charged(step: NeuronStep) -> TapeEntry | None:
    """What is compared before a neuron fires."""
    varying = [each for each in step.given.operands[0].operands if each.level == STEP] if step.given.operands else []
    return varying[0] if len(varying) == 1 else None


def _values(step: NeuronStep) -> ValueRange:
    """The range of what a neuron gives, as edges have it."""
    low, high, whole = step.values
    if not whole or max(-low, high) > MAX_COUNT or high <= 0:
        return REAL
    return ValueRange(int(high), lower=min(0, int(low)))


def _are_factors(results: Iterable[TapeEntry]) -> bool:
    """Whether :func:`factor_numbers` can compute results of what is learned."""
    made = (entry for entry in needed(results) if entry.level == LEARNED and entry.operands)
    smooth = {name for name, item in OPERATIONS.items() if item.smooth}
    return all(entry.operation in smooth | SIGNS - COMPARISONS for entry in made)


def _is_linear(step: NeuronStep, settings: ResetSettings) -> bool:
    """Whether equations are those of a linear neuron with the reset of the settings."""
    fired = step.given
    if (
        dict(step.start) != {"v": settings.v_reset or 0.0}
        or fired.operation != "fire"
        or any(each[1:] != (False, False) for each in step.learned.values())
    ):
        return False
    h = _charged(step)
    if h is None:
        return False
    try:
        if normal_form(h - settings.threshold(fired.tape), {h.index}) is not fired.operands[0]:
            return False
        if step.after[0] is not settings.reset(h, fired):
            return False
        terms = linear_terms(h, frozenset())
    except TapeTooLong:  # a linear neuron has all of this on its tape
        return False
    if not {each for each in terms if each is not None} <= {step.x, step.states[0]}:
        return False
    return _are_factors(terms.values())


def read_kind(definition: NeuronDefinition) -> Reported[type[EquationKind] | None]:
    """The class of a definition, or None with all that is wrong with it."""
    defaults = parameter_defaults(definition)
    if defaults.diagnostics:
        return Reported(None, defaults.diagnostics)
    read = read_equations(definition, defaults.value, ResetSettings())
    if read.value is None:
        return Reported(None, read.diagnostics)
    known = _KINDS.get(definition)
    return Reported(known or _KINDS.setdefault(definition, _made(definition, EquationActivation, {})), ())


def equation_kind(definition: NeuronDefinition) -> type[EquationKind]:
    """The class of a definition that is right.

    Raises:
        SewdslError: it is not.
    """
    read = read_kind(definition)
    if read.value is None:
        raise SewdslError(read.diagnostics)
    return read.value


def defined_kind(text: str) -> type[EquationKind]:
    """The class of a definition's text.

    Raises:
        SewdslError: it is not right.
        ValueError: it is no definition.
    """
    read = parse(Source("<definition>", f"sewdsl {VERSION}\n{text}\n"))
    if read.diagnostics:
        raise SewdslError(read.diagnostics)
    found = [statement for statement in read.value.statements if isinstance(statement, NeuronDefinition)]
    if len(found) != 1:
        message = f"{text!r} does not define one neuron"
        raise ValueError(message)
    return equation_kind(found[0])


_KINDS: WeakValueDictionary[NeuronDefinition, type[EquationKind]] = WeakValueDictionary()
"""The class of each definition that is in use; equal ones have one class, wherever they are written."""


def _of_family(kind: type[EquationKind], family: type[EquationKind]) -> type[EquationKind]:
    """The class of the same definition that is of a family."""
    if family not in kind.families:
        _made(kind.definition, family, kind.families)
    return kind.families[family]


def _made(
    definition: NeuronDefinition,
    family: type[EquationKind],
    families: dict[type[EquationKind], type[EquationKind]],
) -> type[EquationKind]:
    """Make the class of a definition for a family, and put it among the others of the definition."""
    name, defaults = definition.name.text, parameter_defaults(definition).value
    step = read_equations(definition, defaults, ResetSettings()).value
    assert step is not None  # noqa: S101 -- as the caller has seen
    stepwise = any(learned.per_step for learned in step.learned.values())
    bases = (family, KnowsSteps) if stepwise else (family,)
    fields: dict[str, Any] = {
        _field_name(place): (Annotated[int | float, BeforeValidator(_in_range)], Field(value, alias=key))
        for place, (key, value) in enumerate(defaults.items())
    }
    if stepwise:
        fields["steps"] = (Positive | None, None)
    made = cast("type[EquationKind]", create_model(name, __base__=cast("Any", bases), __module__=__name__, **fields))
    made.kind, made.key, made.definition, made.defaults = name, name.lower(), definition, defaults
    reads: Literal["step", "past"] = "past" if step.after or stepwise else "step"
    made.reads = reads
    made.fixed_steps = stepwise
    made.__doc__ = _doc(made, step)
    made.families = families
    return families.setdefault(family, made)


@lru_cache(maxsize=1024)
def _can_be_silent(step: NeuronStep) -> bool:
    """Whether a neuron gives 0 as long as it is given 0."""
    states = tuple(step.start.values())
    for _ in range(_SILENT_STEPS):
        found = step.run(0.0, states)
        if found is None or found[0] != 0:
            return False
        states = found[1]
    return True


_SILENT_STEPS = 32


def _doc(kind: type[EquationKind], step: NeuronStep) -> str:
    """What is said of a neuron of a text where others have a docstring: its equations."""
    given = "spikes, each 0 or 1" if _values(step) == BINARY else f"values, {_values(step)}"
    lines = "\n".join(f"    {line.strip()}" for line in kind.definition_text().splitlines()[1:-1])
    arguments = "\n".join(f"    {name}: A parameter of the equations." for name in kind.defaults)
    shape = f"Shape: any, unchanged; with the defaults it gives {given}."
    parts = [f"A neuron that a text defines, ``{kind.kind}``::", lines, shape]
    return "\n\n".join([*parts, f"Attributes:\n{arguments}"] if arguments else parts)
