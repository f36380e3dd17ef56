"""``--weights FILE``: what a training begins with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewdsl.terminal import echo

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.ir.network import Network
    from sewdsl.train.beginning import InitialWeights

Weights = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Begin with the weights in this file, by our keys.")
]


def load_initial_weights(path: Path | None, network: Network) -> InitialWeights | None:
    """The weights in a file, for a network; None where no file is given.

    Raises:
        RunError: there is no such file, its keys are not ours, or they or their shapes do not fit the network.
    """
    if path is None:
        return None
    from sewdsl.export import weights  # noqa: PLC0415 -- torch takes seconds
    from sewdsl.train.beginning import InitialWeights  # noqa: PLC0415 -- as above
    from sewdsl.train.folder import RunError  # noqa: PLC0415 -- as above
    from sewdsl.train.origin import WeightsOrigin  # noqa: PLC0415 -- as above

    ours = weights.SCHEMES["sewdsl"]
    try:
        found = weights.read_weights(path)
    except weights.WeightsError as error:
        raise RunError(str(error)) from None
    try:
        names = [scheme.name for scheme in weights.detect_schemes(found.tensors, network)]
        if ours.name not in names:
            message = (
                f"'{path}' has the keys of {' and '.join(names)}, and a training begins with ours: "
                f"sewdsl weights convert {path} ours.safetensors --net SPEC gives it those"
            )
            raise RunError(message)
        tensors, notes = weights.to_node_paths(found.tensors, network, ours)
        digest = sha256(path.read_bytes()).hexdigest()
    except (weights.WeightsError, OSError) as error:
        message = f"'{path}': {error}"
        raise RunError(message) from None
    _say(path, digest, [*found.notes, *notes, *_rounded(tensors)])
    return InitialWeights(WeightsOrigin(file=str(path), sha256=digest), tensors)


def _rounded(tensors: dict[str, Tensor]) -> list[str]:
    """Says that numbers are rounded, where they are."""
    import torch  # noqa: PLC0415 -- torch takes seconds

    wide = [key for key, value in tensors.items() if value.dtype == torch.float64]
    return [f"rounded from float64 to float32: {', '.join(wide)}"] if wide else []


def _say(path: Path, digest: str, notes: list[str]) -> None:
    """What a training begins with, on the standard error."""
    echo("\n  ".join([f"beginning with the weights in {path}, sha256 {digest}", *notes]), err=True)
