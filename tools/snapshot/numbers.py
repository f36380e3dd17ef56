"""Outputs and weights of a network in plain PyTorch, as hashes and rounded numbers."""

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
"""MACs per sample, over all time-steps, above which a network is run once and on a smaller input."""
Tensors = Mapping[str, Tensor | None]
MORE_STEPS = {"masnn-dvs-gesture": 5}
"""Number of time-steps of large networks that need more than two."""


def keys(text: Text) -> str:
    """Return the keys of the weights, and their initial values."""
    return _lines(_compiled(text).state_dict())


def outputs(text: Text, known: Mapping[str, Any]) -> str:
    """Return outputs, gradients and statistics at each level, and the output of a stream.

    Args:
        text: Text of the network.
        known: Output of ``sewdsl show --json``.
    """
    settings = known["settings"]
    size, steps = tuple(map(int, settings["input"].split("x"))), int(settings["steps"])
    runs = [(1, torch.float64, True)]
    options: dict[str, Any] = {}
    # Large networks would take minutes per run.
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
    """Return the module, with weights of a fixed seed."""
    nested: dict[str, Any] = {}
    for name, value in text.options.items():
        kind, _, key = name.partition(" ")
        if key:
            nested.setdefault(kind, {})[key] = int(value) if kind == "limit" else value
        else:
            nested[name] = value
    return sewdsl.compile(text.spec, seed=0, optimize=level, **{**nested, **(options or {})})


def _seasoned(model: nn.Module) -> nn.Module:
    """Give weights and statistics irregular values, like those after some training."""
    state = model.state_dict()
    generator = torch.Generator().manual_seed(1)
    for name in sorted(state):
        # The parts of a batch norm share a prefix with its running variance.
        norm = f"{name.rpartition('.')[0]}.running_var" in state
        if state[name].is_floating_point():
            low, width = (0.3, 1.0) if name.endswith("running_var") else (-0.8, 2.0) if norm else (-0.05, 0.1)
            noise = low + width * torch.rand(state[name].shape, generator=generator)
            state[name] = noise if norm else state[name] + noise
    model.load_state_dict(state)
    return model


def _pass(model: nn.Module, x: Tensor) -> Tensors:
    """Return the results of a forward and a backward pass."""
    # Dropout draws random numbers.
    torch.manual_seed(2)
    x = x.clone().requires_grad_()
    y = model(x, return_sequence=True)
    results: dict[str, Tensor | None] = {"output": y}
    if y.requires_grad:
        y.backward(_random(3, *y.shape).to(y.dtype))
    results["gradient of the input"] = x.grad
    results |= {f"gradient of {name}": weight.grad for name, weight in model.named_parameters()}
    results |= dict(model.named_buffers())
    with torch.no_grad():
        results["read out"] = model(x.detach())
    return results


def _stream(model: Any, steps: list[Tensor]) -> Tensors:
    try:
        stream, state, outputs = model.stream(), None, list[Tensor]()
    except ValueError:  # The network reads whole sequences.
        return {}
    with torch.no_grad():
        for x_N in steps:
            y_N, state = stream(x_N, state)
            outputs.append(y_N)
    return {"output": torch.stack(outputs)}


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _lines(tensors: Tensors) -> str:
    return "".join(f"{name}: {described(tensor)}\n" for name, tensor in tensors.items())


def saved(spec: str, file: Path) -> Path:
    """Write the initial weights of a network to a file."""
    save_file({name: each.contiguous() for name, each in sewdsl.compile(spec, seed=5).state_dict().items()}, file)
    return file


def loaded(file: Path) -> Iterator[str]:
    """Yield the content of a weights file, key by key."""
    if not file.exists():
        return
    tensors = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    yield from (f"{name}: {described(tensors[name])}" for name in tensors)


def described(tensor: Tensor | None) -> str:
    """Return shape, hash and a few statistics of a tensor."""
    if tensor is None:
        return "none"
    data = tensor.detach().cpu().contiguous()
    shape = "x".join(map(str, data.shape)) or "scalar"
    bits = hashlib.sha256(data.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()[:16]
    return f"{shape} {_plain(data.dtype)} {bits}{''.join(_summary(data))}"


def _summary(data: Tensor) -> Iterator[str]:
    if data.is_floating_point() and data.numel():
        wide = data.double()
        for name, statistic in (("mean", wide.mean()), ("size", wide.abs().mean()), ("first", wide.flatten()[0])):
            # Adding 0.0 turns -0 into 0.
            yield f" {name} {float(statistic) + 0.0:.6g}"


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
