"""Dataclasses that cost little to define, beside those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest

from sewdsl.light_dataclass import dataclass

FORMS: dict[str, dict[str, bool]] = {
    "frozen": {"frozen": True},
    "open": {},
    "slots": {"frozen": True, "slots": True},
    "open-slots": {"slots": True},
    "no-eq": {"frozen": True, "eq": False},
}


def define(decorate: Callable[..., Any], options: dict[str, bool]) -> tuple[type, type]:
    """A class and one that inherits from it, as one of the two decorators makes them."""

    @decorate(kw_only=True, **options)
    class Base:
        note: str = field(default="", compare=False, repr=False)

    @decorate(**options)
    class Point(Base):
        x: int
        y: int = 2
        items: list[int] = field(default_factory=list)
        later: int = field(init=False, default=7)

        def __post_init__(self) -> None:
            if self.x < 0:
                message = "negative"
                raise ValueError(message)

    return Base, Point


@pytest.fixture(params=FORMS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[type, type, dict[str, bool]]:
    """The class of the standard library, and ours."""
    options = FORMS[request.param]
    return define(dataclasses.dataclass, options)[1], define(dataclass, options)[1], options


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 3, [4]), {"note": "n"}),
    ((), {"x": 5, "items": [1]}),
    ((), {}),
    ((1, 2, [], 4), {}),
    ((1,), {"z": 2}),
    ((-1,), {}),
]


def outcome(made: type, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    try:
        instance = made(*arguments, **keywords)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return repr(instance), asdict(instance), [(f.name, f.compare) for f in fields(instance)]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_objects_are_those_of_the_standard_library(
    both: tuple[type, type, dict[str, bool]], call: tuple[tuple[Any, ...], dict[str, Any]]
) -> None:
    theirs, ours, _ = both
    assert outcome(ours, *call) == outcome(theirs, *call)
    assert outcome(ours, *call) == outcome(theirs, *call)  # the second object is made by another __init__


def test_objects_compare_alike(both: tuple[type, type, dict[str, bool]]) -> None:
    for made in both[:2]:
        first, same, other = made(1, note="a"), made(1, note="b"), made(2)
        eq = both[2].get("eq", True)
        assert [first == same, first == other, first == 1, first != same] == [eq, False, False, not eq]
        hashable = both[2].get("frozen", False) and not eq
        if hashable:
            assert hash(first) == hash(first)
    theirs, ours, options = both
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    if options.get("frozen") and options.get("eq", True):
        with pytest.raises(TypeError, match="unhashable"):
            hash(ours(1))  # by its list, as the standard library's
        assert hash(replace(ours(1), items=())) == hash(replace(ours(1, note="n"), items=()))


def test_frozen_objects_stay(both: tuple[type, type, dict[str, bool]]) -> None:
    for made in both[:2]:
        instance = made(1)
        if both[2].get("frozen"):
            with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
                instance.x = 2
            with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
                del instance.x
        else:
            instance.x = 2
            assert instance.x == 2
        assert replace(instance, x=3).x == 3
        assert asdict(copy.copy(instance)) == asdict(copy.deepcopy(instance)) == asdict(instance)
        match instance:
            case made(x, y):  # type: ignore[misc]
                assert (x, y) == (instance.x, 2)
        assert hasattr(instance, "__dict__") != both[2].get("slots", False)


@dataclass(frozen=True, slots=True)
class Slotted:
    """Class of a module, which pickle finds."""

    x: int
    y: tuple[int, ...] = ()


def test_what_is_unpickled_first_is_whole() -> None:
    data = pickle.dumps(Slotted(1, (2,)))
    code = (
        f"import pickle, sys; sys.path.insert(0, {sys.path[0]!r}); x = pickle.loads({data!r}); "
        "print(x, x == type(x)(1, (2,)), hash(x) == hash(type(x)(1, (2,))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Slotted(x=1, y=(2,)) True True\n"


def test_a_representation_ends() -> None:
    @dataclass
    class Loop:
        inside: Any = None

    loop = Loop()
    loop.inside = loop
    assert repr(loop) == f"{Loop.__qualname__}(inside=...)"


def test_own_methods_stay() -> None:
    @dataclass(frozen=True)
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "own"

    assert (Own(1) == Own(2), hash(Own(1)), repr(Own(1))) == (True, 5, "own")
