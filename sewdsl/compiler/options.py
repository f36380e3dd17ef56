"""Options of a compilation, the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypedDict

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate import Override
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.printed_values import format_value
from sewdsl.limits import Limits
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span


class Options(TypedDict, total=False):
    """What can be said in addition to a spec.

    Attributes:
        input: Shape of the input, ``"2x128x128"`` or ``(2, 128, 128)``.
        steps: Time-steps.
        neuron: What ``SN`` means, ``"PLIF(tau=2.0)"``.
        classes: Number of classes: the width of the last linear layer.
        set: Overrides by key: ``{"join": "IAND", "train.optimizer.lr": 0.03}``.
        limit: Limits by name: ``{"nodes": 1_000_000}``.
        dialect: What a string is written in, ``"he"`` or ``"he(norm=BN)"``; None: in our own language.
    """

    input: str | tuple[int, ...] | None
    steps: int | str | None
    neuron: str | None
    classes: int | None
    set: Mapping[str, object] | None
    limit: Mapping[str, int] | None
    dialect: str | None


LIMIT_CEILINGS = {
    "source_bytes": 10**9, "nesting": 1000, "repeat": 10**9, "nodes": 10**9, "digits": 18, "imports": 1000,
    "boxes": 10**9,
}  # fmt: skip
"""How far each limit can be raised."""


def overrides(options: Options) -> list[Override]:
    """The options that change the file, as overrides; ``set`` comes last and wins.

    Raises:
        TypeError: a key of ``set`` is no string.
    """
    others = ("set", "limit", "dialect")
    direct: dict[str, object] = {key: value for key, value in options.items() if key not in others}
    found = [Override(key, format_value(value), f"--{key}") for key, value in direct.items() if value is not None]
    for key, value in (options.get("set") or {}).items():
        if not isinstance(key, str):
            raise TypeError(f"a key of 'set' is a string such as 'train.epochs', not {key!r}")
        found.append(Override(key, format_value(value)))
    return found


def limits(options: Options) -> Reported[Limits]:
    """The limits in force, and which names and values of limits are wrong."""
    result, found = Limits(), list[Diagnostic]()
    names = {item.name.removesuffix("_bytes"): item.name for item in fields(Limits)}
    for name, value in (options.get("limit") or {}).items():
        source = Source(f"--limit {name}", str(value))
        span = Span(source, 0, len(source.text))
        attribute = names.get(name)
        if attribute is None:
            hint = did_you_mean(name, names) or f"limits: {', '.join(names)}"
            message = f"there is no limit '{name}'"
            found.append(Diagnostic("unknown-setting", Severity.ERROR, message, span, help=hint))
        elif type(value) is not int or not 1 <= value <= LIMIT_CEILINGS[attribute]:
            message = f"the limit '{name}' must be a whole number from 1 to {LIMIT_CEILINGS[attribute]:,}"
            label = f"got {value}"[:40]
            found.append(Diagnostic("invalid-argument", Severity.ERROR, message, span, label=label))
        else:
            result = replace(result, **{attribute: value})
    return Reported(result, tuple(found))
