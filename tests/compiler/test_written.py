"""Figures of a file are about the file: what options put over it is another network, and no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from sewdsl.compiler import Options, read
from sewdsl.compiler.front_end import run_front_end
from sewdsl.compiler.spec import SpecSource, overrides
from sewdsl.diagnostics import Severity
from sewdsl.elaborate.text_files import FileAccess
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source
from tests.words import check_words

FILE = "sewdsl 1\ninput 2x16x16\nneuron PLIF\nbody c4k3-BN-SN-GAP-FC3\n"
FIGURE = "expect parameters 96\n"
"""72 of the convolution, 8 of the norm, 1 of the neuron, 15 of the linear layer."""
LIF: Options = {"neuron": "LIF"}


def codes(text: str, options: Options) -> list[tuple[str, Severity]]:
    return [(d.code, d.severity) for d in read(text, **options).diagnostics]


def test_an_option_sets_a_figure_aside() -> None:
    (said,) = read(
        FILE + FIGURE, neuron="LIF", set={"train.on": "mnist5k", "train.optimizer": "SGD(lr=0.1)"}
    ).diagnostics
    assert (said.code, said.severity) == ("figure-overridden", Severity.NOTE)
    check_words(said.message)
    assert (said.span.text, said.label) == (FIGURE.strip(), "computed: 95")


def test_a_claim_too() -> None:
    (said,) = read(FILE + 'claim output 3 "Tab. 1"\n', set={"body": "FC7"}).diagnostics
    check_words(said.message)


def test_what_is_measured_is_of_the_file_as_written() -> None:
    claims = 'claim accuracy 97.5% "Tab. 1"\nclaim energy 4mJ\n'
    found = read(FILE + claims, neuron="LIF")
    assert [(d.code, d.message) for d in found.diagnostics] == [
        ("figure-overridden", "accuracy 97.5% is claimed for the unchanged file, not with --neuron LIF"),
        ("figure-overridden", "energy 4mJ is claimed for the unchanged file, not with --neuron LIF"),
    ]
    assert found.result().expectations == ()
    assert "claim" not in found.standalone_text()
    same = read(FILE + claims, set={"train.on": "digits", "train.optimizer": "SGD(lr=0.1)"})
    assert same.diagnostics == ()
    assert len(same.result().expectations) == 2


def test_no_file_is_read_a_second_time(tmp_path: Path) -> None:
    (tmp_path / "lib.net").write_text("sewdsl 1\nblock Head = GAP-FC3\n")
    asked: list[Path] = []
    used = FileAccess(tmp_path, asked.append)
    text = 'sewdsl 1\nuse "lib.net"\n' + FILE.removeprefix("sewdsl 1\n").replace("GAP-FC3", "Head") + FIGURE
    found = SpecSource(Source("t", text), tmp_path / "t.net", "t", reach=used)
    made = run_front_end(found, overrides(LIF), DEFAULT_LIMITS)
    assert [said.code for said in made.diagnostics] == ["figure-overridden"]
    assert asked == [tmp_path / "lib.net"]


def test_what_still_holds_is_not_spoken_of() -> None:
    found = read(FILE + FIGURE + "expect output 3\n", **LIF)
    assert [d.span.text for d in found.diagnostics] == [FIGURE.strip()]
    assert [figure.quantity for figure in found.result().expectations] == ["output"]


def test_what_never_held_is_an_error() -> None:
    assert codes(FILE + "expect parameters 42\n", LIF) == [("expectation-failed", Severity.ERROR)]
    assert codes(FILE + 'claim parameters 42 "Tab. 1"\n', LIF) == [("claim-differs", Severity.NOTE)]


def test_a_file_that_is_no_network_by_itself_says_nothing() -> None:
    text = (FILE + FIGURE).replace("input 2x16x16\n", "")
    assert codes(text, {"input": "1x16x16"}) == [("expectation-failed", Severity.ERROR)]


@pytest.mark.parametrize("options", [{"neuron": "IF"}, {"set": {"neuron": "IF"}}])
def test_nothing_is_said_of_warnings_that_only_the_file_has(options: Options) -> None:
    text = FILE.replace("GAP", "Spiking Block-GAP") + 'allow no-identity-mapping "as in Tab. 4"\n'
    assert codes(text, {}) == []
    assert codes(text, options) == []


def test_a_run_keeps_no_figure_that_is_not_its_own() -> None:
    found = read(FILE + FIGURE + "expect output 3\n", **LIF)
    text = found.standalone_text()
    assert "expect  output 3" in text
    assert read(text).diagnostics == ()
    assert read(text).result().total_parameters == 95
