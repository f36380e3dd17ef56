"""Any name of a parameter, a state or a sum: it works in every format, or is refused where it is written."""

from __future__ import annotations

import builtins
from keyword import kwlist, softkwlist
from typing import Any

import torch
from torch import nn

import sewdsl
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.json import to_json
from sewdsl.notation import write_net
from sewdsl.ops.equation_neurons import EquationNeuron
from sewdsl.snn.equations import Equations
from sewdsl.source import Source
from tests.effort import factor
from tests.exchange.source.files import SOURCES
from tests.network_json import from_json

OWN = (
    "rest",
    "macs",
    "keeps",
    "label",
    "infer",
    "dynamics",
    "step",
    "channel",
    "steps",
    "kind",
    "definition",
    "arguments",
)
OTHERS = (
    "self",
    "cls",
    "parameter0",
    "name0",
    "x_",
    "fire_",
    "lambda_",
    "t",
    "wide",
    "inputs",
    "row",
    "math",
    "spread",
)
NAMES = sorted(
    {*kwlist, *softkwlist, *OWN, *OTHERS, *dir(EquationNeuron), *dir(Equations), *dir(nn.Module), *dir(builtins)}
)
"""More than 200: what Python, PyTorch, pydantic and our own classes have."""
TEXT = """\
sewdsl 1
neuron N({0}=0.25) {{ h = {0}*v + x   s = fire(h - v_threshold)   v = reset(h, s)   give s }}
neuron M {{ state {0} = 0.5   {0} = 0.5*{0} + x   give {0} }}
input 3
steps 2
neuron N
body N({0}=0.5)-FC4-M-SN({0}=0.75)-FC2
"""


def network(name: str) -> sewdsl.Network | None:
    """A network that has the name everywhere; None where it is refused."""
    compiled = sewdsl.read(Source("a.net", TEXT.format(name)))
    if not compiled.valid:
        codes = {said.code for said in compiled.diagnostics}
        assert "reserved-name" in codes or name[0] == "_", (name, codes)  # no name of the language begins so
        return None
    return compiled.network


def test_names() -> None:
    assert len(NAMES) > 200
    taken = []
    shown = NAMES if factor() > 1 else [*kwlist, *OWN, *OTHERS, *NAMES[::20]]
    for name in shown:
        known = network(name)
        if known is None:
            taken.append(name)
            continue
        assert from_json(to_json(known)) == known
        again = sewdsl.read(Source("b.net", write_net(known))).result()
        assert [node.op for node in again] == [node.op for node in known]
        model = sewdsl.compile(known, seed=0, optimize=0)
        x = torch.linspace(-1, 3, 12).reshape(2, 2, 3)
        with torch.no_grad():
            wanted = model(x)
            for source in SOURCES.values():
                other: Any = module_from_source(source(known))
                other.load_state_dict(model.state_dict())
                torch.testing.assert_close(other(x), wanted)
    assert {*OWN, "self", "lambda", "training"}.isdisjoint(taken)
