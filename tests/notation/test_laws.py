"""Law: the text of a network is read as an equal network."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import sewdsl
from sewdsl.elaborate.neuron_kinds import is_shipped
from sewdsl.ir.network import Network
from sewdsl.notation import compact_text, write_net
from sewdsl.notation.compact_text import body_unfolded
from sewdsl.notation.item_text import items_text as text_of
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from tests.effort import examples, representatives
from tests.laws.drawn import Drawn, nets
from tests.laws.strategies import NETWORKS
from tests.notation.handmade import shuffled
from tests.notation.same import anonymous, compiled, essence, options, ways
from tests.shipped import SHIPPED


def holds(network: Network, seed: int = 0, *, is_string: bool = True, in_order: bool = True) -> None:
    """The laws of both forms, with the names of the nodes, without them, and in another order.

    Args:
        in_order: Whether the nodes are in the order of the text. The operands of a part precede its other layers.
    """
    text, line, handmade = write_net(network), compact_text(network), write_net(anonymous(network))
    # The order of the nodes follows that of the text, and names those of the paths.
    if network.wiring.values or network.users or not in_order:
        for each in {text, handmade, write_net(shuffled(network, seed))}:
            again = compiled(each)
            assert (ways(again), again.settings) == (ways(network), network.settings)
            assert format_source(Source("text.net", each)) == each
            assert compact_text(again) == compact_text(compiled(write_net(again)))
        return
    for each in {text, handmade}:
        assert essence(compiled(each)) == essence(network)
        assert format_source(Source("text.net", each)) == each
    assert "\n" not in line
    assert len(line) <= len(text_of(body_unfolded(network)[1]))
    if is_string:  # which defines no neurons
        assert essence(sewdsl.load(line, **options(network)))[:3] == essence(network)[:3]
    assert write_net(shuffled(network, seed)) == handmade


def defined_neurons(network: Network) -> bool:
    """Return whether a network has neurons that its file defines."""
    return any(isinstance(node.op, EquationKind) and not is_shipped(type(node.op)) for node in network)


@examples(30)
@given(nets())
def test_random_networks(drawn: Drawn) -> None:
    in_order = not any("[" in name for name, _ in drawn.settings)
    holds(drawn.network, drawn.seed, is_string=drawn.is_string, in_order=in_order)


@examples(30)
@given(NETWORKS, st.sampled_from([None, "PLIF(tau=3.0)", "IF"]), st.integers(0, 99))
def test_random_texts(text: str, neuron: str | None, seed: int) -> None:
    """Also without a neuron in the header, so that ``SN`` is the one nearest before."""
    compilation = sewdsl.read(text, input="2x16x16", neuron=neuron)
    assume(compilation.valid)
    holds(compilation.result(), seed)


NUMBERS = st.one_of(
    st.floats(0, exclude_min=True, allow_infinity=False).map(repr),
    st.floats(0, exclude_min=True, allow_infinity=False).map("{:.3e}".format),
    st.builds("{}{}".format, st.integers(1, 999), st.sampled_from(["", "e9", "e+12", "E-7", ".5e3", ".25"])),
)
NAMES = st.text(st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"]), min_size=1, max_size=12)


@examples(30)
@given(NAMES, st.lists(NUMBERS, min_size=4, max_size=4), NAMES)
def test_numbers_in_every_form_and_names_of_any_characters(name: str, numbers: list[str], source: str) -> None:
    """Settings that ``check`` accepts are accepted again after they are written."""
    tau, threshold, rate, clip = numbers
    text = (
        f'sewdsl 1\nnetwork "{name}"\ninput 1x28x28\nsteps 2\nneuron LIF(tau={tau})\n'
        f'body c2k3-BN-SN-IF(v_threshold={threshold})-FC10\nclaim parameters 4 "{source}"\n'
        f"train on mnist5k {{\n optimizer SGD(lr={rate})\n clip {clip}\n}}\n"
    )
    compilation = sewdsl.read(Source("x.net", text))
    assume(compilation.network is not None and compilation.valid)
    again = compiled(write_net(compilation.result()))
    assert essence(again) == essence(compilation.result())
    assert again.name == name


@pytest.mark.parametrize("name", representatives(SHIPPED))
def test_shipped_networks(name: str) -> None:
    network = sewdsl.load(name)
    holds(network, is_string=not defined_neurons(network))
