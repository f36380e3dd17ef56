"""``--set KEY=VALUE`` and the variants of a study: settings put over a file's own before anything is elaborated."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sewdsl.elaborate.assembly import HEADER, SECTIONS, Assembly
from sewdsl.elaborate.header import EXPECTED, report_wrong
from sewdsl.elaborate.replace_expression import replace_block, replace_body, set_parameter
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.ir.kind import Kind
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.ops import find
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_excerpt, parse_value
from sewdsl.syntax.tree import Argument, Call, Name, Section, Setting, Text, Value, Word

_DATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DASHED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z0-9_]+)+")
"""A text that a file has between quotes, which a shell would take away: ``bf16-mixed``."""

BODY, BLOCK = "body", "block"
"""Keys that are no settings: the expression itself, and which block is called in it."""


@dataclass(frozen=True)
class Override:
    """A key, dotted where it goes into a section or into arguments, and the text of its value.

    Attributes:
        key: ``steps``, ``train.epochs``, ``train.optimizer.lr``, ``neuron.tau``; ``body`` for another expression,
            ``body.n`` for a parameter of the block that is all of it; ``block`` for another block in place of the only
            one that is called, ``block.SEWBlock`` in place of that one.
        text: As a file would have it after the key.
        option: What the user typed: ``--set``, ``--input``.
        within: Where the text is in a file; None: nowhere but on the command line.
    """

    key: str
    text: str
    option: str = "--set"
    within: Span | None = None

    @property
    def place(self) -> Span:
        """Where the text is: in its file, or in a source of its own named ``--set steps`` or ``--input``."""
        name = f"{self.option} {self.key}" if self.option == "--set" else self.option
        return self.within or Span(Source(name, self.text), 0, len(self.text))

    @property
    def typed(self) -> str:
        """The option and its value: ``--set steps=8``, ``--input 2x128x128``."""
        return f"{self.option} {self.key}={self.text}" if self.option == "--set" else f"{self.option} {self.text}"


def apply_overrides(
    assembly: Assembly,
    overrides: Sequence[Override],
    diagnostics: Reporter,
    limits: Limits = DEFAULT_LIMITS,
    library: Collection[str] = (),
) -> None:
    """Puts every override over the assembly, in order; those that cannot be are reported.

    Args:
        assembly: Changed in place.
        overrides: What to put over it.
        diagnostics: Where to report.
        limits: Of the texts.
        library: Names of the blocks that every file may call.
    """
    for item in overrides:
        head, *rest = item.key.split(".")
        if head in SECTIONS and rest == ["on"]:
            _set_data(assembly, head, item.text.strip(), item.place, diagnostics)
        elif head == BODY and not rest:
            replace_body(assembly, item.place, diagnostics, limits)
        elif head == BLOCK and len(rest) <= 1:
            known = {*library, *assembly.blocks, *assembly.unread}
            replace_block(assembly, "".join(rest), item.place, known, diagnostics, limits)
        elif is_key(item.key):
            _set_values(assembly, item, diagnostics, limits)
        else:
            report_unknown_key(item.key, item.place, diagnostics)


def is_key(key: str) -> bool:
    """Whether something can be set by a key, as far as its first part tells."""
    head, *rest = key.split(".")
    return head in {*HEADER, BODY, BLOCK} or (head in SECTIONS and bool(rest))


def _set_values(assembly: Assembly, item: Override, diagnostics: Reporter, limits: Limits) -> None:
    (head, *rest), span = item.key.split("."), item.place
    if item.within is None and _DASHED.fullmatch(item.text):
        values: tuple[Value, ...] | None = (Text(item.text, span=span),)
    else:
        said = Reporter()
        values = parse_excerpt(span, parse_value, said, limits)
        if values is None and item.key in EXPECTED and not any(d.code == "integer-too-long" for d in said):
            report_wrong(item.key, EXPECTED[item.key], span, diagnostics)
        else:
            diagnostics.extend(said.found)
    if values is None:
        assembly.unread |= {head}
        return
    if head in SECTIONS:
        _into_section(assembly, head, rest, values, span, diagnostics)
    elif head == BODY and len(rest) == 1:
        set_parameter(assembly, rest[0], values, span, diagnostics)
    elif head in HEADER:
        changed = _setting(assembly.settings.get(head), head, rest, values, span, diagnostics)
        if changed is not None:
            assembly.settings[head] = changed
    else:
        report_unknown_key(item.key, span, diagnostics)


def _set_data(assembly: Assembly, name: str, data: str, span: Span, diagnostics: Reporter) -> None:
    if not _DATA.fullmatch(data):
        diagnostics.report("invalid-argument", f"'{data}' is not the name of a data set", span, help="e.g. mnist5k")
        return
    section = assembly.sections.get(name) or Section(Word(name, span=span), None, (), span=span)
    assembly.sections[name] = replace(section, on=data, span=span)


def _into_section(  # noqa: PLR0913 -- where to, what, and where to say what fails
    assembly: Assembly, name: str, way: Sequence[str], values: tuple[Value, ...], span: Span, diagnostics: Reporter
) -> None:
    section = assembly.sections.get(name) or Section(Word(name, span=span), None, (), span=span)
    settings = {setting.key.text: setting for setting in section.settings}
    changed = _setting(settings.get(way[0]), way[0], way[1:], values, span, diagnostics)
    if changed is not None:
        settings[way[0]] = changed
        assembly.sections[name] = replace(section, settings=tuple(settings.values()))


def report_unknown_key(key: str, span: Span, diagnostics: Reporter) -> None:
    """Says that nothing is set by a key, and which may be meant."""
    meant = resolve_key_alias(key)
    known = [*HEADER, BODY, BLOCK, *(f"{section}.epochs" for section in SECTIONS)]
    diagnostics.report(
        "unknown-setting",
        f"unknown key '{key}'",
        span,
        help=(f"did you mean '{meant}'?" if meant else did_you_mean(key, known))
        or f"keys: {', '.join((*HEADER, BODY, BLOCK))}, {', '.join(f'{s}.…' for s in SECTIONS)}",
    )


def _setting(  # noqa: PLR0913 -- old value, the way into it, new value, and where to say what fails
    old: Setting | None, key: str, way: Sequence[str], values: tuple[Value, ...], span: Span, diagnostics: Reporter
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


def _no_arguments(key: str, way: Sequence[str], span: Span, diagnostics: Reporter) -> None:
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
