"""``--set KEY=VALUE``: statements from outside the file, put over its own before anything is elaborated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.assembly import HEADER, SECTIONS, Assembly
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.kind import Kind
from sewdsl.ops import find
from sewdsl.source import Source, Span
from sewdsl.syntax.limits import STANDARD, Limits
from sewdsl.syntax.parser import parse_value
from sewdsl.syntax.tree import Argument, Call, Name, Section, Setting, Value, Word

_DATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Override:
    """A key, dotted where it goes into a section or into arguments, and the text of its value.

    Attributes:
        key: ``steps``, ``train.epochs``, ``train.optimizer.lr``, ``neuron.tau``.
        text: As a file would have it behind the key.
        option: What the user typed: ``--set``, ``--input``.
    """

    key: str
    text: str
    option: str = "--set"

    @property
    def source(self) -> Source:
        """The text for diagnostics: ``--set steps=16``, or ``--input 2x128x128`` with the option in its name."""
        return Source(f"{self.option} {self.key}" if self.option == "--set" else self.option, self.text)


def override(
    assembly: Assembly, overrides: Sequence[Override], diagnostics: Diagnostics, limits: Limits = STANDARD
) -> None:
    """Puts every override over the assembly, in order; those that cannot be are reported."""
    for item in overrides:
        source = item.source
        head, *rest = item.key.split(".")
        span = Span(source, 0, len(source.text))
        if head in SECTIONS and rest == ["on"]:
            _set_data(assembly, head, item.text.strip(), span, diagnostics)
            continue
        values = parse_value(source, diagnostics, limits)
        if values is None:
            continue
        if head in SECTIONS and rest:
            _into_section(assembly, head, rest, values, span, diagnostics)
        elif head in HEADER:
            changed = _setting(assembly.settings.get(head), head, rest, values, span, diagnostics)
            if changed is not None:
                assembly.settings[head] = changed
        else:
            _unknown(item.key, span, diagnostics)


def _set_data(assembly: Assembly, name: str, data: str, span: Span, diagnostics: Diagnostics) -> None:
    if not _DATA.fullmatch(data):
        diagnostics.report("invalid-argument", f"'{data}' is not the name of a data set", span, help="e.g. mnist5k")
        return
    section = assembly.sections.get(name) or Section(Word(name, span=span), None, (), span=span)
    assembly.sections[name] = replace(section, on=data, span=span)


def _into_section(  # noqa: PLR0913 -- where to, what, and where to say what fails
    assembly: Assembly, name: str, way: Sequence[str], values: tuple[Value, ...], span: Span, diagnostics: Diagnostics
) -> None:
    section = assembly.sections.get(name) or Section(Word(name, span=span), None, (), span=span)
    settings = {setting.key.text: setting for setting in section.settings}
    changed = _setting(settings.get(way[0]), way[0], way[1:], values, span, diagnostics)
    if changed is not None:
        settings[way[0]] = changed
        assembly.sections[name] = replace(section, settings=tuple(settings.values()))


def _unknown(key: str, span: Span, diagnostics: Diagnostics) -> None:
    known = [*HEADER, *(f"{section}.epochs" for section in SECTIONS)]
    diagnostics.report(
        "unknown-setting",
        f"unknown key '{key}'",
        span,
        help=did_you_mean(key, known) or f"keys: {', '.join(HEADER)}, {', '.join(f'{s}.…' for s in SECTIONS)}",
    )


def _setting(  # noqa: PLR0913 -- old value, the way into it, new value, and where to say what fails
    old: Setting | None, key: str, way: Sequence[str], values: tuple[Value, ...], span: Span, diagnostics: Diagnostics
) -> Setting | None:
    """A setting with new values, or with one argument changed inside its value."""
    if not way:
        return Setting(Word(key, span=span), values, span=span)
    target = old.values[0] if old and len(old.values) == 1 else None
    if not isinstance(target, Call) or len(values) != 1 or find(target.name.plain or "") is None:
        _no_arguments(key, way, span, diagnostics)
        return None
    changed = _argument(target, way, values[0], span)
    if changed is None:
        _no_arguments(".".join([key, *way[:-1]]), way[-1:], span, diagnostics)
        return None
    return Setting(Word(key, span=span), (changed,), span=span)


def _no_arguments(key: str, way: Sequence[str], span: Span, diagnostics: Diagnostics) -> None:
    message = f"'{key}' has no arguments to set '{'.'.join(way)}' of"
    diagnostics.report("unknown-setting", message, span, help=f"set {key} as a whole, e.g. {key}=…")


def _argument(call: Call, way: Sequence[str], value: Value, span: Span) -> Call | None:
    """A call with one argument replaced or added; None where the way leads into something without arguments."""
    name, rest = way[0], way[1:]
    old = {argument.name: argument for argument in call.arguments}
    if rest:
        inner = old[name].value if name in old else _default(call, name, span)
        if not isinstance(inner, Call) or find(inner.name.plain or "") is None:
            return None
        changed = _argument(inner, rest, value, span)
        if changed is None:
            return None
        value = changed
    fresh = Argument(name, value, span=span)
    return replace(call, arguments=tuple({**old, name: fresh}.values()))


def _default(call: Call, name: str, span: Span) -> Call | None:
    """The default of an argument, where that is a kind of its own, such as a neuron's surrogate."""
    kind = find(call.name.plain or "")
    field = kind.model_fields.get(name) if kind else None
    default = field.get_default(call_default_factory=True, validated_data={}) if field else None
    if not isinstance(default, Kind):
        return None
    return Call(Name((Word(default.kind, span=span),), (False,), span=span), span=span)
