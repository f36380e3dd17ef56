"""Translation of attention between tokens to ONNX operators."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.snn import attention


def _split(scope: NodeScope, x: str, shape: tuple[int, ...], heads: int, chunk: int) -> str:
    """Append the heads of a map ``[T·N, C, *]``, ``[T·N, G, C / G, L]``, or ``[N, T / c, G, C / G, c L]`` of chunks."""
    channels, positions = shape[0] // heads, prod(shape[1:])
    if chunk == 1:
        return scope.add("Reshape", x, scope.graph.sizes(0, heads, channels, positions))
    # Samples come first, because a reshape can infer only one of the numbers of samples and chunks.
    rows = scope.add("Transpose", scope.add("Reshape", x, scope.sizes(-1, prod(shape))), perm=[1, 0, 2])
    steps = scope.add("Reshape", rows, scope.graph.sizes(0, -1, chunk, heads, channels, positions))
    turned = scope.add("Transpose", steps, perm=[0, 1, 3, 4, 2, 5])
    return scope.add("Reshape", turned, scope.graph.sizes(0, 0, heads, channels, chunk * positions))


def _join(scope: NodeScope, y: str, channels: int, chunk: int) -> str:
    """Append the map of heads, as the node's value, with the positions of the first operand."""
    size = scope.shape[1:]
    if chunk > 1:
        steps = scope.add("Reshape", y, scope.graph.sizes(0, 0, channels, chunk, prod(size)))
        y = scope.add("Transpose", steps, perm=[1, 3, 0, 2, 4])
    return scope.add_output("Reshape", y, scope.graph.sizes(0 if chunk == 1 else -1, channels, *size))


def _scaled(scope: NodeScope, module: attention.TokenProduct, y: str) -> str:
    try:
        factor: Any = module.factor
    except ValueError as error:
        raise UnsupportedLayer(scope.node, f"cannot be exported: {error}") from None
    values = factor.detach().cpu().numpy() if isinstance(factor, torch.Tensor) else factor
    return scope.add("Mul", y, scope.constant("scale", values))


def _masked(scope: NodeScope, module: attention.Apply | attention.Attention, scores: str, keys: int) -> str:
    """Append scores without those of keys that ``causal`` leaves out."""
    if module.causal is None:
        return scores
    k, q = (torch.empty(0, 0, 0, positions) for positions in (keys, prod(scope.shape[1:])))
    mask = attention.causal_mask(module.causal, module.chunk, k, q)
    return scope.add("Mul", scores, scope.constant("mask", mask.numpy()))


def write_scores(scope: NodeScope, module: attention.Scores, *operands: str) -> str:
    """Append the scores of queries and keys."""
    heads, chunk = module.heads, module.chunk
    q, k = (_split(scope, x, shape, heads, chunk) for x, shape in zip(operands, scope.shapes, strict=True))
    scores = scope.add("MatMul", _turned(scope, k, chunk), q)
    return _join(scope, _scaled(scope, module, scores), heads * chunk * prod(scope.shapes[1][1:]), chunk)


def write_apply(scope: NodeScope, module: attention.Apply, *operands: str) -> str:
    """Append the values weighted by scores."""
    (a, v), (_, values) = operands, scope.shapes
    scores = _masked(scope, module, _split(scope, a, scope.shape, module.heads, module.chunk), prod(values[1:]))
    y = scope.add("MatMul", _split(scope, v, values, module.heads, module.chunk), scores)
    return _join(scope, _scaled(scope, module, y), values[0], module.chunk)


def write_attention(scope: NodeScope, module: attention.Attention, *operands: str) -> str:
    """Append attention, with heads of shape ``[channels, positions]``."""
    q, k, v = (
        _split(scope, x, shape, module.heads, module.chunk) for x, shape in zip(operands, scope.shapes, strict=True)
    )
    turned = _turned(scope, k, module.chunk)
    # Associativity: the cheaper order of the two products.
    if module.keys_first:
        y = scope.add("MatMul", scope.add("MatMul", v, turned), q)
    else:
        scores = _masked(scope, module, scope.add("MatMul", turned, q), prod(scope.shapes[1][1:]))
        y = scope.add("MatMul", v, scores)
    scaled = scope.add("Mul", y, scope.constant("scale", module.scale))
    return _join(scope, scaled, scope.shapes[2][0], module.chunk)


def write_softmax(scope: NodeScope, module: attention.Softmax, x: str) -> str:
    """Append a softmax over the channels of each group."""
    channels, *size = scope.shape
    keys, queries = channels // module.groups, prod(size)
    y = scope.add("Reshape", x, scope.graph.sizes(0, module.groups, keys, queries))
    if module.causal:
        later = (torch.arange(keys)[:, None] % queries > torch.arange(queries)).double()
        kept = scope.add("Mul", y, scope.constant("kept", (1 - later).numpy()))
        y = scope.add("Add", kept, scope.constant("later", (later * torch.finfo(torch.float32).min).numpy()))
    return scope.add_output("Reshape", scope.add("Softmax", y, axis=2), scope.graph.sizes(0, *scope.shape))


def _turned(scope: NodeScope, x: str, chunk: int) -> str:
    return scope.add("Transpose", x, perm=[0, 1, 3, 2] if chunk == 1 else [0, 1, 2, 4, 3])
