"""Input validation: accepted layouts and dtypes, and error messages."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.ir.network import Network
from sewdsl.ir.settings import Settings
from sewdsl.snn.autocast import autocast_dtype


def to_sequence(x: Tensor, settings: Settings, parameter: Tensor | None) -> Tensor:
    """Return the input as ``[T, N, *]`` in the dtype of the parameters. A static input is repeated without a copy.

    Raises:
        ValueError: If the shape or dtype does not match. The message contains the expected and the actual layout.
    """
    rank = len(settings.input)
    if tuple(x.shape[-rank:]) != settings.input or x.ndim - rank not in {1, 2}:
        raise ValueError(
            f"expected input {_layout('T, N', settings)}, or {_layout('N', settings)} if it is static, "
            f"got {list(x.shape)}{_hint(x, settings)}"
        )
    static = x.ndim == rank + 1
    if not static and x.shape[0] == 0:
        raise ValueError(f"expected at least one time-step, got input {list(x.shape)}; time is the first axis")
    x = _to_dtype(x, parameter)
    return x.expand(settings.steps, *x.shape) if static else x


def looks_batch_first(x: Tensor, settings: Settings) -> bool:
    """Return whether N of a sequence equals the number of time-steps in the header, and T does not.

    A sequence with N = 1 is never reported.
    """
    # A single sample of a network with one time-step has N = steps too, so steps = 1 is excluded.
    return x.ndim == len(settings.input) + 2 and x.shape[1] == settings.steps != x.shape[0] and settings.steps > 1


def batch_first_warning(x: Tensor, network: Network) -> str:
    """Return the warning for an input that :func:`looks_batch_first`."""
    T, N = x.shape[:2]
    return (
        f"the input {list(x.shape)} is read as T={T} time-steps of N={N} samples, but {network.name} has "
        f"{network.settings.steps} time-steps; if the batch is the first axis, pass x.transpose(0, 1)"
    )


def to_time_step(x: Tensor, settings: Settings, parameter: Tensor | None) -> Tensor:
    """Return one time-step of the input, ``[N, *]``, in the dtype of the parameters.

    Raises:
        ValueError: If the shape or dtype does not match.
    """
    if tuple(x.shape[1:]) != settings.input:
        raise ValueError(f"expected one time-step {_layout('N', settings)}, got {list(x.shape)}")
    return _to_dtype(x, parameter)


def _layout(axes: str, settings: Settings) -> str:
    """Return the expected shape with names of axes: ``[T, N, C=2, H=128, W=128]``."""
    names = {1: "F", 2: "CL", 3: "CHW"}[len(settings.input)]
    sizes = ", ".join(f"{name}={size}" for name, size in zip(names, settings.input, strict=True))
    return f"[{axes}, {sizes}]"


def _hint(x: Tensor, settings: Settings) -> str:
    """Return a hint for known mistakes in the order of the axes."""
    shape = settings.input
    if tuple(x.shape) == shape:
        return "; for a single sample, add the axis N: x[None]"
    if len(shape) == len("CHW"):
        c, h, w = shape
        # Layouts of other libraries: channels last, or time after the channels.
        if x.ndim > len(shape) and tuple(x.shape[-3:]) == (h, w, c):
            return "; channels come before height and width: x.movedim(-1, -3)"
        if x.ndim == len(shape) + 2 and (x.shape[1], *x.shape[-2:]) == shape:
            return "; time is the first axis: x.movedim(2, 0)"
    return ""


def _to_dtype(x: Tensor, parameter: Tensor | None) -> Tensor:
    """Convert the input to the dtype of the parameters, if the conversion is lossless.

    Raises:
        ValueError: If the input is complex or a floating-point number of another dtype.
    """
    dtype = torch.get_default_dtype() if parameter is None else parameter.dtype
    if x.dtype.is_complex:
        raise ValueError(f"expected a real input, got {x.dtype}")
    if not x.dtype.is_floating_point:
        return x.to(dtype)
    # Autocast converts the input in each layer.
    if parameter is not None and x.dtype != dtype and not autocast_dtype(x.device.type):
        raise ValueError(
            f"the input is {x.dtype}, but the parameters are {dtype}; convert one of them: x.to({dtype}) "
            f"or model.to({x.dtype})"
        )
    return x
