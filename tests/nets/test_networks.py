"""Every shipped network compiles, and has the figures that its source prints."""

import re

import pytest

import sewdsl
from sewdsl.analysis.listing import layer_rows
from sewdsl.compiler import compile_variants, shipped_networks
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from tests.docs.commands import understood
from tests.shipped import SHIPPED

RESNETS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
PARAMETERS = {
    **{
        f"{family}{depth}": count
        for depth, count in RESNETS.items()
        for family in ("sew-resnet-", "spiking-resnet-", "resnet-")
    },
    "7b-net": 130_938,
    "7b-net-and": 130_938,
    "7b-net-iand": 130_938,
    "7b-net-spiking": 130_938,
    "7b-net-plain": 130_938,
    "7b-net-released": 130_426,
    "wide-7b-net": 1_258_778,
    "wide-7b-net-released": 1_192_218,
    "plif-net-dvs-gesture": 1_698_933,
    "plif-net-cifar10-dvs": 4_691_818,
    "lif-net-dvs-gesture": 2_322_891,
}


@pytest.mark.parametrize("name", sorted(shipped_networks()))
def test_is_valid(name: str) -> None:
    """No shipped file has an error or a warning; only claims of the sources may differ."""
    said = [d.code for d in sewdsl.read(name).diagnostics]
    assert set(said) <= {"claim-differs"}


@pytest.mark.parametrize("name", sorted(shipped_networks()))
def test_is_formatted(name: str) -> None:
    """Every shipped file is laid out as ``sewdsl fmt`` lays it out."""
    text = shipped_networks()[name].read_text(encoding="utf-8")
    assert format_source(Source(name, text)) == text


@pytest.mark.parametrize("name", SHIPPED)
def test_names_its_source(name: str) -> None:
    """The second line says where the network comes from."""
    assert shipped_networks()[name].read_text(encoding="utf-8").splitlines()[1].startswith("# ")


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameters(name: str, parameters: int) -> None:
    """The counts computed by hand, without torch."""
    assert sewdsl.load(name).total_parameters == parameters


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("wide-7b-net", True),
        ("wide-7b-net-released", False),
        ("lif-net-dvs-gesture", True),
        ("plif-net-cifar10-dvs", True),
    ],
)
def test_claims(name: str, *, differs: bool) -> None:
    """A figure that does not follow from the printed string is shown next to the computed one."""
    codes = [d.code for d in sewdsl.read(name).diagnostics]
    assert ("claim-differs" in codes) == differs


def test_seven_b_net_macs() -> None:
    """26 GMAC for 16 time-steps and 4 samples."""
    assert 26e9 < sewdsl.load("7b-net").total_macs * 16 * 4 < 27e9


def test_voting_layer_without_bias() -> None:
    """The PLIF net of reference 8 has 1,698,311 parameters with the bias of its FC layers off."""
    text = "{c128k3s1-BN-PLIF-MPk2s2}*5-DP-FC512b0-PLIF-DP-FC110b0-PLIF-APk10s10"
    assert sewdsl.load(text, input="2x128x128").total_parameters == 1_698_311


@pytest.mark.parametrize("depth", RESNETS)
def test_downsample_bounds(depth: int) -> None:
    """Sec. 3.3: k blocks in a row give at most k + 1; a downsampling block brings the bound back to 2."""
    network = sewdsl.load(f"sew-resnet-{depth}")
    uppers = [row.signal.values.upper for row in layer_rows(network) if row.kind == "ADD"]
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
    assert uppers == [k + 2 for stage in blocks for k in range(stage)]


def test_spiking_blocks_stay_binary() -> None:
    """A Spiking block ends with a neuron, so nothing accumulates."""
    network = sewdsl.load("spiking-resnet-50")
    outputs = [node for node in network if node.path and node.path[-1].kind == "block"]
    assert {node.output.values.upper for node in outputs if node.op.kind == "IF"} == {1}


@pytest.mark.parametrize("name", ["table-4", "table-9", "degradation", "precision"])
def test_every_variant_of_a_study_is_valid(name: str) -> None:
    base, found = compile_variants(name, seeded=False)
    assert base.diagnostics == ()
    assert len(found) > 1
    assert {one.compilations[0].valid for one in found} == {True}


@pytest.mark.parametrize("name", shipped_networks())
def test_commands_in_comments_are_understood(name: str) -> None:
    """A command stands alone in its line, or in single quotes."""
    comments = "\n".join(re.findall(r"(?m)^# ?(.*)$", shipped_networks()[name].read_text(encoding="utf-8")))
    for command in re.findall(r"(?m)^ +(sewdsl .*)$|'(sewdsl [^']*)'", comments):
        understood("".join(command))
