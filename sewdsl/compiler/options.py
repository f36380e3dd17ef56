"""Options of a compilation, the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypedDict

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate import Override
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.source import Source, Span
from sewdsl.syntax.limits import Limits


class Options(TypedDict, total=False):
    """What can be said beside a spec.

    Attributes:
        input: Shape of the input, ``"2x128x128"`` or ``(2, 128, 128)``.
        steps: Time-steps.
        neuron: What ``SN`` means, ``"PLIF(tau=2.0)"``.
        set: Overrides by key: ``{"join": "IAND", "train.optimizer.lr": 0.03}``.
        limit: Limits by name: ``{"nodes": 1_000_000}``.
    """

    input: str | tuple[int, ...]
    steps: int
    neuron: str
    set: Mapping[str, object]
    limit: Mapping[str, int]


def overrides(options: Options) -> list[Override]:
    """The options that change the file, as overrides; ``set`` comes last and wins."""
    direct: dict[str, object] = {key: value for key, value in options.items() if key not in ("set", "limit")}
    found = [Override(key, _text(value), f"--{key}") for key, value in direct.items() if value is not None]
    found += [Override(key, _text(value)) for key, value in options.get("set", {}).items()]
    return found


def limits(options: Options, diagnostics: Diagnostics) -> Limits:
    """The limits in force; unknown names and bad values are reported."""
    result, known = Limits(), [item.name for item in fields(Limits)]
    for name, value in options.get("limit", {}).items():
        source = Source(f"--limit {name}", str(value))
        span = Span(source, 0, len(source.text))
        attribute = {"source": "source_bytes"}.get(name, name)
        if attribute not in known or name == "source_bytes":
            hint = did_you_mean(name, known) or f"limits: {', '.join(['source', *known[1:]])}"
            diagnostics.report("unknown-setting", f"there is no limit '{name}'", span, help=hint)
        elif not isinstance(value, int) or value < 1:
            diagnostics.report("invalid-argument", f"the limit '{name}' must be a whole number, at least 1", span)
        else:
            result = replace(result, **{attribute: value})
    return result


def _text(value: object) -> str:
    """A Python value as the language writes it."""
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "on", False: "off"}[value]
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
