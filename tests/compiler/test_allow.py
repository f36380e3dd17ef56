"""``allow`` lines take warnings back, and nothing else."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.compiler import compile_variants
from sewdsl.diagnostics import Severity
from sewdsl.source import Source
from tests.words import check_words

FILE = "sewdsl 1\ninput 2x16x16\nneuron LIF\nbody c4k3-BN-SN-Spiking Block-GAP-FC3\n"
ALLOWED = 'allow no-identity-mapping "compared with SEW blocks"\n'


def codes(text: str) -> list[str]:
    return [d.code for d in sewdsl.read(text).diagnostics]


def test_a_warning_is_taken_back() -> None:
    assert codes(FILE) == ["no-identity-mapping"]
    assert codes(FILE + ALLOWED) == []


def test_others_stay() -> None:
    text = FILE.replace("Spiking Block", "{Spiking Block}*3")
    assert codes(text + ALLOWED) == ["vanishing-gradient"]


def test_a_note_is_taken_back() -> None:
    claim = 'claim parameters 9.9M "Tab. 1"\n'
    assert codes(FILE + ALLOWED + claim) == ["claim-differs"]
    assert codes(FILE + ALLOWED + claim + 'allow claim-differs "misprinted"\n') == []


def test_what_allows_nothing_is_said() -> None:
    (found,) = sewdsl.read(FILE.replace("LIF", "IF") + ALLOWED).diagnostics
    assert (found.code, found.severity, found.span.line) == ("unused-allow", Severity.WARNING, 5)
    assert found.span.text == ALLOWED.strip()
    check_words(found.help)


def test_a_misspelt_code() -> None:
    found = sewdsl.read(FILE + ALLOWED.replace("identity", "identty")).diagnostics
    assert [(d.code, d.help) for d in found if d.code == "unused-allow"] == [
        ("unused-allow", "did you mean 'no-identity-mapping'?")
    ]


def test_a_code_is_allowed_once() -> None:
    (found,) = sewdsl.read(FILE + ALLOWED + ALLOWED).diagnostics
    assert (found.code, found.span.line, found.help) == ("duplicate-setting", 6, "remove one of them")


def test_errors_cannot_be_allowed() -> None:
    text = FILE + ALLOWED + "expect parameters 3\n" + 'allow expectation-failed "later"\n'
    found = sewdsl.read(text)
    assert [d.code for d in found.diagnostics] == ["expectation-failed", "unused-allow"]
    check_words(found.diagnostics[1].help)
    assert not found.valid


@pytest.mark.parametrize("reason", ['""', '"  "'])
def test_a_reason_must_be_given(reason: str) -> None:
    (found,) = sewdsl.read(f"{FILE}allow no-identity-mapping {reason}\n").diagnostics
    assert (found.code, found.severity, found.span.text) == ("invalid-argument", Severity.ERROR, reason)


def test_a_broken_network_may_need_the_line() -> None:
    assert codes(FILE.replace("FC3", "Foo") + ALLOWED) == ["unknown-name"]


def test_variants_may_need_the_line() -> None:
    study = 'study {\n    vary block "SEW Block" "Spiking Block"\n}\n'
    base, found = variants_of(FILE.replace("Spiking", "SEW") + ALLOWED + study)
    assert base == []
    assert found == [[], []]
    base, found = variants_of(FILE.replace("Spiking", "SEW") + study)
    assert base == ["no-identity-mapping"]
    assert found == [[], ["no-identity-mapping"]]


def variants_of(text: str) -> tuple[list[str], list[list[str]]]:
    base, found = compile_variants(Source("t.net", text))
    return [d.code for d in base.diagnostics], [[d.code for d in v.compilations[0].diagnostics] for v in found]
