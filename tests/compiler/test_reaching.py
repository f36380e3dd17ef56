"""``neuron`` and ``join`` put over a text: what they do not reach is said, and no mixture comes out in silence."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.compiler import Options, compile_variants, read
from sewdsl.diagnostics import Diagnostic, Severity, SewdslError
from sewdsl.ir.op import Spiking
from sewdsl.source import Source
from tests.effort import factor, representatives
from tests.shipped import SHIPPED
from tests.words import check_words

FILE = "sewdsl 1\ninput 2x16x16\nneuron IF(v_threshold=0.5)\nbody c4k3-BN-IF-SEW Block-GAP-FC3\n"
AS_PRINTED = ["7b-net", "7b-net-and", "7b-net-iand", "7b-net-identity", "cifar10-net", "lif-net-dvs-gesture"]
AS_PRINTED += ["plif-net-cifar10-dvs", "plif-net-dvs-gesture", "wide-7b-net"]
WITHOUT_SPIKES = [f"resnet-{depth}" for depth in (18, 34, 50, 101, 152)]


def said(text: str, options: Options) -> list[Diagnostic]:
    return [d for d in read(text, **options).diagnostics if d.code in ("neuron-not-reached", "override-without-effect")]


def test_a_neuron_that_the_body_names() -> None:
    (found,) = said(FILE, {"neuron": "LIF"})
    assert found.severity is Severity.ERROR
    check_words(found.message)
    assert (found.span.text, found.label) == ("IF", "stays IF")
    check_words(found.help, "2")
    body = found.help.partition("body=")[2].rstrip("'")
    assert said(FILE, {"neuron": "LIF", "set": {"body": body}}) == []
    with pytest.raises(SewdslError, match="replaces only 2 of 3"):
        sewdsl.compile(FILE, neuron="LIF")


NAMES = {*representatives(SHIPPED), *AS_PRINTED, *WITHOUT_SPIKES[: None if factor() > 1 else 1]}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_shipped_networks_follow_the_option_or_refuse_it(name: str) -> None:
    before = read(name)
    if before.network is None or before.network.settings.neuron is None:
        return
    other = "IF(v_threshold=0.7)" if before.network.settings.neuron.kind == "LIF" else "LIF(tau=5.0)"
    found = read(name, neuron=other)
    assert found.network is not None
    kinds = {node.op.kind for node in found.network if isinstance(node.op, Spiking)}  # SN(…) has other arguments
    refused = [d for d in found.diagnostics if d.code == "neuron-not-reached"]
    assert bool(refused) == (name in AS_PRINTED + WITHOUT_SPIKES)
    assert refused or len(kinds) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"neuron": "IF"},  # a bare IF takes the arguments of the line
        {"set": {"neuron.v_threshold": 2.0}},
        {"neuron": "IF(v_threshold=0.5)"},
        {"neuron": "LIF", "set": {"body": "c4k3-BN-IF-SEW Block-GAP-FC3"}},  # its user has named it with the option
    ],
)
def test_what_is_meant(change: Options) -> None:
    assert said(FILE, change) == []


@pytest.mark.parametrize(
    "body",
    [
        "c4k3-BN-SN-SEW Block (SN=IF)-GAP-FC3",
        "c4k3-BN-PLIF-SEW Block-GAP-FC3",
        "c4k3-BN-IF(v_threshold=2.0)-SEW Block-FC3",
    ],
)
def test_what_the_file_makes_another_than_its_neuron(body: str) -> None:
    """There the text itself is a mixture, and stays one."""
    assert said(FILE.replace("c4k3-BN-IF-SEW Block-GAP-FC3", body), {"neuron": "LIF"}) == []


def test_a_string_has_no_line_that_the_option_could_contradict() -> None:
    assert said("c4k3-BN-IF-SEW Block-GAP-FC3", {"input": "2x16x16", "neuron": "LIF"}) == []


def test_names_inside_blocks() -> None:
    text = FILE.replace("body c4k3-BN-IF-SEW Block", "block Own = c4k3-BN-IF\nbody {Own}*5-SEW Block")
    (found,) = said(text, {"neuron": "LIF"})
    names = "repeat1.1.own1.if1, repeat1.2.own1.if1, repeat1.3.own1.if1 and 2 more"
    reached = "--neuron LIF replaces only 2 of 7 neurons"
    assert found.message == f"{reached}: the source names IF explicitly for {names}"
    check_words(found.help)


def test_a_variant_of_a_study() -> None:
    base, _ = compile_variants(Source("t.net", FILE + "study {\n    vary neuron IF LIF\n}\n"))
    assert [d.message for d in base.diagnostics if d.severity is Severity.ERROR] == [
        "neuron=LIF replaces only 2 of 3 neurons: the source names IF explicitly for if1"
    ]


@pytest.mark.parametrize(
    ("body", "options", "message", "label"),
    [
        (
            "c4k3-BN-IF-FC3",
            {"neuron": "LIF"},
            "--neuron LIF has no effect: the network does not use 'SN'",
            "the network uses IF",
        ),
        ("FC3", {"neuron": "LIF"}, "--neuron LIF has no effect: the network does not use 'SN'", ""),
        (
            "c4k3-BN-IF-Plain Block-FC3",
            {"set": {"join": "IAND"}},
            "--set join=IAND has no effect: the network does not use 'g'",
            "",
        ),
        (
            "c4k3-BN-IF-Spiking Block-FC3",
            {"set": {"join": "IAND"}},
            "--set join=IAND has no effect: the network does not use 'g'",
            "the network uses ADD",
        ),
    ],
)
def test_what_changes_nothing(body: str, options: Options, message: str, label: str) -> None:
    (found,) = said(body, {"input": "2x16x16", **options})
    assert (found.severity, found.message, found.label) == (Severity.WARNING, message, label)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("c4k3-BN-LIF-SEW Block-FC3", {"neuron": "LIF"}),
        ("c4k3-BN-SN(v_threshold=2.0)-FC3", {"neuron": "LIF"}),
        ("c4k3-BN-LIF-FC3", {"neuron": "LIF(tau=3.0)"}),
        ("c4k3-BN-IF-Spiking Block-FC3", {"set": {"join": "ADD"}}),
        ("c4k3-BN-IF-Spiking Block-c4k3-BN-IF-SEW Block-FC3", {"set": {"join": "AND"}}),
        ("c4k3-BN-IF-SEW Block (g=ADD)-SEW Block-FC3", {"set": {"join": "AND"}}),
    ],
)
def test_what_changes_something(body: str, options: Options) -> None:
    assert said(body, {"input": "2x16x16", **options}) == []


STUDY = 'study {\n    variant "A" "join=AND" "neuron.v_threshold=2.0"\n    variant "B" "join=IAND" "neuron=IF"\n}\n'


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"join": "IAND"}, ["--set join=IAND has no effect: every variant of the study sets 'join'"]),
        (
            {"neuron.v_threshold": 3.0},
            [("--set neuron.v_threshold=3.0 has no effect: every variant of the study sets 'neuron.v_threshold'")],
        ),
        ({"neuron.v_reset": 0.0}, []),
        ({"steps": 2}, []),
    ],
)
def test_an_option_that_every_variant_replaces(change: dict[str, object], messages: list[str]) -> None:
    base, _ = compile_variants(Source("t.net", FILE.replace("-IF-", "-SN-") + STUDY), set=change)
    assert [d.message for d in base.diagnostics if d.code == "override-without-effect"] == messages
