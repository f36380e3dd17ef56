"""Settings of a network other than its layers, and expectations about the result."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from sewdsl.ir.op import Activation, Join
from sewdsl.light_dataclass import dataclass
from sewdsl.source import BUILTIN, Span


class Settings(BaseModel):
    """Header of a file, with defaults resolved.

    Attributes:
        input: Shape of one time-step of one sample, ``(C, H, W)``, ``(C, L)`` or ``(F,)``.
        steps: Number of time-steps T.
        encode: ``direct``: a static input is repeated T times. ``none``: the input is a sequence.
        neuron: Neuron that ``SN`` refers to, if the header sets one.
        join: Join that ``g`` refers to.
        init: ``default``: initialisation of PyTorch. ``kaiming``: convolutions normal, fan_out (He et al. 2015).
            ``normal(std=0.02)``: convolutions and fully connected layers normal with this standard deviation, biases 0.
        zero_init: Whether every residual block is initialised as an identity.
        readout: Reduction of the outputs over time: ``mean``, ``sum`` or ``last``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    input: tuple[int, ...]
    steps: int = Field(default=1, ge=1)
    encode: Literal["none", "direct"] = "none"
    neuron: SerializeAsAny[Activation] | None = None
    join: SerializeAsAny[Join]
    init: str = Field(default="default", pattern=r"^(default|kaiming|normal\(std=[^()]+\))$")
    zero_init: bool = False
    readout: Literal["mean", "sum", "last"] = "mean"

    @property
    def init_std(self) -> float | None:
        """Standard deviation of ``init normal(std=0.02)``, or None for another ``init``."""
        # The pattern of the field guarantees the format.
        return (
            float(self.init.removeprefix("normal(std=").removesuffix(")")) if self.init.startswith("normal") else None
        )


class NormalWeights(BaseModel):
    """Argument of ``init normal(std=0.02)``.

    Attributes:
        std: Standard deviation, > 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, defer_build=True)

    std: float = Field(default=0.02, gt=0)


@dataclass(frozen=True)
class Expectation:
    """An ``expect`` or ``claim`` line.

    Attributes:
        quantity: ``parameters``, ``macs``, ``output``, ….
        value: Value as written, e.g. ``0.13M``.
        source: Source of a claim, e.g. ``Tab. 5``.
        binding: True for ``expect``: a difference is an error.
    """

    quantity: str
    value: str
    source: str = ""
    binding: bool = True
    span: Span = field(default=BUILTIN, compare=False, repr=False)
