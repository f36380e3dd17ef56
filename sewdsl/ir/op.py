"""Interface of the ops of a network: layers, activations, neurons, merges, and surrogates.

This module does not import torch: ``build`` receives the runtime with the PyTorch modules.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import reduce
from math import exp, prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self, final

from pydantic import Field, SerializeAsAny

from sewdsl.ir.kind import Kind
from sewdsl.ir.signal import BINARY, Signal, ValueRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from sewdsl.equations.step import NeuronStep
    from sewdsl.ir.init_rules import InitRule
    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class ShapeMismatch(Exception):
    """Raised by ``infer`` if an op does not fit its input.

    Attributes:
        message: One sentence with the actual values.
    """

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class Downstream(Protocol):
    """The nodes after a node, for arguments that depend on them."""

    @property
    def next(self) -> tuple[Op, ...]:
        """Ops that read the output of the node."""

    def nearest(self, family: type[Op]) -> Op | None:
        """Return the nearest op of a family after the node."""


class SavedForBackward(NamedTuple):
    """Values that the module of an op saves for its gradient, in addition to its parameters."""

    inputs: tuple[int, ...] = ()
    """Positions of the saved inputs."""
    output: bool = False
    bytes_per_step: int = 0
    """Additional bytes per time-step and sample."""
    bytes_per_sample: int = 0
    """Additional bytes per sample, independent of the number of time-steps."""
    bytes_per_call: int = 0
    """Additional bytes independent of samples and time-steps, e.g. of a kernel computed from weights."""


class FanOut(NamedTuple):
    """Number of weights that each input value is multiplied by, which is the number of operations per spike."""

    rows: tuple[int, ...]
    """For each row of the input, the number of output rows that depend on it, or a single row for ``[C, L]`` and
    vectors."""
    columns: tuple[int, ...]
    outputs: float
    """Output channels or features per input channel, or their mean for sparse weights."""
    lags: tuple[int, ...] = (0,)
    """Time-steps between an input value and each output value that depends on it."""

    @classmethod
    def of_axes(cls, counts: Sequence[tuple[int, ...]], outputs: float) -> FanOut:
        """Return the fan-out from the counts along two axes of a feature map, along one, or none for a vector."""
        # A missing axis counts as one position.
        rows, columns = ((1,), (1,), *counts)[-2:]
        return cls(rows, columns, outputs)

    @classmethod
    def everywhere(cls, shape: Sequence[int], outputs: float) -> FanOut:
        """Return a fan-out without dependence on the position."""
        return cls.of_axes([(1,) * length for length in shape[1:]], outputs)

    def total(self, steps: int) -> float:
        """Return the fan-out of one channel, summed over all positions and the last time-steps of an input."""
        # No output after the last time-step is computed.
        reached = sum(max(0, steps - lag) for lag in self.lags)
        return sum(self.rows) * sum(self.columns) * self.outputs * reached


class Op(Kind):
    """Operation of a node."""

    repeatable: ClassVar[bool] = True
    """Whether the module returns the same output for the same input, in training too."""
    view: ClassVar[bool] = False
    """Whether the output is a view of the input with another shape."""
    reads: ClassVar[Literal["step", "past", "sequence"]] = "step"
    """Time-steps that the module needs for one time-step of output, in evaluation: ``step`` (this one), ``past``
    (earlier ones too, or only their number), or ``sequence`` (all, which cannot be streamed)."""
    fixed_steps: ClassVar[bool] = False
    """Whether its weights are for a single number of time-steps."""
    scales_samples: ClassVar[bool] = False
    """Whether the output is the input times one factor per sample or channel, in training too."""
    adds: ClassVar[bool] = False
    """Whether the output is the sum of the inputs."""
    is_activation: ClassVar[bool] = False
    """Whether the op is a neuron or another nonlinearity between layers."""
    learns_delays: ClassVar[bool] = False
    """Whether its module learns delays with a width that the recipe can reduce."""
    connects: ClassVar[bool] = False
    """Whether the op has a weight for each of several inputs of an output, such as a convolution."""
    on_grid: ClassVar[bool] = False
    """Whether the recipe can round its weight to the integers of a C export."""
    saves: ClassVar[Literal["inputs", "output", "nothing"]] = "inputs"
    """Values that the module saves for its gradient."""
    encloses: ClassVar[bool] = False
    """Whether ``KIND[ body ]`` is the op, the body, and then the op of :meth:`closing`."""
    weights_for: ClassVar[Literal["shape", "channels", "elements", "nothing"]] = "shape"
    """What the shapes of the weights depend on: the ``shape`` of the inputs, their number of ``channels`` or
    ``elements``, or ``nothing``."""
    parameter_keys: ClassVar[tuple[str, ...]] = ("weight",)
    """Keys of the parameters in the module, if it has any."""

    @abstractmethod
    def infer(self, *inputs: Signal) -> Signal:
        """Return the output signal for the input signals, or raise ShapeMismatch if the op does not fit its inputs."""

    def parameters(self, *inputs: Signal) -> int:
        """Return the number of learnable parameters."""
        return 0

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters, if there are any, that a pattern of a recipe can end in."""
        return self.parameter_keys

    def weights_key(self, *inputs: Signal) -> tuple[object, ...]:
        """Return a key that is equal for inputs for which one module can be used."""
        if self.weights_for == "nothing":
            return ()
        if self.weights_for == "elements":
            return tuple(signal.elements for signal in inputs)
        # Modules without weights, such as pooling, are made for a number of axes.
        if not self.parameters(*inputs):
            return tuple(len(signal.shape) for signal in inputs)
        return tuple(s.shape if self.weights_for == "shape" else (len(s.shape), s.channels) for s in inputs)

    def macs(self, *inputs: Signal) -> int:
        """Return the multiply-accumulate operations per time-step and sample."""
        return 0

    def fan_out(self, *inputs: Signal) -> FanOut | None:
        """Return the number of weights that each input value is multiplied by, or None for an op without weights."""
        return None

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the values that the module saves for its gradient, by default those in ``saves``."""
        inputs_saved = tuple(range(len(inputs))) if self.saves == "inputs" else ()
        return SavedForBackward(inputs_saved, output=self.saves == "output")

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        """Return the number of weights or other values that each value of each input is multiplied by.

        None: the operations of the input are not counted.
        """
        return (self.fan_out(*inputs),) if len(inputs) == 1 else (None,) * len(inputs)

    @property
    def reduces_time(self) -> bool:
        """True if the op computes one value for all time-steps. Its module returns a single time-step."""
        return False

    @property
    def delay_steps(self) -> int:
        """Number of time-steps of a delay, or 0 for other ops."""
        return 0

    @property
    def longest_delay(self) -> int:
        """Largest number of time-steps between an output and a value that it reads, or 0 without such a number."""
        return self.delay_steps

    @property
    def strided(self) -> bool:
        """True if the op skips positions of a feature map, because its window moves by more than one."""
        return False

    upsamples: ClassVar[bool] = False
    """Whether the op adds positions to a feature map."""

    @property
    def min_steps(self) -> int:
        """Smallest number of time-steps of an input."""
        return 1

    @property
    def step_multiple(self) -> int:
        """Number that divides every number of time-steps that the op accepts."""
        return 1

    def in_evaluation(self) -> Self:
        """Return an op with the same results as this op has in evaluation mode."""
        return self

    def closing(self, *inputs: Signal) -> Op | None:
        """Return the op after the body of ``KIND[ body ]``, or None for a kind without a body."""
        return None

    def over_steps(self, steps: int) -> Self:
        """Return the op for a number of time-steps, or raise ShapeMismatch if it is for another one."""
        return self

    def settle(self, downstream: Downstream) -> Self:
        """Return the op with the arguments resolved that depend on the following nodes."""
        return self

    @property
    def equations(self) -> NeuronStep | None:
        """Equations of a time-step, for a neuron defined by source text, or None for a Python class."""
        return None

    @property
    def has_kernel(self) -> bool:
        """True if a kernel computes the neuron instead of plain PyTorch."""
        return False

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        """Return the result of a time-step in integers.

        Raises:
            NoIntegerLaw: If integers cannot express the op, which is the default.
        """
        if self.reads == "sequence":
            law.refuse("reads all time-steps, and integer networks compute one after another; export net.onnx instead")
        law.refuse("cannot be computed in integers; export net.onnx instead")

    @abstractmethod
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Build the PyTorch module."""


class KnowsSteps(Op):
    """Op that depends on the number of time-steps, with ``steps`` as its last argument.

    Attributes:
        steps: Number of time-steps, at least 1. None: filled in by the network.
    """

    if TYPE_CHECKING:
        steps: int | None

    @final
    def over_steps(self, steps: int) -> Self:
        """Return the op with the number of time-steps filled in, or raise ShapeMismatch if it has another one."""
        if self.steps not in {None, steps}:
            # The same op may be part of networks with other numbers of time-steps, e.g. in a study.
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.kind} has steps={self.steps}, but the network has {steps} time-steps",
                f"remove the argument 'steps', or set 'steps {self.steps}' in the header",
            )
        return self if self.steps == steps else self.replace(steps=steps)

    @property
    @final
    def T(self) -> int:  # noqa: N802 -- T in the papers
        """Number of time-steps, or 1 before the network fills it in."""
        return self.steps or 1


class Layer(Op):
    """Op with one input, which works on single time-steps unless ``reads`` is overridden."""

    noun = "layer"


class WeightedLayer(Layer):
    """Layer with initial weights that rules set, with ``init`` as its last argument that a text can contain.

    Attributes:
        init: Rule of the initial weights, ``FC64(init=orthogonal)``. None: the rule of a line of the file.
    """

    connects = True

    if TYPE_CHECKING:
        init: InitRule | None

    @abstractmethod
    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        """Return the shape of the weight with the outputs as first axis, and the inputs of an output as others."""

    def parameters(self, *inputs: Signal) -> int:
        """Return the number of weights that do not remain 0, and of biases, one for each output."""
        outputs = self.weight_shape(*inputs)[0]
        return outputs * (self.kept_weights(*inputs) + bool(getattr(self, "bias", False)))

    def parameter_names(self) -> tuple[str, ...]:
        """Return ``weight``, and ``bias`` if the layer has biases."""
        return ("weight", "bias") if getattr(self, "bias", False) else ("weight",)

    @abstractmethod
    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Build the PyTorch module, with the parameter ``weight``, without regard to the rule."""

    @final
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Build the PyTorch module, with the buffer ``weight_mask`` if some weights remain 0."""
        layer = self.build_layer(runtime, *inputs)
        if self.init is not None and self.init.keeps_zeros:
            layer.register_buffer("weight_mask", layer.get_parameter("weight").detach().clone().fill_(1))
        return layer

    @final
    def takes(self, rule: InitRule) -> bool:
        """Return whether the rule of a part or a file applies to the layer."""
        return (not rule.kinds or self.kind in rule.kinds) and (self.connects or not rule.by_output)

    @final
    def kept_weights(self, *inputs: Signal) -> int:
        """Return the number of weights of each output, without those that remain 0."""
        fan_in = prod(self.weight_shape(*inputs)[1:])
        return fan_in if self.init is None else self.init.kept(fan_in)

    @final
    def kept_fraction(self, *inputs: Signal) -> float:
        """Return the fraction of the weights that do not remain 0, as an integer if all are kept."""
        fan_in, kept = prod(self.weight_shape(*inputs)[1:]), self.kept_weights(*inputs)
        return 1 if kept == fan_in else kept / fan_in

    @final
    def check_init(self, *inputs: Signal) -> None:
        """Raise ShapeMismatch unless the rule of the initial weights suits their shape."""
        if self.init is None:
            return
        misfit = self.init.misfit(self.weight_shape(*inputs))
        if self.init.by_output and not self.connects:
            misfit = f"{self.init.kind} requires a layer that connects inputs with outputs"
        if misfit:
            raise ShapeMismatch("invalid-argument", f"{self.label}: {misfit}", "use another rule of initial weights")


class Activation(Op):
    """Nonlinearity that keeps the shape, which ``SN`` can refer to."""

    noun = "activation"
    is_activation = True

    @property
    def step_surrogate(self) -> Surrogate | None:
        """Surrogate derivative of the step function, or None without a step function."""
        return None

    def hard_reset_numbers(self, learned: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return decay, gain, drift, threshold and reset of a neuron with linear dynamics, or None for others.

        Args:
            learned: Learned numbers or tensors, by name.
        """
        return None

    @property
    def takes_norm(self) -> bool:
        """True if a kernel also computes the batch norm before the activation and the join after it."""
        return self.has_kernel

    @property
    def can_be_silent(self) -> bool:
        """True if the output can be 0 at all time-steps, so that a branch ending here can be an identity."""
        return True

    def weights_key(self, *inputs: Signal) -> tuple[object, ...]:
        """Return the number of parameters: the weights are numbers for the layer, or for each channel."""
        return (self.parameters(*inputs),)

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal of real values with the shape of the input."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)


class Spiking(Activation):
    """Activation with spikes as output: a neuron that charges, fires and resets, or a parallel neuron.

    Attributes:
        v_threshold: Firing threshold, > 0. The initial value if the threshold is learned.
        surrogate: Derivative of the step function in the backward pass.
    """

    noun = "neuron"

    if TYPE_CHECKING:
        v_threshold: float
        surrogate: Surrogate

    @property
    def step_surrogate(self) -> Surrogate | None:
        """Surrogate of the neuron."""
        return self.surrogate

    @final
    def infer(self, *inputs: Signal) -> Signal:
        """Return spikes in the shape of the input current. They vary over time even if the current does not."""
        return Signal(inputs[0].shape, BINARY, varies=True)


class Surrogate(Kind):
    """Derivative that replaces that of the Heaviside step in the backward pass."""

    noun = "surrogate"

    @abstractmethod
    def derivative(self, u: Any) -> Any:
        """Return σ'(u) for u = H - v_threshold.

        The code uses plain arithmetic, which runs on floats, tensors, numba and Triton.
        """


class PlainScalar(float):
    """Learnable scalar as a float, with the tensor methods that neurons use, for evaluation without PyTorch."""

    def sigmoid(self) -> PlainScalar:
        """Return 1 / (1 + exp(-x))."""
        return PlainScalar(1 / (1 + exp(-self)))


class LinearDynamics(NamedTuple):
    """Dynamics of the form H[t] = decay · V[t-1] + gain · X[t] + drift, as numbers or scalar tensors."""

    decay: Any
    gain: Any
    drift: Any


def default_surrogate() -> Any:
    """Return ATan with alpha 2 (appendix A.1)."""
    # ATan is defined in sewdsl.ops, which imports this module.
    from sewdsl.ir.kind import CATALOGUE  # noqa: PLC0415 -- the catalogue is complete only at call time

    return CATALOGUE["ATan"]()


class Neuron(Spiking):
    """A spiking neuron: charge (Eq. 1), fire (Eq. 2), reset (Eq. 3).

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    reads = "past"
    v_threshold: float = Field(default=1.0, gt=0)
    """Membrane potential at which the neuron fires, > 0."""
    v_reset: float | None = 0.0
    """Membrane potential after a spike (hard reset, Eq. 3). None: v_threshold is subtracted (soft reset)."""
    detach_reset: bool = True
    """Whether the gradient ignores the spike in the reset (appendix A.1)."""
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=default_surrogate)
    """Derivative of the step function in the backward pass."""

    @property
    def rest(self) -> float:
        """Initial membrane potential, which is also the target of the leak: v_reset, or 0 with soft reset."""
        return 0.0 if self.v_reset is None else self.v_reset

    def learnable(self) -> Mapping[str, float]:
        """Return the initial values of the learnable scalars, by name."""
        return {}

    @abstractmethod
    def charge(self, v: Any, x: Any, *args: Any, **learned: Any) -> Any:
        """Return H[t] from V[t-1], X[t] and the learnable scalars (Eq. 1)."""

    @final
    def parameters(self, *inputs: Signal) -> int:
        """Return the number of learnable scalars."""
        return len(self.learnable())

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the learnable scalars."""
        return tuple(self.learnable())

    @final
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Build the multi-step neuron of the runtime."""
        return runtime.Neuron(self)


class LinearNeuron(Neuron):
    """Neuron with linear dynamics, computed by a common kernel."""

    @property
    def has_kernel(self) -> bool:
        """True for all linear neurons."""
        return True

    @abstractmethod
    def dynamics(self, *args: Any, **learned: Any) -> LinearDynamics:
        """Return (decay, gain, drift) as functions of the learnable scalars."""

    @final
    def at_start(self) -> LinearDynamics | None:
        """Return the initial (decay, gain, drift) as numbers, or None if ``dynamics`` requires PyTorch."""
        try:
            return LinearDynamics(
                *map(float, self.dynamics(**{k: PlainScalar(x) for k, x in self.learnable().items()}))
            )
        # PlainScalar has few tensor methods. Neurons of plugins may need others.
        except (AttributeError, TypeError, ValueError):
            return None

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        """Return the spikes of the common law of linear neurons."""
        return law.fire(self, *inputs)

    @final
    def charge(self, v: Any, x: Any, *args: Any, **learned: Any) -> Any:
        """Return H = decay · V + gain · X + drift."""
        decay, gain, drift = self.dynamics(*args, **learned)
        return decay * v + gain * x + drift


class ParallelNeuron(Spiking):
    """A spiking neuron without reset, with a linear map over time from the input current to the potential.

    H = A X, S = Θ(H + b): the charged potential of a time-step is a weighted sum of the input currents of all
    time-steps. There is no membrane potential that carries over to the next time-step (Fang et al., NeurIPS 2023). Its
    multiplications are not counted as MACs, as for other neurons.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    parameter_keys = ("weight", "bias")

    v_threshold: float = Field(default=1.0, gt=0)
    """Initial firing threshold, > 0. It is learned as the bias b = -v_threshold."""
    surrogate: SerializeAsAny[Surrogate] = Field(default_factory=default_surrogate)
    """Derivative of the step function in the backward pass."""

    @final
    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input current, and 4 bytes per element for the slope of the surrogate."""
        # The slopes are float32, also for 16-bit inputs.
        return SavedForBackward((0,), bytes_per_step=4 * inputs[0].elements)


class Merge(Op):
    """Combination of several operands with a common input, e.g. ``CAT[ a | b | c ]``."""

    noun = "merge"

    operand_names: ClassVar[tuple[str, ...]] = ()
    """Names of the operands, if their number is fixed. Empty: two or more operands, named by number."""

    @classmethod
    def operand_count(cls) -> int | None:
        """Return the number of operands, or None for two or more."""
        return len(cls.operand_names) or None

    @classmethod
    def accepts(cls, count: int) -> bool:
        """Return whether the merge can have a number of operands."""
        return count == cls.operand_count() if cls.operand_count() is not None else count > 1

    @classmethod
    def names(cls, count: int) -> tuple[str, ...]:
        """Return the names of the operands, as used in messages and node names."""
        # Numbers start at 1, as in the source and in messages.
        return cls.operand_names or tuple(f"operand{position}" for position in range(1, count + 1))

    def fits(self, first: Signal, other: Signal) -> bool:
        """Return whether an operand is compatible with the first one, so that ``id or X`` selects id."""
        return self.same_shape(first, other)

    @staticmethod
    def same_shape(first: Signal, other: Signal) -> bool:
        """Return whether two operands have equal shapes, which is the requirement of an unknown merge."""
        return first.shape == other.shape

    @property
    def has_module(self) -> bool:
        """Whether exported Python files compute the merge with a module instead of a formula."""
        return self.defined_by_text


class FeedbackSum(Merge):
    """Sum at the start of a loop, which adds the feedback to the input. As a node, it is a join."""


def common_shape(kind: str, *inputs: Signal, names: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the common shape of all operands of a merge.

    Args:
        names: Names of the operands in messages. The default is their numbers.

    Raises:
        ShapeMismatch: If an operand has another shape.
    """
    first = inputs[0]
    labels = names or [f"operand {position}" for position in range(1, len(inputs) + 1)]
    for label, other in zip(labels, inputs, strict=True):
        if other.shape != first.shape:
            raise ShapeMismatch(
                "join-shape-mismatch",
                f"{labels[0]} of {kind} has shape [{first.size}] but {label} has shape [{other.size}]",
                "use equal channels and strides in all operands, or a projection, e.g. 'id or c64k1s2-BN'",
            )
    return first.shape


JOIN_OPERANDS = ("branch", "shortcut")


def _help_for_join(smaller: tuple[int, ...], larger: tuple[int, ...]) -> str:
    if prod(smaller) != larger[0] or len(smaller) > len(larger) or smaller[0] != larger[0] or len(larger) == 1:
        return "use equal channels and strides in both, or a projection as shortcut, e.g. 'id or c64k1s2-BN'"
    channels, *sides = larger
    reshape = "" if len(smaller) == len(larger) else f"Reshape({'x'.join(map(str, (channels, *[1] * len(sides))))})-"
    return f"repeat the smaller operand at all positions: append {reshape}UP{'x'.join(map(str, dict.fromkeys(sides)))}"


class Join(Merge):
    """An element-wise function g of a branch A and an identity S (Eq. 9, Table 1)."""

    noun = "join"

    neutral_branch: ClassVar[int]
    """Constant branch for which the join is an identity: combine(neutral, s) == s."""
    spikes_only: ClassVar[bool] = False
    """Whether both operands must be binary."""
    associative: ClassVar[bool] = False
    """Whether g(g(a, b), c) = g(a, g(b, c)). The join then accepts more than two operands."""

    @abstractmethod
    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        """Return g(A, S). Arguments are keyword-only, because not all joins are symmetric."""

    @abstractmethod
    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:
        """Return the range of g(A, S) from the ranges of A and S."""

    @classmethod
    def operand_count(cls) -> int | None:
        """Return 2, or None for an associative join."""
        return None if cls.associative else len(JOIN_OPERANDS)

    @classmethod
    def names(cls, count: int) -> tuple[str, ...]:
        """Return ``branch`` and ``shortcut`` for two operands."""
        return JOIN_OPERANDS if count == len(JOIN_OPERANDS) else super().names(count)

    @final
    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal with the range of ``values`` and the common shape, or raise ShapeMismatch."""
        branch, identity, *more = inputs
        # With two operands, the message can name them.
        if branch.shape != identity.shape and not more:
            raise ShapeMismatch(
                "join-shape-mismatch",
                f"the branch has shape [{branch.size}] but the shortcut has shape [{identity.size}]",
                _help_for_join(*sorted((branch.shape, identity.shape), key=prod)),
            )
        shape = common_shape(self.kind, *inputs)
        return Signal(shape, reduce(self.values, (signal.values for signal in inputs)), any(s.varies for s in inputs))

    @final
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Build the module of the runtime that applies ``combine``, pairwise for more than two operands."""
        return runtime.Join(self) if len(inputs) == len(JOIN_OPERANDS) else runtime.JoinOfMany(self)
