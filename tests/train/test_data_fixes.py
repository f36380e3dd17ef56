"""Fixes for networks that do not fit the dataset of the recipe."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.source import Source
from sewdsl.train.training_plan import training_problems

RECIPE = "train on {data} {{\n    optimizer Adam(lr=0.001)\n}}\n"


@pytest.mark.parametrize(
    ("data", "size", "encode", "wanted"),
    [
        ("digits", "1x8x8", "", "steps 4\nencode direct\nneuron"),
        ("digits", "1x8x8", "encode none\n", "steps 4\nencode direct\nneuron"),
        ("digits", "2x8x8", "encode direct\n", "input 1x8x8\nsteps"),
        ("mnist5k-dvs", "2x34x34", "encode direct\n", "steps 4\nencode none\nneuron"),
    ],
)
def test_fixes(data: str, size: str, encode: str, wanted: str) -> None:
    header = f"sewdsl 1\ninput {size}\nsteps 4\n{encode}neuron LIF\nbody c4k3-BN-SN-GAP-FC10\n"
    text = header + RECIPE.format(data=data)
    source = Source("a.net", text)
    said = training_problems(sewdsl.read(source))
    assert [d.code for d in said] == ["data-mismatch"]
    # which of the two is intended, the network's input or the data, only the author knows
    safe = "encode" in wanted
    assert (apply_fixes(said, source) == text) != safe
    mended = apply_fixes(said, source, unsafe=True)
    assert wanted in mended
    assert not training_problems(sewdsl.read(Source("a.net", mended)))
