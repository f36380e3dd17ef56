"""The one class that both kinds of files have: SpikingJelly's own tdBN learns at another rate."""

from __future__ import annotations

_TEXT = '''\
class TdBatchNorm2d({base}):
    """Batch norm that brings a current to a threshold (tdBN, Zheng et al. 2021).

    {formula}

    Args:
        channels: Channels of the input.
        scale: alpha times the threshold of the neurons behind it.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
    """

    def __init__(
        self,
        channels: int,
        scale: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return {each}

    def _normalise(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight * self.scale,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
'''


def td_batch_norm(base: str, each: str, formula: str) -> str:
    """The text of the class.

    Args:
        base: The batch norm that it is made of.
        each: The call that normalises all time-steps as one batch.
        formula: What the class says that it computes.
    """
    return _TEXT.format(base=base, each=each, formula=formula)
