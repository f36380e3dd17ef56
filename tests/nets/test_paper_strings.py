"""Every string that Fang et al. 2021 prints compiles, line breaks and the damage of the PDF's text layer included."""

import pytest

import sewdsl
from sewdsl.compiler.fixing import apply_fixes

DVS = {"input": "2x128x128"}

PRINTED = {
    "Sec. 4.2": ("c32k3s1-BN-PLIF-{SEW Block-MPk2s2}*7-FC11", 130_938),
    "Tab. 5, first": ("c32k3s1-BN-PLIF-{SEW Block (c32) -MPk2s2}*7-FC11", 130_938),
    "Tab. 5, second": (
        "{c128k3s1-BN-PLIF-MPk2s2}*5-DP\ufffeFC512-PLIF-DP-FC110-PLIF-APk10s10",
        1_698_933,
    ),
    "Tab. 5, fourth": ("MPk4-c64k3-LIF-c128k3-LIF-APk2-c128k3-LIF-APk2-FC256-LIF-FC11", 2_322_891),
    "Sec. 4.3": (
        "c64k3s1-BN-PLIF-{SEW\nBlock (c64)-MPk2s2}*4-c128k3s1-BN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10",
        1_258_778,
    ),
    "Tab. 6, first": (
        "c64k3s1-BN-PLIF-{SEW Block (c64)-MPk2s2}*4-c128k3s1-\nBN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10",
        1_258_778,
    ),
    "Tab. 6, second": ("{c128k3s1-BN-PLIF-MPk2s2}*4-DP-FC512-PLIF-DP\ufffeFC100-PLIF-APk10s10", 4_691_818),
    "A.3": ("c32k3s1-BN-PLIF-{MPk2s2}*7-FC11", 1_004),
    "with angle brackets": ("c32k3s1-BN-PLIF-<SEW Block-MPk2s2>*7-FC11", 130_938),
}


@pytest.mark.parametrize(("text", "parameters"), PRINTED.values(), ids=PRINTED)
def test_compiles(text: str, parameters: int) -> None:
    compilation = sewdsl.read(text, **DVS)  # type: ignore[arg-type]
    assert compilation.valid
    assert compilation.result().total_parameters == parameters
    assert {d.code for d in compilation.diagnostics} <= {"typographic-character"}


def test_appendix_net() -> None:
    text = "c32k3s1-BN-IF-{{SEW Block (c32)}*2-MPk2s2}*5-\nFC10"
    assert sewdsl.load(text, input="3x32x32").nodes[1:] == sewdsl.load("cifar10-net", set={"encode": "none"}).nodes[1:]


PASTED = {
    "Tab. 5, first": "c32k3s1-BN-PLIF-{SEW Block (c32) -MPk2s2}*7-FC11 (7B-Net)",
    "Tab. 5, second": "{c128k3s1-BN-PLIF-MPk2s2}*5-DP\ufffeFC512-PLIF-DP-FC110-PLIF-APk10s10 [8]",
    "Tab. 5, fourth": "MPk4-c64k3-LIF-c128k3-LIF-APk2-c128k3-LIF-APk2-FC256-LIF-FC11[16]",
    "Tab. 6, first": (
        "c64k3s1-BN-PLIF-{SEW Block (c64)-MPk2s2}*4-c128k3s1-\nBN-PLIF-{SEW Block (c128)-MPk2s2}*3-FC10 (Wide-7B-Net)"
    ),
    "Tab. 6, second": "{c128k3s1-BN-PLIF-MPk2s2}*4-DP-FC512-PLIF-DP\ufffeFC100-PLIF-APk10s10[8]",
}


@pytest.mark.parametrize("place", PASTED)
def test_pasted_with_what_stands_behind_it(place: str) -> None:
    """The name or citation in a table's cell gets its own message, and its fix gives the printed string."""
    compilation = sewdsl.read(PASTED[place], **DVS)  # type: ignore[arg-type]
    errors = [d.code for d in compilation.diagnostics if str(d.severity) == "error"]
    assert errors == ["trailing-citation"]
    assert compilation.spec_source is not None
    mended = apply_fixes(compilation.diagnostics, compilation.spec_source.source)
    assert sewdsl.load(mended, **DVS).total_parameters == PRINTED[place][1]  # type: ignore[arg-type]


DAMAGED = {
    "{c128k3s1-BN-PLIF-MPk2s2}*5DP-FC512-PLIF-DP-FC110-PLIF-APk10s10": 1_698_933,
    "{c128k3s1-BN-PLIF-MPk2s2}*5-DP-FC512-PLIF-DP-FC110-PLIFAPk10s10": 1_698_933,
    "c32k3s1-BNPLIF-{SEW Block (c32)-MPk2s2}*7-FC11": 130_938,
    "c32k3s1-BN-PLIF-{SEW Block}*3MPk2s2-FC11": 1_498_130,
}


@pytest.mark.parametrize(("text", "parameters"), DAMAGED.items())
def test_lost_hyphens(text: str, parameters: int) -> None:
    """The four losses found in public repositories, each with a fix."""
    compilation = sewdsl.read(text, **DVS)  # type: ignore[arg-type]
    assert [d.code for d in compilation.diagnostics] == ["missing-hyphen"]
    assert compilation.spec_source is not None
    fixed = apply_fixes(compilation.diagnostics, compilation.spec_source.source)
    assert sewdsl.load(fixed, **DVS).total_parameters == parameters  # type: ignore[arg-type]
