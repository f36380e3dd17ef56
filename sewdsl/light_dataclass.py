"""Dataclasses that are cheap to define.

For ``dataclass(frozen=True)``, the standard library generates and compiles six methods per class, in half a
millisecond. With 180 classes, this took a fifth of the time of ``sewdsl check``. Here, all classes share the same
methods, except ``__init__``, which is compiled when the first object is created. Functions of the standard library
(``fields``, ``replace``, ``asdict``), patterns and type checkers work as usual.
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
        """Define a dataclass, with a subset of the options of :func:`dataclasses.dataclass`."""

        def decorate(plain):
            defined = {*vars(plain)}
            plain.__doc__ = plain.__doc__ or plain.__name__  # Otherwise the standard library formats the signature.
            data_class = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(plain)

            def __init__(self, *args, **kwargs):  # noqa: N807 -- a method of `data_class`
                data_class.__init__ = write_init(data_class, frozen=frozen)
                data_class.__init__(self, *args, **kwargs)

            data_class.__init__ = __init__
            if "__repr__" not in defined:
                data_class.__repr__ = Methods.__repr__
            if eq:
                compared = [f.name for f in dataclasses.fields(data_class) if f.compare]
                data_class.__compared__ = attrgetter(*compared) if compared else lambda _self: ()
                if "__eq__" not in defined:
                    data_class.__eq__ = Methods.__eq__
                if "__hash__" not in defined:
                    data_class.__hash__ = Methods.__hash__ if frozen else None
            if frozen:
                data_class.__setattr__, data_class.__delattr__ = FrozenMethods.__setattr__, FrozenMethods.__delattr__
                if slots:
                    data_class.__getstate__ = FrozenMethods.__getstate__
                    data_class.__setstate__ = FrozenMethods.__setstate__
            return data_class

        return decorate if cls is None else decorate(cls)

    def write_init(cls, *, frozen):
        """Compile ``__init__`` with the parameters of the standard library: keyword-only last, defaults, factories."""
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
                continue  # __post_init__ sets the field.
            if f.init:
                (keywords if f.kw_only else positional).append(parameter)
            lines.append(f" _set(self, {f.name!r}, {value})" if frozen else f" self.{f.name} = {value}")
        if hasattr(cls, "__post_init__"):
            lines.append(" self.__post_init__()")
        parameters = ", ".join(["self", *positional, *(["*", *keywords] if keywords else [])])
        text = "\n".join([f"def __init__({parameters}):", *(lines or [" pass"])])
        exec(text, scope)  # noqa: S102 -- the text contains field names only
        init = scope["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        return init

    class Methods:
        """Methods of all classes."""

        @recursive_repr()
        def __repr__(self):
            arguments = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
            return f"{self.__class__.__qualname__}({', '.join(arguments)})"

        def __eq__(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            compared = self.__class__.__compared__
            return compared(self) == compared(other)

        def __hash__(self):
            return hash(self.__class__.__compared__(self))

    class FrozenMethods:
        """Methods of frozen classes. The last two support copying and pickling of objects with slots."""

        def __setattr__(self, name, _value):
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

        def __delattr__(self, name):
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

        def __getstate__(self):
            return [getattr(self, f.name) for f in dataclasses.fields(self)]

        def __setstate__(self, state):
            for f, value in zip(dataclasses.fields(self), state, strict=True):
                object.__setattr__(self, f.name, value)
