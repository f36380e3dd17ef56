"""Errors of recipes before training, with their locations in the text."""

import pytest

from sewdsl.compiler import read, shipped_networks
from sewdsl.diagnostics import Severity, SewdslError
from sewdsl.train.data import datasets
from sewdsl.train.training_plan import plan_training, training_problems
from tests.words import check_words

from .conftest import SMALL


def complaints(text: str) -> list[tuple[str, str, str, str]]:
    with pytest.raises(SewdslError) as caught:
        plan_training(read(text))
    return [(d.code, d.span.text, d.message, d.help) for d in caught.value.diagnostics]


def test_fits() -> None:
    network, recipe, data = plan_training(read(SMALL))
    assert (network.name, recipe.on, data.name) == ("Small", "digits", "digits")


def test_errors_of_the_spec_come_first() -> None:
    ((code, *_),) = complaints(SMALL.replace("PLIF", "PLIFF"))
    assert code == "unknown-name"


EVENTS = """\
sewdsl 1
input 2x48x48
steps 4
body c4k3-BN-IF-GAP-FC10
train on cifar10-dvs {{
optimizer SGD(lr=0.1)
{}
}}
"""


def test_frames_of_events_are_brought_to_the_input() -> None:
    planned = plan_training(read(EVENTS.format("resize sum")))
    assert planned.data.setup.resize == "sum"
    assert planned.data.setup.shape == (2, 48, 48)
    assert plan_training(read(EVENTS.format(""))).data.setup.resize == "bilinear"
    ((code, _, message, _),) = complaints(EVENTS.format("resize none"))
    assert code == "data-mismatch"
    check_words(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "augment ColorJitter",
            "ColorJitter requires images, but the samples of cifar10-dvs are sequences",
        ),
        ("crop whole", "'crop' requires a folder of images, but cifar10-dvs is not one"),
        ("mean 0.5", "'mean' requires a folder of images, but cifar10-dvs is not one"),
    ],
)
def test_what_is_not_for_events(line: str, message: str) -> None:
    assert [said for _, _, said, _ in complaints(EVENTS.format(line))] == [message]


ROW = """\
sewdsl 1
input 700
steps 4
body FC16-LIF-FC20
train on shd {{
optimizer SGD(lr=0.1)
{}
}}
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("augment EventDrop", "EventDrop requires feature maps, but the network's input is 700"),
        ("shift 2", "'shift' requires images, but the network's input is 700"),
    ],
)
def test_what_is_not_for_rows(line: str, message: str) -> None:
    assert complaints(ROW.format(line)) == [("invalid-argument", line, message, "remove it")]


def test_what_is_not_for_two_channels() -> None:
    text = SMALL.replace("1x8x8", "2x8x8").replace("on digits {", "on image-folder {\n    augment ColorJitter")
    message = "ColorJitter requires images with 1 or 3 channels, but the network's input is 2x8x8"
    assert ("invalid-argument", "augment ColorJitter", message, "remove it") in complaints(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("augment EventDrop", "EventDrop requires events, but digits has none"),
        ("resize area", "'resize' requires frames of events, but digits has none"),
    ],
)
def test_what_is_for_events(line: str, message: str) -> None:
    text = SMALL.replace("    batch 200\n", f"    batch 200\n    {line}\n")
    assert [each for _, _, each, _ in complaints(text)] == [message]


def test_no_recipe() -> None:
    recipe = "'train on DATA { optimizer Adam(lr=0.001) }'"
    options = "--set train.on=DATA --set 'train.optimizer=Adam(lr=0.001)'"
    hint = f"add {recipe}, or {options}; suitable DATA: digits"
    assert complaints(SMALL[: SMALL.index("train on")]) == [
        (
            "missing-recipe",
            "body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10",
            "'Small' has no 'train' section",
            hint,
        )
    ]
    assert read(SMALL[: SMALL.index("train on")], set={"train.on": "digits", "train.optimizer": "Adam(lr=0.001)"}).valid


def test_no_recipe_of_a_network_with_several_inputs() -> None:
    text = shipped_networks()["siamese"].read_text(encoding="utf-8")
    ((code, _, _, hint),) = complaints(text[: text.index("train on")])
    assert (code, hint) == ("missing-recipe", "add 'train on numpy-files { … }', with an array for each input")


def test_no_recipe_where_no_data_fits() -> None:
    ((_, _, _, hint),) = complaints(SMALL[: SMALL.index("train on")].replace("1x8x8", "4x9x9"))
    assert hint.endswith("; see 'sewdsl nets' for networks with a recipe")


def test_no_recipe_where_data_fits_in_another_size() -> None:
    ((_, _, _, hint),) = complaints(SMALL[: SMALL.index("train on")].replace("1x8x8", "1x9x9"))
    sizes = ["digits (--input 1x8x8)", *(f"{name} (--input 1x28x28)" for name in ("fashion-mnist", "mnist", "mnist5k"))]
    assert hint.endswith(f"; suitable DATA with another input: {', '.join(sizes)}")


def test_the_recorded_resnet_19_says_how_it_is_trained() -> None:
    """Its input is smaller than the frames of the data that it was made for."""
    with pytest.raises(SewdslError) as caught:
        plan_training(read("tdbn-resnet-19"))
    (said,) = caught.value.diagnostics
    assert "cifar10-dvs (--input 2x128x128)" in said.help
    changes = {"train.on": "cifar10-dvs", "train.optimizer": "SGD(lr=0.1)"}
    assert plan_training(read("tdbn-resnet-19", input="2x128x128", set=changes)).data.name == "cifar10-dvs"


def test_a_study_is_not_trained() -> None:
    text = SMALL[: SMALL.index("train on")] + "study {\n probe rates\n vary join ADD AND\n}\n"
    ((code, _, _, hint),) = complaints(text)
    assert (code, hint) == ("missing-recipe", "run its 'study' section with 'sewdsl study'")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digit", "did you mean 'digits'?"),
        ("MNIST5k", "did you mean 'mnist5k'?"),
        ("xyz", f"datasets: {', '.join(sorted(datasets()))}"),
    ],
)
def test_unknown_data(name: str, hint: str) -> None:
    text = SMALL.replace("on digits", f"on {name}")
    assert complaints(text) == [("unknown-name", name, f"unknown dataset '{name}'", hint)]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "1x8x8",
            "2x8x8",
            (
                "data-mismatch",
                "input   2x8x8",
                "a sample of digits is 1x8x8, but the network's input is 2x8x8",
                "write 'input 1x8x8'",
            ),
        ),
        (
            "FC10",
            "FC11",
            (
                "data-mismatch",
                "body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC11",
                "digits has 10 classes, but the network's output is 11",
                "end the network with FC10",
            ),
        ),
        (
            "c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10",
            "Flatten-Slice(stop=10)",
            (
                "invalid-argument",
                "body    Flatten-Slice(stop=10)",
                "the network has no learnable parameters; nothing is left to train",
                "add e.g. a layer FC10",
            ),
        ),
        (
            "encode  direct\n",
            "",
            (
                "data-mismatch",
                "steps   3",
                "dataset digits has static samples, but the network expects sequences",
                "add 'encode direct'",
            ),
        ),
        (
            "batch 200",
            "T_train 4",
            ("invalid-argument", "T_train 4", "T_train 4 exceeds the network's 3 time-steps", "use at most 3"),
        ),
        (
            "batch 200",
            "shift 8",
            (
                "invalid-argument",
                "shift 8",
                "a shift of 8 pixels exceeds the input size 1x8x8",
                "use at most 7",
            ),
        ),
    ],
)
def test_misfit(old: str, new: str, complaint: tuple[str, str, str, str]) -> None:
    assert complaints(SMALL.replace(old, new)) == [complaint]


def test_an_option_that_does_not_fit_cannot_be_fixed_in_the_file() -> None:
    (found,) = training_problems(read(SMALL, input="2x8x8"))
    assert (found.code, found.span.text, found.fixes) == ("data-mismatch", "2x8x8", ())


@pytest.mark.parametrize(("start", "stop", "least"), [(2, 3, 3), (-3, -2, 3), (-1, "none", 1)])
def test_fewer_time_steps_than_a_slice_needs(start: int, stop: object, least: int) -> None:
    body = f"PLIF-Slice(start={start}, stop={stop}, over=time)-{{SEW"
    text = SMALL.replace("PLIF-{SEW", body).replace("batch 200", "T_train 2")
    message = f"T_train 2 is below the {least} time-steps of slice1"
    expected = [("invalid-argument", "T_train 2", message, f"use at least {least}")] if least > 2 else []
    assert [(d.code, d.span.text, d.message, d.help) for d in training_problems(read(text))] == expected


def test_all_misfits_at_once() -> None:
    text = SMALL.replace("1x8x8", "2x8x8").replace("FC10", "FC11").replace("encode  direct\n", "")
    assert [code for code, *_ in complaints(text)] == ["data-mismatch"] * 3


class TestMisfits:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("on digits", "on digit"),
            ("1x8x8", "2x8x8"),
            ("FC10", "FC11"),
            ("encode  direct\n", ""),
            ("batch 200", "shift 8"),
            ("on digits", "on event-folder"),
            ("on digits {", "on image-folder {\n    shift 2"),
        ],
    )
    def test_check_says_what_training_refuses(self, old: str, new: str) -> None:
        text = SMALL.replace(old, new)
        found = training_problems(read(text))
        assert [(d.code, d.span.text, d.message, d.help) for d in found] == complaints(text)
        assert [d.severity for d in found] == [Severity.ERROR] * len(found)

    @pytest.mark.parametrize("text", [SMALL, SMALL[: SMALL.index("train on")], SMALL.replace("PLIF", "PLIFF")])
    def test_nothing_where_all_fits_or_nothing_is_trained(self, text: str) -> None:
        assert training_problems(read(text)) == ()
