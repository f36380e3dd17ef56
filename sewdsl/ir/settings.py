"""Settings of a network other than its layers, and expectations about the result."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny

from sewdsl.ir.init_rules import InitRule, rule_of
from sewdsl.ir.kind import OmittedDefault
from sewdsl.ir.op import Activation, Join
from sewdsl.light_dataclass import dataclass
from sewdsl.source import BUILTIN, Span


class InputSetting(NamedTuple):
    """One input of a network."""

    name: str
    """Name, or empty for the only input of a file without names."""
    shape: tuple[int, ...]
    """Shape of one time-step of one sample."""
    encode: Literal["none", "direct"] = "none"
    """``direct`` for a static input, ``none`` for a sequence."""
    of: int | None = None
    """Number N of values of an input of integers from 0 to N - 1. None: the values are real numbers."""

    @property
    def stated(self) -> tuple[object, ...]:
        """Fields, without the number of values for real inputs, as in files written before this field existed."""
        return self[:-1] if self.of is None else tuple(self)

    @property
    def size(self) -> str:
        """Shape in the notation of the language, with the name and the number of values, if any: ``left 9 of 300``."""
        return f"{self.name} {self.unnamed_size}".lstrip()

    @property
    def unnamed_size(self) -> str:
        """Shape in the notation of the language, with the number of values, if any: ``128 of 30522``."""
        return "x".join(map(str, self.shape)) + (f" of {self.of}" if self.of else "")


def _rule_text(text: str) -> str:
    """Return the text of a rule of initial weights, or raise ValueError if there is no such rule."""
    # The rules may not be loaded yet for the default.
    if text != "default":
        rule_of(text)
    return text


class Settings(BaseModel):
    """Header of a file, with defaults resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    input: Annotated[tuple[int, ...], OmittedDefault()] = ()
    """Shape of one time-step of one sample, ``(C, H, W)``, ``(C, L)`` or ``(F,)``. Empty if the inputs have names."""
    of: Annotated[int | None, OmittedDefault()] = None
    """Number N of values of an input of integers from 0 to N - 1. None: the values are real numbers, or the inputs have
    names."""
    inputs: Annotated[tuple[InputSetting, ...], OmittedDefault()] = ()
    """Named inputs, in source order. Empty for an input without a name."""
    steps: int = Field(default=1, ge=1)
    """Number of time-steps T."""
    encode: Literal["none", "direct"] = "none"
    """``direct``: a static input is repeated T times. ``none``: the input is a sequence. ``encode left direct`` is for
    one of several inputs."""
    neuron: SerializeAsAny[Activation] | None = None
    """Neuron that ``SN`` refers to, if the file sets one. With ``neuron PLIF(tau=3.0)``, a ``PLIF`` without arguments
    in the body has these arguments too."""
    join: SerializeAsAny[Join]
    """Join that ``g`` refers to."""
    init: Annotated[str, AfterValidator(_rule_text)] = "default"
    """Canonical text of the rule of initial weights, e.g. ``default``, ``kaiming`` or ``normal(std=0.02)``."""
    part_init: Annotated[tuple[tuple[str, SerializeAsAny[InitRule]], ...], OmittedDefault()] = ()
    """Rules of single layers and groups, by name or pattern, which take precedence over ``init``. If several entries
    match a layer, the last one applies."""
    zero_init: bool = False
    """Whether every residual block is initialised as an identity."""
    readout: Literal["mean", "sum", "last"] = "mean"
    """Reduction of the outputs over time: ``mean``, ``sum`` or ``last``."""

    @property
    def sources(self) -> tuple[InputSetting, ...]:
        """All inputs: the named ones, or the only one, with an empty name."""
        return self.inputs or (InputSetting("", self.input, self.encode, self.of),)

    @property
    def input_text(self) -> str:
        """Inputs in the notation of the language: ``2x128x128``, or ``left 1x28x28, right 1x28x28``."""
        return ", ".join(source.size for source in self.sources)

    @property
    def rule(self) -> InitRule:
        """Rule of the initial weights of the file."""
        return rule_of(self.init)


@dataclass(frozen=True)
class Expectation:
    """An ``expect`` or ``claim`` line."""

    quantity: str
    """``parameters``, ``macs``, ``output``, …."""
    value: str
    """Value as written, e.g. ``0.13M``."""
    source: str = ""
    """Source of a claim, e.g. ``Tab. 5``."""
    binding: bool = True
    """True for ``expect``: a difference is an error."""
    span: Span = field(default=BUILTIN, compare=False, repr=False)
