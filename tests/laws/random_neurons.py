"""Random neurons as equations, and what they compute by plain PyTorch: each line as Python evaluates it, in float64."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from random import Random
from types import CodeType
from typing import Any, NamedTuple

import torch
from torch import Tensor

import sewdsl
from sewdsl.compiler import Compilation
from sewdsl.equations.operations import OPERATIONS, SIGNS
from sewdsl.source import Source

T, N, C = 4, 3, 3
MARGIN = 1e-9
"""How near a decision may be to the other one before rounding may take it."""
LARGEST = 1e6
"""Beyond it, rounding is compared with rounding."""
_NUMBERS = (0, 1, 0, 1, 2, 3, 0.5, -0.5, 0.3, 0.9, 1.5, -1, 4, 8)
NAMES = (
    "p",
    "rest",
    "macs",
    "keeps",
    "label",
    "infer",
    "training",
    "lambda",
    "kind",
    "self",
    "arguments",
    "parameter0",
)


OPERANDS_BEHIND = {"z": "DELAY", "y": "SCALE(value=0.5)"}
"""Operands of a call for the inputs after x: what they are of the value that flows in."""


class Line(NamedTuple):
    """A statement: ``learn``, ``state``, ``give`` or nothing, a name, the axes that are learned, and the sum."""

    word: str
    name: str
    axes: str
    sum: str

    def __str__(self) -> str:
        head = f"{self.word} {self.name}".strip() + (f" per {self.axes}" if self.axes else "")
        return f"give {self.sum}" if self.word == "give" else f"{head} = {self.sum}"


class RandomNeuron(NamedTuple):
    """A neuron and a call of it.

    Attributes:
        lines: Its statements.
        defaults: Its parameters as the definition has them.
        called: The numbers that a call gives to some of them.
        settings: What the call says of ``v_threshold``, ``v_reset`` and ``detach_reset``.
        signed: Whether a spike can be negative, so that a hard reset is one after it too.
        seed: Of input, gradient and what is learned.
        inputs: Names of the inputs; x alone needs no brackets.
    """

    lines: tuple[Line, ...]
    defaults: Mapping[str, float]
    called: Mapping[str, float]
    settings: Mapping[str, Any]
    signed: bool
    seed: int
    inputs: tuple[str, ...] = ("x",)

    @property
    def numbers(self) -> dict[str, float]:
        """The parameters as the call has them."""
        return {**self.defaults, **self.called}

    def text(self, body: str = "N", *, called: bool) -> str:
        """A network of the neuron: called with its numbers, or with these as defaults.

        Args:
            body: The network, in which N is the neuron.
            called: Whether the call gives the numbers.
        """
        numbers = self.defaults if called else self.numbers
        head = ", ".join(f"{name}={value}" for name, value in numbers.items())
        given = {**(self.called if called else {}), **self.settings}
        call = ", ".join(f"{name}={_word(value)}" for name, value in given.items())
        lines = "".join(f"    {line}\n" for line in self.lines)
        several = len(self.inputs) > 1
        named = f"[{' | '.join(self.inputs)}]" if several else ""
        operands = f"[{' | '.join(['id', *(OPERANDS_BEHIND[name] for name in self.inputs[1:])])}]" if several else ""
        definition = f"neuron N({head}){named} {{\n{lines}}}".replace("N()", "N", 1)
        body = body.replace("N", f"N({call}){operands}").replace("N()", "N")
        return f"sewdsl 1\n{definition}\ninput {C}\nsteps {T}\nbody {body}\n"

    def compiled(self, body: str = "N", *, called: bool) -> Compilation:
        """The network as the compiler reads it."""
        return sewdsl.read(Source("random.net", self.text(body, called=called)))

    def random(self, *shape: int, salt: int) -> Tensor:
        """Normal numbers, the same for the same shape and salt."""
        generator = torch.Generator().manual_seed(8 * self.seed + salt)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    @property
    def x(self) -> Tensor:
        """The input, ``[T, N, C]``."""
        return 1.5 * self.random(T, N, C, salt=0) + 0.4


def _word(value: object) -> str:
    return {None: "none", True: "on", False: "off"}[value] if value is None or isinstance(value, bool) else str(value)


def random_neuron(seed: int | str) -> RandomNeuron:
    """Draw a neuron: some of no form at all, more that are a linear neuron but for what a number adds."""
    return _Draw(Random(seed)).neuron()  # noqa: S311 -- the same for a seed


class _Draw:
    def __init__(self, random: Random) -> None:
        self.random, self.pick = random, random.choice
        self.names = random.sample(NAMES, random.randint(0, 5))
        self.lines: list[Line] = []
        self.inputs = self.pick((("x",), ("x",), ("x", "z"), ("x", "y", "z")))
        self.known = [*self.inputs]
        self.signed = False
        self.more = self.pick((0.1, 0.3, 0.5))

    def neuron(self) -> RandomNeuron:
        random = self.random
        for number in range(self.pick((0, 0, 0, 1, 2))):
            axes = self.pick(("", "", "channel", "step", "channel, step"))
            self.line("learn", f"w{number}", self.pick((self.number(), f"{self.number()} + 0.25")), axes)
        (self.odd if random.random() < 0.3 else self.almost_linear)()
        called = {name: self.pick(_NUMBERS) for name in self.names if random.random() < 0.8}
        settings = {
            "v_threshold": self.pick((1.0, 1.0, 0.7, 1.3)),
            "v_reset": self.pick((0.0, 0.0, None, -0.3, 0.25)),
            "detach_reset": self.pick((True, False)),
        }
        settings = {name: value for name, value in settings.items() if random.random() < 0.7}
        defaults = {name: self.pick(_NUMBERS) for name in self.names}
        seed = random.randrange(10**6)
        return RandomNeuron(tuple(self.lines), defaults, called, settings, self.signed, seed, self.inputs)

    def line(self, word: str, name: str, text: str, axes: str = "") -> None:
        self.lines.append(Line(word, name, axes, text))
        if name and name not in self.known:
            self.known.append(name)

    def number(self) -> str:
        """A parameter, a setting or a literal."""
        if self.names and self.random.random() < 0.7:
            return self.pick(self.names)
        return self.pick(("0.5", "1", "2", "0.25", "v_threshold", "v_reset", "0"))

    def maybe(self, *texts: str) -> str:
        """Draw one of these values or, more often, nothing."""
        return self.pick(texts) if self.random.random() < self.more else ""

    def almost_linear(self) -> None:
        """A neuron that charges, fires and resets, and a number in each place where it may be another one."""
        p, x = self.number, "x"
        if len(self.inputs) > 1:
            self.line("", "sum", " + ".join(["x", *(f"{p()}*{name}*x + {name}" for name in self.inputs[1:])]))
            x = "sum"
        if self.random.random() < 0.3:
            self.line("state", "i", p())
            self.line("", "i", f"{p()}*i + {x}")
        drive = "i" if "i" in self.known else x
        w = self.pick([f"sigmoid({name})" for name in self.known if name[0] == "w"] or [p()])
        charges = (
            f"v + {drive}",
            f"{p()}*v + {drive}",
            f"v + ({drive} - v)/2",
            f"v + ({drive} - (v - v_reset))/{self.pick(('1.5', '3'))}",
            f"{w}*v + {p()}*{drive} + {p()}",
            f"v + {w}*({drive} - (v - v_reset))",
            f"tanh({p()}*v) + {drive}",
        )
        self.line("", "h", self.pick(charges) + self.maybe(f" + {p()}", f" - {p()}*{w}"))
        over = f"h - v_threshold{self.maybe(f' - {p()}', f' + {p()}*h', f' - {w}', f' - {p()}*v')}"
        spikes = (f"fire({over})",) * 4 + (
            f"round(clip(h, 0, {self.pick(('3', p(), p()))}))",
            f"clip(round(h), 0, {p()})",
            f"fire({over}) - fire(-h - v_threshold)",
            f"fire(h - {p()})",
        )
        self.line("", "s", self.pick(spikes))
        self.signed = "- fire(-h" in self.lines[-1].sum
        by = self.maybe(f", {p()}", f", {w}")
        self.line("", "v", f"reset(h, s{by})" + self.maybe(f" + {p()}", f" - {p()}*s", f" + {p()}*h"))
        self.line(
            "give", "", "s" + self.maybe(f" + {p()}*h", f"*{p()}", f" + {p()}", " + v_threshold - 1", f" - {p()}*s")
        )

    def odd(self) -> None:
        """Sums of any form."""
        for name in self.random.sample(("v", "u", "q"), self.random.randint(0, 3)):
            self.line("state", name, self.number())
        states = [line.name for line in self.lines if line.word == "state"]
        for number in range(self.random.randint(1, 4)):
            self.line("", f"a{number}", self.sum(3))
        for name in states:
            self.line("", name, f"0.5*tanh({self.sum(2)})" if self.random.random() < 0.5 else self.sum(2))
        given = ["0.5*x", *(f"0.25*{name}" for name in self.inputs[1:]), self.sum(2)]
        self.line("give", "", " + ".join([*given, *(n for n in self.known if n[0] in "aw")]))

    def sum(self, depth: int) -> str:
        """A sum of operations nested so deeply."""
        if depth == 0:
            return self.pick((self.pick(self.known), self.pick(self.known), self.number()))
        a, b, p = self.sum(depth - 1), self.sum(depth - 1), self.number()
        forms = (
            f"{a} + {b}",
            f"{a} - ({b})",
            f"{p}*({a})",
            f"({a})*({b})",
            f"-({a})/2",
            f"({a})*{p} + ({b})",
            f"fire({a})",
            f"relu({a})",
            f"abs({a})",
            f"tanh({a})",
            f"sigmoid({a})",
            f"sin({a})",
            f"cos({a})",
            f"round({a})",
            f"{self.pick(('floor', 'ceil'))}({a})",
            f"detach({a})",
            f"min({a}, {b})",
            f"max({a}, {b})",
            f"clip({a}, {self.pick(('0', '-1', p))}, {self.pick(('1', '2', p))})",
            f"where({a} {self.pick(('<', '<=', '>', '>='))} {b}, {self.sum(depth - 1)}, {p})",
            f"exp(min({a}, 1))",
            f"log(abs({a}) + 1.5)",
            f"sqrt(relu({a}) + 0.5)",
        )
        written = "".join(forms)
        others = [name for name, item in OPERATIONS.items() if item.smooth and f"{name}(" not in written]
        return self.pick((*forms, *(f"{name}(tanh({a}))" for name in others)))


# --- every operation by itself

OPERANDS = {"a": "0.5 + 0.5*x/(1 + abs(x))", "y": "1 + 3/(1 + abs(x))", "z": "0.5*x"}
"""Operands of :func:`operation_calls` for an input x: a is between 0 and 1, and y is x where x is 2."""

_CALLS = {
    "neg": "-x",
    "less": "where(x < y, 1, 0)",
    "most": "where(x <= y, 1, 0)",
    "where": "where(x < y, y, z)",
    "clip": "clip(x, -0.9, 1.7)",
}
"""Calls of operations that are neither a function of ``x``, ``y`` and ``z`` nor a sign between ``x`` and ``y``."""


def operation_calls() -> dict[str, str]:
    """Return a call of each operation with :data:`OPERANDS`, by its name: smooth functions are called with a."""
    calls = {}
    for name, operation in OPERATIONS.items():
        operands = "a" if operation.smooth else ", ".join("xyz"[: operation.arity])
        calls[name] = _CALLS.get(name) or (f"x {operation.sign} y" if operation.sign else f"{name}({operands})")
    return calls


# --- plain PyTorch


class Plain(NamedTuple):
    """Results of a neuron in PyTorch.

    Attributes:
        y: Output, ``[T, N, C]``.
        gradients: Gradients of the input and of learned values, by name.
        margin: Smallest distance of a decision from the threshold.
    """

    y: Tensor
    gradients: dict[str, Tensor]
    margin: float

    @property
    def decided(self) -> bool:
        """Return whether rounding cannot change a spike, and all numbers are small enough for a comparison."""
        numbers = torch.cat([self.y.flatten(), *(each.flatten() for each in self.gradients.values())])
        return self.margin > MARGIN and bool(numbers.isfinite().all()) and float(numbers.abs().max()) < LARGEST


class _Fire(torch.autograd.Function):
    """The step function, and the derivative of the arc tangent with a steepness of 2."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        slope: Tensor = g / (1 + (torch.pi * u) ** 2)
        return slope


def plain(neuron: RandomNeuron, learned: Mapping[str, Tensor]) -> Plain:
    """Run a neuron, and its gradients for random ones of what it gives.

    Args:
        neuron: The neuron.
        learned: What it has learned, by name.
    """
    x = neuron.x.requires_grad_()
    weights = {name: value.detach().clone().requires_grad_() for name, value in learned.items()}
    run = _Run(neuron)
    y = run(x, weights)
    leaves = {"x": x, **weights}
    found = torch.autograd.grad((y * neuron.random(*y.shape, salt=1)).sum(), [*leaves.values()], allow_unused=True)
    gradients = {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }
    return Plain(y.detach(), gradients, run.margin)


class _Run:
    def __init__(self, neuron: RandomNeuron) -> None:
        self.neuron, self.margin = neuron, inf
        settings = {"v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, **neuron.settings}
        self.threshold: float = settings["v_threshold"]
        self.v_reset: float | None = settings["v_reset"]
        self.detached = settings["detach_reset"]
        self.functions: dict[str, Callable[..., Any]] = {
            name: getattr(torch, name)
            for name, item in OPERATIONS.items()
            if item.arity == 1 and name not in {*SIGNS, "fire", "round", "floor", "ceil", "detach"}
        }
        self.functions |= {
            "number": lambda value: torch.tensor(float(value), dtype=torch.float64),
            "fire": lambda u: _Fire.apply(self.apart(u)),  # type: ignore[no-untyped-call]
            "round": lambda a: a + (self.halves(a).round() - a).detach(),
            "floor": lambda a: self.wholes(a).floor(),
            "ceil": lambda a: self.wholes(a).ceil(),
            "detach": Tensor.detach,
            "where": torch.where,
            "less": lambda a, b: self.apart(a - b) < 0,
            "most": lambda a, b: self.apart(a - b) <= 0,
            "min": lambda a, b: torch.where(self.apart(a - b) <= 0, a, b),
            "max": lambda a, b: torch.where(self.apart(a - b) >= 0, a, b),
            "clip": self.clip,
            "reset": self.reset,
        }

    def apart(self, u: Tensor) -> Tensor:
        """Note how near a decision is to the other one without being exactly between them."""
        near = u.detach().abs()
        self.margin = min(self.margin, float(near.where(near > 0, inf).min()))
        return u

    def halves(self, a: Tensor) -> Tensor:
        self.apart((a % 1) - 0.5)
        return a

    def wholes(self, a: Tensor) -> Tensor:
        self.apart(a - a.detach().round())
        return a

    def clip(self, a: Tensor, low: Tensor, high: Tensor) -> Tensor:
        self.apart(a - low)
        self.apart(a - high)
        return a.clamp(float(low), float(high))

    def reset(self, h: Tensor, s: Tensor, by: Tensor | None = None) -> Tensor:
        s = s.detach() if self.detached else s
        if self.v_reset is None:
            return h - (self.threshold if by is None else by) * s
        s = s.abs() if self.neuron.signed else s
        return h * (1 - s) + self.v_reset * s

    def __call__(self, x_TN: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        number = self.functions["number"]
        fixed = {name: number(value) for name, value in self.neuron.numbers.items()}
        fixed |= {"v_threshold": number(self.threshold), "v_reset": number(self.v_reset or 0.0)}
        states = {"v": fixed["v_reset"]}
        states |= {line.name: self.value(line, fixed) for line in self.neuron.lines if line.word == "state"}
        given = []
        inputs = {"x": x_TN, "z": torch.cat([torch.zeros_like(x_TN[:1]), x_TN[:-1]]), "y": 0.5 * x_TN}
        for t, x in enumerate(x_TN):
            names = {**fixed, **states, **{name: inputs[name][t] for name in self.neuron.inputs}}
            for line in self.neuron.lines:
                if line.word == "learn":
                    names[line.name] = weights[line.name][t] if "step" in line.axes else weights[line.name]
                elif line.word == "give":
                    given.append(self.value(line, names).expand(x.shape))
                elif not line.word:
                    names[line.name] = self.value(line, names)
            states = {name: names[name] for name in states}
        return torch.stack(given)

    def value(self, line: Line, names: Mapping[str, Tensor]) -> Tensor:
        said: Tensor = eval(_code(line.sum), self.functions, {f"{name}_": value for name, value in names.items()})  # noqa: S307 -- our own text
        return said


class _Terms(ast.NodeTransformer):
    """Numbers become tensors, comparisons functions."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("number", ast.Load()), [node], [])

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        a, b = node.left, node.comparators[0]
        turned = isinstance(node.ops[0], ast.Gt | ast.GtE)
        name = "less" if isinstance(node.ops[0], ast.Lt | ast.Gt) else "most"
        return ast.Call(ast.Name(name, ast.Load()), [b, a] if turned else [a, b], [])


@cache
def _code(text: str) -> CodeType:
    """A sum of the language is one of Python but for names, which get an underscore: some are keywords."""
    named = re.sub(r"\b([A-Za-z_]\w*)\b(?!\()", r"\1_", text)
    tree = ast.fix_missing_locations(_Terms().visit(ast.parse(named, mode="eval")))
    return compile(tree, "<sum>", "eval")
