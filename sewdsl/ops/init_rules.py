"""Initial weights: ``default``, ``kaiming``, ``normal``, ``uniform``, ``constant``, ``orthogonal``, ``sparse``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from sewdsl.equations.tape import MAX_NUMBER
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.kind import OmittedDefault, Unnamed

if TYPE_CHECKING:
    from torch import Tensor

MATRIX = 2
"""Number of axes of a matrix."""


class Default(InitRule, kind="default"):
    """PyTorch's initial weights and biases.

    In a file: ``init default``, or ``FC64(init=default)`` in a file with another rule.
    """

    resets_bias = False

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        return weight


class Kaiming(InitRule, kind="kaiming"):
    """Normal weights with variance 2 / fan_out, and PyTorch's biases.

    In a file: ``init kaiming``, for the convolutions of the file, or ``FC64(init=kaiming)``. The fan_out is the
    number of weights of an input channel. Source: He et al. 2015.
    """

    resets_bias = False
    by_output = True
    kinds = ("c",)

    @property
    def statement(self) -> str:
        return 'nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")'

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        drawn: Tensor = torch.nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
        return drawn


class Normal(InitRule, kind="normal"):
    """Normal weights with mean 0, as in transformers. Biases are 0.

    In a file: ``init normal(std=0.02)``.
    """

    std: float = Field(default=0.02, gt=0)
    """Standard deviation, > 0."""

    @property
    def statement(self) -> str:
        return f"nn.init.normal_(module.weight, std={self.std})"

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        drawn: Tensor = torch.nn.init.normal_(weight, std=self.std)
        return drawn


class Uniform(InitRule, kind="uniform"):
    """Uniform weights. Biases are 0.

    In a file: ``init uniform(low=-0.1, high=0.1)``.
    """

    low: float = Field(ge=-MAX_NUMBER / 2)
    """Lower bound."""
    high: float = Field(le=MAX_NUMBER / 2)  # The difference of the bounds is a float32, too.
    """Upper bound, > low."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.low >= self.high:
            raise ValueError("'low' must be less than 'high'")
        return self

    @property
    def statement(self) -> str:
        return f"nn.init.uniform_(module.weight, {self.low}, {self.high})"

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        drawn: Tensor = torch.nn.init.uniform_(weight, self.low, self.high)
        return drawn


class ConstantWeights(InitRule, kind="constant"):
    """Equal weights. Biases are 0.

    In a file: ``init fc1 constant(0)``, e.g. for a layer that starts as an identity's branch.
    """

    value: Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER), Unnamed()]
    """The weight."""

    @property
    def statement(self) -> str:
        return f"nn.init.constant_(module.weight, {self.value})"

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        return weight.fill_(self.value)


class Orthogonal(InitRule, kind="orthogonal"):
    """Weights of which the rows or the columns are orthogonal vectors of equal length. Biases are 0.

    In a file: ``init res.* orthogonal``. A kernel is a matrix with one row per output. Source: Saxe et al. 2014.
    """

    by_output = True

    gain: float = Field(default=1.0, gt=0, le=MAX_NUMBER)
    """Length of the vectors, > 0."""

    @property
    def statement(self) -> str:
        return f"nn.init.orthogonal_(module.weight, {self.gain})"

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        drawn: Tensor = torch.nn.init.orthogonal_(weight, self.gain)
        return drawn


class Sparse(InitRule, kind="sparse"):
    """Normal weights for a random part of the inputs of each output, and 0 for the others. Biases are 0.

    In a file: ``FC512b0(init=sparse(density=0.1, radius=0.9))``, e.g. for a reservoir. Each output has
    round(density · inputs) weights (half to even). With ``keep``, only these weights are learned and counted. The
    buffer ``weight_mask`` is 1 for them.
    """

    by_output = True

    density: float = Field(gt=0, le=1)
    """Fraction of the inputs of each output, in (0, 1]."""
    std: Annotated[float | None, Field(gt=0, le=MAX_NUMBER), OmittedDefault()] = None
    """Standard deviation of the weights, > 0. None: 1 / sqrt of the number of weights of an output."""
    radius: Annotated[float | None, Field(gt=0, le=MAX_NUMBER), OmittedDefault()] = None
    """Largest absolute eigenvalue that the matrix is scaled to, > 0, for a layer with as many outputs as inputs. None:
    no scaling."""
    keep: bool = True
    """Whether the other weights remain 0 in training."""

    @property
    def statement(self) -> str:
        numbers = (
            f"{name}={value!r}" for name in ("density", "std", "radius") if (value := getattr(self, name)) is not None
        )
        draws = f"draw_sparse(module, {', '.join(numbers)})"
        return f"{draws}\nkeep_zeros(module)" if self.keep else draws

    @property
    def keeps_zeros(self) -> bool:
        return self.keep

    def kept(self, inputs: int) -> int:
        return self._drawn(inputs) if self.keep else inputs

    def _drawn(self, inputs: int) -> int:
        return round(self.density * inputs)

    def misfit(self, shape: Sequence[int]) -> str:
        inputs = prod(shape[1:])
        if not self._drawn(inputs):
            return f"sparse(density={self.density}) leaves no weight of {inputs} inputs"
        if self.radius is not None and (len(shape) != MATRIX or shape[0] != inputs):
            size = "x".join(map(str, shape))
            return f"sparse(radius={self.radius}) requires as many outputs as inputs, got weights {size}"
        return ""

    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        rows = weight.flatten(1)
        count = self._drawn(rows.shape[1])
        chosen = torch.rand_like(rows).topk(count, dim=1).indices
        std = self.std or count**-0.5
        values = torch.randn_like(rows[:, :count]) * std
        # The generator returns exact zeros for some of many values, which would look like weights that are left out.
        values[values == 0] = std
        drawn: Tensor = torch.zeros_like(rows).scatter_(1, chosen, values)
        if self.radius is not None:
            largest = torch.linalg.eigvals(drawn.double()).abs().max()
            drawn = (drawn.double() * (self.radius / largest)).to(drawn.dtype)
        return drawn.reshape(weight.shape)
