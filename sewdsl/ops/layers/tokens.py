"""Layers of tokens: tables ``EMB``, learned tokens ``TOK``, ``Swap`` of channels and positions, positions ``POS``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from sewdsl.ir.init_rules import RuleArgument
from sewdsl.ir.kind import Letter, Positive
from sewdsl.ir.op import KnowsSteps, Layer, SavedForBackward, ShapeMismatch, WeightedLayer
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.shapes import shape_of
from sewdsl.ops.windows import require_divisor, row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


Places = Annotated[
    tuple[Positive, ...] | None, BeforeValidator(lambda value: value and shape_of(value, "HxW or a length", axes=2))
]
"""``HxW`` or a length."""


BYTES_PER_ROW_NUMBER = 8
"""Bytes of a row number in PyTorch, an int64."""


class TokenEmbedding(WeightedLayer, kind="EMB"):
    """Table with a learned vector for each token.

    In a network: ``EMB256``, after ``input 128 of 30522`` in the header. The table has as many rows as the input has
    values, here 30,522. The input has a value range from 0, such as tokens or counts. Initial values are normal with
    standard deviation 1. No gradient passes to the input.

    Shape: tokens ``[L]`` to ``[features, L]``, and a single token ``[1]`` to ``[features]``.
    """

    saves = "nothing"
    connects = False

    features: Annotated[Positive, Letter("")]
    """Number of elements of a vector."""
    init: RuleArgument = None

    def infer(self, *inputs: Signal) -> Signal:
        (source,) = inputs
        self._rows(source)
        if len(source.shape) > 1:
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} requires a vector of tokens, got [{source.size}]",
                "use an input with one length, e.g. 'input 128 of 30522'",
            )
        places = source.shape if source.elements > 1 else ()
        return Signal((self.features, *places), varies=source.varies)

    def _rows(self, source: Signal) -> int:
        """Return the number of rows, or raise ShapeMismatch if the values of the input are no row numbers."""
        if source.values.count is None:
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} requires integers from 0, but its input is {source.values}",
                "state the number of values of the input, e.g. 'input 128 of 30522'",
            )
        return source.values.count + 1

    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        return self._rows(inputs[0]), self.features

    def weights_key(self, *inputs: Signal) -> tuple[object, ...]:
        return (self._rows(inputs[0]),)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        return SavedForBackward(bytes_per_step=BYTES_PER_ROW_NUMBER * inputs[0].elements)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Embedding(self._rows(inputs[0]), self.features)


class LearnedTokens(WeightedLayer, kind="TOK"):
    """Learned tokens, equal for all samples and time-steps.

    In a network: ``CAT[ TOK1-Swap | Swap ]-Swap`` puts a class token before all positions. The tokens of
    ``SCORES[ TOK10 | id ]`` are learned queries. Initial values are normal with standard deviation 0.02. The values of
    the input have no effect, and no gradient passes to it.

    Shape: any to ``[features, tokens]``.
    """

    saves = "nothing"
    connects = False
    weights_for = "channels"

    tokens: Annotated[Positive, Letter("")]
    """Number of tokens."""
    features: Annotated[Positive | None, Letter("c")] = None
    """Number of channels. None: as many as the input has."""
    init: RuleArgument = None

    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        return self.features or inputs[0].channels, self.tokens

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(self.weight_shape(*inputs), varies=inputs[0].varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.constant(*inputs)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.LearnedTokens(*self.weight_shape(*inputs))


class Swap(Layer, kind="Swap"):
    """Exchange of channels and positions, so that layers of channels work on tokens.

    In a network: ``Swap[ c256k1-BN-SN-c64k1 ]``. In the brackets, positions are channels. The body ends with as many
    channels as the input has positions, and a second ``Swap`` with ``to`` restores the positions. ``Swap`` and
    ``Swap(to=8x8)`` can be written separately too.

    Shape: ``[C, H, W]`` to ``[H·W, C]``, ``[C, L]`` to ``[L, C]``. With ``to``, ``[H·W, …]`` to ``[C, H, W]``.
    """

    saves = "nothing"
    encloses = True

    heads: Positive | None = None
    """Number of groups of consecutive channels, a divisor of the channels. The output is ``[H·W, heads, C / heads]``,
    and a convolution can run along the channels of each head."""
    to: Places = None
    """Positions that the channels become, ``HxW`` or a length."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.heads and self.to:
            raise ValueError("heads and to cannot be combined")
        return self

    def infer(self, *inputs: Signal) -> Signal:
        (source,) = inputs
        channels, *places = row_or_map_shape("Swap", source)
        shape: tuple[int, ...] = (channels,)
        if self.heads:
            require_divisor(source, self.heads, "heads")
            shape = self.heads, channels // self.heads
        if self.to:
            if prod(self.to) != channels:
                raise ShapeMismatch(
                    "join-shape-mismatch",
                    f"Swap to {'x'.join(map(str, self.to))} requires {prod(self.to):,} channels, one for each "
                    f"position, got [{source.size}]",
                    f"end the body with {prod(self.to)} channels, e.g. c{prod(self.to)}k1",
                )
            shape = self.to
        return Signal((prod(places), *shape), source.values, source.varies)

    def closing(self, *inputs: Signal) -> Swap:
        """Return the swap that restores the positions of the input."""
        return Swap(to=inputs[0].shape[1:])

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,) = inputs
        return law.swap(x, law.layer.node.output.shape)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Swap(self.infer(*inputs).shape)


class LearnedPosition(WeightedLayer, KnowsSteps, kind="POS"):
    """Learned positional embedding, added to the input.

    In a network: ``c256k4s4-BN-POS``, ``POS(per=step)``. Initial values are normal with standard deviation 0.02.

    Shape: any, unchanged. C·H·W, C·L or F parameters, or C·T with ``per=step``.
    """

    saves = "nothing"
    connects = False

    per: Literal["element", "step"] = "element"
    """``element``: one number for each element, equal at all time-steps. ``step``: one number for each channel and
    time-step. These numbers are valid for one T only."""
    init: RuleArgument = None
    steps: Positive | None = None
    """T, filled in by the network."""

    @property
    def reads(self) -> Literal["step", "past"]:  # type: ignore[override]
        """``past`` for numbers of each time-step, otherwise ``step``."""
        return "past" if self.per == "step" else "step"

    @property
    def fixed_steps(self) -> bool:  # type: ignore[override]
        """Whether there is a number for each time-step."""
        return self.per == "step"

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, varies=inputs[0].varies or self.per == "step")

    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        return (self.T, inputs[0].channels) if self.per == "step" else inputs[0].shape

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if self.per == "step":
            return runtime.StepPosition(inputs[0].channels, self.T)
        return runtime.Position(inputs[0].shape)
