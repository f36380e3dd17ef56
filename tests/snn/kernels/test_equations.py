"""Kernels of neurons as equations equal the loop in torch, and, of IF, LIF and PLIF, the kernels of these kinds."""

from __future__ import annotations

import ast
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import needed
from sewdsl.ir.op import Join as JoinKind
from sewdsl.ir.op import LinearNeuron, Surrogate
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import EquationKind, defined_kind, equation_kind
from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.equations import Equations
from sewdsl.snn.join import Join, PendingJoin
from sewdsl.snn.kernels.neuron import plan_kernel
from sewdsl.snn.kernels.neuron.plan_kernel import MAX_CUT_TRIALS, KernelVariant, LayerNeedsGrad, compose
from sewdsl.snn.kernels.neuron.write_numba import render_backward, render_forward
from sewdsl.snn.streamed_past import StreamedPast
from tests.effort import factor
from tests.laws.random_neurons import OPERANDS, operation_calls
from tests.snn.kernels.cases import LAYOUTS
from tests.words import raises

T, C = 6, 5
RESETS = ((0.0, True), (-0.2, False), (None, True), (-0.2, True), (0.0, False), (None, False))
NAMES = [*shipped_neurons()]
FEW = NAMES if factor() > 1 else ["LTH", "CUBA", "ILIF", "Rate"]
"""Of those that learn, that have more states, that do not fire and that have no state, one each."""
PLAIN = False, "", True
"""A kernel without batch norm and join, with first and final states."""
EVERYTHING = LayerNeedsGrad(x=True, start=True, channels=False, factors=True, other=False)


@pytest.fixture(autouse=True, scope="module")
def _kinds_are_registered() -> None:
    """The default surrogate is one of the catalogue, which is complete once it is asked for."""
    catalogue()


def make(name: str, number: int = 0, surrogate: str = "ATan", **arguments: float) -> EquationKind:
    """A neuron of the library, its reset one of six."""
    kinds = catalogue()
    kind = equation_kind(shipped_neurons()[name])
    v_reset, detach_reset = RESETS[number % len(RESETS)]
    settings = {"v_reset": v_reset, "detach_reset": detach_reset, "surrogate": kinds[surrogate]()}
    steps = {"steps": T} if "steps" in kind.model_fields else {}
    return kind.model_validate({**settings, **steps, **arguments})


def current(dtype: torch.dtype = torch.float64, *, samples: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (1.5 * torch.randn(T, samples, C, 4, 7, generator=generator, dtype=torch.float64) + 0.4).to(dtype)


class Law(NamedTuple):
    """Equations of a neuron, also if its dynamics are linear."""

    equations: NeuronStep
    surrogate: Surrogate


def module(spec: EquationKind, dtype: torch.dtype = torch.float64) -> Equations:
    made = Equations(spec, C, T).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64).to(dtype))
    return made


def outcome(made: Equations, x_TN: Tensor, choice: kernels.Choice) -> tuple[list[Tensor], list[Tensor]]:
    """Return the output and the final states, and the gradients of inputs, first states and learned values."""
    generator = torch.Generator().manual_seed(2)
    states = len(made.spec.equations.after)
    start = (0.3 * torch.randn(states, *x_TN.shape[1:], generator=generator, dtype=torch.float64)).to(x_TN.dtype)
    weights = [torch.randn(shape, generator=generator).to(x_TN.dtype) for shape in (x_TN.shape, start.shape)]
    x_TN, start = x_TN.detach().requires_grad_(), start.requires_grad_()
    made.zero_grad()
    with kernels.use_kernels(choice):
        y_TN, after = made.run(x_TN, start if states else None)
        torch.autograd.backward([y_TN, after] if states else [y_TN], weights[: 1 + (states > 0)])
    gradients = [x_TN.grad, start.grad, *(parameter.grad for parameter in made.parameters())]
    return [y_TN, after], [gradient.clone() for gradient in gradients if gradient is not None]


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-10 * other.abs().max()) if one.numel() else True


@pytest.mark.parametrize("name", FEW)
def test_kernel_is_the_loop(name: str) -> None:
    """Everything that is given is equal; gradients differ by no more than 1e-10."""
    number = NAMES.index(name)
    layout = [*LAYOUTS.values()][number % 6]
    made, x_TN = module(make(name, number)), layout(current())
    (given, gradients), (wanted, wanted_gradients) = (
        outcome(made, x_TN, choice) for choice in ("fastest", "reference")
    )
    if name == "EIF":  # whose exponential rounds otherwise
        assert torch.allclose(given[1], wanted[1], rtol=1e-12)
    else:
        assert torch.equal(given[1], wanted[1])
    assert torch.equal(given[0], wanted[0])
    assert len(gradients) == len(wanted_gradients)
    assert all(map(close, gradients, wanted_gradients))


def test_every_operation_has_a_kernel() -> None:
    """All are computed by one kernel as by the loop, and differentiated."""
    total = " + ".join(f"{number}*({call})" for number, call in enumerate(operation_calls().values(), start=1))
    operands = "   ".join(f"{name} = {text}" for name, text in OPERANDS.items())
    neuron = f"neuron All {{\n {operands}\n h = {total}\n give h\n}}"
    made, x_TN = Equations(defined_kind(neuron).model_validate({}), C, T).double(), current()
    assert kernels.find_norm_kernel(made.spec, x_TN, made.learned) is not None
    (given, gradients), (wanted, wanted_gradients) = (outcome(made, x_TN, each) for each in ("fastest", "reference"))
    assert close(given[0], wanted[0])
    assert all(map(close, gradients, wanted_gradients))


INPUTS = """
neuron Three(tau=2.0)[u | v | x] {
    learn w per channel, step = 0.5   learn b = 0.25
    state a = 0.3   state c = -0.1
    a = 0.5*a + v*w
    c = tanh(c + x - b)
    s = fire(a + u/tau - v_threshold)
    give s + 0.5*relu(c*u)
}
"""
"""A neuron of three inputs, one of which hides the membrane potential."""


def packed(layout: str) -> tuple[Equations, list[Tensor]]:
    made = module(defined_kind(INPUTS).model_validate({"tau": 3.0, "steps": T}))
    return made, [LAYOUTS[layout](current(seed=seed)).requires_grad_() for seed in range(3)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_kernel_of_several_inputs_is_the_loop(layout: str) -> None:
    """Outputs are equal, and gradients of each input differ by at most 1e-10."""
    made, inputs = packed(layout)
    assert [*made.spec.equations.start] == ["a", "c"]
    found = []
    for choice in ("fastest", "reference"):
        made.zero_grad()
        with kernels.use_kernels(choice):
            y_TN = made(*inputs)
            gradients = torch.autograd.grad(y_TN, [*inputs, *made.parameters()], current(seed=5))
        found.append((y_TN, *gradients))
    close_pairs = [*zip(*found, strict=True)]
    torch.testing.assert_close(*close_pairs[0], rtol=1e-12, atol=1e-12)  # the hyperbolic tangent rounds otherwise
    assert all(close(*pair) for pair in close_pairs)
    assert all(bool(gradient.any()) for gradient in found[0][1:])


def test_several_inputs_stream_and_repeat_static_ones() -> None:
    """A stream gives every bit of the sequence, and one time-step of an input stands for all."""
    made, (u, v, x) = packed(next(iter(LAYOUTS)))
    with torch.no_grad():
        whole, past = made(u, v, x), None
        for t in range(T):
            here = StreamedPast(t, past.after if past is not None else None)
            assert torch.equal(made(u[t : t + 1], v[t : t + 1], x[t : t + 1], past=here), whole[t : t + 1])
            past = here
        assert torch.equal(made(u, v[:1], x), made(u, v[:1].expand_as(u), x))


VECTORS = {
    "rotating": """
        learn dt per channel = uniform(-1, 0)   learn re[N] per channel = log(0.5)   learn im[N] = 3*index(N)
        learn c[N] per channel = normal(0, 1)
        state a[N] = 0   state b[N] = 0.1
        r = exp(-exp(dt)*exp(re))   w = exp(dt)*im
        p = r*(cos(w)*a - sin(w)*b) + x
        b = r*(sin(w)*a + cos(w)*b)
        a = p
        give 2*sum(c*a - c*b) + x""",
    "mixed": """
        learn a[N] per channel, step = 0.5 + 0.1*index(N)   learn b[2] = normal(0, 1)
        state h[N] = index(N)
        p = sum(a*h) + x
        s = fire(p - v_threshold)
        h = h*(1 - s)/2 + p
        give s + sum(b*p)""",
    "two lengths": """
        learn a[N] per channel = 0.5 + 0.1*index(N)   learn b[2] = normal(0, 1)   learn k per channel = 0.5
        state h[N] = index(N)   state g[2] = 0.5   state z = 0
        p = sum(a*h) + x
        g = b*g/2 + p*k
        s = fire(sum(g)*0.1 + p - v_threshold)
        q = where(s > 0, h, a*h + x)
        h = q*(1 - s) + s*sum(g)/10
        z = 0.5*z + s
        give s + z*sum(b*b)""",
    "single numbers for vectors": """
        learn w[N] per step = uniform(0, 1)   learn c[N] per channel, step = 1
        state h[N] = 0   state o = 1   state l[N] = 2
        h = o + w*x*c
        o = 2*o + sum(l)
        o = sum(relu(h))/4
        l = o
        give o + 0.1*sum(l + x)""",
}
"""Neurons with vectors: one stage, several stages, and single numbers that stand for all of a vector; one has all."""


def vectors(name: str, length: int = 5) -> Equations:
    spec = defined_kind(f"neuron A(N={length}) {{ {VECTORS[name]} }}")
    return module(spec.model_validate({"steps": T} if "steps" in spec.model_fields else {}))


@pytest.mark.parametrize(
    "given", [True, pytest.param(False, marks=pytest.mark.deep)], ids=["from states", "from the start"]
)
@pytest.mark.parametrize("name", [*VECTORS] if factor() > 1 else ["mixed"])
def test_kernel_of_vectors_is_the_loop(name: str, given: bool) -> None:  # noqa: FBT001 -- a parameter of pytest
    """Outputs and states are equal, and gradients differ by at most 1e-10."""
    made = vectors(name)
    x_TN = [*LAYOUTS.values()][[*VECTORS].index(name) % 3](current())
    rows = len(made.spec.equations.rest)
    start = 0.3 * torch.randn(rows, *x_TN.shape[1:], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = []
    for choice in ("fastest", "reference"):
        made.zero_grad()
        leaves = [x_TN.detach().requires_grad_(), start.clone().requires_grad_()]
        with kernels.use_kernels(choice):
            if given:
                y_TN, after = made.run(leaves[0], leaves[1])
                torch.autograd.backward([y_TN, after], [current(seed=3), start.flip(0)])
            else:
                y_TN = after = made(leaves[0])
                y_TN.backward(current(seed=3))
        gradients = [leaf.grad for leaf in leaves[: 1 + given]] + [each.grad for each in made.parameters()]
        found.append(([y_TN, after], gradients))
    (one, gradients), (other, expected) = found
    assert all(map(torch.equal, one, other))
    assert all(gradient is not None and bool(gradient.any()) for gradient in gradients)
    assert all(close(*pair) for pair in zip(gradients, expected, strict=True))  # type: ignore[arg-type]


def test_vectors_stream_and_a_length_of_one_is_a_number() -> None:
    made, x_TN, past = vectors("mixed"), current(), None
    with torch.no_grad():
        with kernels.use_kernels("reference"):
            whole = made(x_TN)
        for t in range(T):
            here = StreamedPast(t, past.after if past is not None else None)
            assert torch.equal(made(x_TN[t : t + 1], past=here), whole[t : t + 1])
            past = here
        single = vectors("rotating" if factor() > 1 else "mixed", 1)
        with kernels.use_kernels("reference"):
            expected = single(x_TN)
        assert torch.equal(single(x_TN), expected)
    assert [tuple(each.shape) for each in vectors("rotating", 1).parameters()] == [(C,), (1, C), (1,), (1, C)]


def test_a_state_space_model_is_its_convolution() -> None:
    """The outputs are those of the kernel c·exp(λt) (Gu et al. 2022, S4D)."""
    made = vectors("rotating")
    x_TN = current()[..., 0, 0]
    p = made.learned
    with torch.no_grad(), kernels.use_kernels("reference"):
        made.learned["c"].zero_()[0] = 1.0  # only the first number: b starts at 0.1, and is 0.1·r·exp(iw) later
        lam = torch.polar(torch.exp(-torch.exp(p["dt"]) * torch.exp(p["re"])), torch.exp(p["dt"]) * p["im"][:, None])[0]
        kernel = [2 * (lam**t).real - 2 * (lam**t).imag for t in range(T)]
        first = [2 * (0.1j * lam ** (t + 1)).real - 2 * (0.1j * lam ** (t + 1)).imag for t in range(T)]
        expected = [sum(kernel[s] * x_TN[t - s] for s in range(t + 1)) + first[t] + x_TN[t] for t in range(T)]
        torch.testing.assert_close(made(x_TN), torch.stack(expected), rtol=1e-12, atol=1e-12)


KINDS: list[tuple[str, dict[str, float]]] = [("PLIF", {}), ("LIF", {"tau": 3.7}), ("IF", {}), ("PLIF", {"tau": 3.7})]
FORMATS = [(2, torch.float32), (1, torch.float64)]
OF_A_KIND = [(*KINDS[0], *FORMATS[0])]
if factor() > 1:
    OF_A_KIND = [(*kind, *each) for kind, each in product(KINDS, product([1, 2], [torch.float32, torch.float64]))]


@pytest.mark.parametrize(("name", "arguments", "number", "dtype"), OF_A_KIND)
def test_kernel_is_that_of_the_kind(name: str, arguments: dict[str, float], number: int, dtype: torch.dtype) -> None:
    """Spikes, final potential and all gradients are equal to the last bit."""
    spec = make(name, number, "Rectangular" if dtype == torch.float64 else "ATan", **arguments)
    kind = catalogue()[name].model_validate({**dict(spec)})
    assert isinstance(kind, LinearNeuron)
    assert isinstance(spec, LinearNeuron)
    made, x_TN = Equations(Law(spec.equations, spec.surrogate), C, 1).to(dtype), current(dtype, samples=40)
    weight = torch.randn(x_TN.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)
    found = []
    for run in (kind, spec, None):
        x = x_TN.detach().requires_grad_()
        learned = {key: value.detach().requires_grad_() for key, value in made.learned.items()}
        if run is None:
            made.zero_grad()
            y_TN, v = made.run(x)
            v, learned = v[0], dict(made.named_parameters())
        else:
            y_TN, v = kernels.run_neurons_from(run, x, None, learned)
        torch.autograd.backward([y_TN, v], [weight, weight[0]])
        found.append([y_TN, v, x.grad, *(value.grad for value in learned.values())])
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True) if one is not None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.deep)], ids=str)
def test_narrow_formats_compute_in_float32(dtype: torch.dtype) -> None:
    made, x_TN = module(make("CUBA"), torch.float32), current(dtype)
    with torch.no_grad():
        one, states = made.run(x_TN)
        with kernels.use_kernels("reference"):
            other, more = made.run(x_TN.float())
    assert one.dtype == dtype
    assert torch.equal(one.float(), other)
    assert torch.equal(states, more)


@pytest.mark.parametrize("name", ["CUBA", "GLIF", "ILIF", "Rate"] if factor() > 1 else ["CUBA"])
def test_time_step_by_time_step(name: str) -> None:
    """A stream gives every bit of the sequence."""
    made, x_TN, past = module(make(name, NAMES.index(name))), current(), None
    with torch.no_grad():
        with kernels.use_kernels("reference"):
            whole = made(x_TN)
        for t in range(T):
            here = StreamedPast(t, past.after if past is not None else None)
            assert torch.equal(made(x_TN[t : t + 1], past=here), whole[t : t + 1])
            past = here


def test_no_number_is_compiled_in() -> None:
    """Other arguments have the same kernel."""
    texts = {
        render_backward(
            KernelVariant("float32", make("CUBA", 3, tau=tau).equations.text, (), "set 1.0", *PLAIN), EVERYTHING
        ).text
        for tau in (2.0, 3.0, 5.0)
    }
    assert len(texts) == 1


def of_states(count: int) -> EquationKind:
    """A neuron of so many states, each of which reads the next."""
    lines = [f"state s{i} = {i / 10}" for i in range(count)]
    lines += [f"s{i} = 0.5*s{i} + 0.25*s{(i + 1) % count} + {1 + i % 3}*x" for i in range(count)]
    text = "\n".join([*lines, "give " + " + ".join(f"s{i}" for i in range(count))])
    return defined_kind(f"neuron Many {{\n{text}\n}}").model_validate({})


@pytest.mark.parametrize("count", [14, 40, 99])
def test_many_states_are_handed_over_without_branches(count: int) -> None:
    """Python passes more than 30 arguments as a list, in which numba supports no branches."""
    variant = KernelVariant("float64", of_states(count).equations.text, (), "", *PLAIN)
    for kernel in (render_forward(variant), render_backward(variant, EVERYTHING)):
        calls = [node for node in ast.walk(ast.parse(kernel.text)) if isinstance(node, ast.Call)]
        assert max(len(call.args) for call in calls) > count
        branching = [call for call in calls if any(isinstance(node, ast.IfExp) for node in ast.walk(call))]
        assert max((len(call.args) for call in branching), default=0) < 10


@pytest.mark.parametrize("count", [3, 6, 8, 99])
def test_few_choices_of_saved_results_are_compared(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each choice walks the whole tape, and their number grows with the square of that of the states."""
    walks, walk = 0, needed

    def counted(*arguments: Any) -> Any:
        nonlocal walks
        walks += 1
        return walk(*arguments)

    monkeypatch.setattr(plan_kernel, "needed", counted)
    variant = KernelVariant("float64", of_states(count).equations.text, (), "", *PLAIN)
    plan = plan_kernel.plan_backward(compose(variant), variant, EVERYTHING)
    assert 0 < walks <= 2 * MAX_CUT_TRIALS
    assert len(plan.kept) >= count


@pytest.mark.deep  # compiles for ten seconds; test_many_states_are_handed_over_without_branches reads the text
def test_fourteen_states() -> None:
    made, x_TN = module(of_states(14)), current()
    (given, gradients), (wanted, wanted_gradients) = (outcome(made, x_TN, name) for name in ("fastest", "reference"))
    assert all(map(torch.equal, given, wanted))
    assert all(map(close, gradients, wanted_gradients))


def test_second_derivatives_and_odd_inputs_are_answered() -> None:
    made = module(make("CUBA"))
    flat = current().flatten(2)[..., :C]
    assert made(flat).shape == flat.shape
    empty = torch.empty(T, 0, C, dtype=torch.float64, requires_grad=True)
    made(empty).sum().backward()
    assert empty.grad is not None


JOINED = ("ADD", "IAND", "AND", "OR")


@pytest.mark.parametrize("name", [name for name in FEW if make(name).equations.after] if factor() > 1 else FEW[:1])
def test_batch_norm_and_join_in_one_kernel(name: str) -> None:
    """Output and running statistics are those of norm, neurons and join in turn; gradients differ by rounding."""
    number = NAMES.index(name)
    layout = [*LAYOUTS.values()][number % 6]
    x_TN, g_TN, other_TN = layout(current()), current(seed=3), (current(seed=4) > 0.5).double()
    results = []
    for at_once in (True, False):
        norm, neuron = BatchNorm(C).double().train(number % 3 > 0), module(make(name, number))
        join = catalogue()[JOINED[number % 4]]()
        assert isinstance(join, JoinKind)
        pending = PendingJoin(Join(join), other_TN.requires_grad_(), number % 2 == 0)
        x = x_TN.detach().requires_grad_()
        with kernels.use_kernels("fastest" if at_once else "reference"):
            y_TN = neuron.normalised(x, norm, pending) if at_once else pending.of(neuron(norm(x)))
        parameters = [*norm.parameters(), *neuron.parameters()]
        results.append([y_TN, norm.running_var, *torch.autograd.grad(y_TN, [x, other_TN, *parameters], g_TN)])
    (found, variance, *gradients), (expected, other_variance, *others) = results
    assert kernels.find_norm_kernel(neuron.spec, x_TN, neuron.learned) is not None
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(variance, other_variance)
    for one, other in zip(gradients, others, strict=True):
        assert (one - other).abs().max() <= 1e-9 * max(other.abs().max(), others[2].abs().max())


@pytest.mark.parametrize("choice", ["fastest", "reference"])
def test_wider_first_states_are_rounded(choice: kernels.Choice) -> None:
    made, x_TN = module(make("CUBA"), torch.float32), current(torch.float32)
    start = torch.full((len(made.spec.equations.after), *x_TN.shape[1:]), 0.1, dtype=torch.float64)
    with kernels.use_kernels(choice):
        y_TN, after = made.run(x_TN, start)
        expected_TN, expected = made.run(x_TN, start.float())
    assert after.dtype == torch.float32
    assert torch.equal(y_TN, expected_TN)
    torch.testing.assert_close(after, expected)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_first_states_is_refused(count: int) -> None:
    made, x_TN = module(make("CUBA")), current()
    start = torch.zeros(count, *x_TN.shape[1:], dtype=torch.float64)
    with kernels.use_kernels("reference"), raises(ValueError):
        made.run(x_TN, start)
