"""Trained network whose outputs are targets of another training (``teacher "runs/ann-1"``)."""

from __future__ import annotations

import torch
from torch import Tensor

from sewdsl.light_dataclass import dataclass
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs
from sewdsl.tensor_file import tensor_digest
from sewdsl.train.fit.load_run import load_trained


@dataclass(frozen=True)
class Teacher:
    """Trained network in evaluation mode, without gradients.

    Its weights are no part of the run that it teaches. Modules inside of it are therefore hidden from Lightning.
    """

    model: SpikingNetwork
    sha256: str
    """Digest of its weights, which a resumed run compares."""

    @classmethod
    def of(cls, folder: str) -> Teacher:
        """Load the last weights of a run.

        Raises:
            RunError: If a file is damaged.
            SewdslError: If its network has errors.
        """
        model = load_trained(folder)
        return cls(model.requires_grad_(requires_grad=False), tensor_digest(model.state_dict()))

    def readouts(self, x: Inputs) -> dict[str, Tensor]:
        """Return the readouts of a batch, by output, computed with the teacher's own time-steps."""
        with torch.no_grad():
            outputs = self.model(x)
        named: dict[str, Tensor] = outputs if isinstance(outputs, dict) else {"": outputs}
        return named
