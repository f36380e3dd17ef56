"""Pieces of a file that are texts of their own, such as what stands between quotes: parsed with their places kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from sewdsl.diagnostics import Diagnostics
from sewdsl.source import Source, Span
from sewdsl.syntax.limits import Limits

Parsed = TypeVar("Parsed")
Parse = Callable[[Source, Diagnostics, Limits], Parsed]


def parse_excerpt(place: Span, parse: Parse[Parsed], diagnostics: Diagnostics, limits: Limits) -> Parsed:
    """What a parser makes of the text at a place; its spans, and those of what it reports, are in the whole source."""
    piece, said = Source(place.source.name, place.text), Diagnostics()
    found = parse(piece, said, limits)
    diagnostics.extend(_moved(diagnostic, piece, place) for diagnostic in said.found)
    moved: Parsed = _moved(found, piece, place)
    return moved


def _moved(thing: Any, piece: Source, place: Span) -> Any:
    """The same with every span of the piece where it lies in the whole."""
    if isinstance(thing, Span):
        return place.part(thing.start, thing.end) if thing.source is piece else thing
    if isinstance(thing, tuple):
        return tuple(_moved(item, piece, place) for item in thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{item.name: _moved(getattr(thing, item.name), piece, place) for item in fields(thing)})
    return thing
