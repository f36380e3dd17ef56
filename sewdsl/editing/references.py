"""Definitions of names, all places that refer to them, and the edits that rename them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from sewdsl.diagnostics import Edit
from sewdsl.editing import EditorView
from sewdsl.editing.cursor import nodes_at
from sewdsl.elaborate.assembly import STUDY
from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.definitions import RESERVED_NAMES
from sewdsl.elaborate.name_table import Meaning, NameUse, scope_members, scope_values
from sewdsl.elaborate.named_values import is_free_name
from sewdsl.elaborate.neuron_kinds import LIBRARY
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ops import find
from sewdsl.ops.read_equations import RESERVED_VARIABLES
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import OWN_NEURON, POTENTIAL
from sewdsl.syntax.tree import BlockDefinition, Call, Let, NeuronDefinition, Section, Use, walk_syntax

_BLOCK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z_][A-Za-z0-9_]*)*")
_PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")
_NEURON_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
LENGTH_SEPARATOR = "x"
"""What is between two lengths: in ``c4x1`` it cannot be a parameter."""


class RenameProblem(Exception):
    """Raised where a name cannot be given; the message says why."""


def referent_at(view: EditorView, offset: int) -> NameUse | None:
    """Return the name of a block, a parameter, a value or a neuron at a place."""
    return view.names.at(offset)


def find_definition(view: EditorView, offset: int) -> tuple[Span, Path | None] | None:
    """Return the definition of the name at a place, and its file; None if there is nothing to show.

    A ``use`` leads to the top of its file.
    """
    for node in nodes_at(view.document, offset):
        if isinstance(node, Use) and view.file is not None:
            path = view.file.parent / node.path.text
            return (Span(Source(str(path), ""), 0, 0), path) if _is_there(view, path) else None
    use = referent_at(view, offset)
    if use is None:
        return None
    span = use.meaning.span
    if span.source is view.source:
        return span, view.file
    path = Path(span.source.name)
    return span, resource_folder("nets") / path.name if _is_shipped(span) else path.resolve()


def _is_there(view: EditorView, path: Path) -> bool:
    try:
        return path.is_file() or view.reach.opened(path.resolve()) is not None
    except (OSError, RuntimeError, ValueError):  # a link to itself, a NUL
        return False


def find_references(views: Iterable[EditorView], use: NameUse) -> Iterator[NameUse]:
    """Yield every place in some texts with the meaning of a name, its definition included.

    Args:
        views: The texts, that of the definition among them.
    """
    for view in views:
        yield from view.names.references(use.meaning)


def rename_edits(views: Iterable[EditorView], use: NameUse, name: str) -> list[Edit]:
    """Return the edits that rename a block, a parameter, a value or a neuron everywhere in some texts.

    Raises:
        RenameProblem: If it cannot have the name, or comes with sewdsl.
    """
    views = list(views)
    if (problem := next(_problems(views, use.meaning, name), None)) is not None:
        raise RenameProblem(problem)
    return [Edit(reference.span, name) for reference in find_references(views, use)]


def _problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    if meaning.family != "value" and _is_shipped(meaning.span):
        yield f"'{meaning.title}' comes with sewdsl"
    match meaning.scope:
        case NeuronDefinition() as neuron:
            yield from _neuron_problems(views, meaning, neuron, name)
        case BlockDefinition() as block if meaning.family != "value":
            yield from _problems_elsewhere(views, meaning, block)
            yield from _block_problems(views, meaning, name)
        case _:
            yield from _value_problems([view for view in views if view.source is meaning.span.source], meaning, name)


def _problems_elsewhere(views: list[EditorView], meaning: Meaning, block: BlockDefinition) -> Iterator[str]:
    """Yield what a new name would break: another block of the name, a study, and statements with syntax errors."""
    place = _path(block)
    seen = {path for view in views if Path(view.source.name).resolve() == place for path in _sources(view)}
    for view in views:
        file = Path(view.source.name)
        own = view.vocabulary.own.get(meaning.key)
        together = place in _sources(view) or file.resolve() in seen
        if own is not None and together and not _same(own, block):
            yield f"{file.name} sees another block '{block_title(own)}', which this one would become"
        for statement in view.document.statements:
            study = isinstance(statement, Section) and statement.name.text == STUDY
            if study and re.search(rf"\b{re.escape(meaning.name.split()[0])}\b", statement.span.text):
                yield f"the study in {file.name} says '{meaning.name}' too: change that first"
    for view in views:
        called = view.vocabulary.blocks.get(meaning.key)
        for span in view.unread if called is not None and _same(called, block) else ():
            if _says(span.text, meaning.key):
                where = f"line {span.line} of {Path(view.source.name).name}"
                yield f"{where} has a syntax error, and says '{meaning.title}': fix it first"


def _says(text: str, key: str) -> bool:
    """Return whether a text has a name, with or without white space between its words."""
    for run in re.findall(r"[\w\s]+", text):
        words = run.split()
        together, ends = "".join(words), set(accumulate(map(len, words), initial=0))
        place = together.find(key)
        while place >= 0:
            if place in ends and place + len(key) in ends:
                return True
            place = together.find(key, place + 1)
    return False


def _same(one: BlockDefinition, other: BlockDefinition) -> bool:
    """Return whether two are the same definition, perhaps read twice."""
    return one.span.start == other.span.start and _path(one) == _path(other)


def _sources(view: EditorView) -> set[Path]:
    """Return the files of the blocks of a text and of what it uses."""
    return {Path(name).resolve() for name in {block.span.source.name for block in view.vocabulary.own.values()}}


def _path(block: BlockDefinition) -> Path:
    return Path(block.span.source.name).resolve()


def _is_shipped(span: Span) -> bool:
    """Return whether a place is in the library that comes with sewdsl."""
    name, libraries = span.source.name, ("blocks.net", LIBRARY)
    return name in libraries or Path(name).resolve() in {
        (resource_folder("nets") / each).resolve() for each in libraries
    }


def _block_problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    """Yield why a block, or a parameter of one, cannot have a name."""
    if meaning.family == "parameter":
        taken = (*RESERVED_NAMES, LENGTH_SEPARATOR)
        if not _PARAMETER_NAME.fullmatch(name) or name in taken:
            yield f"a parameter's name is letters, and none of {', '.join(sorted(taken))}, unlike '{name}'"
        if name != meaning.name and name in scope_members(meaning.scope):
            yield f"'{meaning.title}' has a parameter '{name}' already"
        return
    key = name.replace(" ", "")
    if not _BLOCK_NAME.fullmatch(name) or "or" in name.split():
        yield f"a block's name is words of letters, digits and underscores, not '{name}'"
    scopes = (scope for view in views for scope in (view.document, *view.vocabulary.own.values()))
    if any(key in scope_values(scope) for scope in scopes):
        yield f"there is a value '{name}' already"
    if key in RESERVED_NAMES or find(key) or Vocabulary().complete(key):
        yield f"'{name}' is a name of the language"
    if key != meaning.key and any(key in view.vocabulary.blocks for view in views):
        yield f"there is a block '{name}' already"


def _value_problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    if any(not is_free_name(name, view.vocabulary) for view in views):
        yield f"a value's name is letters, digits and underscores that mean nothing else, unlike '{name}'"
    if name != meaning.name and name in scope_values(meaning.scope):
        yield f"there is a value '{name}' already"
    yield from _unread_problems(views, meaning)


def _unread_problems(views: list[EditorView], meaning: Meaning) -> Iterator[str]:
    for view in views:
        for span in view.unread:
            if re.search(rf"\b{re.escape(meaning.name)}\b", span.text):
                yield f"line {span.line} has a syntax error, and says '{meaning.name}': fix it first"


def _neuron_problems(views: list[EditorView], meaning: Meaning, neuron: NeuronDefinition, name: str) -> Iterator[str]:
    if not _NEURON_NAME.fullmatch(name):
        yield f"a name is letters, digits and underscores, unlike '{name}'"
    yield from _unread_problems(views, meaning)
    if meaning.family == "variable":
        yield from _variable_problems(views, meaning, neuron, name)
        return
    if find(name) is not None or Vocabulary().complete(name):
        yield f"'{name}' is a name of the language"
    taken: set[str] = set()
    for view in views:
        values = (each.name.text for each in view.document.statements if isinstance(each, Let))
        taken |= {*view.vocabulary.blocks, *view.vocabulary.neurons.own, *values}
    if name != meaning.name and name in taken:
        yield f"there is something called '{name}' already"


def _variable_problems(views: list[EditorView], meaning: Meaning, neuron: NeuronDefinition, name: str) -> Iterator[str]:
    for each in (meaning.name, name):
        if each in {*RESERVED_VARIABLES, POTENTIAL}:
            yield f"'{each}' has a meaning of its own in equations"
    if name != meaning.name and name in scope_members(neuron):
        yield f"'{meaning.title}' has a name '{name}' already"
    if meaning.name not in {parameter.name.text for parameter in neuron.parameters}:
        return
    calls = (node for view in views for node in walk_syntax(view.document) if isinstance(node, Call))
    for node in calls:
        if node.name.plain == OWN_NEURON and any(argument.name == meaning.name for argument in node.arguments):
            yield f"line {node.span.line} says '{meaning.name}' of {OWN_NEURON}: change that first"
