"""Figures and tables from samples, to the character."""

import sys
from pathlib import Path

import pytest

from benchmarks.plan import Plan
from benchmarks.results import Agreement, CaseResult, Entry, Results, Row, Sample, read
from benchmarks.settings import OWN
from benchmarks.spread import ratio, spread
from benchmarks.table import main, table
from benchmarks.units import digits, memory, seconds


def entry(name: str, setting: str, *times: float, peak: int = 0) -> Entry:
    return Entry(
        name=name, setting=setting, samples=[Sample(times=[t], held=10**6 if peak else 0, peak=peak) for t in times]
    )


def results(*cases: CaseResult) -> Results:
    machine, versions = {"cores": "2"}, {"torch": "2"}
    common = {"started": "2026-01-02T03:04:05", "own": OWN.name, "plan": Plan(), "settings": {OWN.name: {"A": "1"}}}
    return Results.model_validate({"machine": machine, "versions": versions, "cases": cases, **common})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def lines(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("| ")][2:]


ROW = Row(
    name="a row",
    agreement={"SpikingJelly": Agreement(exact=1e-15, gradients=2e-8, timed=0.03)},
    entries=[
        entry("sewdsl", "as it comes", 2.0, 2.0, 2.0, peak=3 * 10**6),
        entry("sewdsl", OWN.name, 1.0, 2.0, 4.0, peak=2 * 10**6),
        entry("SpikingJelly", "as it comes", 2.0, 6.0, 16.0, peak=5 * 10**6),
        Entry(name="snnTorch", setting="as it comes", error="ended by signal 9"),
    ],
)


def test_ratios_are_taken_round_by_round() -> None:
    found = ratio(ROW.entries[2], ROW.entries[1], lambda sample: sample.seconds)
    assert found is not None
    assert (found.low, found.middle, found.high) == (2.5, 3.0, 3.5)  # of 2, 3 and 4
    assert spread([5.0]).middle == 5.0
    assert ratio(ROW.entries[3], ROW.entries[1], lambda sample: sample.seconds) is None


def test_a_table() -> None:
    text = table(results(CaseResult(name="case", title="A case", rows=[ROW])))
    ours, own, theirs, failed = lines(text)
    assert ours == [
        "a row",
        "sewdsl",
        "as it comes",
        "2.00 s",
        "1.00x (0.750–1.50)",
        "",
        "2.00 MB",
        "2.00x",
        "",
        "1.00 MB",
    ]
    assert own == ["", "sewdsl", OWN.name, "2.00 s (1.50–3.00)", "", "", "1.00 MB", "", "", "1.00 MB"]
    assert theirs[3:6] == ["6.00 s (4.00–11.0)", "3.00x (2.50–3.50)", "3.00x (2.00–5.50)"]
    assert theirs[6:] == ["4.00 MB", "4.00x", "2.00x", "1.00 MB"]
    assert failed == ["", "snnTorch", "as it comes", "failed: ended by signal 9", *[""] * 6]
    assert "- a row: SpikingJelly differs by 1e-15, gradients by 2e-08 in float64, by 3e-02 as timed." in text
    assert f"- {OWN.name}: `A=1`" in text


def test_a_row_that_does_not_agree() -> None:
    text = table(results(CaseResult(name="case", title="A case", rows=[Row(name="a row", error="they differ")])))
    assert lines(text) == [["a row", "–", "–", "not timed: they differ"]]


def test_growth_is_a_straight_line() -> None:
    rows = [Row(name=f"{n}", size=n, entries=[entry("sewdsl", "s", 0.5 + 0.002 * n)]) for n in (10, 100, 1000)]
    text = table(results(CaseResult(name="case", title="A case", unit="nodes", rows=rows)))
    assert "- sewdsl, s: 500 ms + 2.00 ms · nodes (R² = 1.0000)" in text
    assert "kB" not in text  # a command without a peak has no memory


def test_results_survive_the_file(tmp_path: Path) -> None:
    before = results(CaseResult(name="case", title="A case", rows=[ROW]))
    before.write(tmp_path / "new" / "results.json")
    assert read(tmp_path / "new" / "results.json") == before
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["results.json"]


def test_errors_are_listed() -> None:
    case = CaseResult(name="case", title="A case", rows=[ROW, Row(name="another", error="they differ")])
    assert case.errors == ["case, another: they differ", "case, a row, snnTorch (as it comes): ended by signal 9"]


def test_units() -> None:
    assert [digits(value) for value in (0.0, 0.01234, 1.234, 99.96, 12345.6)] == ["0", "0.0123", "1.23", "100", "12346"]
    assert seconds(0.0123, 0.012, 0.013) == "12.3 ms (12.0–13.0)"
    assert seconds(3e-7) == "300 ns"
    assert memory(5.9e9) == "5.90 GB"


@pytest.mark.parametrize(("name", "said"), [("none.json", "cannot read 'none.json': there is no"), ("x", "no results")])
def test_a_file_without_results(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").write_bytes(b"\xff")
    monkeypatch.setattr(sys, "argv", ["table", name])
    with pytest.raises(SystemExit, match=said):
        main()
