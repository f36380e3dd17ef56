"""The statements of a file and of what it uses, by what they set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.block_definitions import check_definitions
from sewdsl.elaborate.suggestions import advice
from sewdsl.reporter import Reporter
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.tree import (
    Allow,
    BlockDefinition,
    Body,
    Claim,
    Document,
    Expect,
    Section,
    Setting,
    Statement,
    Use,
    Version,
    Word,
)

Kept = TypeVar("Kept", Setting, Section, BlockDefinition, Body)

HEADER = SETTINGS
"""Keys of a file's header."""

SECTIONS = ("train",)
"""Sections of which a file takes over what it does not write itself."""

STUDY = "study"
"""The section of a file's variants; each file has its own."""

STATEMENTS = ("body", "block", "use", "expect", "claim", "allow", *SECTIONS, STUDY)
"""First words of the other statements."""


@dataclass
class Assembly:
    """What the statements say; later ones win over those of used files, never over those of the same file.

    Attributes:
        settings: The header by key.
        blocks: Definitions by name without white space.
        sections: ``train``, by name.
        body: The expression.
        figures: ``expect`` and ``claim`` lines.
        allowed: ``allow`` lines of the file itself; in the end, those that took something back.
        own: Names of the blocks of the file itself, used files aside.
        unread: Names of blocks and keys of settings whose statements have syntax errors: nothing is known of them.
        study: The ``study`` section of the file itself.
        networks: Paths, as written, of used files with a body, which is not taken over.
        whole: Whether all used files can be had; if not, what is not known may be in one of them.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    blocks: dict[str, BlockDefinition] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    body: Body | None = None
    figures: list[Expect | Claim] = field(default_factory=list)
    allowed: list[Allow] = field(default_factory=list)
    own: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()
    study: Section | None = None
    networks: tuple[str, ...] = ()
    whole: bool = True


def assemble(document: Document, diagnostics: Reporter, use: Callable[[Use], Assembly | None]) -> Assembly:
    """Collects the statements of a document.

    Args:
        document: The tree of the file.
        diagnostics: Where to report what occurs twice or means nothing.
        use: Gives the assembly of a used file, or None where it cannot be had (reported).
    """
    result = Assembly()
    for statement in document.statements:
        if isinstance(statement, Use):
            _take_over(result, use(statement), statement.path.text)
    own = Assembly()
    for statement in document.statements:
        _collect(statement, own, diagnostics)
    check_definitions(own.blocks.values(), diagnostics)
    result.settings.update(own.settings)
    result.blocks.update(own.blocks)
    result.unread = (result.unread | document.unread) - own.blocks.keys()
    result.study = own.sections.pop(STUDY, None)
    for name, section in own.sections.items():
        result.sections[name] = _over(result.sections.get(name), section)
    result.body, result.figures, result.own = own.body, own.figures, tuple(own.blocks)
    result.allowed = own.allowed
    return result


def _take_over(result: Assembly, used: Assembly | None, path: str) -> None:
    """Adds what a used file gives; where it cannot be had, none of its settings is known."""
    if used is None:
        result.whole, result.unread = False, result.unread.union(HEADER)
        return
    result.settings.update({key: value for key, value in used.settings.items() if key != "network"})
    result.blocks.update(used.blocks)
    result.sections.update(used.sections)
    result.unread |= used.unread
    result.whole = result.whole and used.whole
    result.networks += (path,) if used.body is not None else ()


def _collect(statement: Statement, own: Assembly, diagnostics: Reporter) -> None:
    match statement:
        case Setting(key=key) if key.text not in HEADER:
            _unknown("setting", key, HEADER, diagnostics)
        case Setting(key=key):
            _put(own.settings, key.text, statement, f"'{key.text}' is set", diagnostics)
        case Section(name=name) if name.text not in (*SECTIONS, STUDY):
            _unknown("section", name, (*SECTIONS, STUDY), diagnostics)
        case Section(name=name):
            _put(own.sections, name.text, statement, f"section '{name.text}' is written", diagnostics)
        case BlockDefinition(name=name):
            _put(own.blocks, name.plain or "", statement, f"block '{block_title(statement)}' is defined", diagnostics)
        case Body():
            bodies = {} if own.body is None else {"body": own.body}
            _put(bodies, "body", statement, "'body' is written", diagnostics)
            own.body = bodies["body"]
        case Expect() | Claim():
            own.figures.append(statement)
        case Allow():
            own.allowed.append(statement)
        case Version() | Use():
            pass


def _unknown(what: str, word: Word, known: tuple[str, ...], diagnostics: Reporter) -> None:
    near = advice(word.text, (*known, *STATEMENTS), word.span, f"{what}s: {', '.join(known)}")
    diagnostics.report("unknown-setting", f"unknown {what} '{word.text}'", word.span, **near)


def _put(table: dict[str, Kept], key: str, statement: Kept, what: str, diagnostics: Reporter) -> None:
    """Keeps the first statement of each key; another is reported."""
    first = table.setdefault(key, statement)
    if first is statement:
        return
    code = "duplicate-block" if isinstance(statement, BlockDefinition) else "duplicate-setting"
    span = statement.name.span if isinstance(statement, BlockDefinition) else statement.span
    diagnostics.report(code, f"{what} twice", span, help=f"the first is in line {first.span.line}")


def _over(used: Section | None, own: Section) -> Section:
    """A file's own section over that of a used file, key by key."""
    if used is None:
        return own
    keys = {setting.key.text for setting in own.settings}
    kept = tuple(setting for setting in used.settings if setting.key.text not in keys)
    return replace(own, on=own.on or used.on, settings=(*kept, *own.settings))
