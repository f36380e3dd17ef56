"""Dataclasses that cost little to define.

For ``dataclass(frozen=True)`` the standard library writes and compiles six methods a class, half a millisecond; with
some 180 classes that was a fifth of ``sewdsl check``. Here all classes share the same functions but for ``__init__``,
which is compiled when the first object is made. What the standard library knows of a class (``fields``, ``replace``,
``asdict``, patterns) and what a type checker sees are unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 -- given on
else:
    import dataclasses
    from operator import attrgetter
    from reprlib import recursive_repr

    def dataclass(cls=None, *, frozen=False, eq=True, kw_only=False, slots=False):
        """As :func:`dataclasses.dataclass`, which has the other options."""

        def decorate(plain):
            own = {*vars(plain)}
            plain.__doc__ = plain.__doc__ or plain.__name__  # the standard library would parse its signature
            made = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(plain)

            def __init__(self, *args, **kwargs):  # noqa: N807 -- it is put into a class
                made.__init__ = write_init(made, frozen=frozen)
                made.__init__(self, *args, **kwargs)

            made.__init__ = __init__
            if "__repr__" not in own:
                made.__repr__ = Methods.__repr__
            if eq:
                compared = [f.name for f in dataclasses.fields(made) if f.compare]
                made.__compared__ = attrgetter(*compared) if compared else lambda _self: ()
                if "__eq__" not in own:
                    made.__eq__ = Methods.__eq__
                if "__hash__" not in own:
                    made.__hash__ = Methods.__hash__ if frozen else None
            if frozen:
                made.__setattr__, made.__delattr__ = FrozenMethods.__setattr__, FrozenMethods.__delattr__
                if slots:
                    made.__getstate__, made.__setstate__ = FrozenMethods.__getstate__, FrozenMethods.__setstate__
            return made

        return decorate if cls is None else decorate(cls)

    def write_init(cls, *, frozen):
        """``__init__`` as the standard library's: fields in order, those of keywords last, defaults, factories."""
        scope = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
        positional, keywords, lines = [], [], []
        for f in dataclasses.fields(cls):
            parameter = value = f.name
            if f.default is not dataclasses.MISSING:
                scope[f"_default_{f.name}"] = f.default
                parameter = f"{f.name}=_default_{f.name}"
                value = f.name if f.init else f"_default_{f.name}"
            elif f.default_factory is not dataclasses.MISSING:
                scope[f"_make_{f.name}"] = f.default_factory
                parameter = f"{f.name}=_missing"
                value = f"_make_{f.name}()" + (f" if {f.name} is _missing else {f.name}" if f.init else "")
            elif not f.init:
                continue  # what is made of the others sets it
            if f.init:
                (keywords if f.kw_only else positional).append(parameter)
            lines.append(f" _set(self, {f.name!r}, {value})" if frozen else f" self.{f.name} = {value}")
        if hasattr(cls, "__post_init__"):
            lines.append(" self.__post_init__()")
        parameters = ", ".join(["self", *positional, *(["*", *keywords] if keywords else [])])
        text = "\n".join([f"def __init__({parameters}):", *(lines or [" pass"])])
        exec(text, scope)  # noqa: S102 -- it is made of names of fields
        written = scope["__init__"]
        written.__qualname__ = f"{cls.__qualname__}.__init__"
        return written

    class Methods:
        """What all of these classes share."""

        @recursive_repr()
        def __repr__(self):
            shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
            return f"{self.__class__.__qualname__}({', '.join(shown)})"

        def __eq__(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            compared = self.__class__.__compared__
            return compared(self) == compared(other)

        def __hash__(self):
            return hash(self.__class__.__compared__(self))

    class FrozenMethods:
        """What those share whose objects do not change; the last two copy and pickle objects with slots."""

        def __setattr__(self, name, _value):
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

        def __delattr__(self, name):
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

        def __getstate__(self):
            return [getattr(self, f.name) for f in dataclasses.fields(self)]

        def __setstate__(self, state):
            for f, value in zip(dataclasses.fields(self), state, strict=True):
                object.__setattr__(self, f.name, value)
