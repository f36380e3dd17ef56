"""Workloads: a network, its input, and the kind of step."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CHANNELS = 32
"""Number of channels of 7B-Net, and of the chains of blocks."""


@dataclass(frozen=True)
class Workload:
    """Network at one size, equal for all contenders.

    Attributes:
        network: ``lif-layer``, ``7b-net``, ``blocks-N`` (N SEW blocks without pooling), ``sew-resnet-D``, or
            ``spikingresformer-ti``.
        shape: ``[C, H, W]`` of one sample.
        steps: Number of time-steps, T.
        samples: N, at least 2, to check that outputs depend on the input.
        train: Whether to measure a training step instead of inference. For a layer: forward and backward.
        precision: ``fp32``, or ``bf16`` for autocast in the forward pass.
        static: Whether the input is an image ``[N, C, H, W]`` repeated at each time-step, instead of a sequence.
        device: Device that runs it, ``cpu`` or ``cuda``.
    """

    network: str
    shape: tuple[int, ...]
    steps: int
    samples: int
    train: bool = field(default=True, kw_only=True)
    precision: str = field(default="fp32", kw_only=True)
    static: bool = field(default=False, kw_only=True)
    device: str = field(default="cpu", kw_only=True)

    @property
    def layer(self) -> bool:
        """Whether the network is a single layer of neurons, whose output is spikes."""
        return self.network == "lif-layer"

    @property
    def spec(self) -> str:
        """Spec of the network for sewdsl: a shipped name or a string."""
        if self.layer:
            return "LIF"
        blocks = re.fullmatch(r"blocks-(\d+)", self.network)
        if blocks is None:
            return self.network
        return f"c{CHANNELS}k3s1-BN-PLIF-{{SEW Block (c{CHANNELS})}}*{blocks[1]}-GAP-FC11"

    @property
    def classes(self) -> int:
        """Number of logits per sample."""
        return 1000 if self.network.startswith(("sew-resnet", "spikingresformer")) else 11

    def __str__(self) -> str:
        blocks = f"{self.network.removeprefix('blocks-')} blocks, " if self.network.startswith("blocks-") else ""
        size = "x".join(map(str, self.shape))
        what = "forward + backward" if self.layer else ("train step" if self.train else "inference")
        rest = (", an image" if self.static else "") + ("" if self.device == "cpu" else f", {self.device}")
        return f"{blocks}{what}, {self.precision}, T={self.steps}, N={self.samples}, {size}{rest}"
