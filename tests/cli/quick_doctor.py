"""A ``sewdsl doctor`` that examines little."""

import pytest

from sewdsl.probe import examine_machine

FEW = {"IF, LIF and PLIF": "c8k3-BN-PLIF"}
"""One network. Its neuron is one that other tests compile kernels for too."""


def make_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small inputs and few networks."""
    monkeypatch.setattr(examine_machine, "CASES", FEW)
    monkeypatch.setattr(examine_machine, "INPUT", (2, 8, 8))
    monkeypatch.setattr(examine_machine, "TIMED_NEURONS", 1 << 12)
    monkeypatch.setattr(examine_machine, "STEP_NETWORK", "c8k3-BN-LIF-MPk2-FC10")
    monkeypatch.setattr(examine_machine, "ROUNDS", 1)
