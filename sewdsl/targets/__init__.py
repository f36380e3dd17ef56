"""Targets: chips, microcontrollers and compilers of other projects that a network is checked against."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.targets.compilers import HLS4ML, LOIHI2, SNN_MLIR, SPINNAKER2
from sewdsl.targets.microcontroller import MCU, parse_microcontroller
from sewdsl.targets.speck import SPECK2F
from sewdsl.targets.target import Citation, Fit, Misfit, Target, diagnose
from sewdsl.targets.xylo import AUDIO2, AUDIO3, IMU

__all__ = ["TARGETS", "Citation", "Fit", "Misfit", "Target", "diagnose", "find_target"]

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (MCU, SPECK2F, AUDIO2, AUDIO3, IMU, SNN_MLIR, HLS4ML, SPINNAKER2, LOIHI2)
}
"""Targets by name. The name of a microcontroller contains its size, see :func:`find_target`."""


def find_target(name: str) -> Target | None:
    """Return a target, or None for an unknown name."""
    return parse_microcontroller(name) or TARGETS.get(name)
