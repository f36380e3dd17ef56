"""Neurons that texts define: what their names mean, which family they are of, and what is known of them."""

import json
import pickle
from pathlib import Path

import pytest
import torch

import sewdsl
from sewdsl.diagnostics import SewdslError
from sewdsl.elaborate.neuron_kinds import NeuronKinds, shipped_neurons
from sewdsl.equations import tape
from sewdsl.ir.json import to_json
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.ir.op import LinearDynamics, LinearNeuron, Op, Spiking
from sewdsl.ir.signal import Signal, ValueRange
from sewdsl.notation.net_file import write_net
from sewdsl.notation.network_diff import diff_networks
from sewdsl.ops import catalogue, find
from sewdsl.ops.equation_neurons import EquationKind, defined_kind, equation_kind
from sewdsl.ops.read_equations import MODULE_WORDS
from sewdsl.snn.equations import Equations
from sewdsl.snn.neuron import Neuron
from sewdsl.source import Source
from tests.network_json import from_json
from tests.words import check_words, raises

HALF = "neuron Half(keep=0.5) { h = keep*v + x   s = fire(h - v_threshold)   v = reset(h, s)   give s }\n"
LINEAR = {"IF", "LIF", "PLIF", "LIF1"}
RANGES = {
    "ILIF": ValueRange(4),
    "ILIFwide": ValueRange(4),
    "Ternary": ValueRange(1, lower=-1),
    "Rate": ValueRange(None),
}
PARAMETERS = {"PLIF": 1, "PLIFC": 6, "KLIF": 1, "GLIF": 7 * 6 + 4 * 6, "LTH": 6}


def ops(text: str, **options: object) -> list[Op]:
    """The ops of a network but the input."""
    return [node.op for node in sewdsl.load(text, **options).nodes[1:]]  # type: ignore[arg-type]


def write(path: Path, text: str) -> str:
    path.write_text(f"sewdsl 1\n{text}", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", shipped_neurons())
def test_shipped_neuron(name: str) -> None:
    catalogue()
    kind = equation_kind(shipped_neurons()[name])
    op = kind.model_validate({"steps": 4} if "steps" in kind.model_fields else {})
    given = op.infer(Signal((6, 4, 4)))
    assert given == Signal((6, 4, 4), RANGES.get(name, ValueRange(1)))
    assert isinstance(op, Spiking) == (name not in RANGES)
    assert isinstance(op, LinearNeuron) == (name in LINEAR)
    assert op.parameters(given) == PARAMETERS.get(name, 0)
    assert op.reads == ("step" if name == "Rate" else "past")
    assert op.fixed_steps == (name == "GLIF")
    assert op.can_be_silent
    assert pickle.loads(pickle.dumps(op)) == op  # noqa: S301 -- our own


@pytest.mark.parametrize("name", ["IF", "LIF", "PLIF"])
@pytest.mark.parametrize("v_reset", [0.0, -0.3, None])
def test_dynamics_are_those_of_the_kind(name: str, v_reset: float | None) -> None:
    ours, kind = equation_kind(shipped_neurons()[name]), find(name)
    assert kind is not None
    for arguments in ({}, {"tau": 3.7}) if "tau" in ours.defaults else ({},):
        one, other = (each.model_validate({"v_reset": v_reset, **arguments}) for each in (ours, kind))
        assert isinstance(one, LinearNeuron)
        assert isinstance(other, LinearNeuron)
        assert one.learnable() == other.learnable()
        assert one.at_start() == other.at_start()


FORMS = {
    "v = reset(h, s) - p*s  give s": Spiking,
    "v = reset(h, s) + p  give s": Spiking,
    "v = reset(h, s, p)  give s": Spiking,
    "v = reset(h, s)  give s + p*h": None,
    "v = reset(h, s)  give s + v_threshold - 1": None,
    "v = reset(h, s)  give s": LinearNeuron,
}
"""Neurons that are linear with usual numbers, and what they are with ``p=0.5, v_threshold=1.5, v_reset=none``."""


@pytest.mark.parametrize("form", FORMS)
def test_numbers_decide_the_family(form: str, tmp_path: Path) -> None:
    text = f"neuron A(p=0, q=0.5) {{ h = q*v + x  s = fire(h - v_threshold)  {form} }}\ninput 3\nbody A-"
    other = "A(p=0.5, v_threshold=1.5, v_reset=none)"
    first, second, third = ops(write(tmp_path / "a.net", f"{text}{other}-A(q=0.25)\n"))
    assert isinstance(first, LinearNeuron)
    assert isinstance(third, LinearNeuron)
    family = FORMS[form] or EquationKind
    assert isinstance(second, family)
    assert isinstance(second, LinearNeuron) == (family is LinearNeuron)
    assert isinstance(second, Spiking) == (family is not EquationKind)
    back = first.replace(**dict(second))
    assert back == second
    assert type(back) is type(second)


def test_a_number_in_the_threshold_decides(tmp_path: Path) -> None:
    equations = "h = v + x  s = fire(h - v_threshold - b)  v = reset(h, s)  give s"
    text = f"neuron A(b=0) {{ {equations} }}\ninput 3\nbody A-A(b=0.5)\n"
    one, other = ops(write(tmp_path / "a.net", text))
    assert isinstance(one, LinearNeuron)
    assert not isinstance(other, LinearNeuron)
    assert one.can_be_silent
    assert not ops(write(tmp_path / "a.net", text.replace("b=0.5", "b=-2")))[1].can_be_silent  # type: ignore[attr-defined]


def test_a_neuron_that_starts_elsewhere_is_not_linear(tmp_path: Path) -> None:
    """Linear neurons start at the potential after a spike."""
    equations = "state v = 0.5  h = v + x  s = fire(h - v_threshold)  v = reset(h, s)  give s"
    text = f"neuron A {{ {equations} }}\ninput 3\nbody A-A(v_reset=0.5)\n"
    one, other = ops(write(tmp_path / "a.net", text))
    assert (isinstance(one, LinearNeuron), isinstance(other, LinearNeuron)) == (False, True)


def test_ranges_are_those_of_the_call(tmp_path: Path) -> None:
    counts = "neuron N(D=1) { h = v + x  s = round(clip(h, 0, D))  v = h - s  give s }\ninput 4x5x5\nsteps 2\n"
    network = sewdsl.load(write(tmp_path / "a.net", f"{counts}body N(D=8)-c4k3-N\n"))
    assert [network.nodes[i].output.values for i in (1, 3)] == [ValueRange(8), ValueRange(1)]
    assert [isinstance(network.nodes[i].op, Spiking) for i in (1, 3)] == [False, True]
    (said,) = sewdsl.read(write(tmp_path / "a.net", f"{counts}body N-IAND[N(D=8) | id]\n")).diagnostics
    assert said.code == "join-needs-spikes"


TWO = "neuron Two(tau=2.0)[basal | apical] { h = v + basal*apical/tau  s = fire(h - 1)  v = h - s  give s }\n"
AT_ONCE = {
    "body Two-FC3": ("wrong-kind", "Two"),
    "body Two(tau=3)-FC3": ("wrong-kind", "Two"),
    "neuron Two(tau=3)\nbody SN": ("invalid-argument", "Two(tau=3)"),
    "block B(c=in) = c$(c)k3-SN\nbody B (c4, SN=Two)": ("wrong-kind", "SN=Two"),
    "body Two[id | id | id]": ("operand-count", "Two[id | id | id]"),
    "body Two[id | c8k3]": ("join-shape-mismatch", "Two[id | c8k3]"),
    "body Two[id | c4k3s2]": ("join-shape-mismatch", "Two[id | c4k3s2]"),
    "body Tow[id | id]": ("unknown-name", "Tow"),
    "body LIF[id | id]": ("wrong-kind", "LIF"),
    "neuron A[a | a] { give a }\nbody A[id | id]": ("duplicate-name", "a"),
    "neuron A[a | exp] { give a + exp }\nbody A[id | id]": ("reserved-name", "exp"),
    "neuron A(b=1)[a | b] { give a*b }\nbody A[id | id]": ("reserved-name", "b=1"),
    "neuron A[a | b] { give a }\nbody A[id | id]": ("without-effect", "A"),
    "neuron A[a | b] { give a*b*x }\nbody A[id | id]": ("unknown-name", "x"),
    "neuron A[a | b] { b = a  give b }\nbody A[id | id]": ("reserved-name", "b"),
}


@pytest.mark.parametrize("text", AT_ONCE)
def test_what_is_wrong_with_several_inputs(text: str, tmp_path: Path) -> None:
    said = sewdsl.read(write(tmp_path / "a.net", f"{TWO}input 4x8x8\nsteps 2\n{text}\n")).diagnostics
    code, where = AT_ONCE[text]
    assert [(each.code, each.span.text) for each in said] == [(code, where.removesuffix("=1"))]
    # The list of kinds grows.
    check_words("\n".join(f"{each.message}: {each.help.partition('expected one of')[0]}" for each in said))


@pytest.mark.usefixtures("plain_pytorch")
def test_several_inputs_by_hand(tmp_path: Path) -> None:
    """Keys follow the names of the inputs, x is a free name, and an input hides the membrane potential."""
    body = "Two(tau=3.0)[FC3b0 | DELAY-FC3b0]"
    model = sewdsl.compile(write(tmp_path / "a.net", f"{TWO}input 2\nsteps 5\nbody {body}\n"), seed=1)
    assert [*model.state_dict()] == ["basal.fc1.weight", "apical.fc1.weight"]
    x = 3 * torch.randn(5, 4, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    basal, apical = model.state_dict().values()
    v, expected = torch.zeros(4, 3), []
    for t in range(5):
        h = v + (x[t] @ basal.T) * ((x[t - 1] if t else 0 * x[0]) @ apical.T) / 3
        expected.append((h >= 1).float())
        v = h - expected[-1]
    assert 0 < torch.stack(expected).mean() < 1
    assert torch.equal(model(x, return_sequence=True), torch.stack(expected))
    hidden = "neuron A[forward | v] { state s = 1  x = forward - v  s = s + x  give s*x }\n"
    network = sewdsl.load(write(tmp_path / "b.net", f"{hidden}input 2\nbody A[FC2 | id]-A[FC2 | id]\n"))
    assert network.nodes[2].op.equations is not None
    assert [*network.nodes[2].op.equations.start] == ["s"]
    # Modules have an attribute of the name 'forward'.
    assert [node.name for node in network] == ["input", "forward1.fc1", "a1", "forward2.fc1", "a2"]
    assert from_json(to_json(network)) == network


DRAWN = """\
neuron Drawn(high=2) {
    learn w per channel, step = uniform(-1, high)   learn g per channel = normal(v_threshold, 0.5)
    learn b = normal(0.5, 0)
    h = v + g*x*w + b   s = fire(h - v_threshold)   v = h - s   give s
}
"""


def test_random_initial_values(tmp_path: Path) -> None:
    """Draws follow the seed, in the order of the nodes, with the numbers of the call."""
    text = f"{DRAWN}input 2\nsteps 40\nbody FC500-Drawn(high=3)-FC500-Drawn(v_threshold=4.0)-FC2\n"
    path = write(tmp_path / "a.net", text)
    one, again, other = (sewdsl.compile(path, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert [key for key in one if torch.equal(one[key], other[key])] == ["drawn1.b", "drawn2.b"]
    first, second = one["drawn1.w"], one["drawn2.w"]
    assert (first.shape, one["drawn1.g"].shape, one["drawn1.b"].shape) == ((40, 500), (500,), ())
    assert -1 <= first.min() < -0.9 < 2.9 < first.max() <= 3
    assert second.max() <= 2
    assert abs(float(one["drawn2.g"].mean()) - 4) < 0.2
    assert 0.4 < one["drawn2.g"].std() < 0.6
    network = sewdsl.load(path)
    assert sewdsl.load(write(tmp_path / "b.net", write_net(network).removeprefix("sewdsl 1\n"))).nodes == network.nodes
    # A random learnable is not the scalar of a linear neuron, whose initial value is a number.
    scalar = "neuron A { learn w = uniform(0, 1)  h = w*v + x  s = fire(h - v_threshold)  v = reset(h, s)  give s }\n"
    (op,) = ops(write(tmp_path / "c.net", f"{scalar}input 3\nbody A\n"))
    assert isinstance(op, Spiking)
    assert not isinstance(op, LinearNeuron)
    assert op.can_be_silent


VECTORS_WRONG = {
    "state h[N] = 0  h = h + x  give h": "vector-not-summed",
    "state h[N] = 0  h = h + x  give fire(h)": "vector-not-summed",
    "state h[N] = 0  state o = 0  h = h + x  o = h  give o": "vector-not-summed",
    "state h[300] = 0  h = h + x  give sum(h)": "invalid-equation",
    "state h[0] = 0  h = h + x  give sum(h)": "invalid-equation",
    "state h[half] = 0  h = h + x  give sum(h)": "invalid-equation",
    "state h[x] = 0  h = h + x  give sum(h)": "not-from-parameters",
    "state h[M] = 0  h = h + x  give sum(h)": "not-from-parameters",
    "state h[N] = 0  state g[3] = 0  h = h + g  g = x  give sum(h)": "invalid-equation",
    "state h[N] = 0  state g[3] = 0  h = g + x  g = g + x  give sum(g)": "invalid-equation",
    "state h[N] = index(3)  h = h + x  give sum(h)": "invalid-equation",
    "state h = index(N)  h = h + x  give h": "not-from-parameters",
    "give x*index(N)": "not-from-parameters",
}


@pytest.mark.parametrize("equations", VECTORS_WRONG)
def test_what_is_wrong_with_vectors(equations: str, tmp_path: Path) -> None:
    text = f"neuron A(N=4, half=1.5) {{ {equations} }}\ninput 3\nbody A\n"
    said = sewdsl.read(write(tmp_path / "a.net", text)).diagnostics
    assert [each.code for each in said] == [VECTORS_WRONG[equations]]
    check_words("\n".join(f"{each.message}: {each.help}" for each in said))


@pytest.mark.usefixtures("plain_pytorch")
def test_lengths_are_those_of_the_call(tmp_path: Path) -> None:
    vector = (
        "neuron A(N=4) { learn a[N] per channel = 0.5  state h[N] = index(N)  h = a*h + x  give sum(h*(x - x) + x) }\n"
    )
    path = write(tmp_path / "a.net", f"{vector}input 3\nsteps 2\nbody A-A(N=7)-A(N=1)\n")
    network = sewdsl.load(path)
    assert [network.parameters(node) for node in network] == [0, 12, 21, 3]
    assert from_json(to_json(network)) == network
    assert sewdsl.load(write(tmp_path / "b.net", write_net(network).removeprefix("sewdsl 1\n"))).nodes == network.nodes
    # h*(x - x) is 0, but a sum over the vector remains.
    x = torch.randn(2, 1, 3)
    torch.testing.assert_close(sewdsl.compile(path)(x, return_sequence=True), 28 * x)
    said = sewdsl.read(write(tmp_path / "c.net", f"{vector}input 3\nsteps 2\nbody A(N=257)\n")).diagnostics
    assert [each.code for each in said] == ["invalid-argument"]
    counts = "neuron B { state h[5] = 0  h = round(clip(h + x, 0, 3))  give sum(h) }\ninput 3\nsteps 2\nbody B\n"
    assert sewdsl.load(write(tmp_path / "d.net", counts)).nodes[1].output.values == ValueRange(15)


DRAWN_WRONG = {
    "learn w = 1 + uniform(0, 1)  give w*x": "not-from-parameters",
    "learn w = exp(normal(0, 1))  give w*x": "not-from-parameters",
    "learn w = uniform(0, x)  give w*x": "not-from-parameters",
    "state w = uniform(0, 1)  w = x  give w": "not-from-parameters",
    "h = normal(0, 1)  give h*x": "not-from-parameters",
    "learn w = uniform(0)  give w*x": "operand-count",
    "learn w = uniform(2, 1)  give w*x": "invalid-equation",
    "learn w = normal(0, -1)  give w*x": "invalid-equation",
}


@pytest.mark.parametrize("equations", DRAWN_WRONG)
def test_random_numbers_elsewhere(equations: str, tmp_path: Path) -> None:
    said = sewdsl.read(write(tmp_path / "a.net", f"neuron A {{ {equations} }}\ninput 3\nbody A\n")).diagnostics
    assert [each.code for each in said] == [DRAWN_WRONG[equations]]
    check_words("\n".join(f"{each.message}: {each.help}" for each in said))


def test_names_of_distributions_are_free(tmp_path: Path) -> None:
    assert sewdsl.read(
        write(tmp_path / "a.net", "neuron A(normal=2) { uniform = x  give normal*uniform }\ninput 3\nbody A\n")
    ).valid


def test_bounds_the_wrong_way_round(tmp_path: Path) -> None:
    counts = "neuron N(D={}) {{ h = v + x  s = round(clip(h, 0, D))  v = h - s  give s }}\ninput 3\nbody {}\n"
    for default, call, where in ((-2, "N", "clip(h, 0, D)"), (4, "N(D=-2)", "N(D=-2)")):
        (said,) = sewdsl.read(write(tmp_path / "a.net", counts.format(default, call))).diagnostics
        assert said.span.text == where
        assert "'clip(h, 0, D)' has a lower bound of 0, above its upper bound of -2" in said.message


INFINITE = ("max(v, -1e400)", "clip(v, 0, 1e400)", "1e39*v", "1e30*1e30*v", "1e999*0 + v", "exp(89)*v", "min(v, w)")


@pytest.mark.parametrize("sum", INFINITE)
def test_numbers_beyond_those_of_float32(sum: str, tmp_path: Path) -> None:  # noqa: A002 -- as in the language
    first = "learn w = 1e39  " if "w" in sum else ""
    text = f"neuron A {{ {first}h = {sum} + x  s = fire(h - v_threshold)  v = reset(h, s)  give s }}\ninput 3\nbody A\n"
    said = sewdsl.read(write(tmp_path / "a.net", text)).diagnostics[0]
    assert said.code == "invalid-equation"
    assert "beyond 3.4e+38" in said.message


@pytest.mark.parametrize("call", ["ILIF(D=1e300)", "ILIF(D=-1e400)", "LIF1(v_threshold=1e39)", "LIF1(v_reset=-1e39)"])
def test_arguments_beyond_those_of_float32(call: str) -> None:
    (said,) = sewdsl.read(f"FC3-{call}", input="4").diagnostics
    assert said.span.text in call
    check_words(said.message)


@pytest.mark.parametrize("body", ["FC4-Half-FC2", "FC4-SN-FC2", "{FC4-Half}*1-FC2"])
def test_a_neuron_of_the_file(body: str, tmp_path: Path) -> None:
    setting = "neuron Half\n" if "SN" in body else ""
    _, op, _ = ops(write(tmp_path / "a.net", f"{HALF}input 3\n{setting}body {body}\n"))
    assert str(op).startswith("Half(v_threshold=1.0, v_reset=0.0, detach_reset=on, surrogate=ATan")
    assert isinstance(op, LinearNeuron)
    assert op.at_start() == LinearDynamics(0.5, 1.0, 0.0)


def test_arguments_and_settings_in_every_place(tmp_path: Path) -> None:
    text = (
        f"{HALF}input 3\nsteps 2\nneuron Half(keep=0.25, v_reset=none, surrogate=Triangle)\n"
        "block Two(p) = FC4-SN-FC4-Half(keep=$(p))\n"
        "body Two(p=0.75)-FC4-SN(v_threshold=2.0)-Two(p=0.5, SN=Half(keep=0.125))\n"
    )
    found = [op for op in ops(write(tmp_path / "a.net", text)) if isinstance(op, Spiking)]
    assert [dict(op)["keep"] for op in found] == [0.25, 0.75, 0.25, 0.125, 0.5]
    assert [op.v_threshold for op in found] == [1.0, 1.0, 2.0, 1.0, 1.0]
    assert {getattr(op, "v_reset") for op in found} == {None}  # noqa: B009


def test_settings_from_outside(tmp_path: Path) -> None:
    file = write(tmp_path / "a.net", f"{HALF}input 3\nneuron Half\nbody FC4-SN\n")
    (_, changed) = ops(file, set={"neuron.keep": "0.25"})
    assert dict(changed)["keep"] == 0.25
    (_, other) = ops(file, neuron="ILIF(D=3)")
    assert other.infer(Signal((4,))).values == ValueRange(3)


def test_used_files_and_own_neurons_come_before_the_library(tmp_path: Path) -> None:
    write(tmp_path / "lib.net", HALF)
    file = write(tmp_path / "a.net", 'use "lib.net"\ninput 3\nbody FC4-Half-FC2-ILIF\n')
    _, half, _, counts = ops(file)
    assert isinstance(half, EquationKind)
    assert counts.infer(Signal((4,))).values == ValueRange(4)
    own = "neuron ILIF(D=7) { h = v + x   s = round(clip(h, 0, D))   v = h - s   give s }\n"
    compiled = sewdsl.read(write(tmp_path / "b.net", f"{own}input 3\nbody FC4-ILIF\n"))
    assert [said.code for said in compiled.diagnostics] == ["shadowed-neuron"]
    assert compiled.network is not None
    assert compiled.network.nodes[-1].output.values == ValueRange(7)


def test_a_string_has_the_library() -> None:
    assert [op.kind for op in ops("c8k3-BN-KLIF-FC10", input="1x8x8")] == ["c", "BN", "KLIF", "FC"]


def test_names_of_the_library_stay_free(tmp_path: Path) -> None:
    """Files that were valid before there were such neurons mean what they meant."""
    text = "input 3\nblock Rate(c=in) = FC$(c)-IF\nlet RF = FC4-IF\nbody RF-Rate-FC2\n"
    compiled = sewdsl.read(write(tmp_path / "a.net", text))
    assert not compiled.diagnostics
    assert [op.kind for op in ops(str(tmp_path / "a.net"))] == ["FC", "IF", "FC", "IF", "FC"]


def test_equal_definitions_are_one_kind() -> None:
    kinds = [sewdsl.load(f"c8k3-{name}", input="1x8x8").nodes[-1].op for name in ("ILIF", "ILIF(D=4)")]
    assert kinds[0] == kinds[1]
    assert NeuronKinds().shipped("LIF") is None


def test_kinds_know_time() -> None:
    network = sewdsl.load("c8k3-GLIF-FC2", input="1x8x8", steps=6)
    assert network.nodes[2].op.parameters(network.nodes[1].output) == 7 * 8 + 6 * 8
    assert network.first_fixed is network.nodes[2]


def test_definitions_are_kept(tmp_path: Path) -> None:
    """By JSON, and by the text that is written of a network: all but those of the library."""
    body = "neuron Half(keep=0.25)\nbody FC4-SN-FC4-Half-FC3-ILIF(D=3)-FC2\n"
    network = sewdsl.load(write(tmp_path / "a.net", f"{HALF}input 3\n{body}"))
    data = json.loads(json.dumps(to_json(network)))
    assert from_json(data) == network
    text = write_net(network)
    assert text.count("neuron Half(keep=0.5) {") == 1
    assert "neuron ILIF" not in text
    assert [node.op for node in sewdsl.load(write(tmp_path / "b.net", text.removeprefix("sewdsl 1\n")))] == [
        node.op for node in network
    ]


def test_learned_names_are_free_in_modules(tmp_path: Path) -> None:
    """An attribute of modules or a keyword of Python cannot be the name of a parameter."""
    taken = (name for module in (Equations, Neuron) for name in dir(module) if not name.startswith("_"))
    assert {*taken, "spec"} <= MODULE_ATTRIBUTES | MODULE_WORDS
    for name in ("half", "in", "spec"):
        said = sewdsl.read(write(tmp_path / "a.net", f"neuron A {{ learn {name} = 1   give {name}*x }}\n")).diagnostics
        assert [each.code for each in said] == ["reserved-name"]


def test_a_run_keeps_definitions(tmp_path: Path) -> None:
    """A text that needs no other file has the neurons of those that were used."""
    write(tmp_path / "lib.net", HALF)
    compiled = sewdsl.read(write(tmp_path / "a.net", 'use "lib.net"\ninput 3\nneuron Half\nbody FC4-SN-FC2\n'))
    text = compiled.standalone_text()
    assert (
        sewdsl.read(write(tmp_path / "b.net", text.removeprefix("sewdsl 1\n"))).result().nodes
        == compiled.result().nodes
    )


def test_other_equations_are_a_difference(tmp_path: Path) -> None:
    one, other = (
        sewdsl.load(write(tmp_path / "a.net", f"{text}input 3\nneuron Half\nbody FC4-SN-FC2\n"))
        for text in (HALF, HALF.replace("+ x", "+ 2*x"))
    )
    (change,) = diff_networks(one, other).settings
    assert change.key == "neuron Half"
    assert "keep*v + 2*x" in change.after
    assert not diff_networks(one, one).settings


def test_a_file_next_to_it_is_proposed(tmp_path: Path) -> None:
    write(tmp_path / "lib.net", HALF)
    (said,) = sewdsl.read(write(tmp_path / "a.net", "input 3\nbody FC4-Half-FC2\n")).diagnostics
    check_words(said.help)


def test_a_neuron_with_the_name_of_a_kind_of_recipes(tmp_path: Path) -> None:
    """Each is found where it is meant, and comes back from text and JSON."""
    neuron = "neuron Step { h = v + x  s = fire(h - 1)  v = h - s  give s }"
    recipe = "train on mnist5k {\n epochs 2\n batch 2\n optimizer Adam(lr=0.1)\n schedule Step(size=1, gamma=0.5)\n}"
    file = write(tmp_path / "a.net", f"{neuron}\ninput 1x28x28\nsteps 2\nbody c4k3-Step-GAP-FC10\n{recipe}\n")
    network = sewdsl.load(file)
    assert [node.op.kind for node in network][2] == "Step"
    assert network.recipe is not None
    assert str(network.recipe.schedule) == "Step(size=1, gamma=0.5)"
    assert from_json(to_json(network)) == network
    again = sewdsl.read(Source("again.net", write_net(network))).result()
    assert ([node.op for node in again], again.recipe) == ([node.op for node in network], network.recipe)


def test_defaults_are_computed() -> None:
    (neuron,) = ops(f"sewdsl 1\ninput 4\n{HALF.replace('0.5', '-1/3')}body Half\n")
    assert repr(neuron).endswith(", keep=-0.3333333333333333)")


def test_a_full_tape_has_no_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "neuron N { learn w per channel = 0.5   h = w*v + x   s = fire(h - 2*w)   v = reset(h, s)   give s }"
    neuron = defined_kind(text).model_validate({})
    assert isinstance(neuron, Spiking)
    assert neuron.equations is not None
    with monkeypatch.context() as patched:
        patched.setattr(tape, "MAX_ENTRIES", len(neuron.equations.tape.entries))
        assert neuron.hard_reset_numbers({"w": 0.5}) is None
    assert neuron.hard_reset_numbers({"w": 0.5}) == (0.5, 1.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("text", ["neuron N { give y }", "neuron N { give x", "MAP{ $(n)*x }", HALF + HALF])
def test_definitions_that_are_refused(text: str) -> None:
    with raises((ValueError, SewdslError)):
        defined_kind(text)
