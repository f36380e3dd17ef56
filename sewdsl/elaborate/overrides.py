"""Overrides of settings by ``--set KEY=VALUE`` and by variants of a study, applied before elaboration."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sewdsl.diagnostics import Diagnostic, errors_in
from sewdsl.elaborate.assembly import HEADER, NAMED, OUTPUTS, SECTIONS, Assembly, named_settings, setting_key
from sewdsl.elaborate.header import EXPECTED, describe_wrong
from sewdsl.elaborate.init_lines import INIT
from sewdsl.elaborate.named_values import live_names
from sewdsl.elaborate.neuron_kinds import NeuronKinds, read_neurons
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_compact, parse_excerpt, parse_value
from sewdsl.syntax.suggestions import did_you_mean, listed
from sewdsl.syntax.tree import (
    Argument,
    Body,
    Call,
    MergeOf,
    Name,
    Number,
    Section,
    Setting,
    SyntaxNode,
    Text,
    Value,
    Word,
    walk_syntax,
)

_DATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DASHED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z0-9_]+)+")
"""Text that requires quotes in a file, e.g. ``bf16-mixed``. A shell would remove them."""
_LINEAR = re.compile(r"FC[0-9]+((?:b[01])?)")
_VOTES = re.compile(r"APk([0-9]+)(?:s\1)?")
"""Voting layer: average pooling over the consecutive features of each class."""

BODY, BLOCK, CLASSES = "body", "block", "classes"
"""Keys that are not settings: the expression, a called block, and the number of classes."""

Called = TypeVar("Called", bound=Call | MergeOf)


@dataclass(frozen=True)
class Override:
    """Override of a setting."""

    key: str
    """Dotted key, e.g. ``steps``, ``train.epochs``, ``train.optimizer.lr`` or ``neuron.tau``. ``body`` replaces the
    expression, and ``body.n`` a parameter of the block that is the whole body. ``block`` replaces the only called
    block, ``block.SEWBlock`` that block. ``classes`` replaces the width of the last linear layer."""
    text: str
    """Value in the syntax of files."""
    option: str = "--set"
    """Command-line option, for messages."""
    within: Span | None = None
    """Span of the text in a file. None for the command line."""

    @property
    def place(self) -> Span:
        """Span of the text in its file, or in a source named after the option: ``--set steps`` or ``--input``."""
        name = f"{self.option} {self.key}" if self.option == "--set" else self.option
        return self.within or Span(Source(name, self.text), 0, len(self.text))

    @property
    def typed(self) -> str:
        """Option with its value: ``--set steps=8``, ``--input 2x128x128``."""
        return f"{self.option} {self.key}={self.text}" if self.option == "--set" else f"{self.option} {self.text}"


def apply_overrides(
    assembly: Assembly, overrides: Sequence[Override], reporter: Reporter, library: Collection[str] = ()
) -> Assembly:
    """Return an assembly with overrides applied in order.

    Args:
        reporter: Reporter of invalid overrides, with the limits of their texts.
        library: Names of shipped blocks.
    """
    for item in overrides:
        assembly = _Replacement(assembly, item, reporter).apply(library)
    return assembly


def is_key(key: str) -> bool:
    """Return whether the first part of a key is valid."""
    head, *rest = key.split(".")
    return head in {*HEADER, BODY, BLOCK, CLASSES} or (head in SECTIONS and bool(rest))


@dataclass(frozen=True)
class _Replacement:
    """Application of one override. An invalid override is reported and does not change the assembly."""

    assembly: Assembly
    item: Override
    reporter: Reporter

    def apply(self, library: Collection[str]) -> Assembly:
        item = self.item
        head, *rest = item.key.split(".")
        # The name of a dataset can contain hyphens, so it is not a value of the grammar.
        if head in SECTIONS and rest == ["on"]:
            return self._with_data(head, item.text.strip())
        if head == BODY and not rest:
            return self._with_body()
        if head == BLOCK and len(rest) <= 1:
            return self._with_block("".join(rest), {*library, *self.assembly.blocks, *self.assembly.unread})
        if not is_key(item.key):
            return self._unknown()
        values = self._values()
        if values is None:
            return replace(self.assembly, unread=self.assembly.unread | {head})
        return self._with_values(head, rest, values)

    def _values(self) -> tuple[Value, ...] | None:
        """Parse the text, or report errors and return None."""
        item = self.item
        if item.within is None and _DASHED.fullmatch(item.text):
            return (Text(item.text, span=item.place),)
        read = parse_excerpt(item.place, parse_value, self.reporter.limits)
        too_long = any(each.code == "integer-too-long" for each in read.diagnostics)
        if read.value is None and item.key in EXPECTED and not too_long:
            self.reporter.add(describe_wrong(item.key, EXPECTED[item.key], item.place))
            return None
        return self.reporter.take(read)

    def _with_values(self, head: str, rest: Sequence[str], values: tuple[Value, ...]) -> Assembly:
        assembly = self.assembly
        if head in SECTIONS:
            return self._in_section(head, rest, values)
        if head == BODY and len(rest) == 1:
            return self._with_parameter(rest[0], values)
        if head == CLASSES and not rest:
            return self._with_classes(values)
        if head not in HEADER:
            return self._unknown()
        named = named_settings(assembly.settings, "input") if head in NAMED else {}
        if named and (rest or head == "input") and (len(rest) != 1 or rest[0] not in named):
            message = f"'{head}' has names in this file: {', '.join(named)}"
            hint = f"set one of them, e.g. --set {head}.{next(iter(named))}={self.item.text}"
            return self._refuse("invalid-argument", message, hint)
        if named and rest:
            span = self.item.place
            own = Setting(Word(head, span=span), (Call(Name.of(rest[0], span), span=span), *values), span=span)
            return replace(assembly, settings={**assembly.settings, setting_key(own): own})
        changed = self._setting(assembly.settings.get(head), head, rest, values)
        if changed is None:
            return assembly
        return replace(assembly, settings={**assembly.settings, setting_key(changed): changed})

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
            return self._refuse("invalid-argument", f"invalid dataset name '{data}'", "use a name, e.g. mnist5k")
        return self._with_section(name, replace(self._section(name), on=data, span=span))

    def _refuse(self, code: str, message: str, hint: str) -> Assembly:
        self.reporter.report(code, message, self.item.place, help=hint)
        return self.assembly

    def _with_body(self) -> Assembly:
        """Replace the body, and keep the named values that it uses."""
        assembly = self.assembly
        document = self.reporter.take(parse_excerpt(self.item.place, parse_compact, self.reporter.limits))
        for statement in document.statements:
            if isinstance(statement, Body):
                live = live_names(assembly.lets, statement.expression)
                lets = tuple(let for let in assembly.lets if let.name.text in live)
                settings = {key: setting for key, setting in assembly.settings.items() if key != OUTPUTS}
                body = replace(statement, span=self.item.place)  # also replaces 'outputs'
                return replace(assembly, body=body, lets=lets, settings=settings)
        return assembly

    def _with_parameter(self, name: str, values: tuple[Value, ...]) -> Assembly:
        """Replace an argument of the block that is the whole body: n in ``body Net(n=4)``."""
        assembly = self.assembly
        items = assembly.body.expression.items if assembly.body else ()
        call = items[0] if len(items) == 1 else None
        if assembly.body is None or not isinstance(call, Call) or (call.name.plain or "") not in assembly.blocks:
            message = f"cannot set '{name}': the body is not a single block of this file"
            hint = f"define the network as a block, e.g. 'block Net({name}) = …' and 'body Net({name}=4)'"
            return self._refuse("unknown-setting", message, hint)
        if len(values) != 1:
            return self._refuse("invalid-argument", f"'{name}' requires one value, got {len(values)}", "use one number")
        changed = _with_arguments(call, (Argument(name, values[0], span=self.item.place),))
        expression = replace(assembly.body.expression, items=(changed,))
        return replace(assembly, body=replace(assembly.body, expression=expression))

    def _with_block(self, old: str, known: Collection[str]) -> Assembly:
        """Replace a block in all its calls, in the body and in the blocks of the file and its used files.

        The text is a call of the new block, e.g. ``SEW Block (g=IAND)``. Its arguments replace those of the old calls.

        Args:
            old: Name of the block to replace, without white space. Empty means the only called block.
        """
        assembly, text_span = self.assembly, self.item.place
        if assembly.expression is None:
            return assembly
        scopes = [(assembly.lets, assembly.expression)]
        scopes += [(block.lets, block.expression) for block in assembly.blocks.values()]
        parts = (part for lets, last in scopes for part in (*(let.expression for let in lets), last))
        calls = (node for part in parts for node in walk_syntax(part) if isinstance(node, Call | MergeOf))
        called = [*dict.fromkeys(name for call in calls if (name := call.name.plain or "") in known)]
        old = old or (called[0] if len(called) == 1 else "")
        if old not in called:
            if old:
                message = f"the network does not call '{old}'"
                hint = did_you_mean(old, called) or f"called blocks: {listed(called) or 'none'}"
            elif called:
                message = "cannot set 'block': the network calls several blocks"
                hint = f"use one of: {listed(f'block.{name}' for name in called)}"
            else:
                message, hint = "cannot set 'block': the network calls no block", "set 'body' instead"
            return self._refuse("unknown-setting", message, hint)
        # Parsing as a layer string accepts arguments in parentheses, as in a file.
        read = parse_excerpt(text_span, parse_compact, self.reporter.limits)
        statements = self.reporter.take(read).statements
        items = statements[0].expression.items if statements and isinstance(statements[0], Body) else ()
        new = items[0] if len(items) == 1 else None
        if not isinstance(new, Call):
            if errors_in(read.diagnostics):
                return assembly
            message = f"expected one block, got '{text_span.text}'"
            return self._refuse("invalid-argument", message, "use e.g. Spiking Block or SEW Block (g=IAND)")
        body, lets = assembly.body and _swapped(assembly.body, old, new), _swapped(assembly.lets, old, new)
        blocks = {name: _swapped(block, old, new) for name, block in assembly.blocks.items()}
        return replace(assembly, body=body, lets=lets, blocks=blocks)

    def _with_classes(self, values: tuple[Value, ...]) -> Assembly:
        """Set the width of the last linear layer to the number of classes.

        With a voting layer of ``k`` votes, as in ``FC110-LIF-APk10``, the width is ``k`` times the number of classes.
        """
        assembly, text_span, body = self.assembly, self.item.place, self.assembly.body
        match values:
            case (Number(value=int(classes)),) if classes > 0:
                pass
            case _:
                return self._refuse("invalid-argument", "'classes' must be an integer of at least 1", "use e.g. 10")
        items = list(body.expression.items) if body else []
        votes = 1
        # Search from the end: hidden linear layers keep their width.
        for index in reversed(range(len(items))):
            item = items[index]
            name = item.name.plain or "" if isinstance(item, Call) else ""
            if pool := _VOTES.fullmatch(name):
                votes *= int(pool[1])
            elif body is not None and isinstance(item, Call) and (linear := _LINEAR.fullmatch(name)):
                items[index] = replace(item, name=Name.of(f"FC{classes * votes}{linear[1]}", text_span))
                expression = replace(body.expression, items=tuple(items))
                return replace(assembly, body=replace(body, expression=expression))
        message = "cannot set 'classes': the body has no linear layer with a width, e.g. FC10"
        return self._refuse("unknown-setting", message, "set 'body' instead")

    def _in_section(self, name: str, way: Sequence[str], values: tuple[Value, ...]) -> Assembly:
        section = self._section(name)
        old = [setting for setting in section.settings if setting.key.text == way[0]]
        if way[1:] and len(old) > 1:
            message = f"cannot set '{'.'.join(way)}': the recipe has {len(old)} '{way[0]}' lines"
            return self._refuse("unknown-setting", message, f"set all of them with train.{way[0]}=…")
        changed = self._setting(old[-1] if old else None, way[0], way[1:], values)
        if changed is None:
            return self.assembly
        kept = [setting for setting in section.settings if setting.key.text != way[0] or setting is old[0]]
        settings = [changed if setting.key.text == way[0] else setting for setting in kept]
        settings += [] if old else [changed]
        return self._with_section(name, replace(section, settings=tuple(settings)))

    def _setting(self, old: Setting | None, key: str, way: Sequence[str], values: tuple[Value, ...]) -> Setting | None:
        """Return a setting with new values, or with one argument of its value changed."""
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
        message = f"cannot set '{'.'.join(way)}' of '{key}', which has no arguments"
        name = ".".join(way)
        full_key = self.item.key.removesuffix(f".{name}")
        # The names of layers precede the values of these keys.
        hint = (
            f"write '{full_key}={name} {self.item.text}'"
            if key in {INIT, "lr"}
            else f"set the whole value with {full_key}=…"
        )
        self.reporter.report("unknown-setting", message, self.item.place, help=hint)


def describe_unknown_key(key: str, span: Span) -> Diagnostic:
    """Return the diagnostic for an unknown key, with a suggestion."""
    alias = resolve_key_alias(key)
    known = [*HEADER, BODY, BLOCK, CLASSES, *(f"{section}.epochs" for section in SECTIONS)]
    return Diagnostic(
        "unknown-setting",
        f"unknown key '{key}'",
        span,
        help=(f"did you mean '{alias}'?" if alias else did_you_mean(key, known))
        or f"expected one of: {', '.join((*HEADER, BODY, BLOCK, CLASSES))}, {', '.join(f'{s}.…' for s in SECTIONS)}",
    )


def _argument(call: Call, way: Sequence[str], value: Value, span: Span, kinds: NeuronKinds) -> Call | None:
    """Return a call with one nested argument replaced or added, or None if a part of the path has no arguments."""
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
    """Return the default of an argument as a call, if it is a kind, e.g. the surrogate of a neuron."""
    kind = kinds.find(call.name.plain or "")
    field = argument_fields(kind).get(name) if kind else None
    default = field.get_default(call_default_factory=True, validated_data={}) if field else None
    if not isinstance(default, Kind):
        return None
    return Call(Name.of(default.kind, span), span=span)


def _swapped(node: Any, old: str, new: Call) -> Any:
    """Return a part of a tree, or a tuple of parts, with calls of one block replaced by another."""
    if isinstance(node, tuple):
        return tuple(_swapped(each, old, new) for each in node)
    if isinstance(node, Call | MergeOf) and node.name.plain == old:
        node = replace(_with_arguments(node, new.arguments), name=new.name)
    if isinstance(node, Call) or not isinstance(node, SyntaxNode):
        return node
    return replace(node, **{name: _swapped(getattr(node, name), old, new) for name in node.__dataclass_fields__})


def _with_arguments(call: Called, arguments: tuple[Argument, ...]) -> Called:
    """Return a call with arguments added, which replace those of the same name."""
    names = {argument.name for argument in arguments if argument.name is not None}
    others: tuple[Argument, ...] = tuple(argument for argument in call.arguments if argument.name not in names)
    return replace(call, arguments=(*others, *arguments), called=bool(others or arguments) or call.called)
