"""Attention between tokens in two steps, ``SCORES`` and ``APPLY``, and in one, ``ATTN``; ``Softmax``.

Each position of a feature map is a token. Its channels are divided into heads of consecutive channels. Scores are
feature maps too: at each position of the queries, they have a channel for each key. Therefore neurons, norms and other
layers apply to scores without further rules.
"""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field

from sewdsl.ir.kind import OmittedDefault, Positive
from sewdsl.ir.op import FanOut, Layer, Merge, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal, ValueRange, counts_up_to, range_of_product
from sewdsl.ops.windows import require_divisor

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime

Factor = Annotated[float, Field(gt=0)]
Causal = Literal["places", "time"] | None


class TokenProduct(Merge):
    """Base class of products between the tokens of the same time-step, or of a chunk of consecutive time-steps.

    Attributes:
        chunk: Number of consecutive time-steps whose tokens meet, a divisor of T.
    """

    if TYPE_CHECKING:
        scale: float | Literal["rate"]
        chunk: int

    @property
    def repeatable(self) -> bool:  # type: ignore[override] # depends on an argument
        """False if each call in training updates a rate."""
        return self.scale != "rate"

    @property
    def reads(self) -> Literal["step", "sequence"]:  # type: ignore[override] # depends on an argument
        """``sequence`` if tokens of several time-steps meet."""
        return "step" if self.chunk == 1 else "sequence"

    @property
    def has_module(self) -> bool:
        """Whether the product has more than the arguments of the formula in files."""
        return not isinstance(self, Attention) or self.chunk > 1 or self.causal is not None

    @property
    def step_multiple(self) -> int:
        """Length of a chunk."""
        return self.chunk

    def over_steps(self, steps: int) -> Self:
        """Raise ShapeMismatch unless the chunk divides the number of time-steps."""
        if steps % self.chunk:
            divisors = ", ".join(str(c) for c in range(1, steps + 1) if steps % c == 0)
            message = f"{self.kind} has chunk={self.chunk}, which does not divide the {steps} time-steps"
            raise ShapeMismatch("invalid-argument", message, f"use a divisor of {steps}: {divisors}")
        return self

    def varies(self, *inputs: Signal) -> bool:
        """Return whether the output depends on time. Chunks are computed for all time-steps of a static input."""
        return self.chunk > 1 or any(signal.varies for signal in inputs)

    @abstractmethod
    def heads_and_terms(self, *inputs: Signal) -> tuple[int, int]:
        """Return the number of heads, and the number of terms in each sum of the result."""

    def require(self, fits: bool, message: str, help: str) -> None:  # noqa: FBT001 -- a condition
        """Raise ShapeMismatch with a message and a help unless the shapes fit."""
        if not fits:
            raise ShapeMismatch("join-shape-mismatch", message, help)

    def require_positions(self, name: str, signal: Signal) -> None:
        """Check that an operand has positions."""
        message = f"{name} of {self.kind} is the vector [{signal.size}], which has no positions to attend to"
        hint = f"move {self.kind} before GAP or FC, to feature maps CxHxW or CxL"
        self.require(len(signal.shape) > 1, message, hint)

    def require_heads(self, name: str, signal: Signal, heads: int) -> None:
        """Check that the heads divide the channels of an operand."""
        message = f"the {signal.channels} channels of {name} cannot be divided into {heads} equal heads"
        self.require(signal.channels % heads == 0, message, "use a number of heads that divides the channels")

    def require_equal(self, names: str, first: Signal, second: Signal, axis: Literal["channels", "positions"]) -> None:
        """Check that two operands have equal channels or positions."""
        one, other = (signal.shape[:1] if axis == "channels" else signal.shape[1:] for signal in (first, second))
        message = f"{names} of {self.kind} have different {axis}: [{first.size}] and [{second.size}]"
        self.require(one == other, message, f"make the {axis} of {names} equal")

    def require_order(self, causal: Causal, queries: Signal, keys: Signal) -> None:
        """Check that the order of ``causal`` exists."""
        if causal == "places":
            sizes = f"but the keys are at {_size(keys)} and the queries at {_size(queries)}"
            message = f"causal=places requires keys at the positions of the queries, {sizes}"
            self.require(keys.shape[1:] == queries.shape[1:], message, "make the positions equal, or remove causal")
        if causal == "time" and self.chunk == 1:
            message = "causal=time has no effect on keys of a single time-step"
            raise ShapeMismatch("invalid-argument", message, "add chunk, e.g. chunk=2, or remove causal")


class Scores(TokenProduct, kind="SCORES"):
    """Scores of attention: kᵀ q · scale within each head, with a channel for each key at each position of q.

    In a network: ``APPLY[ SCORES(heads=8, scale=0.125)[ q | k ]-SN | v ]``. The operands are queries and keys. SCORES
    is a 1x1 convolution of q with the keys as kernels. The channels are in the order head, time-step of the chunk,
    position of k.

    Shape: q ``[C, H, W]`` and k ``[C, H', W']`` to ``[G c H' W', H, W]``, or with a single axis of positions.
    Multiply-accumulates: C c H' W' H W.
    """

    operand_names = ("q", "k")
    heads: Positive = 1
    """Number of heads G, at least 1."""
    scale: Factor | Literal["rate"] = 1.0
    """Factor, > 0. ``rate``: 1 / sqrt(r · C / G) for each head, where r is the running mean of the magnitude of q over
    training batches, with momentum 0.999 (Shi, Hao and Yu, SpikingResformer, CVPR 2024). Evaluation requires a training
    step."""
    chunk: Positive = 1
    """Number c of consecutive time-steps whose keys a query meets, a divisor of T. With more than 1, the merge requires
    all time-steps at once, so it cannot be streamed."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return a channel for each head and key, with the range of sums over the channels of a head.

        Raises:
            ShapeMismatch: If the shapes do not match, or the heads do not divide the channels.
        """
        q, k = inputs
        self.require_positions("q", q)
        self.require_positions("k", k)
        self.require_heads("q", q, self.heads)
        self.require_equal("q and k", q, k, "channels")
        values = _scaled(self.scale, q.channels // self.heads, q, k)
        return Signal((self.heads * self.chunk * _positions(k), *q.shape[1:]), values, self.varies(q, k))

    def macs(self, *inputs: Signal) -> int:
        """Return one operation per channel, query and key."""
        q, k = inputs
        return q.channels * self.chunk * _positions(k) * _positions(q)

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        """Return the fan-out of the counted operand: each key for q, or each query for k."""
        q, k = inputs
        return _of_one(inputs, self.chunk * _positions(k), self.chunk * _positions(q))

    def heads_and_terms(self, *inputs: Signal) -> tuple[int, int]:
        return self.heads, inputs[0].channels // self.heads

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        heads, terms = self.heads_and_terms(*inputs)
        return runtime.Scores(heads, self.scale, terms, chunk=self.chunk, bound=_bound(terms, *inputs))


class Apply(TokenProduct, kind="APPLY"):
    """Second step of attention: within each head, the sum of all values, weighted by the scores, times scale.

    In a network: ``APPLY[ SCORES(heads=8)[ q | k ]-Softmax(groups=8) | v ]``. The operands are the scores a and the
    values v. APPLY is a 1x1 convolution of a with the values as kernels. The number of heads G follows from the
    channels of a.

    Shape: a ``[G c H' W', H, W]`` and v ``[D, H', W']`` to ``[D, H, W]``, or with a single axis of positions.
    Multiply-accumulates: D c H' W' H W.
    """

    operand_names = ("a", "v")
    scale: Factor | Literal["rate"] = 1.0
    """Factor, > 0. ``rate``: 1 / sqrt(r c M) for each head, with the M positions of v, as for SCORES."""
    chunk: Positive = 1
    """Number c of consecutive time-steps whose values are summed, as of the scores."""
    causal: Causal = None
    """``places`` leaves out keys at later positions, ``time`` those of later time-steps of the chunk. The operations of
    these keys are counted."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal with the positions of a and the channels of v, with the range of sums over all keys.

        Raises:
            ShapeMismatch: If the channels of a are not a multiple of the keys, or the heads do not divide those of v.
        """
        a, v = inputs
        self.require_positions("a", a)
        self.require_positions("v", v)
        keys = self.chunk * _positions(v)
        message = f"the scores have {a.channels} channels, expected a multiple of the {keys} keys of v"
        self.require(a.channels % keys == 0, message, "use SCORES[ q | k ] with k at the positions of v")
        self.require_heads("v", v, a.channels // keys)
        self.require_order(self.causal, a, v)
        return Signal((v.channels, *a.shape[1:]), _scaled(self.scale, keys, a, v), self.varies(a, v))

    def macs(self, *inputs: Signal) -> int:
        """Return one operation per channel of v, query and key."""
        a, v = inputs
        return v.channels * self.chunk * _positions(v) * _positions(a)

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        """Return the fan-out of the counted operand: the channels of a head for a, or each query for v."""
        a, v = inputs
        return _of_one(inputs, v.channels // self.heads_and_terms(a, v)[0], self.chunk * _positions(a))

    def takes_keys_first(self, scores: Scores, q: Signal, k: Signal, a: Signal, v: Signal) -> bool:
        """Return whether q (kᵀ v) equals the result for these scores, and takes fewer operations."""
        heads, _ = self.heads_and_terms(a, v)
        if "rate" in {self.scale, scores.scale} or (scores.heads, scores.chunk) != (heads, self.chunk):
            return False
        return Attention(heads=heads, chunk=self.chunk, causal=self.causal).takes_keys_first(q, k, v)

    def heads_and_terms(self, *inputs: Signal) -> tuple[int, int]:
        a, v = inputs
        keys = self.chunk * _positions(v)
        return a.channels // keys, keys

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        heads, keys = self.heads_and_terms(*inputs)
        bound = _bound(keys, *inputs)
        return runtime.Apply(heads, self.scale, keys, chunk=self.chunk, bound=bound, causal=self.causal)


class Attention(TokenProduct, kind="ATTN"):
    """Attention of Spikformer without softmax: (q kᵀ) v · scale within each head.

    In a network: ``ATTN(heads=8, scale=0.125)[ c64k1-BN-SN | c64k1-BN-SN | c64k1-BN-SN ]``. The operands are q, k and
    v. ``ATTN(heads=8, scale=0.125)[ q | k | v ]`` equals ``APPLY(scale=0.125)[ SCORES(heads=8)[ q | k ] | v ]``.

    Each position of a feature map is a token. Its channels are divided into heads of consecutive channels. Without
    softmax, the result equals q (kᵀ v), and the order with fewer operations is used.

    Shape: q ``[C, H, W]``, k ``[C, H', W']``, v ``[D, H', W']`` to ``[D, H, W]``, or with a single axis of positions.
    Multiply-accumulates are those of both products (Zhou et al., Spikformer, ICLR 2023, Eq. 6).
    """

    operand_names = ("q", "k", "v")
    heads: Positive = 1
    """Number of heads, at least 1."""
    scale: Factor = 1.0
    """Factor of the result, > 0."""
    chunk: Annotated[Positive, OmittedDefault()] = 1
    """Number c of consecutive time-steps whose tokens meet, as for SCORES."""
    causal: Annotated[Causal, OmittedDefault()] = None
    """Keys that are left out, as for APPLY. The first product is then q kᵀ."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal with the positions of q and the channels of v, with the range of the products.

        Raises:
            ShapeMismatch: If the shapes do not match, or the heads do not divide the channels.
        """
        q, k, v = inputs
        for name, signal in zip(self.operand_names, inputs, strict=True):
            self.require_positions(name, signal)
            self.require_heads(name, signal, self.heads)
        self.require_equal("q and k", q, k, "channels")
        self.require_equal("k and v", k, v, "positions")
        self.require_order(self.causal, q, k)
        _, terms = self.heads_and_terms(*inputs)
        return Signal((v.channels, *q.shape[1:]), _scaled(self.scale, terms, *inputs), self.varies(*inputs))

    def heads_and_terms(self, *inputs: Signal) -> tuple[int, int]:
        q, k, _ = inputs
        return self.heads, q.channels // self.heads * self.chunk * _positions(k)

    def _operations(self, q: Signal, k: Signal, v: Signal) -> tuple[int, int]:
        """Return the operations per time-step of q (kᵀ v) and of (q kᵀ) v."""
        # The heads are computed separately, so a query only meets the channels of its head.
        keys_first = q.channels // self.heads * v.channels * (_positions(q) + _positions(k))
        return keys_first, (q.channels + v.channels) * self.chunk * _positions(q) * _positions(k)

    def takes_keys_first(self, q: Signal, k: Signal, v: Signal) -> bool:
        """Return whether q (kᵀ v) is computed, because it takes fewer operations than (q kᵀ) v."""
        keys_first, queries_first = self._operations(q, k, v)
        return self.causal is None and keys_first <= queries_first

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        # Splitting channels-last feature maps into heads copies q, k and v.
        q, k, v = inputs
        pairs = self.heads * self.chunk * _positions(q) * _positions(k)
        product = -(-q.channels // self.heads * v.channels // self.chunk) if self.takes_keys_first(q, k, v) else pairs
        return SavedForBackward(bytes_per_step=4 * (product + sum(signal.elements for signal in inputs)))

    def macs(self, *inputs: Signal) -> int:
        return self._operations(*inputs)[not self.takes_keys_first(*inputs)]

    def fan_outs(self, *inputs: Signal) -> tuple[FanOut | None, ...]:
        q, k, v = inputs
        # In q (kᵀ v), a key is multiplied by the values of its position, and a query by the sums of its head. In (q kᵀ)
        # v, a query is multiplied by its channel of all keys, and a value by the scores of all queries.
        if self.takes_keys_first(q, k, v):
            return (*(FanOut.everywhere(signal.shape, v.channels // self.heads) for signal in (q, k)), None)
        queries, values = (FanOut.everywhere(x.shape, self.chunk * _positions(y)) for x, y in ((q, k), (v, q)))
        return queries, None, values

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.chunk > 1 or self.causal:
            law.refuse("has chunks or leaves out keys, which integer networks do not support yet")
        return law.attend(self.heads, self.scale, *inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        keys_first = self.takes_keys_first(*inputs)
        return runtime.Attention(self.heads, self.scale, keys_first=keys_first, chunk=self.chunk, causal=self.causal)


class Softmax(Layer, kind="Softmax"):
    """Softmax over the channels of each position, in groups of consecutive channels.

    In a network: ``APPLY[ SCORES(heads=8, scale=0.125)[ q | k ]-Softmax(groups=8) | v ]``, attention of Transformers.

    Shape: any, unchanged.
    """

    saves = "output"

    groups: Positive = 1
    """Number of groups, which divides the channels."""
    causal: Literal["places"] | None = None
    """``places``: the channels of a group are keys at the positions of the input, in order. Keys at later positions are
    left out of the sum, and their output is 0."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return real values.

        Raises:
            ShapeMismatch: If the groups do not divide the channels, or the channels of a group are not keys at the
                positions of the input.
        """
        (source,) = inputs
        require_divisor(source, self.groups)
        channels, positions = source.channels // self.groups, _positions(source)
        if self.causal and (len(source.shape) == 1 or channels % positions):
            raise ShapeMismatch(
                "groups-mismatch",
                f"causal=places requires a channel for each of the {positions} positions, got groups of {channels}",
                "apply Softmax to scores of keys at the positions of the queries, or remove causal",
            )
        return Signal(source.shape, varies=source.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Softmax(self.groups, causal=self.causal is not None)


def _positions(signal: Signal) -> int:
    """Return the number of positions of a feature map."""
    return prod(signal.shape[1:])


def _size(signal: Signal) -> str:
    return "x".join(map(str, signal.shape[1:]))


def _bound(terms: int, *inputs: Signal) -> int | None:
    """Return the largest magnitude of sums of products, as a multiple of their unit, or None for real values."""
    values = _scaled(1.0, terms, *inputs)
    return None if values.upper is None else max(values.upper, -values.lower)


def _scaled(scale: float | str, terms: int, *inputs: Signal) -> ValueRange:
    """Return the range of sums of products of values, times a number. A rate is a real number."""
    product = range_of_product(*(signal.values for signal in inputs))
    if product.upper is None or isinstance(scale, str):
        return REAL
    return counts_up_to(terms * product.upper, scale * product.unit, terms * product.lower)


def _of_one(inputs: tuple[Signal, ...], first: int, second: int) -> tuple[FanOut | None, FanOut | None]:
    """Return the fan-out of the operand whose values are events: the first one, unless only the second has integers."""
    one, other = inputs
    if one.values.largest is None and other.values.largest is not None:
        return None, FanOut.everywhere(other.shape, second)
    return FanOut.everywhere(one.shape, first), None
