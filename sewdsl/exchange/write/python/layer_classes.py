"""Classes of batch norms in exported files, on the batch norms of PyTorch or SpikingJelly."""

from __future__ import annotations

NORMALISE = """\
    def _normalise(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            {weight},
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
"""
TD_BATCH_NORM = '''\
class TdBatchNorm2d({base}):
    """Batch norm that brings a current to a threshold (tdBN, Zheng et al. 2021).

    {formula}

    Args:
        channels: Channels of the input.
        scale: alpha times the threshold of the neurons after it.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        weight: Where the weights of the channels start.
    """

    def __init__(
        self,
        channels: int,
        scale: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(channels, eps, momentum)
        nn.init.constant_(self.weight, weight)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return {each}

'''
STEP_SCALED_NORM = '''\
class StepScaledBatchNorm({base}):
    """Batch norm with a weight for each time-step (TEBN, Duan et al. 2022)."""

    def __init__(
        self,
        channels: int,
        steps: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        self.step_weight = nn.Parameter(torch.ones(steps))

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        y = {each}
        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))

'''
LOOPED_STEP_SCALED_NORM = (
    ("StepScaledBatchNorm(", "StepScaledBatchNorm(Memory, "),
    (
        "        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))\n",
        """\
        weight = self.step_weight[self.loop_time :][: len(x)]
        self.keep_state()
        return y * weight.reshape(-1, *[1] * (x.ndim - 1))
""",
    ),
)
"""Changes of the text in a file with loops, where each time-step has its own weight."""
WEIGHTED = '''\
class Weighted{name}({base}.{name}):
    """Batch norm whose weights start with another number than 1."""

    def __init__(
        self,
        channels: int,
        weight: float,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        nn.init.constant_(self.weight, weight)
'''
NORMS = "BatchNorm1d", "BatchNorm2d"


def norm_texts(library: str, each: str, formula: str) -> dict[str, str]:
    """Return the classes of tdBN and TEBN by their names.

    Args:
        library: Module of the batch norms that the classes derive from: ``nn`` or ``layer``.
        each: Call that normalises all time-steps as one batch.
        formula: Formula of tdBN, as the docstring states it.
    """
    base = f"{library}.BatchNorm2d"
    return {
        "TdBatchNorm2d": TD_BATCH_NORM.format(base=base, each=each, formula=formula)
        + NORMALISE.format(weight="self.weight * self.scale"),
        "StepScaledBatchNorm": STEP_SCALED_NORM.format(base=base, each=each) + NORMALISE.format(weight="self.weight"),
    }


def weighted_norm_texts(library: str, forward: str = "") -> dict[str, str]:
    """Return the classes of batch norms with another initial weight than 1, by their names.

    Args:
        library: As in :func:`norm_texts`.
        forward: Text of their ``forward``; empty: that of the library.
    """
    return {f"Weighted{name}": WEIGHTED.format(name=name, base=library) + forward for name in NORMS}
