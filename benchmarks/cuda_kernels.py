"""Generated CUDA kernels of neurons compared with hand-written ones.

``python -m benchmarks.cuda_kernels time`` prints ratios of medians of alternating turns, on a GPU.
``python -m benchmarks.cuda_kernels bits`` compares all bits, on a GPU, or in Triton's interpreter on the CPU with
``TRITON_INTERPRET=1``.
``python -m benchmarks.cuda_kernels registers sm_90`` compiles both for a target without a GPU.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, product
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sewdsl.ir.op import Neuron
from sewdsl.ops import catalogue
from sewdsl.snn import kernels
from sewdsl.snn.kernels.neuron import on_cuda
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall
from sewdsl.snn.kernels.neuron.operators import DeviceKernels
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.tapes import join_slopes, trace_join
from sewdsl.snn.limits import MAX_REGISTER_STEPS
from tests.snn.kernels import for_targets, hand_written
from tests.snn.kernels.cases import LAYOUTS, SURROGATES, current, make

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WHO: dict[str, Any] = {"generated": on_cuda, "hand-written": hand_written}
NEURONS: tuple[tuple[str, dict[str, float]], ...] = (("IF", {}), ("LIF", {}), ("LIF", {"tau": 3.7}), ("PLIF", {}))
RESETS = tuple(product((0.0, -0.2, None), (False, True)))
JOINS = (None, "", "ADD", "IAND", "AND", "OR")
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
SHAPES = (
    (4, 2, 6, 5, 7),
    (1, 3, 5, 2, 3),
    (16, 1, 3, 4, 4),
    (2, 1, 70, 1, 1),
    (3, 2, 1, 5, 5),
    (7, 3, 33),
    (2, 2, 33, 3, 4),
)
ALONE = *SHAPES, (5, 0, 3, 2, 2), (17, 1, 4, 3, 3), (20, 2, 3, 5, 5)
STRANGE = (torch.nan, torch.inf, -torch.inf, 1e38, -1e38)
ROUNDS = 20


class Case(NamedTuple):
    """Call of kernels.

    Attributes:
        call: Arguments of batch norm, neurons and join.
        g_TN: Gradient of the output.
        g_after: Gradient of the states after the last time-step.
    """

    call: LayerCall
    g_TN: Tensor
    g_after: Tensor | None

    def forward(self, device: DeviceKernels) -> tuple[Tensor, Tensor]:
        """Return the output, and the states after the last time-step."""
        return device.forward(self.call, final=self.call.channels is None)

    def backward(self, device: DeviceKernels) -> dict[str, Tensor]:
        """Return all gradients."""
        norm, join = self.call.channels is not None, self.call.program.join
        slopes = join_slopes(join) if join else None
        # The gradient of a sum's other operand is that of the output, and needs no kernel.
        other, factors = slopes is not None and slopes.other.number != 1, self.call.factors is not None
        needs = LayerNeedsGrad(x=True, start=self.call.start is not None, channels=norm, factors=factors, other=other)
        gradients = device.backward(self.call, self.g_TN, self.g_after, needs, batch=norm)._asdict()
        return {name: each for name, each in gradients.items() if norm or name not in {"weight", "bias"}}


def show(text: str) -> None:
    """Print a line, flushed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def make_case(neuron: Neuron, join: str | None, x_TN: Tensor, g_TN: Tensor, *, states: bool) -> Case:
    """Return the case of a neuron.

    Args:
        join: Name of the join, an empty string without a join, or None without batch norm.
    """
    shape, dtype = x_TN.shape, x_TN.dtype
    x_TN, g_TN = x_TN.to(DEVICE), g_TN.to(DEVICE)
    learned = {name: torch.tensor(value, device=DEVICE) for name, value in neuron.learnable().items()}
    kernel: Any = kernels.find_norm_kernel(neuron, current(4, 1, 1).to(DEVICE), learned)
    spec: Any = catalogue()[join]() if join else None
    tape = "" if spec is None else trace_join(spec, branch=True)
    text = kernel.program._replace(join=tape).text()
    other_TN = (current(*shape, seed=5) > 1).to(DEVICE, dtype) if join else None
    channels = None
    if join is not None:
        ends = (0.7, 1.6), (-0.3, 0.6), (0.0, 1.0), (0.5, 0.9)
        channels = KernelChannels(*(torch.linspace(low, high, shape[2], device=DEVICE) for low, high in ends))
    after = current(*shape[1:], seed=2).to(DEVICE) if states else None
    start = None if after is None else 0.3 * after
    return Case(LayerCall(x_TN, text, start, kernel.factors, other_TN, channels), g_TN, after)


def cases() -> Iterator[Case]:
    """Yield combinations of neurons, resets, surrogates, joins and dtypes.

    Shapes, layouts and non-finite values change in turn.
    """
    layouts, shapes, alone, strange = (
        cycle(sorted(LAYOUTS)),
        cycle(SHAPES),
        cycle(ALONE),
        cycle((False, False, False, True)),
    )
    every = product(NEURONS, RESETS, SURROGATES, JOINS, FORMATS)
    for (name, settings), (v_reset, detach_reset), surrogate, join, dtype in every:
        shape, layout = next(alone if join is None else shapes), next(layouts)
        x, g = current(*shape, dtype=dtype), current(*shape, dtype=dtype, seed=1)
        if next(strange):
            for index, value in enumerate(STRANGE):
                x.view(-1)[7 * index + 3 :: 97] = g.view(-1)[5 * index + 2 :: 91] = value
        x = LAYOUTS[layout](x) if len(shape) == len(SHAPES[0]) else x
        neuron = make(name, surrogate, v_reset=v_reset, detach_reset=detach_reset, **settings)
        yield make_case(neuron, join, x, g, states=join is None and shape[0] % 2 == 1)


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal, with equal NaN and without the sign of zeros."""
    equal = one.shape == other.shape and one.dtype == other.dtype
    return equal and bool(((one == other) | (one.isnan() & other.isnan())).all())


def bits() -> None:
    """Print the number of tensors that are equal."""
    equal, total, count = Counter[str](), Counter[str](), 0
    for case in cases():
        count += 1
        results = []
        for device in WHO.values():
            y, after = case.forward(device)
            results.append({"output": y, "states": after, **case.backward(device)})
        for name, one in results[0].items():
            if name in {"output", "x_TN"} or one.numel():
                label = f"{'neurons alone' if case.call.channels is None else 'fused'}: {name}"
                total[label] += 1
                equal[label] += same(one, results[1][name])
    for label in sorted(total):
        show(f"{label}: {equal[label]} of {total[label]}")
    show(f"{count} cases: {equal.total()} of {total.total()} tensors are equal")


def milliseconds(run: Callable[[], object]) -> float:
    """Return the time of a function on the GPU, in milliseconds."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    run()
    end.record()
    end.synchronize()
    elapsed: float = begin.elapsed_time(end)
    return elapsed


def time() -> None:
    """Print the times of both kernels, and the ratio of their medians."""
    if not torch.cuda.is_available():
        sys.exit("'time' requires a GPU; 'bits' and 'registers sm_90' do not")
    ratios = []
    every = product(("IF", "LIF", "PLIF"), (4, 16, 32), (None, "", "ADD", "IAND"), (torch.float32, torch.bfloat16))
    for (name, T, join, dtype), last in product(every, (False, True)):
        # With more time-steps, batch norm is not fused.
        if join is not None and T > MAX_REGISTER_STEPS:
            continue
        x, g = (current(T, 32, 128, 32, 32, dtype=dtype, seed=seed) for seed in (0, 1))
        x = LAYOUTS["channels last"](x) if last else x
        case = make_case(make(name), join, x, g, states=False)
        for function in (case.forward, case.backward):
            runs = {who: partial(function, device) for who, device in WHO.items()}
            for run in runs.values():
                # Exclude the compilation.
                run()
            turns = [{who: milliseconds(run) for who, run in runs.items()} for _ in range(ROUNDS)]
            new, old = (median(turn[who] for turn in turns) for who in WHO)
            ratios.append(new / old)
            layout, kind = "last" if last else "first", "alone" if join is None else f"batch norm {join}"
            label = f"{name} T={T} {layout} {str(dtype)[6:]} {kind} {function.__name__}"
            show(f"{label}: {new:.3f} / {old:.3f} ms = {new / old:.3f}")
    show(f"median of all {median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})")


def registers(target: str) -> None:
    """Print the registers and spilled bytes of both kernels."""
    every = product(("LIF", "PLIF"), (0.0, None), ((4, None), (16, None), (17, None), (16, ""), (16, "add s z")))
    for name, v_reset, (T, join) in every:
        layer = for_targets.Layer(name, "ATan", v_reset, T, join)
        for who, device in WHO.items():
            needs = for_targets.compile_layer(target, layer, device)
            text = ", ".join(f"{each} {need['registers']} ({need['spilled']})" for each, need in needs.items())
            show(f"{target} {name} v_reset={v_reset} T={T} join={join} {who}: {text}")


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {"bits": bits, "time": time, "registers": registers}
    modes[sys.argv[1]](*sys.argv[2:])
