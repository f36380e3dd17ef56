"""``--set KEY=VALUE`` and the variants of a study: settings put over a file's own before anything is elaborated."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import HEADER, SECTIONS, Assembly
from sewdsl.elaborate.header import EXPECTED, describe_wrong
from sewdsl.elaborate.neuron_definitions import read_neurons
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.elaborate.replace_expression import replace_block, replace_body, replace_classes, set_parameter
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_excerpt, parse_value
from sewdsl.syntax.tree import Argument, Call, Name, Section, Setting, Text, Value, Word

_DATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DASHED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z0-9_]+)+")
"""A text that a file has between quotes, which a shell would take away: ``bf16-mixed``."""

BODY, BLOCK, CLASSES = "body", "block", "classes"
"""Keys that are no settings: the expression itself, the block that is called in it, and the width of its last layer."""


@dataclass(frozen=True)
class Override:
    """A key, dotted where it goes into a section or into arguments, and the text of its value.

    Attributes:
        key: ``steps``, ``train.epochs``, ``train.optimizer.lr``, ``neuron.tau``; ``body`` for another expression,
            ``body.n`` for a parameter of the block that is all of it; ``block`` for another block in place of the only
            one that is called, ``block.SEWBlock`` in place of that one; ``classes`` for another last linear layer.
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
    assembly: Assembly, overrides: Sequence[Override], reporter: Reporter, library: Collection[str] = ()
) -> Assembly:
    """An assembly with every override put over it, in order.

    Args:
        reporter: Gets those that cannot be, and knows the limits of the texts.
        library: Names of the blocks that every file may call.
    """
    for item in overrides:
        assembly = _Replacement(assembly, item, reporter).apply(library)
    return assembly


def is_key(key: str) -> bool:
    """Whether something can be set by a key, as far as its first part tells."""
    head, *rest = key.split(".")
    return head in {*HEADER, BODY, BLOCK, CLASSES} or (head in SECTIONS and bool(rest))


@dataclass(frozen=True)
class _Replacement:
    """One override and what it is put over; where it cannot be, that is reported, and the assembly stays as it is."""

    assembly: Assembly
    item: Override
    reporter: Reporter

    def apply(self, library: Collection[str]) -> Assembly:
        item, limits = self.item, self.reporter.limits
        head, *rest = item.key.split(".")
        if head in SECTIONS and rest == ["on"]:
            return self._with_data(head, item.text.strip())
        if head == BODY and not rest:
            return self.reporter.take(replace_body(self.assembly, item.place, limits))
        if head == BLOCK and len(rest) <= 1:
            known = {*library, *self.assembly.blocks, *self.assembly.unread}
            return self.reporter.take(replace_block(self.assembly, "".join(rest), item.place, known, limits))
        values = self._values() if is_key(item.key) else None
        if values is not None:
            return self._with_values(head, rest, values)
        if is_key(item.key):
            return replace(self.assembly, unread=self.assembly.unread | {head})
        return self._unknown()

    def _values(self) -> tuple[Value, ...] | None:
        """What the text says; None where it has errors, which are reported."""
        item = self.item
        if item.within is None and _DASHED.fullmatch(item.text):
            return (Text(item.text, span=item.place),)
        read = parse_excerpt(item.place, parse_value, self.reporter.limits)
        too_long = any(said.code == "integer-too-long" for said in read.diagnostics)
        if read.value is None and item.key in EXPECTED and not too_long:
            self.reporter.add(describe_wrong(item.key, EXPECTED[item.key], item.place))
            return None
        return self.reporter.take(read)

    def _with_values(self, head: str, rest: Sequence[str], values: tuple[Value, ...]) -> Assembly:
        assembly, span = self.assembly, self.item.place
        if head in SECTIONS:
            return self._in_section(head, rest, values)
        if head == BODY and len(rest) == 1:
            return self.reporter.take(set_parameter(assembly, rest[0], values, span))
        if head == CLASSES and not rest:
            return self.reporter.take(replace_classes(assembly, values, span))
        if head not in HEADER:
            return self._unknown()
        changed = self._setting(assembly.settings.get(head), head, rest, values)
        return replace(assembly, settings={**assembly.settings, head: changed}) if changed else assembly

    def _unknown(self) -> Assembly:
        self.reporter.add(describe_unknown_key(self.item.key, self.item.place))
        return self.assembly

    def _section(self, name: str) -> Section:
        span = self.item.place
        return self.assembly.sections.get(name) or Section(Word(name, span=span), None, (), span=span)

    def _with_section(self, name: str, section: Section) -> Assembly:
        return replace(self.assembly, sections={**self.assembly.sections, name: section})

    def _with_data(self, name: str, data: str) -> Assembly:
        span = self.item.place
        if not _DATA.fullmatch(data):
            message = f"'{data}' is not the name of a data set"
            self.reporter.report("invalid-argument", message, span, help="e.g. mnist5k")
            return self.assembly
        return self._with_section(name, replace(self._section(name), on=data, span=span))

    def _in_section(self, name: str, way: Sequence[str], values: tuple[Value, ...]) -> Assembly:
        section = self._section(name)
        settings = {setting.key.text: setting for setting in section.settings}
        changed = self._setting(settings.get(way[0]), way[0], way[1:], values)
        if changed is None:
            return self.assembly
        settings[way[0]] = changed
        return self._with_section(name, replace(section, settings=tuple(settings.values())))

    def _setting(self, old: Setting | None, key: str, way: Sequence[str], values: tuple[Value, ...]) -> Setting | None:
        """A setting with new values, or with one argument changed inside its value."""
        span = self.item.place
        if not way:
            return Setting(Word(key, span=span), values, span=span)
        target = old.values[0] if old and len(old.values) == 1 else None
        kinds = read_neurons(self.assembly.neurons).value
        if not isinstance(target, Call) or len(values) != 1 or kinds.find(target.name.plain or "") is None:
            self._report_no_arguments(key, way)
            return None
        changed = _argument(target, way, values[0], span, kinds)
        if changed is None:
            self._report_no_arguments(".".join([key, *way[:-1]]), way[-1:])
            return None
        return Setting(Word(key, span=span), (changed,), span=span)

    def _report_no_arguments(self, key: str, way: Sequence[str]) -> None:
        message = f"'{key}' has no arguments to set '{'.'.join(way)}' of"
        hint = f"set {key} as a whole, e.g. {key}=…"
        self.reporter.report("unknown-setting", message, self.item.place, help=hint)


def describe_unknown_key(key: str, span: Span) -> Diagnostic:
    """What is said of a key that sets nothing, and which key may be intended."""
    meant = resolve_key_alias(key)
    known = [*HEADER, BODY, BLOCK, CLASSES, *(f"{section}.epochs" for section in SECTIONS)]
    return Diagnostic(
        "unknown-setting",
        Severity.ERROR,
        f"unknown key '{key}'",
        span,
        help=(f"did you mean '{meant}'?" if meant else did_you_mean(key, known))
        or f"keys: {', '.join((*HEADER, BODY, BLOCK, CLASSES))}, {', '.join(f'{s}.…' for s in SECTIONS)}",
    )


def _argument(call: Call, way: Sequence[str], value: Value, span: Span, kinds: NeuronKinds) -> Call | None:
    """A call with one argument replaced or added; None where the way leads into something without arguments."""
    name, rest = way[0], way[1:]
    old = {argument.name: argument for argument in call.arguments}
    if rest:
        inner = old[name].value if name in old else _default(call, name, span, kinds)
        if not isinstance(inner, Call) or kinds.find(inner.name.plain or "") is None:
            return None
        changed = _argument(inner, rest, value, span, kinds)
        if changed is None:
            return None
        value = changed
    fresh = Argument(name, value, span=span)
    return replace(call, arguments=tuple({**old, name: fresh}.values()))


def _default(call: Call, name: str, span: Span, kinds: NeuronKinds) -> Call | None:
    """The default of an argument, where that is a kind of its own, such as a neuron's surrogate."""
    kind = kinds.find(call.name.plain or "")
    field = argument_fields(kind).get(name) if kind else None
    default = field.get_default(call_default_factory=True, validated_data={}) if field else None
    if not isinstance(default, Kind):
        return None
    return Call(Name((Word(default.kind, span=span),), (False,), span=span), span=span)
