"""``classes``: another width of the last linear layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from tests.effort import examples


@given(
    st.integers(1, 300),
    st.sampled_from(["FC5", "FC5b0", "FC5-LIF", "DP0.5-FC5-LIF", "FC50-PLIF-APk10", "FC50-IF-APk10s10", "FC9-FC5"]),
    st.sampled_from(["c4k3-BN-IF-", "{c4k3-IF}*2-MPk2-", "FC9-IF-"]),
)
@examples(30)
def test_the_network_is_the_one_that_is_written_so(classes: int, head: str, body: str) -> None:
    found = sewdsl.load(body + head, input="1x8x8", classes=classes)
    old, new = ("FC50", f"FC{classes * 10}") if "AP" in head else ("FC5", f"FC{classes}")
    written = head.replace(old, new)
    assert found == sewdsl.load(body + written, input="1x8x8")
    assert found.nodes[found.output].output.shape == (classes,)


def test_figures_of_the_file_are_of_the_network_as_written() -> None:
    assert sewdsl.load("mnist5k", classes=3).expectations == ()
    model = sewdsl.compile("7b-net", classes=3)
    assert model.get_parameter("fc1.weight").shape[0] == 3


@pytest.mark.parametrize(
    ("spec", "classes", "message"),
    [
        ("c4k3-BN-IF", "3", "the body has no linear layer with a width, e.g. FC10"),
        ("FC8-CAT[id | id]", "3", "expected 3 classes, but the network has 6 outputs"),
        ("FC5", "0", "'classes' must be an integer of at least 1"),
        ("FC5", "x", "'classes' must be an integer of at least 1"),
        ("FC5", "2.5", "'classes' must be an integer of at least 1"),
    ],
)
def test_refused(spec: str, classes: str, message: str) -> None:
    with pytest.raises(sewdsl.SewdslError, match=message):
        sewdsl.load(spec, input="1x8x8", set={"classes": classes})


def test_by_the_command() -> None:
    done = CliRunner().invoke(app, ["check", "tiny", "--set", "classes=4"])
    assert done.exit_code == 0, done.output
