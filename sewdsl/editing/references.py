"""Definitions and references of names, and the edits that rename them."""

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
from sewdsl.ops import is_reserved
from sewdsl.ops.read_equations import RESERVED_VARIABLES
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import OWN_NEURON, POTENTIAL
from sewdsl.syntax.tree import BlockDefinition, Call, NeuronDefinition, Section, Use, walk_syntax

_BLOCK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z_][A-Za-z0-9_]*)*")
_PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")
_NEURON_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
LENGTH_SEPARATOR = "x"
"""Separator of lengths, as in ``c4x1``, which cannot be the name of a parameter."""


class RenameProblem(Exception):
    """Raised if a name cannot be changed, with the reason as message."""


def find_definition(view: EditorView, offset: int) -> tuple[Span, Path | None] | None:
    """Return the span and file of the definition of the name at an offset, or None.

    The definition of a ``use`` is the start of its file.
    """
    for node in nodes_at(view.document, offset):
        if isinstance(node, Use) and view.file is not None:
            path = view.file.parent / node.path.text
            try:
                exists = path.is_file() or view.reach.opened(path.resolve()) is not None
            except (OSError, RuntimeError, ValueError):  # a symbolic link to itself, or a NUL character
                return None
            return (Span(Source(str(path), ""), 0, 0), path) if exists else None
    use = view.names.at(offset)
    if use is None:
        return None
    span = use.meaning.span
    if span.source is view.source:
        return span, view.file
    path = Path(span.source.name)
    return span, resource_folder("nets") / path.name if _is_shipped(span) else path.resolve()


def find_references(views: Iterable[EditorView], use: NameUse) -> Iterator[NameUse]:
    """Yield all references to a name in several views, including that of its definition."""
    for view in views:
        yield from view.names.references(use.meaning)


def rename_edits(views: Iterable[EditorView], use: NameUse, name: str) -> list[Edit]:
    """Return the edits that rename a block, parameter, value or neuron in several views.

    Raises:
        RenameProblem: If the new name is invalid or taken, or the definition is shipped.
    """
    # The iterable is read twice.
    views = list(views)
    if (problem := next(_problems(views, use.meaning, name), None)) is not None:
        raise RenameProblem(problem)
    return [Edit(reference.span, reference.renamed(name)) for reference in find_references(views, use)]


def _problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    if meaning.family != "value" and _is_shipped(meaning.span):
        yield f"'{meaning.title}' is shipped with sewdsl and cannot be renamed"
    match meaning.scope:
        case NeuronDefinition() as neuron:
            yield from _neuron_problems(views, meaning, neuron, name)
        case BlockDefinition() as block if meaning.family != "value":
            yield from _problems_elsewhere(views, meaning, block)
            yield from _block_problems(views, meaning, name)
        case _:
            yield from _value_problems([view for view in views if view.source is meaning.span.source], meaning, name)


def _problems_elsewhere(views: list[EditorView], meaning: Meaning, block: BlockDefinition) -> Iterator[str]:
    """Yield conflicts in other files: another block of the name, a study, a syntax error."""
    block_file = _path(block)
    used_files = {path for view in views if Path(view.source.name).resolve() == block_file for path in _sources(view)}
    for view in views:
        file = Path(view.source.name)
        own = view.vocabulary.own.get(meaning.key)
        shares_block = block_file in _sources(view) or file.resolve() in used_files
        if own is not None and shares_block and not _same(own, block):
            # The rename would change which of the two blocks that file calls.
            yield f"{file.name} has another block '{block_title(own)}' of the same name"
        for statement in view.document.statements:
            study = isinstance(statement, Section) and statement.name.text == STUDY
            if study and re.search(rf"\b{re.escape(meaning.name.split()[0])}\b", statement.span.text):
                yield f"the study in {file.name} mentions '{meaning.name}'; change it first"
    for view in views:
        visible = view.vocabulary.blocks.get(meaning.key)
        for span in view.unread if visible is not None and _same(visible, block) else ():
            if _mentions(span.text, meaning.key):
                location = f"line {span.line} of {Path(view.source.name).name}"
                yield f"{location} has a syntax error and mentions '{meaning.title}'; fix it first"


def _mentions(text: str, key: str) -> bool:
    """Return whether a text contains a name, with or without white space between its words."""
    for run in re.findall(r"[\w\s]+", text):
        words = run.split()
        # Only at word boundaries: `My` is not part of `MyNet`.
        together, ends = "".join(words), set(accumulate(map(len, words), initial=0))
        position = together.find(key)
        while position >= 0:
            if position in ends and position + len(key) in ends:
                return True
            position = together.find(key, position + 1)
    return False


def _same(one: BlockDefinition, other: BlockDefinition) -> bool:
    """Return whether two definitions are equal, even if the file was read twice."""
    return one.span.start == other.span.start and _path(one) == _path(other)


def _sources(view: EditorView) -> set[Path]:
    """Return the files that define the blocks of a view."""
    return {Path(name).resolve() for name in {block.span.source.name for block in view.vocabulary.own.values()}}


def _path(block: BlockDefinition) -> Path:
    return Path(block.span.source.name).resolve()


def _is_shipped(span: Span) -> bool:
    name, libraries = span.source.name, ("blocks.net", LIBRARY)
    return name in libraries or Path(name).resolve() in {
        (resource_folder("nets") / each).resolve() for each in libraries
    }


def _block_problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    """Yield the reasons why a block or a parameter of a block cannot have a name."""
    if meaning.family == "parameter":
        taken = (*RESERVED_NAMES, LENGTH_SEPARATOR)
        if not _PARAMETER_NAME.fullmatch(name) or name in taken:
            yield f"invalid parameter name '{name}'; expected letters, and none of {', '.join(sorted(taken))}"
        if name != meaning.name and name in scope_members(meaning.scope):
            yield f"'{meaning.title}' already has a parameter '{name}'"
        return
    key = name.replace(" ", "")
    if not _BLOCK_NAME.fullmatch(name) or "or" in name.split():
        yield f"invalid block name '{name}'; expected words of letters, digits and underscores"
    scopes = (scope for view in views for scope in (view.document, *view.vocabulary.own.values()))
    if any(key in scope_values(scope) for scope in scopes):
        yield f"a value '{name}' already exists"
    if key in RESERVED_NAMES or is_reserved(key) or Vocabulary().complete(key):
        yield f"'{name}' is a name of the language"
    if key != meaning.key and any(key in view.vocabulary.blocks for view in views):
        yield f"a block '{name}' already exists"


def _value_problems(views: list[EditorView], meaning: Meaning, name: str) -> Iterator[str]:
    if any(not is_free_name(name, view.vocabulary) for view in views):
        yield f"invalid value name '{name}'; expected letters, digits and underscores, without another meaning"
    if name != meaning.name and name in scope_values(meaning.scope):
        yield f"a value '{name}' already exists"
    yield from _unread_problems(views, meaning)


def _unread_problems(views: list[EditorView], meaning: Meaning) -> Iterator[str]:
    for view in views:
        for span in view.unread:
            if re.search(rf"\b{re.escape(meaning.name)}\b", span.text):
                yield f"line {span.line} has a syntax error and mentions '{meaning.name}'; fix it first"


def _neuron_problems(views: list[EditorView], meaning: Meaning, neuron: NeuronDefinition, name: str) -> Iterator[str]:
    if not _NEURON_NAME.fullmatch(name):
        yield f"invalid name '{name}'; expected letters, digits and underscores"
    yield from _unread_problems(views, meaning)
    if meaning.family == "variable":
        yield from _variable_problems(views, meaning, neuron, name)
        return
    if is_reserved(name) or Vocabulary().complete(name):
        yield f"'{name}' is a name of the language"
    taken: set[str] = set()
    for view in views:
        values = scope_values(view.document)
        taken |= {*view.vocabulary.blocks, *view.vocabulary.neurons.own, *values}
    if name != meaning.name and name in taken:
        yield f"the name '{name}' is already in use"


def _variable_problems(views: list[EditorView], meaning: Meaning, neuron: NeuronDefinition, name: str) -> Iterator[str]:
    for each in (meaning.name, name):
        if each in {*RESERVED_VARIABLES, POTENTIAL}:
            yield f"'{each}' has a fixed meaning in equations"
    if name != meaning.name and name in scope_members(neuron):
        yield f"'{meaning.title}' already has a name '{name}'"
    if meaning.name not in {parameter.name.text for parameter in neuron.parameters}:
        return
    # Arguments of SN in a call name the parameters of the neuron that the file defines.
    calls = (node for view in views for node in walk_syntax(view.document) if isinstance(node, Call))
    for node in calls:
        if node.name.plain == OWN_NEURON and any(argument.name == meaning.name for argument in node.arguments):
            yield f"line {node.span.line} sets '{meaning.name}' of {OWN_NEURON}; change it first"
