"""Input validation: accepted layouts and dtypes, and error messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from sewdsl.ir.network import Network
from sewdsl.ir.settings import InputSetting, Settings
from sewdsl.snn.autocast import autocast_dtype

Inputs: TypeAlias = Any
"""Input of a network: a tensor, or a mapping of tensors by the names of the inputs."""


def map_inputs(function: Callable[[Tensor], Tensor], x: Inputs) -> Inputs:
    """Return an input with a function applied to its tensor, or to each of its named tensors."""
    return {name: function(each) for name, each in x.items()} if isinstance(x, Mapping) else function(x)


def is_static(x: Inputs, settings: Settings) -> bool:
    """Return whether every input with ``encode direct`` has no time axis."""
    named = x if isinstance(x, Mapping) else {"": x}
    static = (source for source in settings.sources if source.encode == "direct")
    return all(named[source.name].ndim == len(source.shape) + 1 for source in static)


def by_name(settings: Settings, values: Sequence[Any], named: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the inputs of a call in the order of the file.

    Args:
        values: Inputs by position. A single mapping has all inputs by name. None is a missing first input.

    Raises:
        TypeError: If an input is missing, unknown, passed twice, or no tensor.
    """
    names = [source.name for source in settings.sources]
    if len(values) == 1 and (isinstance(values[0], Mapping) or values[0] is None):
        named, values = {**(values[0] or {}), **named}, ()
    elif names == [""] and len(values) == 1 and not named:
        return _tensors(values)
    if names == [""]:
        raise TypeError(f"expected one input without a name, got {len(values)}{_names(named)}")
    twice = [name for name in names[: len(values)] if name in named]
    missing = [name for name in names[len(values) :] if name not in named]
    unknown = [name for name in named if name not in names]
    if twice or missing or unknown or len(values) > len(names):
        raise TypeError(f"expected the inputs {', '.join(names)}, got {len(values)} by position{_names(named)}")
    return _tensors([*values, *(named[name] for name in names[len(values) :])])


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(f"expected a tensor as input, got {type(value).__name__}; use torch.as_tensor(…)")
    return [*values]


def _names(named: Mapping[str, Tensor]) -> str:
    return f" and {', '.join(named)}" if named else ""


def check_equal_lengths(sequences: Sequence[Tensor], settings: Settings) -> None:
    """Check that all inputs have equal numbers of time-steps and samples.

    Args:
        sequences: Inputs ``[T, N, *]``.

    Raises:
        ValueError: If they differ.
    """
    if len(sequences) > 1 and any(x.shape[:2] != sequences[0].shape[:2] for x in sequences):
        pairs = zip(settings.sources, sequences, strict=True)
        sizes = ", ".join(f"{source.name} T={x.shape[0]} N={x.shape[1]}" for source, x in pairs)
        raise ValueError(f"expected inputs with equal numbers of time-steps and samples, got {sizes}")


def to_sequence(x: Tensor, source: InputSetting, steps: int, parameter: Tensor | None) -> Tensor:
    """Return the input as ``[T, N, *]`` in the dtype of the parameters. A static input is repeated without a copy.

    Raises:
        ValueError: If the shape or dtype does not match. The message contains the expected and the actual layout.
    """
    rank = len(source.shape)
    if tuple(x.shape[-rank:]) != source.shape or x.ndim - rank not in {1, 2}:
        raise ValueError(
            f"expected {_title(source)} {_layout('T, N', source)}, or {_layout('N', source)} if it is static, "
            f"got {list(x.shape)}{_hint(x, source)}"
        )
    static = x.ndim == rank + 1
    if not static and x.shape[0] == 0:
        raise ValueError(f"expected at least one time-step, got input {list(x.shape)}; time is the first axis")
    x = _to_dtype(x, source, parameter)
    return x.expand(steps, *x.shape) if static else x


def _count_to_dtype(x: Tensor, source: InputSetting, values: int, dtype: torch.dtype) -> Tensor:
    """Convert an input of integers to a dtype, or to float32 or float64 if the dtype does not represent all of them.

    Args:
        values: Number of values: the integers are 0 to ``values - 1``.

    Raises:
        ValueError: If the input has other values.
    """
    integers = x if x.is_floating_point() else x.long()  # Few operations support unsigned integers of 16 bits.
    if x.is_floating_point() and not _represents(x.dtype, values):
        raise ValueError(f"{_title(source)} is {x.dtype}, which does not represent all integers up to {values - 1}")
    # A compiled graph cannot read values.
    if x.numel() and not torch.compiler.is_compiling():
        low, high = (end.item() for end in integers.aminmax())
        expected = f"expected integers from 0 to {values - 1} as {_title(source)}"
        if not (low >= 0 and high < values):  # False for NaN too
            raise ValueError(f"{expected}, got values from {low:g} to {high:g}")
        fractions = integers[integers != integers.trunc()] if integers.is_floating_point() else integers[:0]
        if fractions.numel():
            raise ValueError(f"{expected}, got {fractions[0].item():g}")
    return integers.to(next(each for each in (dtype, torch.float32, torch.float64) if _represents(each, values)))


def _represents(dtype: torch.dtype, values: int) -> bool:
    """Return whether a floating-point dtype represents the integers 0 to ``values - 1``."""
    return values - 1 <= 2 / torch.finfo(dtype).eps


def looks_batch_first(x: Tensor, source: InputSetting, steps: int) -> bool:
    """Return whether N of a sequence equals the number of time-steps in the header, and T does not.

    A sequence with N = 1 is never reported.
    """
    # A single sample of a network with one time-step has N = steps too, so steps = 1 is excluded.
    return x.ndim == len(source.shape) + 2 and x.shape[1] == steps != x.shape[0] and steps > 1


def batch_first_warning(x: Tensor, network: Network) -> str:
    """Return the warning for an input that :func:`looks_batch_first`."""
    T, N = x.shape[:2]
    return (
        f"the input {list(x.shape)} is read as T={T} time-steps of N={N} samples, but {network.name} has "
        f"{network.settings.steps} time-steps; if the batch is the first axis, pass x.transpose(0, 1)"
    )


def to_time_step(x: Tensor, source: InputSetting, parameter: Tensor | None) -> Tensor:
    """Return one time-step ``[N, *]`` in the dtype of the parameters, or raise ValueError if it does not match."""
    if tuple(x.shape[1:]) != source.shape:
        name = f" of {source.name}" if source.name else ""
        raise ValueError(f"expected one time-step{name} {_layout('N', source)}, got {list(x.shape)}")
    return _to_dtype(x, source, parameter)


def _title(source: InputSetting) -> str:
    return f"input {source.name}".rstrip()


def _layout(axes: str, source: InputSetting) -> str:
    """Return the expected shape with names of axes: ``[T, N, C=2, H=128, W=128]``."""
    names = {1: "F", 2: "CL", 3: "CHW"}[len(source.shape)]
    sizes = ", ".join(f"{name}={size}" for name, size in zip(names, source.shape, strict=True))
    return f"[{axes}, {sizes}]"


def _hint(x: Tensor, source: InputSetting) -> str:
    """Return a hint for known mistakes in the order of the axes."""
    shape = source.shape
    if tuple(x.shape) == shape:
        return "; for a single sample, add the axis N: x[None]"
    if shape == (1,) and x.ndim == len("TN"):
        return "; add an axis for the single element: x[..., None]"
    if len(shape) == len("CHW"):
        c, h, w = shape
        # Layouts of other libraries: channels last, or time after the channels.
        if x.ndim > len(shape) and tuple(x.shape[-3:]) == (h, w, c):
            return "; channels come before height and width: x.movedim(-1, -3)"
        if x.ndim == len(shape) + 2 and (x.shape[1], *x.shape[-2:]) == shape:
            return "; time is the first axis: x.movedim(2, 0)"
    return ""


def _to_dtype(x: Tensor, source: InputSetting, parameter: Tensor | None) -> Tensor:
    """Convert the input to the dtype of the parameters, if the conversion is lossless.

    Raises:
        ValueError: If the input is complex or a floating-point number of another dtype, or if its values are not those
            in the header.
    """
    dtype = torch.get_default_dtype() if parameter is None else parameter.dtype
    if x.dtype.is_complex:
        raise ValueError(f"expected a real input, got {x.dtype}")
    if source.of is not None:
        return _count_to_dtype(x, source, source.of, dtype)
    if not x.dtype.is_floating_point:
        return x.to(dtype)
    # Autocast converts the input in each layer.
    if parameter is not None and x.dtype != dtype and not autocast_dtype(x.device.type):
        raise ValueError(
            f"the input is {x.dtype}, but the parameters are {dtype}; convert one of them: x.to({dtype}) "
            f"or model.to({x.dtype})"
        )
    return x
