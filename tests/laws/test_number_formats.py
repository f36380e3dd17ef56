"""Every kind computes in bfloat16 and under autocast what it computes in float32, up to rounding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import sewdsl
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.op import Op, Spiking, Surrogate, WeightedLayer
from sewdsl.lower import lower
from sewdsl.ops import catalogue
from sewdsl.passes import LEVELS, optimize_program, plan
from sewdsl.snn.kernels import dispatch
from sewdsl.source import Source
from tests.effort import examples
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import HALF, MIXED, SINGLE, Numbers, build, rounding_faults, run
from tests.laws.random_neurons import OPERANDS, operation_calls

T, N, C, SIDE = 8, 2, 8, 8
"""Sizes that the examples of the catalogue accept with C channels."""
BOUND = 2**-5
"""Largest difference, relative to the norm of a result: eight times the rounding of bfloat16."""
FLIPPED = 0.5
"""The same bound if a weighted sum precedes a neuron, because its rounding can change spikes."""
STARTS = ("", "SN-", "Flatten-SN-")
"""Layers before an example. Neurons of the input have equal spikes in all formats, because they compute in float32."""
OPERANDS_OF_EXAMPLES = ("q", "k", "v", "branch", "shortcut")

KINDS = {
    kind.kind: kind
    for kind in catalogue().values()
    if issubclass(kind, Op | Surrogate) and kind.kind != "input" and kind.__module__.startswith("sewdsl.")
}
ATTENTION = (
    "ATTN(heads=2, chunk=2, causal=time)[ SN | SN | SN ]",
    "APPLY(chunk=2, causal=time)[ SCORES(chunk=2, heads=4)[ SN | SN ]-Softmax(groups=4) | SN ]",
    "APPLY(scale=rate, chunk=2)[ SCORES(chunk=2, scale=rate)[ ReLU | ReLU ] | ReLU ]",
)
"""Attention with arguments that require each other."""


@pytest.fixture(autouse=True, scope="module")
def _without_compiled_kernels() -> Iterator[None]:
    """Run neurons without kernels, which compile for a second, but everything else as with kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "_KERNELS", {})
        # Optimizations of large tensors apply.
        patch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    for text in examples_of(KINDS[kind]):
        check(text)


@pytest.mark.parametrize("text", [*shipped_neurons(), *ATTENTION])
def test_shipped_neurons_and_attention(text: str) -> None:
    check(text)


@pytest.mark.parametrize("operation", operation_calls())
def test_operations(operation: str) -> None:
    call = operation_calls()[operation]
    lines = [f"{name} = {value}\n" for name, value in OPERANDS.items() if re.search(rf"\b{name}\b", call)]
    check("Own", f"neuron Own {{\n{''.join(lines)}give {call}\n}}\n")


@examples(10)
@given(drawn=nets(), level=st.sampled_from(LEVELS), autocast=st.booleans(), training=st.booleans())
def test_gradients_are_exact_up_to_their_rounding(drawn: Drawn, level: int, *, autocast: bool, training: bool) -> None:
    """``python -m tools.fuzz networks`` checks any number of networks."""
    numbers = Numbers(torch.float32 if autocast else torch.bfloat16, autocast=autocast, rounded=True)
    model = build(drawn, optimize_program(drawn.network, level), numbers).train(training)
    assert not list(rounding_faults(drawn, run(model, drawn, numbers), training=training))


def examples_of(kind: type[Kind]) -> Iterator[str]:
    """Yield an example of the docstring of a kind, and the example with each word and switch as an argument."""
    if issubclass(kind, Surrogate):
        yield f"LIF(surrogate={kind.kind})"
        return
    paragraph = (kind.__doc__ or "").partition("In a network: ")[2].partition("\n\n")[0]
    texts = [" ".join(text.split()) for text in re.findall("``([^`]+)``", paragraph)]
    # Rounding of a weighted sum can change a spike.
    direct = [re.sub(r"\bc\d+k\d+-BN-SN", "SN", text) for text in texts]
    narrow = [re.sub(r"\b(t?c|DFC)\d+", rf"\g<1>{width}", text) for width in (C, 2 * C) for text in direct]
    calls = ((text, re.search(rf"\b({kind.kind}[0-9a-z]*)(?:\(([^()]*)\))?", text)) for text in (*narrow, *texts))
    example = next(((text, call) for text, call in calls if call and network(text)), None)
    assert example is not None, f"none of {texts} is an example that runs"
    text, call = example
    yield text
    for name, field in kind.model_fields.items():
        others = [each for each in (call[2] or "").split(", ") if each and not each.startswith(f"{name}=")]
        for word in words(field.annotation):
            for arguments in ([*others, f"{name}={word}"], [f"{name}={word}"]):
                changed = f"{text[: call.start()]}{call[1]}({', '.join(arguments)}){text[call.end() :]}"
                if network(changed):
                    yield changed
                    break


def words(annotation: Any) -> Iterator[str]:
    """Yield the words and switches among the values of an argument."""
    if annotation is bool:
        yield from ("on", "off")
    elif isinstance(annotation, str):
        yield annotation
    for each in get_args(annotation):
        yield from words(each)


def network(text: str, head: str = "") -> Network | None:
    """Return a network of an example after the first suitable start, or None."""
    lets = "".join(f"let {name} = SN\n" for name in OPERANDS_OF_EXAMPLES if re.search(rf"\b{name}\b", text))
    for start in STARTS:
        body = f"input {C}x{SIDE}x{SIDE}\nsteps {T}\nneuron LIF\n{head}{lets}body {start}{text}\n"
        compilation = sewdsl.read(Source("example.net", f"sewdsl 1\n{body}"))
        if compilation.valid:
            return compilation.network
    return None


class Results(NamedTuple):
    """Output, gradients and buffers by name, and the output gradient."""

    named: dict[str, Tensor]
    output_gradient: Tensor


def check(text: str, head: str = "") -> None:
    """Check dtypes and values of all results of an example in training."""
    known = network(text, head)
    assert known is not None, text
    expected = results(known, SINGLE)
    summed = [i for i, node in enumerate(known) if isinstance(node.op, WeightedLayer)]
    decided = [i for i, node in enumerate(known) if isinstance(node.op, Spiking)]
    bound = FLIPPED if summed and decided and summed[0] < decided[-1] else BOUND
    last = known.nodes[known.output]
    counts = bound == BOUND and last.op.is_activation and last.output.values.upper is not None
    for numbers in (HALF, MIXED):
        found = results(known, numbers, expected.output_gradient).named
        assert found.keys() == expected.named.keys(), text
        for name, value in found.items():
            own = {numbers.dtype, torch.bfloat16} if name == "output" else {numbers.dtype}
            dtypes = own if value.is_floating_point() else {value.dtype}
            wide, wanted = value.double(), expected.named[name].double()
            error = float((wide - wanted).norm() / wanted.norm().clamp(min=1e-12))
            assert value.dtype in dtypes, f"{text}: {name} in {numbers} is {value.dtype}"
            assert error <= (0 if counts and name == "output" else bound), (
                f"{text}: {name}, {numbers}: off by {error:.2g}"
            )


def results(known: Network, numbers: Numbers, output_gradient: Tensor | None = None) -> Results:
    """Run the forward and the backward pass with input and weights that bfloat16 represents."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.rand, generator=generator)
    model = lower(optimize_program(known), seed=0).bfloat16().to(numbers.dtype)
    x = (6 * draw(T, N, C, SIDE, SIDE) - 2).bfloat16().to(numbers.dtype).requires_grad_()
    torch.manual_seed(0)  # for dropout
    with torch.autocast("cpu", torch.bfloat16, enabled=numbers.autocast):
        y: Tensor = model(x, return_sequence=True)
    if output_gradient is None:
        # Summands with the sign of the output, so that gradients of weights do not cancel each other.
        output_gradient = (y.detach() * (0.5 + draw(*y.shape))).bfloat16()
    if y.requires_grad:
        y.backward(output_gradient.to(y.dtype))  # type: ignore[no-untyped-call]
    leaves = {"the input": x, **dict(model.named_parameters())}
    gradients = {f"gradient of {name}": each.grad for name, each in leaves.items() if each.grad is not None}
    return Results({"output": y.detach(), **gradients, **dict(model.named_buffers())}, output_gradient)
