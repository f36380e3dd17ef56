"""Theory of neurons as equations: equal to that of the built-in kinds, and without false warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sewdsl
from sewdsl.analysis.spike_transmission import first_equation_violation
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ir.signal import BINARY, ValueRange
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import EquationKind, equation_kind
from sewdsl.snn.equations import Equations
from sewdsl.syntax.printer import print_neuron

T = 5


def said(
    folder: Path, neuron: str, definition: str = "", body: str = "c8k3-BN-SN-{Spiking Block}*3-GAP-FC4"
) -> list[str]:
    file = folder / "a.net"
    file.write_text(f"sewdsl 1\n{definition}input 2x8x8\nsteps 4\nneuron {neuron}\nbody {body}\n", encoding="utf-8")
    return [f"{each.code}: {each.message}" for each in sewdsl.read(file).diagnostics]


@pytest.mark.parametrize("v_reset", ["0.0", "none", "-0.2"])
@pytest.mark.parametrize("name", ["IF", "LIF", "PLIF"])
def test_a_linear_neuron_is_judged_as_its_kind(name: str, v_reset: str, tmp_path: Path) -> None:
    definition = print_neuron(shipped_neurons()[name]).replace(f"neuron {name}", "neuron Own")
    ours = said(tmp_path, f"Own(v_reset={v_reset})", f"{definition}\n")
    kind = said(tmp_path, f"{name}(v_reset={v_reset})")
    assert [line.replace("Own", name) for line in ours] == kind


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        ("KLIF", "is not an identity: for input 1 at v = 0, KLIF outputs 0"),
        ("ALIF", "is not an identity: for input 1 at v = 0, a = 0, ALIF outputs 0"),
        ("PLIFC(tau=1.0000001)", "PLIFC learns w"),
        ("ILIF(decay=0)", ""),
        ("Ternary(tau=1.0)", ""),
    ],
)
def test_identity(neuron: str, reason: str, tmp_path: Path) -> None:
    found = said(tmp_path, neuron)
    assert all(reason in line for line in found)
    assert bool(found) == bool(reason)


VECTORS = "learn a[3] = 0.5   state h[3] = 0   h = a*h + x   s = fire(sum(h) - 1)   h = h*(1 - s)   give s"


@pytest.mark.parametrize(
    ("equations", "reason"),
    [
        (VECTORS, "N learns a"),
        ("give round(0.5*x)", ""),
        ("give floor(0.99999999*x)", ""),
        ("v = -1*v + x   h = v/(-1)   s = fire(-1*h - 1)   give s", "for input 1 at v = 1, N outputs 0"),
    ],
)
def test_identity_of_vectors_and_roundings(equations: str, reason: str, tmp_path: Path) -> None:
    """Near a discontinuity, rounding decides. Vectors are not followed."""
    body = "c8k3-BN-IF-{Spiking Block (SN=N)}*3-GAP-FC4"
    found = said(tmp_path, "N", f"neuron N {{ {equations} }}\n", body)
    assert all(reason in line for line in found)
    assert bool(found) == bool(reason)


def test_branches_end_in_silent_neurons_with_vectors(tmp_path: Path) -> None:
    body = "c8k3-BN-SN-{SEW Block}*3-GAP-FC4\ninit zero"
    assert said(tmp_path, "N", f"neuron N {{ {VECTORS} }}\n", body) == []
    (loud,) = said(tmp_path, "N", "neuron N { give cos(x) }\n", body.replace("*3", "*1"))
    assert "its branch ends in N, which never gives 0" in loud


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("name", [name for name in shipped_neurons() if name not in {"IF", "LIF", "PLIF", "LIF1"}])
def test_what_is_said_is_so(name: str) -> None:
    """Some sequence of spikes is changed exactly if that is found."""
    catalogue()
    kind = equation_kind(shipped_neurons()[name])
    spec = kind.model_validate({"steps": T} if "steps" in kind.model_fields else {})
    assert isinstance(spec, EquationKind)
    values = ValueRange(4) if name.startswith("ILIF") else ValueRange(1, lower=-1) if name == "Ternary" else BINARY
    wrong = first_equation_violation(spec, values, T)
    sent = torch.arange(values.lower, (values.upper or 0) + 1, dtype=torch.float64)
    sequences = torch.cartesian_prod(*[sent] * T).T[:, :, None]
    with torch.no_grad():
        given = Equations(spec, 1, T).double()(sequences)
    changed = bool((given != sequences).any())
    assert changed or wrong is None
    if wrong is not None:
        assert wrong.output != wrong.sent
