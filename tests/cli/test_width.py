"""Tables on terminals of any width: names are whole, and columns are left out in their place."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sewdsl.cli import console, nets
from sewdsl.cli.app import app
from sewdsl.cli.runs import DROPPED, runs_table
from sewdsl.compiler import shipped_networks
from sewdsl.compiler.catalogue import list_networks
from sewdsl.train.store.run_record import RunSummary
from tests.effort import examples

WIDTHS = (60, 80, 120)
NAMES = st.text("abcdefghijklmnop-0123456789", min_size=1, max_size=50)
RUNS = st.builds(
    RunSummary,
    path=NAMES.map(lambda name: Path("runs", name)),
    network=NAMES,
    data=NAMES,
    epochs=st.integers(0, 999),
    planned=st.integers(0, 999),
    accuracy=st.floats(0, 1),
    parameters=st.integers(0, 10**9),
    seed=st.integers(0, 2**31),
    state=st.sampled_from(["finished", "interrupted"]),
)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (console, nets):
        monkeypatch.setattr(module, "is_terminal", lambda: True)


def printed(*arguments: str, width: int) -> list[str]:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": str(width), "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@examples(30)
@given(found=st.lists(RUNS, min_size=1, max_size=4), width=st.integers(40, 200))
def test_names_of_runs_are_whole_and_no_column_is_left_out_without_need(found: list[RunSummary], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "is_terminal", lambda: True)
        patch.setenv("COLUMNS", str(width))
        out = console.console()
        with out.capture() as capture:
            patch.setattr(console, "console", lambda: out)
            console.print_fitting(lambda dropped: runs_table(found, Path("runs"), dropped), [*DROPPED])
    header, *lines = [line for line in capture.get().splitlines() if line.strip()]
    assert "…" not in capture.get()
    for run in found:
        assert any(line.split()[0] == run.path.name for line in lines)
    shown = header.split()
    dropped = [column for column in DROPPED if column not in shown]
    assert dropped == list(DROPPED[: len(dropped)])
    grid = [line for line in lines if not line.startswith("omitted columns")]
    if len(dropped) < len(DROPPED):
        assert all(len(line.rstrip()) <= width for line in grid)
    if dropped:
        assert f"omitted columns: {', '.join(dropped)}; use --json for all" in capture.get()
        assert len("run") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_networks_take_a_line_each(width: int) -> None:
    lines = printed("nets", width=width)
    assert all(len(line) <= width for line in lines)
    names = [line.split()[0] for line in lines if line and not line.endswith("source")]
    assert sorted(names) == sorted(shipped_networks())
    assert any(re.match(r"mnist5k +43\.1k  A small SEW network", line) for line in lines)
    heads = [line.split("  ")[0] for line in lines if line.endswith("source")]
    assert heads[-2:] == ["without a recipe", "libraries"]
    assert heads[:-2] == sorted(heads[:-2])


def test_a_text_lists_the_networks_that_contain_it() -> None:
    every, some = printed("nets", width=160), printed("nets", "SPIKF", width=160)
    lines = [line for line in some if line and not line.endswith("source")]
    assert "spikformer-8-512" in {line.split()[0] for line in lines}
    assert 1 < len(lines) < len(every) / 4
    assert all("spikf" in line.casefold() for line in printed("nets", "Spikformer-8", width=160)[1:])


def test_sources_do_not_end_at_a_colon_and_have_data_and_parameters() -> None:
    known = {network.name: network for network in list_networks()}
    assert known["klif-resnet-19"].source.startswith(
        'Spiking ResNet-19 with KLIF neurons, after Jiang and Zhang, "KLIF: '
    )
    assert known["sew-resnet-152"].data == "imagenet"  # of the library that it uses
    assert known["tiny"].data is None
    assert known["tiny"].parameters == 822  # compiled, since its file does not state it
    assert known["7b-net"].parameters == 130_938  # its file states 0.13M


@pytest.mark.parametrize("width", WIDTHS)
def test_energy_has_four_columns_or_as_many_as_fit(width: int) -> None:
    title, *lines = printed("probe", "energy", "tiny", "--steps", "2", width=width)
    assert title.startswith("Tiny")
    header = next(line for line in lines if line.split()[:1] == ["path"])
    assert header.split() == ["path", "dense", "accumulations", *(["activity"] if width >= 80 else [])]
    assert all(len(line.rstrip()) <= width for line in lines)
    wide = printed("probe", "energy", "tiny", "--steps", "2", "--wide", width=140)
    assert any(line.split()[:3] == ["layer", "path", "input"] for line in wide)
    refused = CliRunner().invoke(app, ["probe", "rates", "tiny", "--wide"])
    assert refused.exit_code == 2
    assert "--wide requires 'probe energy'" in refused.stderr
