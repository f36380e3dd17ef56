"""What a node of a network does: the interface of layers, activations, neurons and merges, and of surrogates.

Nothing here needs torch: ``build`` is handed the runtime it builds from.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import reduce
from math import exp
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self, final

from pydantic import Field, SerializeAsAny

from sewdsl.ir.kind import Kind
from sewdsl.ir.signal import BINARY, Signal, ValueRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from sewdsl.equations.step import NeuronStep
    from sewdsl.snn.runtime import Runtime


class ShapeMismatch(Exception):
    """Raised by ``infer`` where an op does not fit its input.

    Attributes:
        message: One sentence with the actual values.
    """

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class Downstream(Protocol):
    """What follows a node, for arguments that depend on it."""

    @property
    def next(self) -> tuple[Op, ...]:
        """The ops that read the node's output."""

    def nearest(self, family: type[Op]) -> Op | None:
        """The nearest op of a family further down."""


class SavedForBackward(NamedTuple):
    """What the module of an op keeps from the forward pass for its gradient, other than its parameters.

    Attributes:
        inputs: Which of its inputs, by their place.
        aside: Bytes in addition to these, per time-step and sample.
        once: Bytes in addition to these, per sample, whatever the number of time-steps.
    """

    inputs: tuple[int, ...] = ()
    output: bool = False
    aside: int = 0
    once: int = 0


class FanOut(NamedTuple):
    """How many weights a value of an op's input meets, by its place; each is one operation.

    Attributes:
        rows: For each row of the input, the rows of the output that it reaches; one row of ``[C, L]`` and of a vector.
        outputs: Channels or features that each channel reaches.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    outputs: int

    @classmethod
    def of_axes(cls, counts: Sequence[tuple[int, ...]], outputs: int) -> FanOut:
        """What it is along each axis of a map: two, one, or none for a vector."""
        rows, columns = ((1,), (1,), *counts)[-2:]
        return cls(rows, columns, outputs)

    @classmethod
    def everywhere(cls, shape: Sequence[int], outputs: int) -> FanOut:
        """Each value of such a shape meets equally many, wherever it is."""
        return cls.of_axes([(1,) * length for length in shape[1:]], outputs)

    @property
    def total(self) -> int:
        """Of one channel, over all places."""
        return sum(self.rows) * sum(self.columns) * self.outputs


class Op(Kind):
    """A node of a network.

    Attributes:
        repeatable: Whether its module gives the same again for the same input, in training too.
        view: Whether what it gives is its input's memory under another shape.
        reads: What of a sequence its module needs to give one time-step, in evaluation: that ``step`` alone, also the
            ``past``, be it only how many time-steps have gone by, or the whole ``sequence``, which nothing can stream.
        fixed_steps: Whether its weights are those of one number of time-steps, so that another number is another model.
        weighs_as_a_whole: Whether what it gives is its input times a number for each sample, in training too.
        adds: Whether it gives the sum of its inputs.
        saves: What of its values its module needs for its gradient.
    """

    repeatable: ClassVar[bool] = True
    view: ClassVar[bool] = False
    reads: ClassVar[Literal["step", "past", "sequence"]] = "step"
    fixed_steps: ClassVar[bool] = False
    weighs_as_a_whole: ClassVar[bool] = False
    adds: ClassVar[bool] = False
    saves: ClassVar[Literal["inputs", "output", "nothing"]] = "inputs"

    @abstractmethod
    def infer(self, *inputs: Signal) -> Signal:
        """The signal it gives for its inputs'.

        Raises:
            ShapeMismatch: it does not fit them.
        """

    def parameters(self, *inputs: Signal) -> int:
        """How many learnable parameters it has."""
        return 0

    def macs(self, *inputs: Signal) -> int:
        """Multiply-accumulate operations per time-step and sample."""
        return 0

    def fan_out(self, *inputs: Signal) -> FanOut | None:
        """How many weights each value of its input meets; None: it has no weights to meet."""
        return None

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What its module keeps for its gradient; unless an op knows better, what it ``saves``."""
        places = tuple(range(len(inputs))) if self.saves == "inputs" else ()
        return SavedForBackward(places, output=self.saves == "output")

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        """How many weights, or other values, each value of each input meets; None: it is not counted."""
        return (self.fan_out(*inputs),) if len(inputs) == 1 else (None,) * len(inputs)

    @property
    def strided(self) -> bool:
        """Whether it leaves out places of a map: its window moves by more than one."""
        return False

    def in_evaluation(self) -> Self:
        """The op that does in every mode what this one does in evaluation; most ops know no modes."""
        return self

    def over_steps(self, steps: int) -> Self:
        """The op in a network of so many time-steps; most ops do the same whatever their number.

        Raises:
            ShapeMismatch: it is stated to be for another number.
        """
        return self

    def settle(self, downstream: Downstream) -> Self:
        """The op with the arguments filled in that depend on what follows."""
        return self

    @abstractmethod
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """The torch module that computes it."""


class KnowsSteps(Op):
    """An op that depends on the network's number of time-steps; a kind states ``steps`` as its last argument.

    Attributes:
        steps: That number, at least 1; None: not known yet. The network fills it in.
    """

    if TYPE_CHECKING:
        steps: int | None

    @final
    def over_steps(self, steps: int) -> Self:
        """States the number of time-steps.

        Raises:
            ShapeMismatch: another one is stated.
        """
        if self.steps not in {None, steps}:
            raise ShapeMismatch(
                "invalid-argument",
                f"this {self.kind} is for {self.steps} time-steps, but the network has {steps}",
                f"leave its 'steps' out, or write 'steps {self.steps}' in the header",
            )
        return self if self.steps == steps else self.replace(steps=steps)

    @property
    @final
    def T(self) -> int:  # noqa: N802 -- as everywhere
        """The number of time-steps; 1 where it is not known yet."""
        return self.steps or 1


class Layer(Op):
    """Has one input, and works on one time-step at a time unless it says what else it ``reads``."""


class Activation(Op):
    """What ``SN`` can be: a nonlinearity that keeps the shape.

    Attributes:
        elsewhere: What other libraries call it, where that is the name of another kind.
    """

    elsewhere: ClassVar[str] = ""

    @property
    def step_surrogate(self) -> Surrogate | None:
        """Derivative of its step function in the backward pass; None if it has no step function."""
        return None

    @property
    def equations(self) -> NeuronStep | None:
        """What a text says that it computes in a time-step; None if Python does."""
        return None

    def hard_reset_numbers(self, learned: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Decay, gain, drift, threshold and reset of a neuron whose charging is linear; None of all others.

        Args:
            learned: Numbers or tensors that are learned, by name.
        """
        return None

    @property
    def has_kernel(self) -> bool:
        """Whether a kernel computes it; else plain PyTorch."""
        return False

    @property
    def takes_norm(self) -> bool:
        """Whether a kernel normalises its input, computes it, and joins what it gives."""
        return self.has_kernel

    @property
    def can_be_silent(self) -> bool:
        """Whether it can give 0 at every time-step: a branch that ends in it can be left out."""
        return True

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in the same shape, unless an activation knows better."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)


class Spiking(Activation):
    """An activation that gives spikes: a neuron that charges, fires and resets, or a parallel one.

    Attributes:
        v_threshold: What the potential must reach for a spike, > 0; of one that learns it, at the start.
        surrogate: Derivative of the step function in the backward pass.
    """

    if TYPE_CHECKING:
        v_threshold: float
        surrogate: Surrogate

    @property
    def step_surrogate(self) -> Surrogate | None:
        """Its surrogate."""
        return self.surrogate

    @final
    def infer(self, *inputs: Signal) -> Signal:
        """Spikes in the shape of the current; they vary over time, whether or not the current does."""
        return Signal(inputs[0].shape, BINARY, varies=True)


class Surrogate(Kind):
    """The derivative that replaces the Heaviside step's in the backward pass."""

    @abstractmethod
    def derivative(self, u: Any) -> Any:
        """σ'(u) for u = H - v_threshold, in plain arithmetic that floats, torch, numba and Triton all run."""


class PlainScalar(float):
    """A learnable scalar as a plain number, for what is asked of a neuron where there is no torch."""

    def sigmoid(self) -> PlainScalar:
        """1 / (1 + exp(-x))."""
        return PlainScalar(1 / (1 + exp(-self)))


class LinearDynamics(NamedTuple):
    """Dynamics of the form H[t] = decay · V[t-1] + gain · X[t] + drift; numbers or scalar tensors."""

    decay: Any
    gain: Any
    drift: Any


def default_surrogate() -> Any:
    """ATan with alpha 2 (appendix A.1), found by name since kinds lie above this module."""
    from sewdsl.ir.kind import CATALOGUE  # noqa: PLC0415 -- the catalogue is complete only at call time

    return CATALOGUE["ATan"]()


class Neuron(Spiking):
    """A spiking neuron: charge (Eq. 1), fire (Eq. 2), reset (Eq. 3).

    Attributes:
        v_threshold: Membrane potential at which it fires, > 0.
        v_reset: Potential after a spike (hard reset, Eq. 3), or None: v_threshold is subtracted (soft reset).
        detach_reset: Whether the spike in the reset is a constant to the gradient (appendix A.1).
        surrogate: Derivative of the step function in the backward pass.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    reads = "past"
    v_threshold: float = Field(default=1.0, gt=0)
    v_reset: float | None = 0.0
    detach_reset: bool = True
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=default_surrogate)

    @property
    def rest(self) -> float:
        """The potential it starts from and leaks towards: v_reset, or 0 with soft reset."""
        return 0.0 if self.v_reset is None else self.v_reset

    def learnable(self) -> Mapping[str, float]:
        """Initial values of its learnable scalars, by name."""
        return {}

    @abstractmethod
    def charge(self, v: Any, x: Any, *args: Any, **learned: Any) -> Any:
        """H[t] from V[t-1], X[t] and the learnable scalars (Eq. 1)."""

    @final
    def parameters(self, *inputs: Signal) -> int:
        """One for each learnable scalar."""
        return len(self.learnable())

    @final
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """The multi-step neuron of the runtime."""
        return runtime.Neuron(self)


class LinearNeuron(Neuron):
    """A neuron whose charging is linear in V and X; one kernel serves them all."""

    @property
    def has_kernel(self) -> bool:
        """Whether a kernel computes it: one does."""
        return True

    @abstractmethod
    def dynamics(self, *args: Any, **learned: Any) -> LinearDynamics:
        """(decay, gain, drift) as functions of its learnable scalars."""

    @final
    def at_start(self) -> LinearDynamics | None:
        """(decay, gain, drift) as numbers, before anything is learned; None where only torch can say."""
        try:
            return LinearDynamics(
                *map(float, self.dynamics(**{k: PlainScalar(x) for k, x in self.learnable().items()}))
            )
        except (AttributeError, TypeError, ValueError):
            return None

    @final
    def charge(self, v: Any, x: Any, *args: Any, **learned: Any) -> Any:
        """H = decay · V + gain · X + drift."""
        decay, gain, drift = self.dynamics(*args, **learned)
        return decay * v + gain * x + drift


class ParallelNeuron(Spiking):
    """A spiking neuron without reset, whose potentials are a linear map of its currents over time.

    H = A X, S = Θ(H + b): the charged potential of a time-step is a weighted sum over time-steps of the input current,
    and there is no membrane potential that one time-step leaves to the next (Fang et al., NeurIPS 2023).
    Its multiplications are not counted, as those of other neurons are not.

    Attributes:
        v_threshold: Potential at which it fires at the start, > 0; it is learned, as the bias b = -v_threshold.
        surrogate: Derivative of the step function in the backward pass.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    v_threshold: float = Field(default=1.0, gt=0)
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=default_surrogate)

    @final
    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The current, and the slope of each spike by its potential."""
        return SavedForBackward((0,), aside=4 * inputs[0].elements)


class Merge(Op):
    """Makes one value of several operands, which all begin at one value: ``CAT[ a | b | c ]``.

    Attributes:
        operand_names: What the operands are called, if there are always as many; empty: two or more, by number.
    """

    operand_names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def operand_count(cls) -> int | None:
        """How many operands it takes; None: two or more."""
        return len(cls.operand_names) or None

    @classmethod
    def names(cls, count: int) -> tuple[str, ...]:
        """What its operands are called, in text about them and in the names of the nodes in them."""
        return cls.operand_names or tuple(f"operand{number}" for number in range(1, count + 1))

    def fits(self, first: Signal, other: Signal) -> bool:
        """Whether an operand goes with the first one: of ``id or X``, id is taken where it does."""
        return self.same_shape(first, other)

    @staticmethod
    def same_shape(first: Signal, other: Signal) -> bool:
        """Whether an operand goes with the first one where nothing is known of what joins them."""
        return first.shape == other.shape


class FeedbackSum(Merge):
    """What a loop begins with: adds what its feedback gives to what flows in. As a node, it is a join."""


def common_shape(kind: str, *inputs: Signal) -> tuple[int, ...]:
    """The shape that all operands of a merge have.

    Raises:
        ShapeMismatch: one has another.
    """
    first = inputs[0]
    for number, other in enumerate(inputs[1:], start=2):
        if other.shape != first.shape:
            raise ShapeMismatch(
                "join-shape-mismatch",
                f"operand 1 of {kind} gives [{first.size}] but operand {number} gives [{other.size}]",
                "make all equal: the same width and stride, or 'id or' a projection",
            )
    return first.shape


JOIN_OPERANDS = ("branch", "shortcut")
"""The operands of a join of two."""


class Join(Merge):
    """An element-wise function g of a branch A and an identity S (Eq. 9, Table 1).

    Attributes:
        neutral_branch: The constant branch that makes it an identity: combine(neutral, s) == s.
        spikes_only: Whether both operands must be binary.
        associative: Whether g(g(a, b), c) = g(a, g(b, c)); it then takes three operands and more.
    """

    neutral_branch: ClassVar[int]
    spikes_only: ClassVar[bool] = False
    associative: ClassVar[bool] = False

    @abstractmethod
    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """g(A, S); keyword-only, since not every join is symmetric."""

    @abstractmethod
    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        """The range of g(A, S) from the ranges of A and S."""

    @classmethod
    def operand_count(cls) -> int | None:
        """Two, branch and shortcut, or as many as there are."""
        return None if cls.associative else len(JOIN_OPERANDS)

    @classmethod
    def names(cls, count: int) -> tuple[str, ...]:
        """``branch`` and ``shortcut``, if there are two."""
        return JOIN_OPERANDS if count == len(JOIN_OPERANDS) else super().names(count)

    @final
    def infer(self, *inputs: Signal) -> Signal:
        """The common shape; the range that the join states."""
        branch, identity, *more = inputs
        if branch.shape != identity.shape and not more:
            raise ShapeMismatch(
                "join-shape-mismatch",
                f"the branch gives [{branch.size}] but the shortcut gives [{identity.size}]",
                "make both equal: the same width and stride, or 'id or' a projection as shortcut",
            )
        shape = common_shape(self.kind, *inputs)
        return Signal(shape, reduce(self.values, (signal.values for signal in inputs)), any(s.varies for s in inputs))

    @final
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """The runtime's module around ``combine``; more than two are joined one after the other."""
        return runtime.Join(self) if len(inputs) == len(JOIN_OPERANDS) else runtime.JoinOfMany(self)
