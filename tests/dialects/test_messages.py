"""Messages about texts in the dialect, which refer to the text as written."""

from typing import cast

import pytest

from sewdsl import Options, read
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.source import Source
from tests.words import check_words

EXPLICIT = "he(norm=none, padding=same, neurons=conv, output=current, pool=AP)"


def said(text: str, dialect: str = EXPLICIT, **options: object) -> list[Diagnostic]:
    given = {"input": "3x32x32", "neuron": "LIF", "dialect": dialect, **options}
    return list(read(Source("t", text), **cast("Options", given)).diagnostics)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("0C3-AP2-10", "invalid-argument", "0"),
        ("64C0-AP2-10", "invalid-argument", "C0"),
        ("64C3S0-10", "invalid-argument", "S0"),
        ("64C4-10", "even-kernel", "64C4"),
        ("64C3-AP2-AP2-AP2-AP2-AP2-AP2-10", "spatial-size-exhausted", "AP2"),
        ("{64C3-MP2}*6-10", "spatial-size-exhausted", "MP2"),
        ("64C3-10FC-AP3", "voting-mismatch", "AP3"),
        ("{64C3}*0-10", "zero-count", "0"),
        ("0x64C3-10", "zero-count", "0"),
        ("20000x(64C3)-10", "repeat-too-large", "20000"),
        ("1234567890C3-10", "integer-too-long", "1234567890"),
        ("64C3-10FC-", "trailing-hyphen", "-"),
        ("64C3--10FC", "unexpected-token", "-"),
        ("{64C3}-10", "missing-count", "}"),
        ("{64C3}*-10", "missing-count", "*"),
        ("(64C3-10", "unclosed-bracket", "("),
        ("64C3)-10", "unmatched-bracket", ")"),
        ("{}*2-10", "empty-sequence", "{}"),
        ("", "empty-sequence", ""),
        ("64C3+10", "unexpected-character", "+"),
        ("64C3-10 [8]", "trailing-citation", "[8]"),
        ("64C3*2-10", "unexpected-token", "*"),
        ("64C3-28x28-10", "unexpected-token", "28x28"),
        ("64C3-Input-10", "unexpected-token", "Input"),
        ("64C3(Encoder)-10", "unknown-argument", "Encoder"),
        ("64C3-DP0.2(0.3)-10", "unknown-argument", "0.3"),
        ("Input", "empty-sequence", "Input"),
        ("28x28", "empty-sequence", "28x28"),
        ("64C3-FC-10", "missing-argument", "FC"),
        ("64C3-FC", "missing-argument", "FC"),
        ("64C3-512FC-Voting", "missing-argument", "Voting"),
        ("12x34x56-64C3-10", "invalid-argument", "12x34x56"),
        ("c64k3-10", "other-notation", "c64k3"),
        ("64C3-MPk2s2-10", "other-notation", "MPk2s2"),
        ("64C3-1024FC10", "inputs-mismatch", "1024"),
    ],
)
def test_an_error(text: str, code: str, place: str) -> None:
    (found,) = (found for found in said(text) if found.severity is Severity.ERROR)
    assert (found.code, found.span.text) == (code, place)
    assert found.span.source == Source("t", text)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("128C3AP2-10", "128C3-AP2-10"),
        ("64C3-BNLIF-10", "64C3-BN-LIF-10"),
        ("{64C3-MP2}*2DP-10", "{64C3-MP2}*2-DP-10"),
        ("64C3 AP2-10", "64C3-AP2-10"),
        ("64C3\u2013AP2\u201310", "64C3-AP2-10"),
        ("2\u00d764C3-10", "2x64C3-10"),
        ("{64C3}2-10", "{64C3}*2-10"),
    ],
)
def test_a_fix(text: str, fix: str) -> None:
    found = said(text)
    assert apply_fixes(found, Source("t", text)) == fix
    assert not [left for left in said(fix) if left.severity is not Severity.NOTE]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("64C3-AvPool2-10", "AvgPool2"),
        ("64Con3-10", "64Conv3"),
        ("64C3-PLIFF-10", "PLIF"),
        ("64C3-Drop0.5-10", "Dropout0.5"),
        ("64C3-Votin", "Voting"),
    ],
)
def test_what_may_be_meant(text: str, meant: str) -> None:
    found = next(found for found in said(text) if found.code == "unknown-name")
    assert found.help == f"did you mean '{meant}'?"
    assert apply_fixes([found], Source("t", text), unsafe=True) == text.replace(found.span.text, meant)


def test_of_a_network_in_ours_nothing_else_is_said() -> None:
    (found,) = said("32c3-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11")
    assert (found.code, found.span.text, found.help, found.fixes) == (
        "other-notation",
        "SEW",
        "remove --dialect",
        (),
    )


def test_a_word_of_several_readings_is_only_unknown() -> None:
    (found,) = said("64C3-AP2256C3-10")
    assert (found.code, found.fixes) == ("unknown-name", ())


def test_the_way_is_in_the_words_of_the_text() -> None:
    (found,) = said("{64C3-MP2}*6-10")
    assert found.path == ("body", "copy 6 of 6", "MP2")


def test_everything_wrong_is_said_at_once() -> None:
    found = said("64C3-fooo-64C3-barr-\u00b010")
    assert [one.code for one in found] == ["unexpected-character"]
    found = said("64C3-fooo-512FC-barr")
    assert [(one.code, one.span.text) for one in found] == [("unknown-name", "fooo"), ("unknown-name", "barr")]


def test_what_is_mended_does_not_hide_what_is_wrong_behind_it() -> None:
    found = said("{64C3-MP2}*6DP-10")
    assert [one.code for one in found] == ["spatial-size-exhausted", "missing-hyphen"]


def test_an_added_output_alone_is_no_network() -> None:
    (found,) = (one for one in said("Input", "he(classes=10)") if one.severity is Severity.ERROR)
    assert found.code == "empty-sequence"


class TestAssumptions:
    def test_nothing_is_said_where_everything_is(self) -> None:
        assert said("128C3-P2-{256C3-MP2}*2-DP0.2-512FC-10") == []

    @pytest.mark.parametrize(
        ("text", "dialect", "place", "words"),
        [
            ("64C3-10", EXPLICIT.replace("padding=same, ", ""), "64C3", "preserve the size"),
            ("64C3-10", EXPLICIT.replace("norm=none, ", ""), "64C3", "batch norm is not specified"),
            ("AP2-64C3-10", EXPLICIT.replace("neurons=conv, ", ""), "64C3", "neurons are not specified"),
            ("64C3-10", EXPLICIT.replace("output=current, ", ""), "10", "the last layer has none"),
            ("64C3-P2-10", EXPLICIT.replace(", pool=AP", ""), "P2", "does not specify average"),
            ("64C3-2P-10", EXPLICIT.replace(", pool=AP", ""), "2P", "does not specify average"),
            ("64C3-2a-10", EXPLICIT, "2a", "a sum over each window"),
            ("64C3-10SVM", EXPLICIT, "10SVM", "is ignored"),
            ("64C3-10-SoftMax", EXPLICIT, "SoftMax", "is ignored"),
            ("64C3-AP2", EXPLICIT, "AP2", "without an output layer"),
            ("64C3-{32FC}*2", EXPLICIT, "{32FC}*2", "without an output layer"),
            ("32x32-64C3-10", EXPLICIT, "32x32", "1 channel of 32x32"),
            ("34x34x2-64C3-10", EXPLICIT, "34x34x2", "2 channels of 34x34"),
            ("2x34x34-64C3-10", EXPLICIT, "2x34x34", "2 channels of 34x34"),
            ("784-800FC-10", EXPLICIT, "784", "a vector of 784"),
        ],
    )
    def test_one_is_said(self, text: str, dialect: str, place: str, words: str) -> None:
        (found,) = said(text, dialect, input=None if text[0].isdigit() and "x" in text[:4] else "3x32x32")
        assert (found.code, found.severity, found.span.text) == ("dialect-assumption", Severity.NOTE, place)
        assert words in found.message

    def test_the_neuron_is_said_unless_it_is_given(self) -> None:
        (found,) = said("64C3-128C3-10", neuron=None)
        assert found.span.text == "64C3"
        check_words(found.message)
        assert said("64C3-10", neuron=None, set={"neuron": "PLIF"}) == []
        assert said("64C3-PLIF-10", neuron=None) == []
        (found,) = said("64C3-SN-10", neuron=None)
        assert found.span.text == "SN"

    def test_a_text_with_a_norm_needs_no_word_on_others(self) -> None:
        assert said("64C3-BN-64C3-10", EXPLICIT.replace("norm=none, ", "")) == []

    def test_each_is_said_once(self) -> None:
        found = said("64C3-P2-64C3-P2-10", "he", neuron=None)
        assert len(found) == len({one.message for one in found}) == 6


@pytest.mark.parametrize(
    ("dialect", "code", "place"),
    [
        ("hee", "unknown-name", "hee"),
        ("he he", "unknown-name", "he"),
        ("16", "unknown-name", "16"),
        ("he(norm=GN)", "invalid-argument", "norm=GN"),
        ("he(classes=0)", "invalid-argument", "classes=0"),
        ("he(classes=1.5)", "invalid-argument", "classes=1.5"),
        ("he(padding=1)", "invalid-argument", "padding=1"),
        ("he(nrom=BN)", "unknown-argument", "nrom=BN"),
        ("he(norm=BN, norm=BN)", "duplicate-argument", "norm=BN"),
        ("he(BN)", "unknown-argument", "BN"),
        ("he(", "unclosed-bracket", "("),
    ],
)
def test_a_wrong_option(dialect: str, code: str, place: str) -> None:
    (found,) = said("64C3-10", dialect)
    assert (found.code, found.span.text, found.span.source.name) == (code, place, "--dialect")


def test_a_file_is_in_our_language() -> None:
    (found,) = read("7b-net", dialect="he").diagnostics
    assert (found.code, found.span.source.name) == ("other-notation", "7b-net.net")
