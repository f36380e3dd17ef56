"""Base class of everything that a ``.net`` file can name: layers, neurons, surrogates, joins, optimizers.

A kind is a frozen pydantic class whose fields are the arguments. A field annotated with a :class:`Letter` can also be
written in compact notation. Defining the class registers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.plugins import REGISTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Letter:
    """Compact notation of an argument: ``k`` in ``c32k3``, or empty for the value after the symbol, 32."""

    letter: str


@dataclass(frozen=True)
class Unnamed:
    """Mark of the argument that parentheses may contain without its name: ``Reshape(512x4x4)``."""


@dataclass(frozen=True)
class OmittedDefault:
    """Mark of an argument that canonical texts and JSON contain only if it differs from its default."""


def _repeat_length(value: object) -> object:
    """Return a single length as height and width."""
    # type() instead of isinstance: a bool is an int too, but not a length.
    return (value, value) if type(value) is int else value


# In compact notation, b0 and b1 are parsed as integers.
Switch = Annotated[bool, BeforeValidator(lambda value: bool(value) if value in (0, 1) else value)]
"""On or off, or 1 or 0 in compact notation."""
MAX_INTEGER = 10**9 - 1
"""Largest integer that texts can contain by default. Numbers such as ``11e9`` are integers too."""
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Natural = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
PositivePair = Annotated[tuple[Positive, Positive], BeforeValidator(_repeat_length)]
"""Height and width, both at least 1, or a single number for both."""
NaturalPair = Annotated[tuple[Natural, Natural], BeforeValidator(_repeat_length)]
"""Height and width, both at least 0, or a single number for both."""

CATALOGUE: dict[str, type[Kind]] = {}
"""All kinds by name, registered when their classes are defined (see :func:`sewdsl.ops.catalogue`)."""
REGISTRIES.append(CATALOGUE)


class Kind(BaseModel):
    """Base class of kinds, which have a name and arguments.

    Subclasses with ``kind="LIF"`` are registered under that name. Subclasses without it are families.
    """

    # frozen: kinds are shared between networks and are keys of caches. defer_build: a network uses few of the kinds,
    # and building the schema of each takes time. strict: an integer argument must not accept 2.0 or True.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, defer_build=True)

    kind: ClassVar[str]
    """Name in the language, case-sensitive."""
    key: ClassVar[str]
    """Name in ``state_dict`` keys, lower case: ``conv``, ``bn``, ``plif``."""
    noun: ClassVar[str]
    """Name of the family in messages: ``layer``, ``neuron``."""
    defined_by_text: ClassVar[bool] = False
    """Whether the kind is defined by text of the language (:meth:`definition_text`) instead of a Python class."""
    reserves_name: ClassVar[bool] = True
    """Whether blocks, neurons and values cannot have the name of the kind."""

    def __init_subclass__(cls, kind: str = "", key: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            if kind in CATALOGUE:
                first = CATALOGUE[kind]
                qualified_names = f"{first.__module__}.{first.__qualname__} and {cls.__module__}.{cls.__qualname__}"
                # A plugin must not replace a kind silently.
                raise TypeError(f"kind {kind!r} is defined twice: {qualified_names}")
            cls.kind = kind
            cls.key = key or kind.lower()
            CATALOGUE[kind] = cls

    def __hash__(self) -> int:
        """Return a hash of the class and the arguments."""
        # The hash of pydantic has only the arguments. Those of 1,000 different MAP{…} are equal, and lookups of 1,000
        # kinds with equal hashes take quadratic time.
        values = self.__dict__
        return hash((type(self), *[values[name] for name in type(self).__pydantic_fields__]))

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Delete the annotations of class variables."""
        # Pydantic has read these annotations, and would evaluate them again for each subclass.
        for name in cls.__class_vars__ & cls.__annotations__.keys():
            del cls.__annotations__[name]

    @classmethod
    def noun_phrase(cls) -> str:
        """Return the name of the family with its article: ``an optimizer``."""
        return f"{'an' if cls.noun[0] in 'aeiou' else 'a'} {cls.noun}"

    @classmethod
    def definition_text(cls) -> str:
        """Return the source text of the definition, or empty for a Python class."""
        return ""

    @classmethod
    def separate_definition(cls) -> str:
        """Return the definition that a source needs to use the name, or empty if the name has a meaning by itself."""
        return "" if cls.definition_text() == cls.kind else cls.definition_text()

    @classmethod
    def call_text(cls, head: str, arguments: Sequence[str]) -> str:
        """Return the text of a call.

        Args:
            head: Name with compact arguments.
            arguments: Texts of the other arguments: ``tau=2.0``.
        """
        return head + (f"({', '.join(arguments)})" if arguments else "")

    @classmethod
    def named(cls) -> type[Kind]:
        """Return the class that the name refers to.

        For a neuron defined by equations, the numeric arguments select the class of an instance.
        """
        return cls

    @classmethod
    def letters(cls) -> dict[str, str]:
        """Return the argument names by letter of the compact notation. The value after the symbol has the letter ''."""
        return {
            mark.letter: name
            for name, info in cls.model_fields.items()
            for mark in info.metadata
            if isinstance(mark, Letter)
        }

    @classmethod
    def unnamed(cls) -> str | None:
        """Return the name of the argument that may be written without its name, if any."""
        marked = (name for name, info in cls.model_fields.items() if Unnamed() in info.metadata)
        return next(marked, None)

    @property
    def label(self) -> str:
        """Canonical text without arguments in brackets: ``c32k3s1p1b0``, ``LIF``."""
        stated = dict(stated_fields(self))
        values_by_letter = ((letter, stated.get(name)) for letter, name in self.letters().items())
        return self.kind + "".join(letter + _compact(value) for letter, value in values_by_letter if value is not None)

    def __str__(self) -> str:
        """Return the canonical text with all arguments: ``c32k3s1p1b0``, ``LIF(tau=2.0, …)``."""
        lettered = self.letters().values()
        named = [f"{name}={format_value(value)}" for name, value in stated_fields(self) if name not in lettered]
        return self.call_text(self.label, named)

    def replace(self, /, **changes: object) -> Self:
        """Return a validated copy with some arguments replaced."""
        # model_copy would skip the validators.
        return self.model_validate({**dict(self), **changes})


def stated_fields(model: BaseModel) -> Iterator[tuple[str, Any]]:
    """Yield the fields and their values, without defaults that are marked :class:`OmittedDefault`."""
    omitted = _omitted_defaults(type(model))
    for name, value in model:
        if name not in omitted or value != omitted[name]:
            # Named tuples can state fewer fields than they have.
            yield name, tuple(getattr(item, "stated", item) for item in value) if type(value) is tuple else value


@cache
def _omitted_defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults that are not written, by field."""
    return {
        name: info.default
        for name, info in model.model_fields.items()
        if any(isinstance(mark, OmittedDefault) for mark in info.metadata)
    }


def argument_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their names in the language."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _compact(value: object) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(int(value)) if isinstance(value, bool) else str(value)
