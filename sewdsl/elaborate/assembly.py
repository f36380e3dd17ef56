"""Statements of a file and of its used files, by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TypeVar

from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.definitions import check_definitions
from sewdsl.elaborate.init_lines import INIT, init_part
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported, Reporter
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.suggestions import advice, help_for_line

Kept = TypeVar("Kept", tree.Setting, tree.Section, tree.BlockDefinition, tree.NeuronDefinition, tree.Body)

OUTPUTS = "outputs"
"""Setting that names the outputs of a network, instead of a body."""

HEADER = SETTINGS
"""Keys of the settings in a header."""

NAMED = ("input", "encode")
"""Settings that may occur once for each name: ``input left 1x28x28``, ``encode left direct``."""

OWN = ("network", "outputs")
"""Settings that a file does not inherit from used files."""

SECTIONS = ("train",)
"""Sections that a file inherits from used files, setting by setting."""

STUDY = "study"
"""Section of variants, which is not inherited."""

STATEMENTS = ("let", "body", "block", "part", "neuron", "use", "expect", "claim", "allow", *SECTIONS, STUDY)
"""Keywords of the other statements."""


@dataclass(frozen=True)
class Assembly:
    """Statements of a file, merged with those of used files. Statements of the file take precedence."""

    settings: Mapping[str, tree.Setting] = field(default_factory=dict)
    """Header by key, or by key and name: ``input left``. Rules of initial weights of parts have keys such as ``init
    res.*``."""
    blocks: Mapping[str, tree.BlockDefinition] = field(default_factory=dict)
    """Block definitions by name without white space."""
    neurons: Mapping[str, tree.NeuronDefinition] = field(default_factory=dict)
    sections: Mapping[str, tree.Section] = field(default_factory=dict)
    body: tree.Body | None = None
    lets: tuple[tree.Let, ...] = ()
    figures: tuple[tree.Expect | tree.Claim, ...] = ()
    allowed: tuple[tree.Allow, ...] = ()
    """``allow`` lines of the file. After compilation, only those that suppressed something."""
    own: tuple[str, ...] = ()
    """Names of the blocks of the file, without those of used files."""
    unread: frozenset[str] = frozenset()
    """Names of blocks and neurons, and keys of settings, whose statements have syntax errors."""
    study: tree.Section | None = None
    networks: tuple[str, ...] = ()
    """Paths, as written, of used files with a body, which is not inherited."""
    whole: bool = True
    """Whether all used files could be read. Otherwise unknown names may be defined in one of them."""

    @property
    def outputs(self) -> tuple[tree.Call, ...]:
        """Calls in ``outputs``, which name the outputs. Empty if the output is that of the body."""
        setting = self.settings.get(OUTPUTS)
        return () if setting is None else tuple(value for value in setting.values if isinstance(value, tree.Call))

    @property
    def expression(self) -> tree.Sequence | None:
        """Expression of the body, or a merge of all ``outputs``."""
        setting = self.settings.get(OUTPUTS)
        if self.body is not None or setting is None:
            return self.body.expression if self.body is not None else None
        operands = tuple(tree.Sequence((call,), span=call.span) for call in self.outputs)
        name = tree.Name.of(OUTPUTS, setting.key.span)
        return tree.Sequence((tree.MergeOf(name, operands, span=setting.span),), span=setting.span)


def assemble(document: tree.Document, use: Callable[[tree.Use], Assembly | None]) -> Reported[Assembly]:
    """Collect the statements of a document, and report duplicate and unknown ones.

    Args:
        use: Function that returns the assembly of a used file, or None if it cannot be read.
    """
    used, own, statements = Assembly(), _Statements(), document.statements
    # Collect used files first: their order relative to other statements has no meaning.
    for statement in statements:
        if isinstance(statement, tree.Use):
            used = _take_over(used, use(statement), statement.path.text)
    for statement in statements:
        own.collect(statement)
    own.reporter.extend(check_definitions(own.blocks.values()))
    sections = {name: _over(used.sections.get(name), own.sections[name]) for name in SECTIONS if name in own.sections}
    assembly = replace(
        used,
        settings=_over_settings(used.settings, own.settings),
        blocks={**used.blocks, **own.blocks},
        neurons={**used.neurons, **own.neurons},
        sections={**used.sections, **sections},
        body=own.bodies.get("body"),
        lets=tuple(let for let in statements if isinstance(let, tree.Let)),
        figures=tuple(figure for figure in statements if isinstance(figure, tree.Expect | tree.Claim)),
        allowed=tuple(allow for allow in statements if isinstance(allow, tree.Allow)),
        own=tuple(own.blocks),
        unread=(used.unread | document.unread) - own.blocks.keys() - own.neurons.keys(),
        study=own.sections.get(STUDY),
    )
    return Reported(assembly, tuple(own.reporter.diagnostics))


def _take_over(result: Assembly, used: Assembly | None, path: str) -> Assembly:
    """Add the inherited statements of a used file. If it cannot be read, all settings count as unread."""
    if used is None:
        return replace(result, whole=False, unread=result.unread.union(HEADER))
    return replace(
        result,
        settings=_over_settings(
            result.settings, {key: value for key, value in used.settings.items() if key not in OWN}
        ),
        blocks={**result.blocks, **used.blocks},
        neurons={**result.neurons, **used.neurons},
        sections={**result.sections, **used.sections},
        unread=result.unread | used.unread,
        whole=result.whole and used.whole,
        networks=(*result.networks, path) if used.body is not None or OUTPUTS in used.settings else result.networks,
    )


def setting_key(setting: tree.Setting) -> str:
    """Return the key of a setting in :class:`Assembly`: its first word, with the name of a part or of an input."""
    name = setting_name(setting)
    part = init_part(setting.values) if setting.key.text == INIT else name and name.text
    return setting.key.text if part is None else f"{setting.key.text} {part}"


def setting_name(setting: tree.Setting) -> tree.Word | None:
    """Return the name in ``input left 1x28x28``, or None for a setting without a name."""
    first, *rest = setting.values
    if setting.key.text not in NAMED or not rest or not isinstance(first, tree.Call) or first.arguments or first.called:
        return None
    return None if first.name.plain is None else tree.Word(first.name.plain, span=first.span)


def input_name(setting: tree.Setting) -> tree.Word | None:
    """Return the name that an ``input`` setting defines, if any."""
    return setting_name(setting) if setting.key.text == "input" else None


def named_settings(settings: Mapping[str, tree.Setting], key: str) -> dict[str, tree.Setting]:
    """Return the settings of a key by their names, in order, without a setting that has no name."""
    return {
        name.text: setting
        for setting in settings.values()
        if setting.key.text == key and (name := setting_name(setting)) is not None
    }


def _over_settings(used: Mapping[str, tree.Setting], own: Mapping[str, tree.Setting]) -> dict[str, tree.Setting]:
    """Merge settings with those of a used file. Own inputs replace all inputs of the used file and their ``encode``."""
    if any(setting.key.text == "input" for setting in own.values()):
        lost = {
            f"encode {name}" for name in named_settings(used, "encode").keys() - named_settings(own, "input").keys()
        }
        used = {key: each for key, each in used.items() if each.key.text != "input" and key not in lost}
    return {**used, **own}


@dataclass
class _Statements:
    """First statement of each key in one file. Duplicates are reported."""

    settings: dict[str, tree.Setting] = field(default_factory=dict)
    blocks: dict[str, tree.BlockDefinition] = field(default_factory=dict)
    neurons: dict[str, tree.NeuronDefinition] = field(default_factory=dict)
    sections: dict[str, tree.Section] = field(default_factory=dict)
    bodies: dict[str, tree.Body] = field(default_factory=dict)
    reporter: Reporter = field(default_factory=Reporter)

    def collect(self, statement: tree.Statement) -> None:
        match statement:
            case tree.Setting(key=key) if key.text not in HEADER:
                self._report_unknown("setting", key, HEADER)
            case tree.Setting():
                full_key = setting_key(statement)
                self._put(self.settings, full_key, statement, f"setting '{full_key}'")
            case tree.Section(name=name) if name.text not in (*SECTIONS, STUDY):
                self._report_unknown("section", name, (*SECTIONS, STUDY))
            case tree.Section(name=name):
                self._put(self.sections, name.text, statement, f"section '{name.text}'")
            case tree.BlockDefinition(name=name):
                self._put(self.blocks, name.plain or "", statement, f"{statement.keyword} '{block_title(statement)}'")
            case tree.NeuronDefinition(name=name):
                self._put(self.neurons, name.text, statement, f"neuron '{name.text}'")
            case tree.Body():
                self._put(self.bodies, "body", statement, "'body'")

    def _report_unknown(self, what: str, word: tree.Word, known: tuple[str, ...]) -> None:
        if word.text == "give":
            hint = "use 'give' only between the braces of a block: block NAME { give … }"
            self.reporter.report("unknown-setting", "'give' outside a block", word.span, help=hint)
            return
        near = advice(word.text, (*known, *STATEMENTS), word.span, f"expected one of: {', '.join(known)}")
        section, _, key = (resolve_key_alias(word.text) or "").rpartition(".")
        if line := help_for_line(word.text):
            near = {"help": line, "fixes": ()}
        elif section or key:
            places = {"": f"did you mean '{key}'?", "neuron": f"write an argument of the neuron: neuron LIF({key}=…)"}
            near = {"help": places.get(section, "write it in a section: train on DATASET { … }"), "fixes": ()}
        self.reporter.report("unknown-setting", f"unknown {what} '{word.text}'", word.span, **near)

    def _put(self, table: dict[str, Kept], key: str, statement: Kept, what: str) -> None:
        """Add a statement, or report it as a duplicate."""
        first = table.setdefault(key, statement)
        if first is statement:
            return
        codes = {tree.BlockDefinition: "duplicate-block", tree.NeuronDefinition: "duplicate-neuron"}
        code = codes.get(type(statement), "duplicate-setting")
        span = statement.span
        if isinstance(statement, tree.BlockDefinition | tree.NeuronDefinition):
            span = statement.name.span
        hint = f"remove one of them; the first is on line {first.span.line}"
        self.reporter.report(code, f"duplicate {what}", span, help=hint)


def _over(used: tree.Section | None, own: tree.Section) -> tree.Section:
    """Merge a section with that of a used file. Settings of the file take precedence."""
    if used is None:
        return own
    keys = {setting.key.text for setting in own.settings}
    inherited = tuple(setting for setting in used.settings if setting.key.text not in keys)
    return replace(own, on=own.on or used.on, settings=(*inherited, *own.settings))
