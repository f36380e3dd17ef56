"""Keys that are not whole: what is meant by them."""

from __future__ import annotations

import pytest

import sewdsl

SAID = {
    "seed": "did you mean 'train.seed'?",
    "lr": "did you mean 'train.optimizer.lr'?",
    "tau": "did you mean 'neuron.tau'?",
    "train.batch_size": "did you mean 'train.batch'?",
    "train.epoch": "did you mean 'train.epochs'?",
    "jion": "did you mean 'join'?",
}
WRITTEN = {
    "learning_rate 0.1": ("write 'optimizer …(lr=…)'", []),
    "batch_size 4": ("did you mean 'batch'?", ["batch"]),
    "epoch 4": ("did you mean 'epochs'?", ["epochs"]),
}


@pytest.mark.parametrize(("key", "said"), SAID.items())
def test_of_an_option(key: str, said: str) -> None:
    (found,) = sewdsl.read("mnist5k", set={key: 1}).diagnostics
    assert (found.code, found.help, found.fixes) == ("unknown-setting", said, ())


@pytest.mark.parametrize(("line", "said"), WRITTEN.items())
def test_in_a_recipe(line: str, said: tuple[str, list[str]]) -> None:
    text = f"sewdsl 1\ninput 1x8x8\nbody IF-FC10\ntrain on digits {{\n{line}\n}}\n"
    (found,) = (d for d in sewdsl.read(text).diagnostics if d.code == "unknown-setting")
    assert (found.help, [edit.text for fix in found.fixes for edit in fix.edits]) == said


def test_a_learning_rate_of_no_part_is_the_optimizers() -> None:
    text = "sewdsl 1\ninput 1x8x8\nbody IF-FC10\ntrain on digits {\noptimizer Adam\nlr 0.1\n}\n"
    for found, whole in (
        (sewdsl.read(text), "optimizer …(lr=0.1)"),
        (sewdsl.read("mnist5k", set={"train.lr": "0.1"}), "train.optimizer.lr"),
    ):
        (said,) = found.diagnostics
        assert said.code == "invalid-argument"
        assert said.help.startswith(f"set the learning rate of the network with '{whole}'; for a group, write")
