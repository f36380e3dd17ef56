"""Report of silent and saturated neurons: layers, numbers and remedies."""

import json
import re
from pathlib import Path

import pytest
import torch

from sewdsl.cli.train import _print_result
from sewdsl.train.report.sections import format_share, join_names
from sewdsl.train.store.result import Population, Result
from sewdsl.train.watch import count_population

from .conftest import SMALL
from .made import LIVELY, NEURONS, finished
from .test_report import Page, written

STEM, INNER, LAST = NEURONS[:3]
MIXED = count_population(torch.tensor([[0, 1], [2, 3], [10, 95], [40, 50]])[:, :, None], 100)
"""8 neurons; those at 2 and 3% share a bin."""


def layer(fill: int, *where: int | slice, channels: int = 10) -> Population:
    """Neurons ``[channels, 5, 5]`` at 10%, but for some."""
    spikes = torch.full((channels, 5, 5), 10)
    spikes[where] = fill
    return count_population(spikes, 100)


def bars(path: Path, found: Population) -> tuple[list[float], Page]:
    """Return the heights of the bars of a single layer, and the page."""
    folder = finished(path / "run", firing_rates={STEM: 0.25}, neurons={STEM: found})
    page = written(folder)
    heights = re.findall(r'<rect x="\d+" y="[\d.]+" width="12" height="([\d.]+)"', folder.report.read_text("utf-8"))
    return list(map(float, heights)), page


def said(path: Path, found: dict[str, Population], text: str = SMALL, rate: float = 0.125) -> Page:
    """The page of a run whose other layers are as they should be."""
    quiet = dict.fromkeys(NEURONS, LIVELY)
    return written(finished(path / "run", text, firing_rates=dict.fromkeys(NEURONS, rate), neurons={**quiet, **found}))


class TestHistogram:
    def test_bars(self, tmp_path: Path) -> None:
        heights, page = bars(tmp_path, MIXED)
        assert heights == [26, 26, 52, 26, 26, 26, 26]
        assert page.attributes.count(("class", "end")) == 2
        for text in (
            "never: 1 neuron, 12.5%",
            "over 0.3% to 1%: 1 neuron",
            "over 1% to 3%: 2 neurons, 25.0%",
            "over 3% to 10%: 1 neuron",
            "over 30% to 40%: 1 neuron",
            "over 90%: 1 neuron, 12.5%",
            "12.5% never fire 12.5% over 90%",
            "4x2x1",
        ):
            assert text in page.words
        assert ("aria-label", "8 neurons: 1 never fire, 1 fire nearly always") in page.attributes

    def test_ticks_are_where_bins_end(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run", firing_rates={STEM: 0.25}, neurons={STEM: MIXED})
        written(folder)
        ticks = re.findall(r'<text x="(\d+)" y="66">(.*?)</text>', folder.report.read_text("utf-8"))
        ends = {"0.1%": 1, "1%": 3, "10%": 5, "50%": 9, "90%": 13}
        assert ticks == [("7", "0"), *((str(14 * (end + 1)), text) for text, end in ends.items())]

    def test_a_bar_is_seen_however_low(self, tmp_path: Path) -> None:
        assert bars(tmp_path, layer(50, 0, 0, 0, channels=100))[0] == [52, 1]

    @pytest.mark.parametrize("neurons", [{}, None, [], {STEM: {"shape": [4]}}, {STEM: 3}, "x"])
    def test_a_run_that_did_not_count_them(self, tmp_path: Path, neurons: object) -> None:
        folder = finished(tmp_path / "run")
        result = {**json.loads(folder.result.read_text("utf-8")), "neurons": neurons}
        folder.result.write_text(json.dumps(result), "utf-8")
        page = written(folder)
        assert "Neurons" not in page.headings
        assert "Firing rates" in page.headings
        del result["neurons"]
        folder.result.write_text(json.dumps(result), "utf-8")
        assert written(folder).headings == page.headings

    def test_many_layers_are_folded_away(self, tmp_path: Path) -> None:
        found = {f"if{index}": LIVELY for index in range(40)}
        found |= {f"dead{index}": layer(0, slice(index)) for index in range(1, 9)}
        page = written(finished(tmp_path / "run", firing_rates=dict.fromkeys(found, 0.1), neurons=found))
        assert f"all 48 layers: of {40 * 256 + 8 * 250:,} neurons, 7.4% never fire" in page.words
        first = page.words.partition("all 48 layers: ")[0].rpartition("use fewer channels.")[2]
        assert re.findall(r"dead\d", first) == [f"dead{index}" for index in (8, 7, 6, 5, 4, 3)]
        assert "if0" not in first


class TestAdvice:
    def test_nothing_to_say(self, tmp_path: Path) -> None:
        page = said(tmp_path, {STEM: layer(0, 0, slice(4)), INNER: layer(95, 0, slice(4))})
        assert ("class", "warning") not in page.attributes
        assert "Silent" not in page.words
        assert "Saturated" not in page.words

    def test_silent_channels(self, tmp_path: Path) -> None:
        page = said(tmp_path, {STEM: layer(0, slice(2)), INNER: layer(0, 0)})
        assert (
            f"Silent channels in {STEM} (2 of 10 channels), {INNER} (1 of 10 channels): they never fire" in page.words
        )
        assert "The bias of the batch norm before them keeps their current below v_threshold" in page.words
        assert page.attributes.count(("class", "warning")) == 1
        assert "Silent neurons" not in page.words
        assert "Silent positions" not in page.words
        assert "At the end of a branch" not in page.words

    @pytest.mark.parametrize(("join", "silent"), [("ADD", True), ("IAND", True), ("AND", False)])
    def test_at_the_end_of_a_branch(self, tmp_path: Path, join: str, silent: bool) -> None:  # noqa: FBT001 -- a parameter
        """There, what the join makes nothing of is an identity, and the other constant is not."""
        text = SMALL.replace("encode", f"join    {join}\nencode").replace("-MPk2s2", "")
        dead = said(tmp_path / "dead", {LAST: layer(0, slice(2))}, text).words
        full = said(tmp_path / "full", {LAST: layer(100, slice(2))}, text).words
        assert ("a silent channel makes its part of the block an identity" in dead) == silent
        assert ("a saturated channel makes its part of the block an identity" in full) != silent

    def test_without_a_batch_norm(self, tmp_path: Path) -> None:
        text = SMALL.replace("c4k3-BN-PLIF", "c4k3-PLIF")
        page = said(tmp_path / "none", {STEM: layer(0, slice(2))}, text)
        assert "The weights, without a batch norm, keeps" in page.words
        page = said(tmp_path / "some", {STEM: layer(0, slice(2)), INNER: layer(0, slice(2))}, text)
        assert "The bias of a batch norm, or the weights, keeps" in page.words

    def test_of_a_layer_without_places(self, tmp_path: Path) -> None:
        page = said(tmp_path, {STEM: count_population(torch.tensor([0, 0, 9, 9, 9]), 100)})
        assert f"Silent channels in {STEM} (2 of 5 neurons): " in page.words
        assert "Silent positions" not in page.words

    def test_saturated(self, tmp_path: Path) -> None:
        page = said(tmp_path, {STEM: layer(95, slice(1)), INNER: layer(100, slice(2))})
        assert f"Saturated neurons in {INNER} (20.0%), {STEM} (10.0%): " in page.words
        assert "90% of the time-steps, 50 of them at every one" in page.words
        assert "keeps their current above v_threshold. Raise v_threshold" in page.words

    def test_silent_places(self, tmp_path: Path) -> None:
        page = said(tmp_path, {STEM: layer(0, slice(None), 0)})
        assert f"Silent positions in {STEM} (5 of 25): no channel fires there" in page.words
        assert ("class", "warning") not in page.attributes
        assert "Silent neurons" not in page.words

    def test_a_tenth_is_enough(self, tmp_path: Path) -> None:
        """Also of 30, a tenth of which is more than 3 in floating point."""
        spikes = torch.full((30, 30, 1), 10)
        spikes[:3], spikes[:, :3] = 0, 0
        page = said(tmp_path, {STEM: count_population(spikes, 100)})
        assert f"Silent channels in {STEM} (3 of 30 channels)" in page.words
        assert f"Silent positions in {STEM} (3 of 30)" in page.words

    def test_scattered(self, tmp_path: Path) -> None:
        spikes = torch.full((10, 5, 5), 10)
        spikes[0], spikes[:, 0, 0] = 0, 0  # a channel and a place, which share one neuron
        spikes[torch.arange(1, 10), :, torch.arange(9) % 4 + 1] = 0
        page = said(tmp_path, {STEM: count_population(spikes, 100)})
        assert f"Silent neurons in {STEM} (18.0%): other neurons" in page.words
        assert "Silent channels in" in page.words
        assert "Silent positions" not in page.words

    @pytest.mark.parametrize("rate", [0.004, 0.95])
    def test_the_page_does_not_say_it_twice(self, tmp_path: Path, rate: float) -> None:
        found = {STEM: layer(0, slice(9)), INNER: layer(100, slice(9))}
        page = said(tmp_path, found, rate=rate)
        assert page.attributes.count(("class", "warning")) == 1
        assert "Silent channels" not in page.words


class TestWords:
    def test_shares(self) -> None:
        parts = (0, 0.0001, 0.0004, 0.0006, 0.1234, 0.9994, 0.9996, 1)
        assert list(map(format_share, parts)) == ["none", "<0.1%", "<0.1%", "0.1%", "12.3%", "99.9%", ">99.9%", "all"]

    def test_lists(self) -> None:
        names = {f"if{index}": str(index) for index in range(7)}
        five = "if0 (0), if1 (1), if2 (2), if3 (3), if4 (4)"
        assert join_names(names) == f"{five} and 2 more layers"
        assert join_names(dict(list(names.items())[:6])) == f"{five} and 1 more layer"
        assert join_names(dict(list(names.items())[:5])) == five

    def test_names_break_after_dots(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run", neurons={"a.<b": LIVELY})
        written(folder)
        assert '<span class="layer">a.<wbr>&lt;b</span>' in folder.report.read_text("utf-8")


def test_only_networks_with_spiking_neurons_have_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rates in ({}, {STEM: 0.25}):
        folder = finished(tmp_path / f"run{len(rates)}", firing_rates=rates, neurons=dict.fromkeys(rates, MIXED))
        result = Result.model_validate_json(folder.result.read_text("utf-8"))
        _print_result(result, folder, json_=False)
        assert ("firing rate" in capsys.readouterr().out) == bool(rates)
