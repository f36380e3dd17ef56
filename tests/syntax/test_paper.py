"""Every network that the paper prints, as it is there and in its PDF's text layer."""

import pytest

from sewdsl.diagnostics import Severity
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.parser import parse_compact
from sewdsl.syntax.printer import print_document
from tests.syntax.fixing import apply_fix

CLEAN = [
    "c32k3s1-BN-PLIF-{SEW Block-MPk2s2}*7-FC11",
    "c32k3s1-BN-PLIF-<SEW Block-MPk2s2>*7-FC11",
    "c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11",
    "c32k3s1-BN-PLIF-{SEW Block (c32) -MPk2s2}*7-FC11",
    "{c128k3s1-BN-PLIF-MPk2s2}*5-DP-FC512-PLIF-DP-FC110-PLIF-APk10s10",
    "MPk4-c64k3-LIF-c128k3-LIF-APk2-c128k3-LIF-APk2-FC256-LIF-FC11",
    "c64k3s1-BN-PLIF-{SEW\nBlock (c64)-MPk2s2}*4-c128k3s1-BN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10",
    "c64k3s1-BN-PLIF-{SEW Block (c64)-MPk2s2}*4-c128k3s1-\nBN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10",
    "c32k3s1-BN-PLIF-{MPk2s2}*7-FC11",
    "c32k3s1-BN-IF-{{SEW Block (c32)}*2-MPk2s2}*5-\nFC10",
]

DAMAGED = {
    "c32k3s1-BN-PLIF-{SEW Block (c32) -MPk2s2}*7-FC11 (7B-Net)": ["trailing-citation"],
    "c32k3s1-BN-PLIF-{SEW Block (c32) -MPk2s2}*7-FC11 (7B-Net) 97.92 0.13M 16": ["trailing-citation"],
    "{c128k3s1-BN-PLIF-MPk2s2}*5-DP\ufffeFC512-PLIF-DP-FC110-PLIF-APk10s10 [8]": [
        *("typographic-character", "trailing-citation"),
    ],
    "{c128k3s1-BN-PLIF-MPk2s2}*4-DP-FC512-PLIF-DP\ufffeFC100-PLIF-APk10s10[8]": [
        *("typographic-character", "trailing-citation"),
    ],
    "{c128k3s1-BN-PLIF-MPk2s2}*5DP-FC512-PLIF-DP-FC110-PLIF-APk10s10": ["missing-hyphen"],
    "MPk4-c64k3-LIF-c128k3-LIF-APk2-c128k3-LIF-APk2-FC256-LIF-FC11[16]": ["trailing-citation"],
    "c64k3s1-BN-PLIF-{SEW Block (c64)-MPk2s2}*4-c128k3s1-\nBN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10 (Wide-7B-Net)": [
        "trailing-citation"
    ],
    "c32k3s1-BN-IF-{{SEW Block (c32)}*2-MPk2s2}*5-\nFC10.": ["unexpected-character"],
}


@pytest.mark.parametrize("text", CLEAN)
def test_printed_networks_parse(text: str) -> None:
    reporter = Reporter()
    assert len(reporter.take(parse_compact(Source("t", text))).statements) == 1
    assert not list(reporter)


@pytest.mark.parametrize(("text", "codes"), DAMAGED.items())
def test_damaged_networks_are_mended_by_their_fixes(text: str, codes: list[str]) -> None:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", text)))
    assert [diagnostic.code for diagnostic in reporter] == codes
    for diagnostic in reversed(reporter.sorted):
        (fix,) = diagnostic.fixes
        assert fix.safe
        text = apply_fix(text, fix)
    after = Reporter()
    document = after.take(parse_compact(Source("t", text)))
    assert not list(after)
    assert print_document(document).startswith("body    ")


def test_the_text_layer_s_noncharacter_is_only_a_warning() -> None:
    reporter = Reporter()
    document = reporter.take(parse_compact(Source("t", "DP\ufffeFC512")))
    assert print_document(document) == "body    DP-FC512\n"
    assert [diagnostic.severity for diagnostic in reporter] == [Severity.WARNING]
