"""The statements of a file and of what it uses, by what they set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TypeVar

from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.definitions import check_definitions
from sewdsl.elaborate.suggestions import advice
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported, Reporter
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import SETTINGS

Kept = TypeVar("Kept", tree.Setting, tree.Section, tree.BlockDefinition, tree.NeuronDefinition, tree.Body)

OUTPUTS = "outputs"
"""The setting that names the values that a network gives, in place of a body."""

HEADER = SETTINGS
"""Keys of a file's header."""

OWN = ("network", "outputs")
"""Settings that are about the file itself, and not taken over by a file that uses it."""

SECTIONS = ("train",)
"""Sections of which a file takes over what it does not write itself."""

STUDY = "study"
"""The section of a file's variants; each file has its own."""

STATEMENTS = ("let", "body", "block", "neuron", "use", "expect", "claim", "allow", *SECTIONS, STUDY)
"""First words of the other statements."""


@dataclass(frozen=True)
class Assembly:
    """What the statements say; later ones win over those of used files, never over those of the same file.

    Attributes:
        settings: The header by key.
        blocks: Definitions by name without white space.
        allowed: ``allow`` lines of the file itself; of a compiled one, those that took something back.
        own: Names of the blocks of the file itself, without those of used files.
        unread: Names of blocks and neurons, and keys of settings, whose statements have syntax errors: nothing is known
            of them.
        networks: Paths, as written, of used files with a body, which is not taken over.
        whole: Whether all used files can be had; if not, what is not known may be in one of them.
    """

    settings: Mapping[str, tree.Setting] = field(default_factory=dict)
    blocks: Mapping[str, tree.BlockDefinition] = field(default_factory=dict)
    neurons: Mapping[str, tree.NeuronDefinition] = field(default_factory=dict)
    sections: Mapping[str, tree.Section] = field(default_factory=dict)
    body: tree.Body | None = None
    lets: tuple[tree.Let, ...] = ()
    figures: tuple[tree.Expect | tree.Claim, ...] = ()
    allowed: tuple[tree.Allow, ...] = ()
    own: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()
    study: tree.Section | None = None
    networks: tuple[str, ...] = ()
    whole: bool = True

    @property
    def outputs(self) -> tuple[tree.Call, ...]:
        """The names of the values that the network gives, as ``outputs`` says; none: it gives what its body does."""
        setting = self.settings.get(OUTPUTS)
        return () if setting is None else tuple(value for value in setting.values if isinstance(value, tree.Call))

    @property
    def expression(self) -> tree.Sequence | None:
        """What the network gives: its body, or all its outputs side by side, as if they were merged."""
        setting = self.settings.get(OUTPUTS)
        if self.body is not None or setting is None:
            return self.body.expression if self.body is not None else None
        operands = tuple(tree.Sequence((call,), span=call.span) for call in self.outputs)
        name = tree.Name.of(OUTPUTS, setting.key.span)
        return tree.Sequence((tree.MergeOf(name, operands, span=setting.span),), span=setting.span)


def assemble(document: tree.Document, use: Callable[[tree.Use], Assembly | None]) -> Reported[Assembly]:
    """Collects the statements of a document; says which of them occur twice or mean nothing.

    Args:
        use: Gives the assembly of a used file, or None where it cannot be had.
    """
    used, own, statements = Assembly(), _Statements(), document.statements
    for statement in statements:
        if isinstance(statement, tree.Use):
            used = _take_over(used, use(statement), statement.path.text)
    for statement in statements:
        own.collect(statement)
    own.reporter.extend(check_definitions(own.blocks.values()))
    sections = {name: _over(used.sections.get(name), own.sections[name]) for name in SECTIONS if name in own.sections}
    assembly = replace(
        used,
        settings={**used.settings, **own.settings},
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
    return Reported(assembly, tuple(own.reporter.found))


def _take_over(result: Assembly, used: Assembly | None, path: str) -> Assembly:
    """Adds what a used file gives; where it cannot be had, none of its settings is known."""
    if used is None:
        return replace(result, whole=False, unread=result.unread.union(HEADER))
    return replace(
        result,
        settings={**result.settings, **{key: value for key, value in used.settings.items() if key not in OWN}},
        blocks={**result.blocks, **used.blocks},
        neurons={**result.neurons, **used.neurons},
        sections={**result.sections, **used.sections},
        unread=result.unread | used.unread,
        whole=result.whole and used.whole,
        networks=(*result.networks, path) if used.body is not None or OUTPUTS in used.settings else result.networks,
    )


@dataclass
class _Statements:
    """The statements of one file that have a key, of each the first; what is wrong with them is reported."""

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
            case tree.Setting(key=key):
                self._put(self.settings, key.text, statement, f"'{key.text}' is set")
            case tree.Section(name=name) if name.text not in (*SECTIONS, STUDY):
                self._report_unknown("section", name, (*SECTIONS, STUDY))
            case tree.Section(name=name):
                self._put(self.sections, name.text, statement, f"section '{name.text}' is written")
            case tree.BlockDefinition(name=name):
                self._put(self.blocks, name.plain or "", statement, f"block '{block_title(statement)}' is defined")
            case tree.NeuronDefinition(name=name):
                self._put(self.neurons, name.text, statement, f"neuron '{name.text}' is defined")
            case tree.Body():
                self._put(self.bodies, "body", statement, "'body' is written")

    def _report_unknown(self, what: str, word: tree.Word, known: tuple[str, ...]) -> None:
        if word.text == "give":
            hint = "a block with braces says what it gives: block NAME { give … }"
            self.reporter.report("unknown-setting", "'give' is in no block", word.span, help=hint)
            return
        near = advice(word.text, (*known, *STATEMENTS), word.span, f"{what}s: {', '.join(known)}")
        self.reporter.report("unknown-setting", f"unknown {what} '{word.text}'", word.span, **near)

    def _put(self, table: dict[str, Kept], key: str, statement: Kept, what: str) -> None:
        """Keeps the first statement of each key; another is reported."""
        first = table.setdefault(key, statement)
        if first is statement:
            return
        codes = {tree.BlockDefinition: "duplicate-block", tree.NeuronDefinition: "duplicate-neuron"}
        code = codes.get(type(statement), "duplicate-setting")
        span = statement.span
        if isinstance(statement, tree.BlockDefinition | tree.NeuronDefinition):
            span = statement.name.span
        self.reporter.report(code, f"{what} twice", span, help=f"the first is in line {first.span.line}")


def _over(used: tree.Section | None, own: tree.Section) -> tree.Section:
    """A file's own section over that of a used file, key by key."""
    if used is None:
        return own
    keys = {setting.key.text for setting in own.settings}
    kept = tuple(setting for setting in used.settings if setting.key.text not in keys)
    return replace(own, on=own.on or used.on, settings=(*kept, *own.settings))
