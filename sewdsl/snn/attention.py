"""Modules of attention between tokens: scores, their products with values, both in one, and softmax.

Each position of a feature map is a token. The channels of a head are consecutive. In a chunk, the tokens of several
consecutive time-steps meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, distributed, nn

from sewdsl.snn import kernels
from sewdsl.snn.autocast import autocast_dtype, widened, without_autocast
from sewdsl.snn.unsupported import needs_plain_torch

Causal = Literal["places", "time"] | None
"""Keys without effect on a query: those at later positions, those of later time-steps, or none."""
EXACT = {torch.bfloat16: 2**8, torch.float16: 2**11}
"""Integer up to which a 16-bit dtype represents all integers."""
MOMENTUM = 0.999
"""Weight of the previous batches in the running rate (Shi, Hao and Yu, CVPR 2024)."""
MIN_RATE = 1e-9
"""Rate of a head without spikes in training, whose factor would be infinite."""
NO_RATE = (
    "scale=rate requires the mean of a training batch, and there is none yet: train the network, load trained weights, "
    "or write a number, e.g. scale=0.125"
)


def split_heads(x: Tensor, heads: int, chunk: int = 1) -> Tensor:
    """Return ``[T, N, C, *]`` as ``[T / chunk, N, heads, C / heads, chunk · positions]``.

    Raises:
        ValueError: If the chunk does not divide T.
    """
    if len(x) % chunk:
        raise ValueError(f"chunks of {chunk} time-steps require a multiple of {chunk} time-steps, got {len(x)}")
    parts = x.flatten(3).reshape(len(x) // chunk, chunk, x.shape[1], heads, x.shape[2] // heads, -1)
    return parts.permute(0, 2, 3, 4, 1, 5).flatten(4)


def join_heads(y: Tensor, chunk: int, size: torch.Size) -> Tensor:
    """Return ``[T / chunk, N, heads, C / heads, chunk · positions]`` as ``[T, N, C, *size]``."""
    parts = y.reshape(*y.shape[:4], chunk, -1).permute(0, 4, 1, 2, 3, 5)
    return parts.reshape(len(y) * chunk, y.shape[1], y.shape[2] * y.shape[3], *size)


def causal_mask(causal: Causal, chunk: int, k: Tensor, q: Tensor) -> Tensor:
    """Return whether a query meets a key, ``[chunk · positions of k, chunk · positions of q]``."""
    keys, queries = k.shape[3:].numel(), q.shape[3:].numel()
    key, query = torch.arange(chunk * keys, device=k.device)[:, None], torch.arange(chunk * queries, device=k.device)
    return key % keys <= query % queries if causal == "places" else key // keys <= query // queries


class HeadProduct(NamedTuple):
    """Product of operands in heads, as of :func:`split_heads`, and its gradients from that of the product."""

    product: Callable[..., Tensor]
    gradients: Callable[..., tuple[Tensor, ...]]


def weigh_values(mask: Tensor | None) -> HeadProduct:
    """Return the product v a of values and scores, some of which a mask leaves out."""

    def masked(scores: Tensor) -> Tensor:
        return scores if mask is None else scores * mask

    return HeadProduct(lambda a, v: v @ masked(a), lambda g, a, v: (masked(v.mT @ g), g @ masked(a).mT))


def _keys_first_gradients(g: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    inner = g @ q.mT
    # v kᵀ is small: computing it again takes less than saving it.
    return (v @ k.mT).mT @ g, inner.mT @ v, inner @ k


SCORES = HeadProduct(lambda q, k: k.mT @ q, lambda g, q, k: (k @ g, q @ g.mT))
"""Scores kᵀ q: a channel for each key, at the positions of q."""
KEYS_FIRST = HeadProduct(lambda q, k, v: (v @ k.mT) @ q, _keys_first_gradients)
"""Attention (v kᵀ) q, which equals v (kᵀ q) up to rounding."""


class ScaledProduct(NamedTuple):
    """Product of feature maps with a factor, computed in ``dtype`` without autocast."""

    law: HeadProduct
    heads: int
    chunk: int
    dtype: torch.dtype

    def of(self, factor: Tensor | float, *operands: Tensor) -> Tensor:
        """Return the product of feature maps ``[T, N, C, *]``, with the positions of the first one."""
        first = operands[0]
        with without_autocast(first.device.type):
            y = self._scale(self.law.product(*map(self._split, operands)), factor)
            y = join_heads(y, self.chunk, first.shape[3:])
        # Autocast casts inputs where needed, so the wider dtype can stay.
        return y if autocast_dtype(first.device.type) else y.to(first.dtype)

    def gradients(self, factor: Tensor | float, g: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of the operands."""
        with without_autocast(g.device.type):
            parts = self.law.gradients(self._scale(self._split(g), factor), *map(self._split, operands))
            pairs = zip(parts, operands, strict=True)
            return tuple(join_heads(part, self.chunk, x.shape[3:]).to(x.dtype) for part, x in pairs)

    def _scale(self, x: Tensor, factor: Tensor | float) -> Tensor:
        # The product with a tensor has the wider of both dtypes.
        return (x * factor).to(self.dtype)

    def _split(self, x: Tensor) -> Tensor:
        return split_heads(x.to(self.dtype), self.heads, self.chunk)


class _SavedOperands(torch.autograd.Function):
    """Product that saves its operands as they are, so that spikes are packed, instead of their heads."""

    @staticmethod
    def forward(ctx: Any, product: ScaledProduct, factor: Tensor | float, *operands: Tensor) -> Tensor:
        ctx.product, ctx.factor = product, factor
        ctx.save_for_backward(*operands)
        return product.of(factor, *operands)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.product.gradients(ctx.factor, *gradients, *ctx.saved_tensors)


class TokenProduct(nn.Module):
    """Base class of scaled products between tokens.

    Args:
        scale: Factor of the result. ``rate``: 1 / sqrt(rate · terms) for each head.
        terms: Number of terms in each sum.
        chunk: Number of consecutive time-steps whose tokens meet.
        bound: Largest magnitude of the sums before scaling, if they are integers. Under autocast, a 16-bit dtype is
            used if it represents all integers up to this bound. None: the sums are real, and use it as layers do.

    Attributes:
        rate: Running mean of the magnitude of the first operand over training batches, ``[heads]``, with ``scale=rate``
            only. 0 before the first batch.
        synchronised: Whether the mean is that of all processes in distributed training.
    """

    rate: Tensor

    def __init__(
        self, heads: int, scale: float | Literal["rate"], terms: int, *, chunk: int = 1, bound: int | None = None
    ) -> None:
        super().__init__()
        self.heads, self.scale, self.terms, self.chunk, self.bound = heads, scale, terms, chunk, bound
        self.synchronised = False
        if scale == "rate":
            self.register_buffer("rate", torch.zeros(heads))

    @property
    def factor(self) -> Tensor | float:
        """Factor of the result: a number, or one for each head, ``[heads, 1, 1]``.

        Raises:
            ValueError: If no training batch has set the rate.
        """
        if self.scale != "rate":
            return self.scale
        if not (self.training or self._is_traced or self.rate.any()):
            raise ValueError(NO_RATE)
        return (widened(self.rate) * self.terms).rsqrt()[:, None, None]

    @property
    def _is_traced(self) -> bool:
        """Whether the computation is traced, so that it cannot depend on values."""
        if torch.compiler.is_compiling() or needs_plain_torch() or self.rate.is_meta:
            return True
        return self.rate.is_cuda and torch.cuda.is_current_stream_capturing()

    def scaled(self, law: HeadProduct, *operands: Tensor, more: float = 1.0) -> Tensor:
        """Return the scaled product of feature maps ``[T, N, C, *]``, times another factor."""
        x = operands[0]
        if self.training and self.scale == "rate":
            self._observe(x)
        dtype = autocast_dtype(x.device.type)
        if dtype is None or (self.bound or 0) > EXACT[dtype]:
            # Sums of counts are exact in float32 up to 2^24.
            dtype = torch.promote_types(x.dtype, torch.float32)
        product, factor = ScaledProduct(law, self.heads, self.chunk, dtype), self.factor * more
        # PyTorch's compiler plans memory itself.
        if torch.compiler.is_compiling() or not kernels.may_run():
            return product.of(factor, *operands)
        y: Tensor = _SavedOperands.apply(product, factor, *operands)  # type: ignore[no-untyped-call, unused-ignore]
        return y

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        """Update the rate with the mean of a batch."""
        heads = x.flatten(3).reshape(*x.shape[:2], self.heads, x.shape[2] // self.heads, -1)
        mean = torch.linalg.vector_norm(heads, 1, (0, 1, 3, 4), dtype=self.rate.dtype) * (self.heads / x.numel())
        if self.synchronised and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        # The first batch with spikes starts the mean.
        running = MOMENTUM * self.rate + (1 - MOMENTUM) * mean
        self.rate.copy_(torch.where(self.rate <= MIN_RATE, mean, running).clamp(min=MIN_RATE))

    def extra_repr(self) -> str:
        chunk = f", chunk={self.chunk}" if self.chunk > 1 else ""
        return f"heads={self.heads}, scale={self.scale}{chunk}"


class Scores(TokenProduct):
    """Scores of queries and keys: kᵀ q · scale within each head.

    Shape: q ``[T, N, C, H, W]`` and k ``[T, N, C, H', W']`` to ``[T, N, heads · chunk · H' · W', H, W]``. A single
    spatial axis is also supported.
    """

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        return self.scaled(SCORES, q, k)


class Apply(TokenProduct):
    """Sums of values, weighted by scores: v a · scale within each head.

    Args:
        causal: Keys without effect on a query.

    Shape: a ``[T, N, heads · chunk · H' · W', H, W]`` and v ``[T, N, D, H', W']`` to ``[T, N, D, H, W]``. A single
    spatial axis is also supported.
    """

    def __init__(self, *arguments: Any, causal: Causal = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.causal = causal

    def forward(self, a: Tensor, v: Tensor) -> Tensor:
        return self.scaled(weigh_values(causal_mask(self.causal, self.chunk, v, a) if self.causal else None), a, v)

    def of_scores(self, scores: Scores, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the product with scores that are not computed, which has both scales: (v kᵀ) q."""
        return self.scaled(KEYS_FIRST, q, k, v, more=float(scores.scale))


class Attention(nn.Module):
    """Attention without softmax: (q kᵀ) v · scale within each head, or the equal q (kᵀ v) · scale.

    Computed in float32 or wider, also under autocast: bfloat16 cannot represent all integers above 256.

    Args:
        heads: Number of heads. The channels of a head are consecutive.
        scale: Factor of the result.
        chunk: Number of consecutive time-steps whose tokens meet.
        causal: Keys without effect on a query.

    Shape: q ``[T, N, C, H, W]``, k ``[T, N, C, H', W']``, v ``[T, N, D, H', W']`` to ``[T, N, D, H, W]``. A single
    spatial axis is also supported.
    """

    def __init__(self, heads: int, scale: float, *, keys_first: bool, chunk: int = 1, causal: Causal = None) -> None:
        super().__init__()
        self.heads, self.scale, self.keys_first, self.chunk, self.causal = heads, scale, keys_first, chunk, causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        law = KEYS_FIRST
        if not self.keys_first:
            values = weigh_values(causal_mask(self.causal, self.chunk, k, q) if self.causal else None)
            law = HeadProduct(lambda q, k, v: values.product(SCORES.product(q, k), v), values.gradients)
        dtype = torch.promote_types(q.dtype, torch.float32)
        return ScaledProduct(law, self.heads, self.chunk, dtype).of(self.scale, q, k, v)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, scale={self.scale}"


class Softmax(nn.Module):
    """Softmax over the channels of each group, at each position.

    Args:
        groups: Number of groups of consecutive channels.
        causal: Whether the channels of a group are keys, and the output of keys at later positions is 0.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def __init__(self, groups: int = 1, *, causal: bool = False) -> None:
        super().__init__()
        self.groups, self.causal = groups, causal

    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(*x.shape[:2], self.groups, x.shape[2] // self.groups, -1)
        if self.causal:
            keys, queries = (torch.arange(y.shape[i], device=y.device) for i in (3, 4))
            later = keys[:, None] % len(queries) > queries
            # A finite number: with infinities, gradients are not numbers.
            y = y.masked_fill(later, torch.finfo(y.dtype).min)
        return y.softmax(3).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"groups={self.groups}{', causal=places' if self.causal else ''}"
