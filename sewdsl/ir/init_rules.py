"""Rules that draw the initial weights of layers."""

from __future__ import annotations

import re
from abc import abstractmethod
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import SerializeAsAny

from sewdsl.ir.kind import CATALOGUE, Kind, OmittedDefault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class InitRule(Kind):
    """Rule of initial weights."""

    noun = "rule of initial weights"
    reserves_name = False
    resets_bias: ClassVar[bool] = True
    """Whether biases start at 0 instead of PyTorch's initial values."""
    by_output: ClassVar[bool] = False
    """Whether ``draw`` requires a weight of shape ``[outputs, *]``, also for transposed convolutions. The rule then
    applies to layers that connect inputs with outputs only."""
    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of layers that the rule of a part or a file applies to. Empty: all."""

    @property
    def statement(self) -> str:
        """Python statements that draw ``module.weight`` in an exported file, or empty for PyTorch's initial weights."""
        return ""

    @property
    def keeps_zeros(self) -> bool:
        """True if weights that are 0 initially remain 0 in training."""
        return False

    def kept(self, inputs: int) -> int:
        """Return the number of learnable weights of an output with a number of inputs."""
        return inputs

    def misfit(self, shape: Sequence[int]) -> str:  # noqa: ARG002 -- for subclasses
        """Return the reason why the rule cannot draw a weight of shape ``[outputs, *]``, or an empty text."""
        return ""

    @abstractmethod
    def draw(self, torch: ModuleType, weight: Tensor) -> Tensor:
        """Return initial weights with the shape of a new layer's weight, drawn from the global generator."""


RuleArgument = Annotated[SerializeAsAny[InitRule] | None, OmittedDefault()]
"""Type of the argument ``init`` of a layer."""

_RULE = re.compile(r"(\w+)(?:\((.*)\))?")
_CONSTANTS: dict[str, Any] = {"none": None, "on": True, "off": False}


@lru_cache(maxsize=256)
def rule_of(text: str) -> InitRule:
    """Return the rule of a canonical text, ``normal(std=0.02)``, or raise ValueError for an unknown rule."""
    match = _RULE.fullmatch(text)
    kind = CATALOGUE.get(match[1]) if match else None
    if match is None or kind is None or not issubclass(kind, InitRule):
        raise ValueError(f"'{text}' is not a rule of initial weights")
    pairs = (pair.partition("=") for pair in (match[2] or "").split(", ") if pair)
    return kind.model_validate({name: _CONSTANTS[v] if v in _CONSTANTS else float(v) for name, _, v in pairs})
