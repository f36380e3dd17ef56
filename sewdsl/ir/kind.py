"""The base of everything that a ``.net`` file can name: layers, neurons, surrogates, joins, optimizers.

A kind is one frozen pydantic class. Its fields are its arguments; a field annotated with a
:class:`Letter` can also be written in the compact notation. Defining the class registers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.plugins import REGISTRIES

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Letter:
    """How the compact notation writes an argument: ``k`` in ``c32k3``; empty for the value after the symbol, 32."""

    letter: str


def _both(value: object) -> object:
    """One length gives height and width."""
    return (value, value) if type(value) is int else value


Switch = Annotated[bool, BeforeValidator(lambda value: bool(value) if value in (0, 1) else value)]
"""On or off; the compact notation writes 1 or 0."""
Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
PositivePair = Annotated[tuple[Positive, Positive], BeforeValidator(_both)]
"""Height and width, both at least 1; one number gives both."""
NaturalPair = Annotated[tuple[Natural, Natural], BeforeValidator(_both)]
"""Height and width, both at least 0; one number gives both."""

CATALOGUE: dict[str, type[Kind]] = {}
"""Every kind by its name; filled as the classes are defined (see :func:`sewdsl.ops.catalogue`)."""
REGISTRIES.append(CATALOGUE)


class Kind(BaseModel):
    """Something with a name and arguments.

    Subclasses state ``kind="LIF"`` to be registered under that name; those without are families.

    Attributes:
        kind: The name in the language, case-sensitive.
        key: The name in ``state_dict`` keys, lower case: ``conv``, ``bn``, ``plif``.
        defined_by_text: Whether a text of the language defines it, :meth:`definition_text`, and no class of Python.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, defer_build=True)

    kind: ClassVar[str]
    key: ClassVar[str]
    defined_by_text: ClassVar[bool] = False

    def __init_subclass__(cls, kind: str = "", key: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            if kind in CATALOGUE:
                first = CATALOGUE[kind]
                places = f"{first.__module__}.{first.__qualname__} and {cls.__module__}.{cls.__qualname__}"
                raise TypeError(f"kind {kind!r} is defined twice: {places}")
            cls.kind = kind
            cls.key = key or kind.lower()
            CATALOGUE[kind] = cls

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Forgets the annotations of class variables, which pydantic knows by now and would evaluate for each kind."""
        for name in cls.__class_vars__ & cls.__annotations__.keys():
            del cls.__annotations__[name]

    @classmethod
    def definition_text(cls) -> str:
        """The text of the language that defines it; empty for a class of Python."""
        return ""

    @classmethod
    def named(cls) -> type[Kind]:
        """The class that its name means; of a neuron as equations, numbers decide which other one an instance has."""
        return cls

    @classmethod
    def letters(cls) -> dict[str, str]:
        """Argument names by their letter in the compact notation; the value after the symbol has the letter ''."""
        return {
            mark.letter: name
            for name, info in cls.model_fields.items()
            for mark in info.metadata
            if isinstance(mark, Letter)
        }

    @property
    def label(self) -> str:
        """The canonical text without what it has in brackets: ``c32k3s1p1b0``, ``LIF``."""
        given = ((letter, getattr(self, name)) for letter, name in self.letters().items())
        return self.kind + "".join(letter + _compact(value) for letter, value in given if value is not None)

    def __str__(self) -> str:
        """The canonical text with every value in force: ``c32k3s1p1b0``, ``LIF(tau=2.0, …)``."""
        lettered = self.letters().values()
        named = [f"{name}={format_value(value)}" for name, value in self if name not in lettered]
        return self.label + (f"({', '.join(named)})" if named else "")

    def replace(self, /, **changes: object) -> Self:
        """A copy with other arguments, validated again."""
        return self.model_validate({**dict(self), **changes})


def argument_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the names that a text gives them."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _compact(value: object) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(int(value)) if isinstance(value, bool) else str(value)
