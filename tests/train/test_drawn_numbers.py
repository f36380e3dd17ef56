"""Resumed runs of networks with random starts of learned numbers, firing rates as scales, tokens and slices."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from sewdsl.train.fit.train_run import evaluate_run
from sewdsl.train.store.run_folder import RunFolder

from . import test_survival

TEXT = """\
sewdsl 1
network "Drawn"
input   1x8x8
steps   3
encode  direct
neuron  IF

neuron Drawn {
    learn w per channel = uniform(0.5, 1.5)
    learn b = normal(0, 0.1)
    h = v + w*x + b
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}

let     x = c8k3s2-BN-Drawn
let     rows = x-CAT[ TOK1-Swap | Swap ]-Swap
let     a = SCORES(scale=rate)[ rows | x ]-SN
body    APPLY(scale=rate)[ a | x ]-Slice(stop=5, over=places)-FC10

train on digits {
    epochs 2
    batch 200
    optimizer Adam(lr=0.05)
}
"""


def test_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    spec = tmp_path / "spec.net"
    spec.write_text(TEXT)
    test_survival.TestKilled.killed_and_whole(spec, tmp_path)
    folder = RunFolder(tmp_path / "whole")
    again = evaluate_run(folder)
    assert again.measured == again.reported
    last = load_file(folder.last)
    assert {key for key in last if key.endswith((".rate", "tok1.weight", "drawn1.w", "drawn1.b"))} == {
        *("x.drawn1.w", "x.drawn1.b", "rows.operand1.tok1.weight", "a.scores1.rate", "apply1.rate")
    }
    assert all(bool(last[key].isfinite().all()) for key in last)
    assert not torch.equal(last["x.drawn1.w"], torch.ones(8))
