"""Running a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sewdsl.exchange.write.formats import Outputs


def module_from_source(text: str) -> nn.Module:
    """The network that a file makes: it is the last class."""
    space: dict[str, object] = {"__name__": "net"}
    exec(compile(text, "net.py", "exec"), space)  # noqa: S102 -- we wrote it
    made: nn.Module = [value for value in space.values() if isinstance(value, type)][-1]()
    return made


def run_source(data: bytes, x: Tensor, weights: Mapping[str, Tensor]) -> Outputs:
    """Return the outputs of a file's network with these weights, in the dtype of the input."""
    model = module_from_source(data.decode()).to(x.dtype).eval()
    model.load_state_dict(dict(weights))
    y: Outputs = model(x)
    return y
