"""Neuron kernels of this checkout compared with those of another one, in one process.

``python -m benchmarks.kernels CHECKOUT bits`` compares all bits of outputs, gradients and states.
``python -m benchmarks.kernels CHECKOUT time`` prints the ratio of the medians of alternating turns.
``python -m benchmarks.kernels CHECKOUT small`` prints the ratios for small layers.
``python -m benchmarks.kernels CHECKOUT fused`` compares layers of neurons with equations, batch norm and join.
``python -m benchmarks.kernels CHECKOUT first`` prints the time to the first results, with an empty ``SEWDSL_CACHE``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

ROUNDS = 10
SURROGATES = ("ATan", "Constant", "Rectangular", "Sigmoid", "Triangle")
LINEAR = ("IF", "LIF", "PLIF")
RESETS = ((0.0, True), (-0.2, False), (None, True), (-0.2, True), (0.0, False), (None, False))
JOINS = (None, "ADD", "IAND", "AND", "OR")
NAMES = ("elaborate.neuron_kinds", "ops", "ops.equation_neurons", "snn", "snn.batch_norm", "snn.equations", "snn.join")
MODULES = (*NAMES, "snn.kernels", "snn.neuron")


class Checkout:
    """Package of a checkout, with PyTorch operators in a separate namespace."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.modules: dict[str, ModuleType] = {}
        # PyTorch registers operators globally, so two checkouts cannot share a namespace.
        define = torch.library.custom_op

        def renamed(name: str, *arguments: Any, **options: Any) -> Any:
            return define(name.replace("sewdsl::", f"{namespace}::"), *arguments, **options)

        torch.library.custom_op = renamed
        sys.path.insert(0, str(folder))
        with self:
            self.found = {name: import_module(f"sewdsl.{name}") for name in MODULES}
            self.catalogue = self.found["ops"].catalogue()
        sys.path.remove(str(folder))
        torch.library.custom_op = define

    def __enter__(self) -> None:
        """Make this package the one that imports find."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "sewdsl"]:
            del sys.modules[name]
        sys.modules.update(self.modules)

    def __exit__(self, *_: object) -> None:
        self.modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "sewdsl"}

    def spec(self, name: str, surrogate: str, *, equations: bool = False, **settings: Any) -> Any:
        """Return a neuron of the catalogue, or a shipped neuron with equations."""
        kind = self.catalogue.get(name)
        if equations:
            definition = self.found["elaborate.neuron_kinds"].shipped_neurons()[name]
            kind = self.found["ops.equation_neurons"].equation_kind(definition)
            settings |= {"steps": 16} if "steps" in kind.model_fields else {}
        return kind.model_validate({**settings, "surrogate": self.catalogue[surrogate]()})

    def layer(self, spec: Any, C: int, T: int, join: str | None) -> Layer:
        """Return batch norm, neurons and join."""
        norm = self.found["snn.batch_norm"].BatchNorm(C)
        torch.nn.init.uniform_(norm.weight, 0.7, 1.6, torch.Generator().manual_seed(3))
        torch.nn.init.uniform_(norm.bias, -0.3, 0.3, torch.Generator().manual_seed(4))
        linear = hasattr(spec, "dynamics")
        neuron = self.found["snn.neuron"].Neuron(spec) if linear else self.found["snn.equations"].Equations(spec, C, T)
        module = None if join is None else self.found["snn.join"].Join(self.catalogue[join]())
        return Layer(self, norm, neuron, module)


class Layer(NamedTuple):
    """Batch norm, neurons and join of a checkout."""

    checkout: Checkout
    norm: Any
    neuron: Any
    join: Any

    def run(self, x_TN: Tensor, other_TN: Tensor | None) -> Tensor:
        """Return the output, computed by a fused kernel if there is one."""
        joint = None
        if self.join is not None:
            joint = self.checkout.found["snn.join"].PendingJoin(self.join, other_TN, True)  # noqa: FBT003
        if hasattr(self.neuron, "normalised"):
            y_TN: Tensor = self.neuron.normalised(x_TN, self.norm, joint)
            return y_TN
        y_TN = self.neuron(self.norm(x_TN))
        return y_TN if joint is None else joint.of(y_TN)

    def parameters(self) -> list[Tensor]:
        """Return the learnable parameters."""
        return [*self.norm.parameters(), *self.neuron.parameters()]


def tensors(shape: tuple[int, ...], dtype: torch.dtype, *, last: bool, strange: bool = False) -> list[Tensor]:
    """Return input, gradient and other operand."""
    generator = torch.Generator().manual_seed(5)
    x = 1.5 * torch.randn(shape, generator=generator) + 0.4
    g, z = torch.randn(shape, generator=generator), torch.randint(0, 2, shape, generator=generator)
    if strange:
        for index, value in enumerate((float("nan"), float("inf"), -float("inf"), 1e38, -1e38)):
            x.view(-1)[7 * index + 3 :: 997], g.view(-1)[5 * index + 2 :: 991] = value, value
    each = [x.to(dtype), g.to(dtype), z.to(dtype)]
    return [tensor.movedim(2, -1).contiguous().movedim(-1, 2) for tensor in each] if last else each


def outcome(layer: Layer, shape: tuple[int, ...], dtype: torch.dtype, **kind: bool) -> dict[str, Tensor]:
    """Return the output of a layer, and all gradients."""
    x, g, z = tensors(shape, dtype, **kind)
    x, z = x.requires_grad_(), z.requires_grad_()
    y = layer.run(x, z)
    torch.autograd.backward(y, g)
    results = {"y": y, "x": x.grad, "other": z.grad}
    results |= {f"parameter {index}": each.grad for index, each in enumerate(layer.parameters())}
    return {name: each for name, each in results.items() if each is not None}


def alone(checkout: Checkout, spec: Any, shape: tuple[int, ...], dtype: torch.dtype, **kind: bool) -> dict[str, Tensor]:
    """Return outputs and gradients of neurons alone, optionally with initial and final states."""
    states = kind.pop("states")
    x, g, z = tensors(shape, dtype, **kind)
    wide = torch.promote_types(dtype, torch.float32)
    linear = hasattr(spec, "dynamics")
    neuron = checkout.layer(spec, shape[2], shape[0], None).neuron
    x.requires_grad_()
    start = None
    if states:
        count = 1 if linear else len(spec.equations.after)
        start = (0.3 * (z[0] - 0.4)).to(wide).expand(count, *x.shape[1:]).clone().requires_grad_()
    if linear:
        run = checkout.found["snn.kernels"].run_neurons_from
        y, after = run(spec, x, None if start is None else start[0], neuron.learned)
    else:
        y, after = neuron.run(x, start)
    roots, seeds = [y], [g]
    if states:
        roots, seeds = [y, after], [g, after.detach().sign()]
    torch.autograd.backward(roots, seeds)
    results = {"y": y, "after": after, "x": x.grad, "start": None if start is None else start.grad}
    results |= {f"parameter {index}": each.grad for index, each in enumerate(neuron.parameters())}
    return {name: each for name, each in results.items() if each is not None}


SHAPES = ((4, 3, 6, 5, 7), (4, 2, 128, 9, 8), (1, 2, 16, 4, 4), (7, 5, 33, 11, 1), (16, 2, 64, 32, 32))


def show(text: str) -> None:
    """Print a line, flushed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal, with equal NaN and without the sign of zeros."""
    equal = one.shape == other.shape and one.dtype == other.dtype and one.stride() == other.stride()
    return equal and bool(((one == other) | (one.isnan() & other.isnan())).all())


def cases() -> Iterator[tuple[str, Callable[[Checkout], dict[str, Tensor]]]]:
    """Yield all cases: a label, and a function that computes it in a checkout."""
    for (index, shape), (turn, (reset, detach)), name in product(enumerate(SHAPES), enumerate(RESETS), LINEAR):
        arguments = {"v_reset": reset, "detach_reset": detach}
        surrogate, join = SURROGATES[turn % 5], JOINS[(index + turn // 5) % 5]
        for dtype, last, strange in product((torch.float32, torch.bfloat16), (False, True), (False, True)):
            if index and (dtype != torch.float32 or strange):
                continue
            kind = {"last": last, "strange": strange}
            label = f"{name}, {str(dtype)[6:]}{', nan and inf' if strange else ''}"

            # Default arguments keep the values of this iteration: the functions run after the loop.
            def fused(checkout: Checkout, at: Any = (name, surrogate, arguments, shape, dtype, join, kind)) -> Any:
                name, surrogate, arguments, shape, dtype, join, kind = at
                spec = checkout.spec(name, surrogate, **arguments)
                return outcome(checkout.layer(spec, shape[2], shape[0], join), shape, dtype, **kind)

            def plain(checkout: Checkout, at: Any = (name, surrogate, arguments, shape, dtype, turn, kind)) -> Any:
                name, surrogate, arguments, shape, dtype, turn, kind = at
                spec = checkout.spec(name, surrogate, **arguments)
                return alone(checkout, spec, shape, dtype, **kind, states=turn % 2 == 0)

            yield f"{label}, with batch norm", fused
            yield label, plain
    for (index, name), states in product(enumerate(("KLIF", "CUBA", "ALIF", "GLIF", "PLIFC", "ILIF")), (False, True)):

        def equations(checkout: Checkout, at: Any = (name, *RESETS[index], states, index)) -> Any:
            name, reset, detach, states, index = at
            spec = checkout.spec(name, "ATan", equations=True, v_reset=reset, detach_reset=detach)
            return alone(checkout, spec, SHAPES[4], torch.float32, last=index % 2 == 1, states=states)

        yield f"{name}, float32", equations


def bits(new: Checkout, old: Checkout) -> None:
    """Print the number of tensors with equal bits."""
    equal, apart, count = Counter[str](), Counter[str](), 0
    for label, run in cases():
        with old:
            old_results = run(old)
        with new:
            new_results = run(new)
        for name in old_results.keys() | new_results.keys():
            # A checkout may pass the gradient of the other operand on without computing it.
            if name == "other" and (name in old_results) != (name in new_results):
                continue
            equal_bits = name in old_results and name in new_results and same(old_results[name], new_results[name])
            (equal if equal_bits else apart)[f"{label}: {name}"] += 1
        count += 1
        if count % 20 == 0:
            show(f"{count} cases, {equal.total()} of {equal.total() + apart.total()} tensors equal so far")
    show(f"{count} cases, {equal.total()} of {equal.total() + apart.total()} tensors equal")
    for label, count_apart in sorted(apart.items()):
        show(f"  differs {count_apart} of {count_apart + equal[label]}: {label}")


def turns(
    runs: Mapping[str, Callable[[], object]], checkouts: dict[str, Checkout], repeats: int = 1
) -> dict[str, float]:
    """Return the medians of alternating turns, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        # Alternate the order, so that neither checkout always runs after the other.
        for name in [*runs] if turn % 2 else [*runs][::-1]:
            with checkouts[name]:
                start = perf_counter()
                for _ in range(repeats):
                    runs[name]()
                # The first turn compiles and warms up.
                if turn:
                    times[name].append((perf_counter() - start) / repeats)
    return {name: 1000 * median(each) for name, each in times.items()}


class Timed:
    """Layer whose forward and backward passes are timed."""

    def __init__(self, layer: Layer, inputs: list[Tensor], *, fused: bool) -> None:
        self.layer, self.fused = layer, fused
        self.x, self.g, self.z = inputs[0].detach().requires_grad_(), inputs[1], inputs[2].detach().requires_grad_()

    def forward(self) -> Tensor:
        """Return the output."""
        if self.fused:
            return self.layer.run(self.x, self.z)
        y: Tensor = self.layer.neuron(self.x)
        return y

    def backward(self, y: Tensor) -> None:
        """Compute the gradients."""
        leaves = [self.x, *(self.layer.parameters() if self.fused else self.layer.neuron.parameters())]
        torch.autograd.grad(y, leaves, self.g, retain_graph=True)

    def both(self) -> None:
        """Run a forward and a backward pass."""
        self.backward(self.forward())


def compare(
    checkouts: dict[str, Checkout], shape: tuple[int, ...], dtype: torch.dtype, repeats: int = 1
) -> list[tuple[str, float]]:
    """Print and return the ratios of IF, LIF and PLIF."""
    ratios = []
    for last, name, join in product((False, True), LINEAR, (None, "ADD", "unfused")):
        inputs, fused = tensors(shape, dtype, last=last), join != "unfused"
        layers = {}
        for who, checkout in checkouts.items():
            with checkout:
                layer = checkout.layer(checkout.spec(name, "ATan"), shape[2], shape[0], join if fused else None)
                layers[who] = Timed(layer, inputs, fused=fused)
        forward = turns({who: each.forward for who, each in layers.items()}, checkouts, repeats)
        outputs = {}
        for who, each in layers.items():
            with checkouts[who]:
                outputs[who] = each.forward()
        runs = {who: partial(layer.backward, outputs[who]) for who, layer in layers.items()}
        backward = turns(runs, checkouts, repeats)
        kind = "unfused" if not fused else f"batch norm{f', {join}' if join else ''}"
        for what, times in (("forward", forward), ("backward", backward)):
            ratio = times["new"] / times["old"]
            ratios.append((f"{name} {what} {kind} {str(dtype)[6:]}", ratio))
            text = f"{name} T={shape[0]} {'last' if last else 'first'} {str(dtype)[6:]} {kind} {what}"
            show(f"{text}: {times['new']:.2f} / {times['old']:.2f} ms = {ratio:.3f}")
    return ratios


def summary(ratios: list[tuple[str, float]]) -> None:
    """Print the medians by neuron, direction and kind."""
    by: dict[str, list[float]] = {}
    for label, ratio in ratios:
        by.setdefault(label, []).append(ratio)
    for label, each in sorted(by.items()):
        show(f"median {median(each):.3f} ({min(each):.2f} to {max(each):.2f}) {label}")
    show(f"median of all {median(ratio for _, ratio in ratios):.3f}")


def fused(checkouts: dict[str, Checkout], *options: str) -> None:
    """Print the times of training steps of neurons with equations."""
    steps = [int(option) for option in options if option.isdigit()] or [4, 16]
    names = [option for option in options if not option.isdigit()] or ["KLIF", "CUBA", "GLIF", "ALIF", "PLIFC"]
    for T, last, name in product(steps, (False, True), names):
        inputs, layers = tensors((T, 4, 128, 64, 64), torch.float32, last=last), {}
        for who, checkout in checkouts.items():
            with checkout:
                spec = checkout.spec(name, "ATan", equations=True)
                layers[who] = Timed(checkout.layer(spec, 128, T, "ADD"), inputs, fused=True)
        times = turns({who: each.both for who, each in layers.items()}, checkouts)
        text = f"{name} T={T} {'last' if last else 'first'}: {times['new']:.1f} / {times['old']:.1f} ms"
        show(f"{text}, {times['old'] / times['new']:.2f} times as fast")


def first(checkouts: dict[str, Checkout]) -> None:
    """Print the times of the first forward and backward pass in seconds."""
    # The times of IF include loading the compiler.
    inputs = tensors((4, 2, 16, 8, 8), torch.float32, last=False)
    for name, (who, checkout) in product(("IF", "LIF", "PLIF"), checkouts.items()):
        with checkout:
            layer = Timed(checkout.layer(checkout.spec(name, "ATan"), 16, 4, "ADD"), inputs, fused=True)
            layer.layer.norm(inputs[0])
            start = perf_counter()
            y = layer.forward()
            middle = perf_counter()
            layer.backward(y)
            show(f"{name} {who}: forward {middle - start:.2f} s, backward {perf_counter() - middle:.2f} s")


def main(folder: str, what: str, *options: str) -> None:
    """Compare two checkouts, optionally for some dtypes and numbers of time-steps only."""
    torch.set_num_threads(2)
    old = Checkout(Path(folder), "sewdsl_old")
    checkouts = {"new": Checkout(Path(__file__).parents[1], "sewdsl"), "old": old}
    with old:
        sys.modules["sewdsl"].keep_memory()
    if what == "bits":
        bits(checkouts["new"], old)
    elif what == "fused":
        fused(checkouts, *options)
    elif what == "first":
        first(checkouts)
    else:
        small = what == "small"
        repeats = 50 if small else 1
        T = [int(option) for option in options if option.isdigit()] or [4, *([] if small else [16])]
        dtypes = [option for option in options if not option.isdigit()] or ["float32", "bfloat16"]
        shapes = [(steps, 8, 64, 16, 16) if small else (steps, 4, 128, 64, 64) for steps in T]
        pairs = product(dtypes, shapes)
        summary([each for name, shape in pairs for each in compare(checkouts, shape, getattr(torch, name), repeats)])


if __name__ == "__main__":
    main(*sys.argv[1:])
