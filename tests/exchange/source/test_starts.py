"""Files give batch norms the weights that they start with."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.exchange.write.source.document import module_from_source
from tests.exchange.source.files import SOURCES

BODY = (
    "c4k3-BN(weight=0.5)-SN-{c4k3-BN(weight=0.25)-SN}*2-ADD[c4k3-BN(weight=0.1)-SN | id]-"
    "ADD[c4k3-BN(weight=0.3)-SN | id]-"
    "tdBN(weight=0.2)-FC6-BN(weight=0)-SN"
)


@pytest.mark.parametrize("dialect", SOURCES)
def test_norms_start_as_ours(dialect: str) -> None:
    network = sewdsl.load(BODY, input="2x4x4", neuron="IF")
    ours = sewdsl.compile(network).state_dict()
    theirs = module_from_source(SOURCES[dialect](network)).state_dict()
    norms = [name for name in ours if "bn" in name and name.endswith("weight")]
    assert len(norms) == 7
    assert all(torch.equal(ours[name], theirs[name]) for name in norms)
