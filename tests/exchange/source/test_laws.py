"""Whatever the network: its file gives the same outputs, gradients and statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.python.layers import LAYER_CALLS
from sewdsl.exchange.write.source.class_text import has_formula
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.op import Merge
from sewdsl.lower.inputs import Inputs
from sewdsl.ops import catalogue
from sewdsl.passes import Program
from tests.effort import examples
from tests.exchange.source.files import SOURCES
from tests.laws.drawn import Drawn, nets, values_of
from tests.laws.outcomes import DOUBLE, build, differences, expected, run


class Sequence:
    """A file's network, asked for the outputs of all time-steps as ours is."""

    def __init__(self, model: Any, drawn: Drawn) -> None:
        self.model, self.steps, self.rank = model, drawn.T, len(drawn.network.settings.sources[0].shape)

    def __call__(self, x: Inputs, *, return_sequence: bool) -> Tensor:
        assert return_sequence
        sequences = (
            each.expand(self.steps, *each.shape) if each.ndim == self.rank + 1 else each for each in values_of(x)
        )
        y: Tensor = self.model.sequence(*sequences)
        return y

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@pytest.mark.parametrize("dialect", SOURCES)
@examples(12)
@given(drawn=nets(), training=st.booleans())
def test_same_outputs_gradients_and_statistics(dialect: str, drawn: Drawn, *, training: bool) -> None:
    try:
        text = SOURCES[dialect](drawn.network)
    except UnsupportedLayer:
        assume(condition=False)
    model = module_from_source(text).to(DOUBLE.dtype)
    model.load_state_dict(build(drawn, Program.of(drawn.network)).state_dict())
    model.train(training)
    wanted, margin = expected(drawn, DOUBLE, training=training)
    if wanted.error:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            model(*values_of(drawn.x))
        return
    found = run(Sequence(model, drawn), drawn, DOUBLE)  # type: ignore[arg-type]
    wrong = list(differences(found, wanted, 1e-10))
    assume(not wrong or margin > 1e-9)
    assert not wrong


MERGES = [
    name for name, kind in catalogue().items() if issubclass(kind, Merge) and kind.__module__.startswith("sewdsl.")
]
WITHOUT_FORMULA = {"LOOP": "no node is of this kind: a network has a loop as an ADD and a DELAY"}


@pytest.mark.parametrize("name", MERGES)
def test_every_merge_has_a_formula(name: str) -> None:
    """The law above passes over networks whose merge has none."""
    op = catalogue()[name].model_construct()
    assert isinstance(op, Merge)
    known = type(op) in LAYER_CALLS if op.has_module else has_formula(op)
    assert known != (name in WITHOUT_FORMULA), f"add the formula of {name} to FORMULAS of class_text.py"


@examples(10)
@given(drawn=nets())
def test_same_readout(drawn: Drawn) -> None:
    ours = build(drawn, Program.of(drawn.network)).eval()
    ours.doubts_layout = False  # T is drawn apart from the network's steps
    model = module_from_source(SOURCES["python"](drawn.network)).to(DOUBLE.dtype).eval()
    model.load_state_dict(ours.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(*values_of(drawn.x)), ours(drawn.x), rtol=1e-10, atol=1e-10)
