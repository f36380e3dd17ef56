"""The laws of each family of kinds, over the whole catalogue."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.analysis.named_parts import match_parameters
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Join, LinearNeuron, Neuron, Op, Surrogate
from sewdsl.ir.signal import ValueRange
from sewdsl.ops import catalogue
from tests.effort import examples
from tests.laws.drawn import Drawn, nets
from tests.laws.strategies import NETWORKS


def kinds(family: type[Kind]) -> list[type[Kind]]:
    return [kind for kind in catalogue().values() if issubclass(kind, family)]


@pytest.mark.parametrize("kind", kinds(Join))
class TestJoins:
    def test_neutral_branch_makes_an_identity(self, kind: type[Join]) -> None:
        join = kind()
        upper = 1 if join.spikes_only else 5
        identity = torch.arange(upper + 1.0)
        branch = torch.full_like(identity, join.neutral_branch)
        assert torch.equal(join.combine(branch=branch, identity=identity), identity)

    def test_range_holds_and_is_tight(self, kind: type[Join]) -> None:
        join = kind()
        uppers = (1,) if join.spikes_only else (1, 2, 3)
        for a, s in itertools.product(uppers, uppers):
            values = join.values(ValueRange(a), ValueRange(s))
            pairs = torch.cartesian_prod(torch.arange(a + 1.0), torch.arange(s + 1.0))
            out = join.combine(branch=pairs[:, 0], identity=pairs[:, 1])
            assert values.upper is not None
            assert (out.min().item(), out.max().item()) == (0, values.upper)


@pytest.mark.parametrize("kind", kinds(Surrogate))
class TestSurrogates:
    def test_is_symmetric_and_peaks_at_the_threshold(self, kind: type[Surrogate]) -> None:
        u = torch.linspace(-3, 3, 601, dtype=torch.float64)
        slope = kind().derivative(u)
        assert torch.allclose(slope, slope.flip(0))
        assert (slope <= kind().derivative(torch.zeros(1, dtype=torch.float64))).all()
        assert (slope >= 0).all()

    def test_runs_on_floats_as_on_tensors(self, kind: type[Surrogate]) -> None:
        for u in (-2.0, -0.3, 0.0, 0.3, 2.0):
            tensor = kind().derivative(torch.tensor(u, dtype=torch.float64))
            assert float(kind().derivative(u)) == pytest.approx(float(tensor), rel=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_keeps_the_number_format(self, kind: type[Surrogate], dtype: torch.dtype) -> None:
        """Also for arguments that float32 would round, and without a word of torch."""
        thirds = kind.model_validate(dict.fromkeys(kind.model_fields, 3.0))
        u = torch.tensor([-2.0, -0.1, 0.0, 0.1, 2.0], dtype=dtype)
        slope = thirds.derivative(u)
        assert slope.dtype is dtype
        if dtype is torch.float64:
            assert slope.tolist() == pytest.approx([thirds.derivative(float(each)) for each in u], rel=1e-15)

    def test_survives_large_values(self, kind: type[Surrogate]) -> None:
        assert torch.isfinite(kind().derivative(torch.tensor([-1e4, 1e4]))).all()


@pytest.mark.parametrize("kind", kinds(Neuron))
class TestNeurons:
    def test_spikes_at_the_threshold(self, kind: type[Neuron]) -> None:
        """Θ(0) = 1 (Eq. 2), and a strong current makes every neuron fire."""
        net = sewdsl.compile(f"{kind.kind}-Flatten", input="1x1x1", steps=3)
        assert torch.equal(net(torch.full((3, 1, 1, 1, 1), 100.0), return_sequence=True), torch.ones(3, 1, 1))
        assert torch.equal(net(torch.zeros(3, 1, 1, 1, 1), return_sequence=True), torch.zeros(3, 1, 1))

    def test_dynamics_give_the_charge(self, kind: type[Neuron]) -> None:
        neuron = kind(v_reset=-0.5)
        learned = {name: torch.tensor(value, dtype=torch.float64) for name, value in neuron.learnable().items()}
        v, x = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
        h = neuron.charge(v, x, **learned)
        if isinstance(neuron, LinearNeuron):
            decay, gain, drift = neuron.dynamics(**learned)
            assert torch.allclose(h, decay * v + gain * x + drift)
        assert h.shape == v.shape


@pytest.mark.parametrize("name", [name for name, kind in catalogue().items() if issubclass(kind, Op)])
def test_every_kind_is_described(name: str) -> None:
    """Every kind's docstring says what it is, and how a network writes it."""
    text = catalogue()[name].__doc__ or ""
    assert text.splitlines()[0].endswith(".")
    assert name == "input" or "In a network:" in text


@examples(50)
@given(NETWORKS, st.integers(1, 3), st.booleans())
def test_inferred_is_computed(text: str, steps: int, static: bool) -> None:  # noqa: FBT001 -- given by hypothesis
    """Shapes, ranges and parameters known without torch are those of the module, at every node."""
    options = {"input": "2x8x8", "steps": steps, "set": {"encode": "direct" if static else "none"}}
    compilation = sewdsl.read(text, **options)  # type: ignore[arg-type]
    if not compilation.valid or compilation.network is None:
        return
    network = compilation.network
    torch.manual_seed(0)
    module = sewdsl.compile(network)
    assert sum(p.numel() for p in module.parameters()) == network.total_parameters
    seen: dict[str, torch.Tensor] = {}
    for node in network.nodes[1:]:
        part = module.get_submodule(node.name)
        part.register_forward_hook(lambda _m, _a, out, name=node.name: seen.__setitem__(name, out.detach()))
        assert sum(p.numel() for p in part.parameters()) == network.parameters(node)
    for buffer in (each for name, each in module.named_buffers() if name.endswith(".rate")):
        buffer.fill_(0.5)  # evaluation requires the rates of a training
    x = torch.randn(2, 2, 8, 8) if static else torch.randn(steps, 2, 2, 8, 8)
    module.eval()(x)
    for node in network.nodes[1:]:
        if node.feeds_back:  # a delay in a loop is read from the state, and its module does not run
            continue
        out, signal = seen[node.name], node.output
        assert tuple(out.shape[-len(signal.shape) :]) == signal.shape
        if signal.values.upper is not None:
            integers = (out / signal.values.unit).round()
            assert torch.allclose(out, integers * signal.values.unit, rtol=1e-6, atol=0)
            assert integers.min() >= signal.values.lower
            assert integers.max() <= signal.values.upper
        if not signal.varies and out.dim() == len(signal.shape) + 2:
            assert all(torch.equal(out[0], later) for later in out)


@examples(40)
@given(drawn=nets())
def test_recipes_know_the_keys_of_all_parameters(drawn: Drawn) -> None:
    """Without building a module: ``freeze *.bias`` and ``lr *.delay 100x`` are checked by them."""
    model = sewdsl.compile(drawn.network)
    assert match_parameters(drawn.network, "*") == {key for key, _ in model.named_parameters()}
