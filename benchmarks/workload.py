"""What is run: a network by name, its input, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CHANNELS = 32
"""Width of the chains, that of 7B-Net."""


@dataclass(frozen=True)
class Workload:
    """One network at one size, the same for every contender.

    Attributes:
        network: ``lif-layer``, ``7b-net``, ``blocks-N`` (N SEW blocks without pooling), or ``sew-resnet-D``.
        shape: ``[C, H, W]`` of one sample.
        steps: T.
        samples: N, at least 2: that the outputs of two differ shows that they say something.
        train: A training step, else inference. Of a layer: forward and backward.
        precision: ``fp32``, or ``bf16`` for torch's autocast around the forward.
        static: Whether the input is an image ``[N, C, H, W]`` shown at each step, else a sequence.
        device: ``cpu`` or ``cuda``.
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
        """Whether it is a layer of neurons alone, whose output is spikes rather than logits."""
        return self.network == "lif-layer"

    @property
    def spec(self) -> str:
        """The network as sewdsl takes it: the name of a shipped one, or a string."""
        if self.layer:
            return "LIF"
        blocks = re.fullmatch(r"blocks-(\d+)", self.network)
        if blocks is None:
            return self.network
        return f"c{CHANNELS}k3s1-BN-PLIF-{{SEW Block (c{CHANNELS})}}*{blocks[1]}-GAP-FC11"

    @property
    def classes(self) -> int:
        """How many logits there are for each sample."""
        return 1000 if self.network.startswith("sew-resnet") else 11

    def __str__(self) -> str:
        blocks = f"{self.network.removeprefix('blocks-')} blocks, " if self.network.startswith("blocks-") else ""
        size = "x".join(map(str, self.shape))
        what = "forward + backward" if self.layer else ("train step" if self.train else "inference")
        rest = (", an image" if self.static else "") + ("" if self.device == "cpu" else f", {self.device}")
        return f"{blocks}{what}, {self.precision}, T={self.steps}, N={self.samples}, {size}{rest}"
