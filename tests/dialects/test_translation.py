"""Translation of each form of a layer and of each option of the dialect."""

import pytest

from sewdsl.dialects import parse_conventions, translate
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.printer import print_expression
from sewdsl.syntax.tree import Body, Setting


def ours(text: str, dialect: str = "he") -> tuple[str, dict[str, str]]:
    """The body and the header in our language."""
    reporter = Reporter()
    asked = reporter.take(parse_conventions(dialect, DEFAULT_LIMITS))
    assert asked is not None
    document = reporter.take(translate(Source("t", text), asked)).document
    assert not reporter.errors
    bodies = [print_expression(found.expression) for found in document.statements if isinstance(found, Body)]
    header = {
        found.key.text: print_expression(found.values[0]) for found in document.statements if isinstance(found, Setting)
    }
    return bodies[0], header


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("8C3-8c3-8Conv3-8CONV3", "c8k3-SN-c8k3-SN-c8k3-SN-c8k3-SN"),
        ("8C3S2-8C3P1-8c3s2p0", "c8k3s2-SN-c8k3p1-SN-c8k3s2p0-SN"),
        ("AP2-2AP-AvgPool2-2s-2a", "APk2-APk2-APk2-APk2-APk2"),
        ("MP2-2MP-MaxPool2-mp2s1", "MPk2-MPk2-MPk2-MPk2s1"),
        ("P2-2P-Pool2-P3S2", "APk2-APk2-APk2-APk3s2"),
        ("GAP-Flatten", "GAP-Flatten"),
        ("8FC-FC8-8-fc8-8O", "FC8-SN-FC8-SN-FC8-SN-FC8-SN-FC8"),
        ("8C3-10SVM", "c8k3-SN-FC10"),
        ("8C3-10SSE", "c8k3-SN-FC10"),
        ("8C3-10-SoftMax", "c8k3-SN-FC10"),
        ("8C3-(SoftMax)*2", "c8k3-SN"),
        ("64FC10", "FC10"),
        ("DP-DP0.2-0.2DP-DP(0.2)-Dropout0.2-DP.2", "DP-DP0.2-DP0.2-DP0.2-DP0.2-DP0.2"),
        ("8C3-bn-lif-plif-If-relu", "c8k3-BN-LIF-PLIF-IF-ReLU"),
        ("8FC-tdBN-10", "FC8-tdBN-SN-FC10"),
        ("{8C3}*2-<8C3>*2", "{c8k3-SN}*2-{c8k3-SN}*2"),
        ("(8C3)*2-[8C3]*2-(8C3)x2", "{c8k3-SN}*2-{c8k3-SN}*2-{c8k3-SN}*2"),
        ("2x8C3-2*8C3-2x(8C3-AP2)-2 x 8C3", "{c8k3-SN}*2-{c8k3-SN}*2-{c8k3-SN-APk2}*2-{c8k3-SN}*2"),
        ("(8C3-(8C1))-[AP2]", "c8k3-SN-c8k1-SN-APk2"),
        ("{8C3}*1-1x8C3", "c8k3-SN-c8k3-SN"),
        ("2x(8C3-2x8C1)", "{c8k3-SN-{c8k1-SN}*2}*2"),
        ("8C3-(8C1-8C1)", "c8k3-SN-c8k1-SN-c8k1-SN"),
        ("8C3-AP2-2x(8C1-16)", "c8k3-SN-APk2-{c8k1-SN-FC16-SN}*2"),
        ("8C3 -> AP2 \u2192 10", "c8k3-SN-APk2-FC10"),
        ("2x(8FC)-(4FC)", "{FC8-SN}*2-FC4"),
        ("4FC-2x(8FC)", "FC4-SN-{FC8-SN}*2"),
    ],
)
def test_a_layer(text: str, body: str) -> None:
    assert ours(text)[0] == body


@pytest.mark.parametrize(
    ("text", "dialect", "body"),
    [
        ("8C3-8C1-8C3P2", "he(padding=none)", "c8k3p0-SN-c8k1-SN-c8k3p2-SN"),
        ("8C3-8C3-BN-8FC-10", "he(norm=tdBN)", "c8k3-tdBN-SN-c8k3-BN-SN-FC8-SN-FC10"),
        ("8C3-BN-10", "he(norm=none)", "c8k3-BN-SN-FC10"),
        ("P2-MP2-8C3-P2", "he(pool=MP)", "MPk2-MPk2-c8k3-SN-MPk2"),
        ("AP2-8C3-AP2-AP2-8FC-10", "he(neurons=both)", "APk2-c8k3-SN-APk2-SN-APk2-SN-FC8-SN-FC10"),
        ("AP2-8C3-AP2-AP2-8FC-10", "he(neurons=pool)", "APk2-c8k3-APk2-SN-APk2-FC8-SN-FC10"),
        ("8C3-BN-AP2-8C3-DP-AP2-10", "he(neurons=pool)", "c8k3-BN-APk2-SN-c8k3-SN-DP-APk2-FC10"),
        ("8C3-(8C3)-AP2", "he(neurons=pool)", "c8k3-SN-c8k3-APk2-SN"),
        ("8C3-2x(8C3)-AP2", "he(neurons=pool)", "c8k3-SN-{c8k3-SN}*2-APk2"),
        ("8C3-LIF-AP2-10", "he(neurons=both, output=spikes)", "c8k3-LIF-APk2-FC10"),
        ("8C3-10", "he(output=spikes)", "c8k3-SN-FC10-SN"),
        ("8C3-300", "he(classes=10)", "c8k3-SN-FC300-SN-FC10"),
        ("8C3-300-10", "he(classes=10)", "c8k3-SN-FC300-SN-FC10"),
        ("8C3-AP2", "he(classes=10)", "c8k3-SN-APk2-FC10"),
        ("8C3-FC", "he(classes=10)", "c8k3-SN-FC10"),
        ("8C3-20FC-Voting", "he(classes=10)", "c8k3-SN-FC20-SN-APk2"),
        ("8C3-8FC-110FC-voting", "he(classes=11)", "c8k3-SN-FC8-SN-FC110-SN-APk10"),
    ],
)
def test_what_the_option_says(text: str, dialect: str, body: str) -> None:
    assert ours(text, dialect)[0] == body


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("28x20-8C3", {"input": "1x28x20", "neuron": "LIF"}),
        ("28*28-8C3", {"input": "1x28x28", "neuron": "LIF"}),
        ("34x34x2-8C3", {"input": "2x34x34", "neuron": "LIF"}),
        ("2x34x34-8C3", {"input": "2x34x34", "neuron": "LIF"}),
        ("784-8FC", {"input": "784"}),
        ("Input-AP2", {}),
        ("10", {}),
        ("8C3(Encoding)-LIF", {"encode": "direct"}),
    ],
)
def test_the_header(text: str, header: dict[str, str]) -> None:
    assert ours(text)[1] == header


@pytest.mark.parametrize(
    ("text", "dialect"),
    [("8C3-25FC-Voting", "he(classes=10)"), ("8C3-5FC-Voting", "he(classes=10)"), ("8C3-0FC-Voting", "he(classes=10)")],
)
def test_votes_are_even_or_an_error(text: str, dialect: str) -> None:
    reporter = Reporter()
    asked = reporter.take(parse_conventions(dialect, DEFAULT_LIMITS))
    assert asked is not None
    assert reporter.take(translate(Source("t", text), asked)).document.statements == ()
    (found,) = reporter.errors
    assert (found.code, found.span.text) == ("voting-mismatch", text.split("-")[1].removesuffix("FC"))
