"""Weights out of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch

from sewdsl.train.classifier import Classifier
from sewdsl.train.folder import RunError


def load(module: Classifier, path: Path) -> None:
    """Puts the weights of a checkpoint into a network of the same layers.

    Raises:
        RunError: there is no checkpoint, it is damaged, or it is one of another network.
    """
    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    except FileNotFoundError:
        message = f"the checkpoint '{path}' is missing"
        raise RunError(message) from None
    except RuntimeError as error:
        message = (
            f"the checkpoint '{path}' is damaged, or one of another network: {str(error).splitlines()[-1].strip()}"
        )
        raise RunError(message) from None
    except (OSError, EOFError, KeyError, TypeError, UnpicklingError):
        message = f"the checkpoint '{path}' is damaged"
        raise RunError(message) from None
