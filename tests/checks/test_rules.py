"""Every rule complains of its invalid file, and of that only, and says nothing of its valid one."""

import pkgutil
from pathlib import Path

import pytest

import sewdsl
from sewdsl import checks
from sewdsl.diagnostics import Severity
from tests.words import check_words

HERE = Path(__file__).parent
RULES = sorted(module.name for module in pkgutil.iter_modules(checks.__path__))
CODES = {
    "unused_output": ("unused-output", 7, 21, Severity.WARNING),
    "cropped_input": ("cropped-input", 4, 17, Severity.WARNING),
    "expectation": ("expectation-failed", 4, 1, Severity.ERROR),
    "zero_init_needs_norm": ("zero-init-needs-norm", 5, 17, Severity.ERROR),
    "no_identity_mapping": ("no-identity-mapping", 4, 17, Severity.WARNING),
    "gradient_over_blocks": ("vanishing-gradient", 4, 18, Severity.WARNING),
    "and_in_a_row": ("and-in-a-row", 4, 18, Severity.WARNING),
    "growing_output": ("growing-output", 3, 20, Severity.WARNING),
    "rates_as_logits": ("rates-as-logits", 3, 30, Severity.WARNING),
    "zero_one_gradient": ("zero-one-gradient", 4, 14, Severity.WARNING),
    "join_needs_spikes": ("join-needs-spikes", 4, 27, Severity.ERROR),
    "oversized_kernel": ("oversized-kernel", 4, 6, Severity.WARNING),
    "row_input": ("row-input", 4, 6, Severity.NOTE),
    "norm_in_loop": ("norm-in-loop", 4, 11, Severity.NOTE),
    "delay_beyond_steps": ("delay-beyond-steps", 5, 13, Severity.WARNING),
    "static_delay": ("static-delay", 5, 10, Severity.WARNING),
    "mismatched_scores": ("join-shape-mismatch", 4, 17, Severity.ERROR),
    "tokens_as_numbers": ("tokens-as-numbers", 4, 21, Severity.WARNING),
    "swapped_operands": ("swapped-operands", 3, 17, Severity.WARNING),
}


@pytest.mark.parametrize("rule", RULES)
def test_invalid(rule: str) -> None:
    code, line, column, severity = CODES[rule]
    compilation = sewdsl.read(HERE / rule / "invalid.net")
    (found,) = compilation.diagnostics
    assert (found.code, found.span.line, found.span.column, found.severity) == (code, line, column, severity)
    assert compilation.valid == (severity < Severity.ERROR)


@pytest.mark.parametrize("rule", RULES)
def test_valid(rule: str) -> None:
    assert sewdsl.read(HERE / rule / "valid.net").diagnostics == ()


def test_rules_are_found() -> None:
    assert set(RULES) == set(CODES), "add the location of a new rule's diagnostic to CODES"
    assert len(checks.rules()) == len(RULES)


def test_what_is_wrong_in_a_block_of_ones_own_names_its_call() -> None:
    text = (
        "sewdsl 1\ninput 4x8x8\njoin IAND\nblock Unit(c=in) = g[c$(c)k3-BN-IF | id]\nblock Outer = Unit\n"
        "body IF-Unit-ADD[BN-IF | id]-\n{Outer}*1-GAP-FC3\n"
    )
    (found,) = sewdsl.read(text).diagnostics
    assert (found.code, found.span.line) == ("join-needs-spikes", 4)
    assert found.path == ("body", "copy 1 of 1", "Outer (line 7)", "Unit (line 5)", "IAND")


def test_what_does_not_fit_in_a_block_of_ones_own_names_its_call() -> None:
    (found,) = sewdsl.read("sewdsl 1\ninput 4x9x9\nblock Unit = MPk9\nbody IF-\nUnit-Unit-FC3\n").diagnostics
    assert found.path == ("body", "Unit (line 5)", "MPk9")


def test_claims_are_notes() -> None:
    text = 'sewdsl 1\ninput 2x8x8\nbody c4k3-BN-IF-FC10\nclaim parameters 9.9M "Tab. 1"\nclaim parameters 2.7k\n'
    compilation = sewdsl.read(text)
    assert [(d.code, d.severity, d.span.line) for d in compilation.diagnostics] == [("claim-differs", Severity.NOTE, 4)]
    assert compilation.valid


def test_what_is_measured_is_not_compared_but_must_be_a_figure() -> None:
    text = 'sewdsl 1\ninput 2x8x8\nbody c4k3-BN-IF-FC10\nclaim accuracy 97.5% "Tab. 1"\nclaim energy 4mJ\n'
    compilation = sewdsl.read(text)
    assert compilation.diagnostics == ()
    assert [(one.quantity, one.value, one.source) for one in compilation.result().expectations] == [
        ("accuracy", "97.5%", "Tab. 1"),
        ("energy", "4mJ", ""),
    ]
    said = sewdsl.read(
        text.replace("4mJ", "4").replace("claim accuracy", "expect accuracy").replace(' "Tab. 1"', "")
    ).diagnostics
    assert [(d.code, d.span.line) for d in said] == [("expectation-not-computed", 4), ("invalid-argument", 5)]


def test_an_output_may_be_called_energy() -> None:
    text = "sewdsl 1\ninput 2x8x8\nlet energy = FC3\nlet other = FC4\noutputs energy other\n"
    assert sewdsl.read(f"{text}expect energy 3\nclaim energy 3\n").diagnostics == ()
    assert [d.code for d in sewdsl.read(f"{text}expect energy 4\n").diagnostics] == ["expectation-failed"]


def test_both_operands_are_named() -> None:
    text = "c4k3-BN-ADD[IF|IF]-AND[BN|id]"
    messages = [d.message for d in sewdsl.read(text, input="2x8x8").diagnostics]
    assert messages == [
        "AND requires spikes, but the value range of its branch is real",
        "AND requires spikes, but the value range of its shortcut is count 0..2",
    ]


def test_named_operands_are_in_the_order_of_their_names() -> None:
    head = "sewdsl 1\ninput 4x8x8\nneuron IF\nlet a = SN\nlet b = a-c4k3-BN-SN\nblock Sum[p | q] = ADD[p | q]\n"
    assert sewdsl.read(f"{head}body ADD[a | b]-Sum[id | c4k3-BN-SN]-GAP-FC3\n").diagnostics == ()
    (found,) = sewdsl.read(f"{head}body ADD[a | b]-ADD[id | c4k3-BN-SN]-Sum[id | SN]-GAP-FC3\n").diagnostics
    assert (found.code, found.span.text) == ("swapped-operands", "ADD[id | c4k3-BN-SN]")


def test_values_of_a_reversible_block_are_not_swapped() -> None:
    head = "sewdsl 1\ninput 4x8x8\nneuron IF\nlet x = c4k3-BN\nlet a = ADD[x | x-SN-c4k3-BN]\n"
    text = f"{head}let b = ADD[x | a-SN-c4k3-BN]\nbody CAT[a | b]-ADD[id | DELAY-SCALE(value=-1)]-GAP-FC3\n"
    assert [d.span.text for d in sewdsl.read(text).diagnostics] == ["ADD[x | x-SN-c4k3-BN]"]


def test_range_errors_inside_a_block_name_the_way() -> None:
    (found,) = sewdsl.read("c4k3-BN-IF-{SEW Block}*2-{SEW Block (g=IAND)}*3", input="2x8x8").diagnostics
    assert found.path == ("body", "copy 1 of 3", "SEW Block", "IAND")
    assert found.span.text == "SEW Block (g=IAND)"


def test_nothing_is_expected_of_a_broken_network() -> None:
    text = "sewdsl 1\ninput 2x8x8\nbody c4k3-BN-Foo-FC10\nexpect parameters 3\n"
    assert [d.code for d in sewdsl.read(text).diagnostics] == ["unknown-name"]


def test_what_is_not_reached_can_be_padded_or_allowed() -> None:
    (found,) = sewdsl.read("IF-MPk2s2-FC2", input="2x9x9").diagnostics
    check_words(found.help)
    assert sewdsl.read("IF-MPk2s2p1-FC2", input="2x9x9").diagnostics == ()
    (found,) = sewdsl.read("IF-MPk1s2-FC2", input="2x8x8").diagnostics
    assert "padding" not in found.help


@pytest.mark.parametrize(
    ("attention", "codes"),
    [
        ("APPLY[SCORES(heads=2)[id | c8k2s2p0-BN-IF]-IF | c8k4s4p0-BN-IF]", ["join-shape-mismatch"]),
        # A layer with weights mixes the channels, so that they are no longer those of keys.
        ("APPLY[SCORES(heads=2)[id | c8k2s2p0-BN-IF]-c32k1-IF | c8k4s4p0-BN-IF]", []),
        ("APPLY[ADD[SCORES(heads=2)[id | id] | SCORES(heads=1, chunk=2)[id | id]] | id]", ["join-shape-mismatch"]),
    ],
)
def test_scores_are_followed_to_their_values(attention: str, codes: list[str]) -> None:
    text = f"sewdsl 1\ninput 2x8x8\nsteps 4\nbody c8k3-BN-IF-{attention}-GAP-FC10\n"
    assert [diagnostic.code for diagnostic in sewdsl.read(text).diagnostics] == codes


@pytest.mark.parametrize("body", ["ADD[id | DELAY-SCALE(value=-1)]", "FC4-MUL[ReLU | Tanh-DELAY-ReLU]"])
def test_a_delay_that_selects_time_steps_is_needed(body: str) -> None:
    assert not sewdsl.read(f"sewdsl 1\ninput 4\nsteps 3\nencode direct\nbody {body}-LIF-FC2\n").diagnostics


@pytest.mark.parametrize(
    ("body", "reported"),
    {
        "FC4-SN-MEAN(over=time)-DELAY-SN": True,
        "FC4-SN-ADD[FC4 | id]-SUM(over=time)-FC4-DELAY-SN": True,
        "FC4-SN-ADD[DELAY-FC4 | id]-SN": False,
        "FC4-SN-ADD[MEAN(over=time)-DELAY | id]-SN": False,
        "FC4-SN-MEAN(over=time)-ADD[DELAY-FC4 | id]-SN": False,
    }.items(),
)
def test_delays_of_values_reduced_over_time_are_reported_where_all_values_pass_them(
    body: str, *, reported: bool
) -> None:
    compilation = sewdsl.read(body, input="6", steps=3, set={"neuron": "LIF"})
    assert ("static-delay" in {each.code for each in compilation.diagnostics}) is reported
