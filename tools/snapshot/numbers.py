"""What a network computes, through ``sewdsl.compile`` and plain torch: to the bit as hashes, and roughly as numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import sewdsl

from .inputs import Text

LARGE = 300_000_000
"""Multiply-accumulates of a sample over all time-steps, from which on a network is run once, and on a smaller input."""
Tensors = Mapping[str, Tensor | None]
MORE_STEPS = {"masnn-dvs-gesture": 5}
"""Time-steps of large networks that do not take as few as two."""


def keys(text: Text) -> str:
    """The keys of the weights, and their initial values."""
    return _lines(_compiled(text).state_dict())


def outputs(text: Text, known: Mapping[str, Any]) -> str:
    """Outputs, gradients and statistics at each level, in training and in evaluation; and what a stream gives.

    Args:
        text: The network.
        known: What ``sewdsl show --json`` says of it.
    """
    settings = known["settings"]
    size, steps = tuple(map(int, settings["input"].split("x"))), int(settings["steps"])
    runs = [(1, torch.float64, True)]
    options: dict[str, Any] = {}
    if known["macs"] * steps > LARGE:
        steps, size = min(steps, MORE_STEPS.get(text.name, 2)), (size[0], 32, 32) if size[1:] == (224, 224) else size
        options = {"input": size, "steps": steps}
    else:
        levels = [(level, torch.float64) for level in (0, 1, 2)]
        levels += [(2, torch.float32)] if text.group == "nets" or text.name.endswith("0") else []
        runs = [(*each, training) for each in levels for training in (True, False)]
    static = settings["encode"] == "direct"
    x = 2 * _random(1, *([] if static else [steps]), 2, *size) + 0.5
    parts = []
    for level, dtype, training in runs:
        model = _seasoned(_compiled(text, options, level)).to(dtype).train(training)
        mode = "training" if training else "evaluation"
        parts.append(f"# level {level}, {_plain(dtype)}, {mode}\n{_lines(_pass(model, x.to(dtype)))}")
    stream = _stream(_seasoned(_compiled(text, options)).double().eval(), [x] * steps if static else list(x))
    return "\n".join([*parts, f"# one time-step at a time\n{_lines(stream)}"])


def _compiled(text: Text, options: Mapping[str, Any] | None = None, level: int = 1) -> Any:
    """The module, with weights by a fixed seed."""
    nested: dict[str, Any] = {}
    for name, value in text.options.items():
        kind, _, key = name.partition(" ")
        if key:
            nested.setdefault(kind, {})[key] = int(value) if kind == "limit" else value
        else:
            nested[name] = value
    return sewdsl.compile(text.spec, seed=0, optimize=level, **{**nested, **(options or {})})


def _seasoned(model: nn.Module) -> nn.Module:
    """Gives batch norms weights and statistics as after a while of training, and all else less regular weights."""
    state = model.state_dict()
    generator = torch.Generator().manual_seed(1)
    for name in sorted(state):
        norm = f"{name.rpartition('.')[0]}.running_var" in state
        if state[name].is_floating_point():
            low, width = (0.3, 1.0) if name.endswith("running_var") else (-0.8, 2.0) if norm else (-0.05, 0.1)
            noise = low + width * torch.rand(state[name].shape, generator=generator)
            state[name] = noise if norm else state[name] + noise
    model.load_state_dict(state)
    return model


def _pass(model: nn.Module, x: Tensor) -> Tensors:
    """Forward and backward."""
    torch.manual_seed(2)  # for dropout
    x = x.clone().requires_grad_()
    y = model(x, return_sequence=True)
    found: dict[str, Tensor | None] = {"output": y}
    if y.requires_grad:
        y.backward(_random(3, *y.shape).to(y.dtype))
    found["gradient of the input"] = x.grad
    found |= {f"gradient of {name}": weight.grad for name, weight in model.named_parameters()}
    found |= dict(model.named_buffers())
    with torch.no_grad():
        found["read out"] = model(x.detach())
    return found


def _stream(model: Any, steps: list[Tensor]) -> Tensors:
    try:
        stream, state, found = model.stream(), None, list[Tensor]()
    except ValueError:  # it has to read whole sequences
        return {}
    with torch.no_grad():
        for x_N in steps:
            y_N, state = stream(x_N, state)
            found.append(y_N)
    return {"output": torch.stack(found)}


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _lines(tensors: Tensors) -> str:
    return "".join(f"{name}: {described(tensor)}\n" for name, tensor in tensors.items())


def saved(spec: str, file: Path) -> Path:
    """Puts initial weights of a network into a file."""
    save_file({name: each.contiguous() for name, each in sewdsl.compile(spec, seed=5).state_dict().items()}, file)
    return file


def loaded(file: Path) -> Iterator[str]:
    """What a file of weights holds, key by key."""
    if not file.exists():
        return
    found = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    yield from (f"{name}: {described(found[name])}" for name in found)


def described(tensor: Tensor | None) -> str:
    """Shape, a hash of every bit, and a few numbers to see how far off another one is."""
    if tensor is None:
        return "none"
    data = tensor.detach().cpu().contiguous()
    shape = "x".join(map(str, data.shape)) or "scalar"
    bits = hashlib.sha256(data.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()[:16]
    return f"{shape} {_plain(data.dtype)} {bits}{''.join(_summary(data))}"


def _summary(data: Tensor) -> Iterator[str]:
    if data.is_floating_point() and data.numel():
        wide = data.double()
        for name, number in (("mean", wide.mean()), ("size", wide.abs().mean()), ("first", wide.flatten()[0])):
            yield f" {name} {float(number) + 0.0:.6g}"


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
