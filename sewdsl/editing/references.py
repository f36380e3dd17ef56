"""Where a block, a parameter, a named value or a file is defined, and where else it is referred to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from sewdsl.diagnostics import Edit
from sewdsl.editing.cursor import nodes_at, walk_syntax
from sewdsl.editing.editor_view import EditorView
from sewdsl.editing.neuron_names import (
    NeuronReferent,
    neuron_definition_span,
    neuron_references,
    neuron_referent_at,
    neuron_rename_problem,
)
from sewdsl.elaborate.assembly import OUTPUTS, STUDY
from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.block_definitions import RESERVED_NAMES
from sewdsl.elaborate.compact_arguments import CompactError, split_arguments
from sewdsl.elaborate.named_values import is_free_name, value_name
from sewdsl.elaborate.neuron_kinds import LIBRARY
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.tree import (
    Argument,
    BlockDefinition,
    Body,
    Call,
    Document,
    Interpolation,
    Let,
    MergeOf,
    Parameter,
    Section,
    Sequence,
    Setting,
    SyntaxNode,
    Use,
    Word,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z_][A-Za-z0-9_]*)*")
_LETTER = re.compile(r"[A-Za-z][A-Za-z_]*")
LENGTH_SEPARATOR = "x"
"""What is between two lengths: in ``c4x1`` it cannot be a parameter."""


class RenameProblem(Exception):
    """Raised where a name cannot be given; the message says why."""


@dataclass(frozen=True)
class Referent:
    """What a name at some place means.

    Attributes:
        definition: The block, or the block that the parameter is of.
        parameter: The parameter; None: the block itself.
        place: The name at that place.
    """

    definition: BlockDefinition
    parameter: str | None
    place: Span

    @property
    def key(self) -> str:
        """The block's name without white space."""
        return self.definition.name.plain or ""

    @property
    def name(self) -> str:
        """What would be renamed."""
        return block_title(self.definition) if self.parameter is None else self.parameter


@dataclass(frozen=True)
class Named:
    """A named value.

    Attributes:
        definition: Its ``let``, or the block that it is an operand of.
        word: Its name where it is defined.
    """

    definition: Let | BlockDefinition
    word: Word


@dataclass(frozen=True)
class ValueReferent:
    """What the name of a value at some place means.

    Attributes:
        scope: The block that it is of; a document: it is the file's.
        named: The value.
        place: The name at that place.
    """

    scope: Document | BlockDefinition
    named: Named
    place: Span

    @property
    def name(self) -> str:
        """What would be renamed."""
        return self.named.word.text


def _values(scope: Document | BlockDefinition) -> dict[str, Named]:
    """The named values of a block, or of a file, by name."""
    found: dict[str, Named] = {}
    if isinstance(scope, BlockDefinition):
        for word in scope.operands:
            found.setdefault(word.text, Named(scope, word))
    lines = scope.lets if isinstance(scope, BlockDefinition) else scope.statements
    for let in lines:
        if isinstance(let, Let):
            found.setdefault(let.name.text, Named(let, let.name))
    return found


def _scope(view: EditorView, outer: tuple[SyntaxNode, ...]) -> Document | BlockDefinition:
    return next((node for node in reversed(outer) if isinstance(node, BlockDefinition)), view.document)


def value_at(view: EditorView, outer: tuple[SyntaxNode, ...], call: Call, offset: int) -> Named | None:
    """The named value that a call at a place is no call, but the name of; None: it is none."""
    name, before = value_name(call), outer[-1] if outer else None
    first = isinstance(before, Sequence) and before.items[0] is call
    first = first or (isinstance(before, Setting) and before.key.text == OUTPUTS)
    if name is None or not first or not call.span.start <= offset <= call.span.end:
        return None
    return _values(_scope(view, outer)).get(name)


def referent_at(view: EditorView, offset: int) -> Referent | ValueReferent | NeuronReferent | None:
    """The block, the parameter, the value or the neuron that is named at a place; None: there is none."""
    nodes = nodes_at(view.document, offset, ending=True)
    for index, node in enumerate(nodes):
        value = _target_value(view, node, nodes[:index], offset)
        found = _target(view, node, nodes[:index], offset)
        if value is not None or found is not None:
            return value or found
    return neuron_referent_at(view, offset)


def _target_value(
    view: EditorView, node: SyntaxNode, outer: tuple[SyntaxNode, ...], offset: int
) -> ValueReferent | None:
    match node:
        case Let(name=word) if word.span.start <= offset <= word.span.end:
            scope = _scope(view, outer)
            return ValueReferent(scope, _values(scope)[word.text], word.span)
        case BlockDefinition(operands=operands):
            at = next((word for word in operands if word.span.start <= offset <= word.span.end), None)
            return ValueReferent(node, _values(node)[at.text], at.span) if at is not None else None
        case Call() if (named := value_at(view, outer, node, offset)) is not None:
            return ValueReferent(_scope(view, outer), named, node.span)
        case _:
            return None


def _target(view: EditorView, node: SyntaxNode, outer: tuple[SyntaxNode, ...], offset: int) -> Referent | None:
    match node:
        case BlockDefinition(name=name) if name.span.start <= offset <= name.span.end:
            return Referent(node, None, name.span)
        case BlockDefinition():
            return next((Referent(node, n, s) for n, s in _within(node) if s.start <= offset <= s.end), None)
        case Call(name=name) | MergeOf(name=name) if (
            name.plain in view.vocabulary.blocks and name.span.start <= offset <= name.span.end
        ):
            return Referent(view.vocabulary.blocks[name.plain or ""], None, name.span)
        case Argument():
            call = next((above for above in reversed(outer) if isinstance(above, Call | MergeOf)), None)
            definition = view.vocabulary.blocks.get(call.name.plain or "") if call else None
            given = _given(node, _parameters(definition)) if definition else ()
            return next(
                (Referent(definition, n, s) for n, s in given if definition and s.start <= offset <= s.end), None
            )
        case _:
            return None


def find_definition(view: EditorView, offset: int) -> tuple[Span, Path | None] | None:
    """Where what is named at a place is defined, and in which file; None: nowhere that can be shown.

    A ``use`` leads to the top of its file.
    """
    for node in nodes_at(view.document, offset):
        if isinstance(node, Use) and view.file is not None:
            path = view.file.parent / node.path.text
            return (Span(Source(str(path), ""), 0, 0), path) if _is_there(view, path) else None
    found = referent_at(view, offset)
    if found is None:
        return None
    if isinstance(found, ValueReferent):
        return found.named.word.span, view.file
    if isinstance(found, NeuronReferent):
        return _shown(view, neuron_definition_span(found))
    spans = dict(reversed([*_within(found.definition)]))  # the first of each name is that in the head
    span = found.definition.name.span if found.parameter is None else spans.get(found.parameter)
    return None if span is None else _shown(view, span)


def _shown(view: EditorView, span: Span) -> tuple[Span, Path | None]:
    """A place, and the file that it is in."""
    if span.source is view.source:
        return span, view.file
    library = resource_folder("nets") / Path(span.source.name).name
    return span, library if _shipped(span) else Path(span.source.name).resolve()


def _is_there(view: EditorView, path: Path) -> bool:
    try:
        return path.is_file() or view.reach.opened(path.resolve()) is not None
    except (OSError, RuntimeError, ValueError):  # a link to itself, a NUL
        return False


class Reference(NamedTuple):
    """A place that refers to something.

    Attributes:
        span: The name there.
        defines: Whether it is defined there.
    """

    span: Span
    defines: bool = False


def find_references(
    views: Iterable[EditorView], found: Referent | ValueReferent | NeuronReferent
) -> Iterator[Reference]:
    """Every place in some texts that refers to a block, a parameter, a value or a neuron, its definition included.

    Args:
        views: The texts, that of the definition among them.
        found: What is referred to.
    """
    if isinstance(found, NeuronReferent):
        yield from (Reference(span, defines=defines) for span, defines in neuron_references(views, found))
        return
    if isinstance(found, ValueReferent):
        if any(view.source is found.place.source for view in views):
            yield from _value_references(found)
        return
    for view in views:
        called, names = _is_called(view, found), _parameters(found.definition)
        for node in view.named:
            if isinstance(node, BlockDefinition) and _same(node, found.definition):
                if found.parameter is None:
                    yield Reference(node.name.span, defines=True)
                else:
                    spans = [span for name, span in _within(node) if name == found.parameter]
                    yield from (Reference(span, defines=not number) for number, span in enumerate(spans))
            elif called and isinstance(node, Call | MergeOf) and node.name.plain == found.key:
                if found.parameter is None:
                    yield Reference(node.name.span)
                else:
                    given = [pair for argument in node.arguments for pair in _given(argument, names)]
                    yield from (Reference(span) for name, span in given if name == found.parameter)


def _value_references(found: ValueReferent) -> Iterator[Reference]:
    yield Reference(found.named.word.span, defines=True)
    scope = found.scope
    if isinstance(scope, BlockDefinition):
        parts = [*(let.expression for let in scope.lets), scope.expression]
    else:
        parts = [part.expression for part in scope.statements if isinstance(part, Let | Body)]
        for setting in scope.statements:
            if isinstance(setting, Setting) and setting.key.text == OUTPUTS:
                yield from (
                    Reference(each.span)
                    for each in setting.values
                    if isinstance(each, Call) and each.name.plain == found.name
                )
    for part in parts:
        for node in walk_syntax(part):
            if isinstance(node, Sequence) and value_name(node.items[0]) == found.name:
                yield Reference(node.items[0].span)


def _parameters(definition: BlockDefinition) -> frozenset[str]:
    return frozenset(parameter.name for parameter in definition.parameters)


def _is_called(view: EditorView, found: Referent) -> bool:
    """Whether a name means the block in a text, and not another of that name."""
    known = view.vocabulary.blocks.get(found.key)
    return known is not None and _same(known, found.definition)


def _same(one: BlockDefinition, other: BlockDefinition) -> bool:
    """Whether two are the same definition, perhaps read twice."""
    places = (_path(each.span.source.name) for each in (one, other))
    return one.span.start == other.span.start and next(places) == next(places)


def _within(definition: BlockDefinition) -> Iterator[tuple[str, Span]]:
    """The names of a block's parameters where they are in its definition: first in its head, then in ``$(…)``."""
    names = {parameter.name for parameter in definition.parameters}
    for parameter in definition.parameters:
        yield parameter.name, parameter.span.part(0, len(parameter.name))
    for part in (*(let.expression for let in definition.lets), definition.expression):
        for node in walk_syntax(part):
            if isinstance(node, Interpolation):
                for inner in walk_syntax(node.formula):
                    if isinstance(inner, Parameter) and inner.name in names:
                        yield inner.name, inner.span


def _given(argument: Argument, names: frozenset[str]) -> Iterator[tuple[str, Span]]:
    """The names of a block's parameters in an argument of its call: ``c`` and ``s`` of ``c32s2``, ``c`` of ``c=32``."""
    if argument.name is not None:
        if argument.name in names:
            yield argument.name, argument.span.part(0, len(argument.name))
        return
    value = argument.value
    if isinstance(value, Call) and value.name.parts and isinstance(value.name.parts[0], Word):
        yield from _compact(value, names)


def _compact(value: Call, names: frozenset[str]) -> Iterator[tuple[str, Span]]:
    for number, part in enumerate(value.name.parts):
        if not isinstance(part, Word):
            continue
        interpolated = number + 1 < len(value.name.parts)
        try:
            found = [
                (piece.letter, piece.start) for piece in split_arguments(f"{part.text}0" if interpolated else part.text)
            ]
        except CompactError:
            continue
        yield from ((name, part.span.part(at, at + len(name))) for name, at in found if name in names)


def rename_edits(
    views: Iterable[EditorView], found: Referent | ValueReferent | NeuronReferent, name: str
) -> list[Edit]:
    """The edits that give a block, a parameter, a value or a neuron another name, everywhere in some texts.

    Raises:
        RenameProblem: it cannot be called so, or is not the user's.
    """
    if isinstance(found, NeuronReferent):
        views = list(views)
        problem = neuron_rename_problem(views, found, name)
        if problem:
            raise RenameProblem(problem)
        return [Edit(reference.span, name) for reference in find_references(views, found)]
    if isinstance(found, ValueReferent):
        views = [view for view in views if view.source is found.place.source]
        _check_value(views, found, name)
        return [Edit(reference.span, name) for reference in find_references(views, found)]
    if _shipped(found.definition.span):
        message = f"'{block_title(found.definition)}' comes with sewdsl"
        raise RenameProblem(message)
    views = list(views)
    _check_elsewhere(views, found)
    for view in views:
        _check_read(view, found)
    if found.parameter is None:
        _check_block(views, found, name)
    else:
        _check_parameter(found, name)
    return [Edit(reference.span, name) for reference in find_references(views, found)]


def _check_elsewhere(views: list[EditorView], found: Referent) -> None:
    """Refuses what other places would not follow: another block of the name, and a study that says it in a text."""
    place = _path(found.definition.span.source.name)
    seen = {path for view in views if _path(view.source.name) == place for path in _sources(view)}
    for view in views:
        own = view.vocabulary.own.get(found.key)
        together = place in _sources(view) or _path(view.source.name) in seen
        if own is not None and together and not _same(own, found.definition):
            message = (
                f"{Path(view.source.name).name} sees another block '{block_title(own)}', which this one would become"
            )
            raise RenameProblem(message)
        for statement in view.document.statements:
            study = isinstance(statement, Section) and statement.name.text == STUDY
            if study and re.search(rf"\b{re.escape(found.name.split()[0])}\b", statement.span.text):
                message = f"the study in {Path(view.source.name).name} says '{found.name}' too: change that first"
                raise RenameProblem(message)


def _check_read(view: EditorView, found: Referent) -> None:
    """Refuses where a statement with syntax errors says the block's name: what else it says is not known."""
    for span in view.unread if _is_called(view, found) else ():
        if _says(span.text, found.key):
            where = f"line {span.line} of {Path(view.source.name).name}"
            message = f"{where} has a syntax error, and says '{block_title(found.definition)}': fix it first"
            raise RenameProblem(message)


def _says(text: str, key: str) -> bool:
    """Whether a text has a name, with or without white space between its words."""
    for run in re.findall(r"[\w\s]+", text):
        words = run.split()
        together, ends = "".join(words), set(accumulate(map(len, words), initial=0))
        place = together.find(key)
        while place >= 0:
            if place in ends and place + len(key) in ends:
                return True
            place = together.find(key, place + 1)
    return False


def _sources(view: EditorView) -> set[Path]:
    """The files that the blocks of a text, and of what it uses, are from."""
    return set(map(_path, {block.span.source.name for block in view.vocabulary.own.values()}))


def _path(name: str) -> Path:
    return Path(name).resolve()


def _shipped(span: Span) -> bool:
    """Whether a place is in the library that comes with sewdsl."""
    name = span.source.name
    libraries = "blocks.net", LIBRARY
    return name in libraries or Path(name).resolve() in {
        (resource_folder("nets") / each).resolve() for each in libraries
    }


def _check_block(views: list[EditorView], found: Referent, name: str) -> None:
    key = name.replace(" ", "")
    if not _NAME.fullmatch(name) or "or" in name.split():
        message = f"a block's name is words of letters, digits and underscores, not '{name}'"
        raise RenameProblem(message)
    scopes: list[Document | BlockDefinition] = []
    for view in views:
        scopes += [view.document, *view.vocabulary.own.values()]
    if any(key in _values(scope) for scope in scopes):
        message = f"there is a value '{name}' already"
        raise RenameProblem(message)
    if key in RESERVED_NAMES or find(key) or Vocabulary().complete(key):
        message = f"'{name}' is a name of the language"
        raise RenameProblem(message)
    if key != found.key and any(key in view.vocabulary.blocks for view in views):
        message = f"there is a block '{name}' already"
        raise RenameProblem(message)


def _check_value(views: list[EditorView], found: ValueReferent, name: str) -> None:
    if any(not is_free_name(name, view.vocabulary) for view in views):
        message = f"a value's name is letters, digits and underscores that mean nothing else, unlike '{name}'"
        raise RenameProblem(message)
    if name != found.name and name in _values(found.scope):
        message = f"there is a value '{name}' already"
        raise RenameProblem(message)
    for view in views:
        for span in view.unread:
            if re.search(rf"\b{re.escape(found.name)}\b", span.text):
                message = f"line {span.line} has a syntax error, and says '{found.name}': fix it first"
                raise RenameProblem(message)


def _check_parameter(found: Referent, name: str) -> None:
    taken = (*RESERVED_NAMES, LENGTH_SEPARATOR)
    if not _LETTER.fullmatch(name) or name in taken:
        message = f"a parameter's name is letters, and none of {', '.join(sorted(taken))}, unlike '{name}'"
        raise RenameProblem(message)
    if name != found.parameter and name in {parameter.name for parameter in found.definition.parameters}:
        message = f"'{block_title(found.definition)}' has a parameter '{name}' already"
        raise RenameProblem(message)
