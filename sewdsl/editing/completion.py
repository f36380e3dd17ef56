"""What can be written at a place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise, takewhile
from os.path import relpath
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from sewdsl.analysis.named_parts import part_names
from sewdsl.checks.expectation import MEASURED, QUANTITIES, quantities
from sewdsl.editing import EditorView, kind_docs
from sewdsl.editing.cursor import CursorContext, cursor_context, statements_before
from sewdsl.elaborate.assembly import HEADER, OUTPUTS
from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.imports import project_folder
from sewdsl.elaborate.study_section import METHODS, SCALES
from sewdsl.elaborate.text_files import net_files
from sewdsl.elaborate.train_section import PARTS
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.op import Activation, Join, Merge
from sewdsl.ir.recipe import Recipe
from sewdsl.ops import catalogue
from sewdsl.source import Span
from sewdsl.syntax.lexicon import AXES, CLOSERS, EQUATION_KEYWORDS, NEURON, OPENERS, PER
from sewdsl.syntax.tree import Section

if TYPE_CHECKING:
    from lark import Token

MAX_FILES = 200
"""Files that are offered at most."""


class Completion(NamedTuple):
    """Something that can be written.

    Attributes:
        detail: A few words next to it.
        about: What hovering over it would say, as Markdown.
    """

    text: str
    kind: Literal["statement", "setting", "layer", "join", "block", "argument", "value", "code", "data", "file"]
    detail: str = ""
    about: str = ""


class CompletionList(NamedTuple):
    """What can be written, and in place of which characters."""

    span: Span
    found: list[Completion]


def complete(view: EditorView, offset: int, datasets: Collection[str] = ()) -> CompletionList:
    """What can be written at a place, for the editor to choose from by what is written already."""
    where = cursor_context(view.source, offset)
    if where is None:
        return CompletionList(Span(view.source, offset, offset), [])
    return CompletionList(where.written, list(_proposals(view, where, datasets)))


def _proposals(view: EditorView, where: CursorContext, datasets: Collection[str]) -> Iterator[Completion]:
    if where.text is not None:
        return _files(view) if where.first == "_USE" else iter(())
    if where.section and where.name == "block":
        if not where.statement:
            return (Completion(word, "statement", about=about) for word, about in kind_docs.BLOCK_LINES.items())
        defined = where.first == "_GIVE" or any(token.type == "_EQUAL" for token in where.statement)
        return _items(view, where) if defined else iter(())
    if where.section and where.name == NEURON:
        return _equation(where)
    if where.section:
        return _entries(view, where)
    match where.first:
        case "":
            return _statements(view)
        case "_BODY":
            return _items(view, where)
        case "_BLOCK" | "_LET":
            return _items(view, where) if any(token.type == "_EQUAL" for token in where.statement) else iter(())
        case "_ALLOW":
            codes = kind_docs.code_pages() if len(where.statement) == 1 else {}
            return (Completion(code, "code", about=page) for code, page in codes.items())
        case "_EXPECT" | "_CLAIM":
            network = view.compilation.network
            known = quantities(network) if network is not None else QUANTITIES
            measured = MEASURED if where.first == "_CLAIM" else {}
            found = {**dict.fromkeys(known, ""), **{name: text for name, text in measured.items() if name not in known}}
            return (
                Completion(name, "value", about=about) for name, about in found.items() if len(where.statement) == 1
            )
        case "SECTION" if len(where.statement) == 1:
            return iter([Completion("on", "statement", about="On which data set.")])
        case "SECTION" if where.last == "_ON":
            return (Completion(name, "data") for name in datasets)
        case "KEY" if where.opened:
            return _arguments(view, where)
        case "KEY" if where.key == OUTPUTS:
            return _named_values(where)
        case "KEY" if len(where.statement) == 1 or where.key == "init":
            return _of_type(view, _HEADER.get(where.key))
        case _:
            return iter(())


def _equation(where: CursorContext) -> Iterator[Completion]:
    """Keywords, functions, and the names so far of a definition, where they can be in an equation."""
    tokens, last = where.statement, where.last
    if where.first == "_LEARN" and len(tokens) == len(("learn", "NAME")):
        yield Completion(PER, "statement", about=kind_docs.EQUATION_LINES[PER])
        return
    if last == "_PER" or (last == "_COMMA" and any(token.type == "_PER" for token in tokens)):
        yield from (Completion(axis, "statement", about=kind_docs.EQUATION_LINES[axis]) for axis in AXES)
        return
    if not tokens or last in {"WORD", "INTEGER", "DECIMAL", "_RPAR"}:
        yield from (Completion(word, "statement", about=kind_docs.EQUATION_LINES[word]) for word in EQUATION_KEYWORDS)
    if tokens and last not in {"WORD", "INTEGER", "DECIMAL", "_RPAR", "_LEARN", "_STATE"}:
        yield from (Completion(f"{name}(", "layer", about=about) for name, about in kind_docs.FUNCTIONS.items())
        lines = statements_before(where.written.source, where.written.start)
        head = [token for entry in (lines[-1].tokens[2:], *lines[-1].entries) for token in entry] if lines else []
        words = dict.fromkeys(str(token) for token in (*head, *tokens) if token.type == "WORD")
        known = {
            **kind_docs.EQUATION_NAMES,
            **{word: "" for word in words if word not in {*kind_docs.FUNCTIONS, *AXES}},
        }
        yield from (Completion(name, "value", about=kind_docs.EQUATION_NAMES.get(name, "")) for name in known)


def _statements(view: EditorView) -> Iterator[Completion]:
    assembly = view.compilation.assembly
    said = kind_docs.header_docs()
    for key in HEADER:
        if not assembly or key not in assembly.settings:
            yield Completion(key, "setting", about=said[key])
    for word, about in kind_docs.STATEMENTS.items():
        yield Completion(word, "statement", about=about)


def _named_values(where: CursorContext) -> Iterator[Completion]:
    """The named values that a sequence at a place can begin with: those before it in the same block, or in the file."""
    if not where.section and where.first == "_BLOCK":
        yield from (Completion(str(token), "value") for token in _operands(where.statement))
        return
    lines = statements_before(where.written.source, where.written.start)
    if where.section:
        yield from (Completion(str(token), "value") for token in _operands(lines[-1].tokens))
    rows = lines[-1].entries if where.section else [line.tokens for line in lines]
    yield from (Completion(str(row[1]), "value") for row in rows[:-1] if row[0].type == "_LET" and len(row) > 1)


def _operands(tokens: list[Token]) -> list[Token]:
    """Return the names of a block's operands, in the tokens of its head."""
    found: list[Token] = []
    opened: list[str] = []
    for token in tokens:
        if not opened and token.type in {"_EQUAL", "LBRACE"}:
            break
        if token.type in OPENERS:
            opened.append(token.type)
        elif token.type in CLOSERS and opened:
            opened.pop()
        elif opened == ["_LSQB"] and token.type == "WORD":
            found.append(token)
    return found


def _files(view: EditorView) -> Iterator[Completion]:
    """Yield the files of the project that this one can use, by the way from it to them."""
    if view.file is None:
        return
    folder, here = view.reach.project or project_folder(view.file), view.file.resolve()
    for path in net_files(folder, MAX_FILES):
        if path.resolve() != here:
            yield Completion(Path(relpath(path, here.parent)).as_posix(), "file")


# --- expressions -------------------------------------------------------------------------------------------


def _items(view: EditorView, where: CursorContext) -> Iterator[Completion]:
    """What can be at a place of an expression."""
    bracket = where.opened[-1][0] if where.opened else ""
    if bracket == "_OPEN":
        yield from _parameters(where)
    elif bracket == "_LPAR":
        yield from _arguments(view, where)
    elif where.last in {"_BODY", "_GIVE", "_EQUAL", "_DASH", "LBRACE", "LESS", "_LSQB", "_BAR", "_OR"}:
        if where.last != "_DASH":
            yield from _named_values(where)
        yield from _layers(view)
        if "_LSQB" in {kind for kind, _ in where.opened}:
            yield Completion("id", "value", about=kind_docs.NAMES["id"])
    elif where.last in {"WORD", "_RPAR"} and where.opened and any(token.type == "_BAR" for token in where.inner):
        yield Completion("or", "statement", about=kind_docs.NAMES["id"])


def _layers(view: EditorView) -> Iterator[Completion]:
    for key, definition in view.vocabulary.blocks.items():
        whose = "the file's own" if key in view.vocabulary.own else "a block"
        yield Completion(block_title(definition), "block", whose, f"```sewdsl\n{definition.span.text}\n```")
    neurons = ((name, view.vocabulary.neurons.find(name)) for name in view.vocabulary.neurons.names(Activation))
    for name, kind in {**view.vocabulary.layers, **dict(neurons)}.items():
        if kind is not None and kind.key != "input":
            yield _of_kind(name, kind, "layer")
    yield Completion("SN", "layer", about=kind_docs.NAMES["SN"])
    yield Completion("g[", "join", about=kind_docs.NAMES["g"])
    for name, kind in sorted(catalogue().items()):
        if issubclass(kind, Merge):
            yield Completion(f"{name}[", "join", about=kind_docs.kind_description(kind))


def _of_kind(name: str, kind: type[Kind], what: Literal["layer", "value", "join"]) -> Completion:
    return Completion(name, what, kind_docs.signature(kind), kind_docs.kind_description(kind))


def _parameters(where: CursorContext) -> Iterator[Completion]:
    """Yield the parameters of the block that is being defined, inside ``$(…)``."""
    if where.first != "_BLOCK" or where.last not in {"_OPEN", "_LPAR", "_PLUS", "_DASH", "_STAR", "_SLASH"}:
        return
    for before, token in pairwise(takewhile(lambda token: token.type != "_RPAR", where.statement)):
        if before.type in {"_LPAR", "_COMMA"}:
            yield Completion(str(token), "argument")


def _arguments(view: EditorView, where: CursorContext) -> Iterator[Completion]:
    """Names of arguments after a bracket or a comma, values after their ``=``."""
    name = _called(where)
    inner = where.inner
    if where.last in {"_LPAR", "_COMMA"}:
        given = {str(a) for a, b in pairwise(inner) if b.type == "_EQUAL"}
        yield from (p for p in _names(view, name) if p.text.removesuffix("=") not in given)
    elif where.last == "_EQUAL" and len(where.statement) > 1:
        argument, kind = str(where.statement[-2]), view.vocabulary.any_kind(name)
        if name in view.vocabulary.blocks and argument in {"g", "SN"}:
            yield from _kinds(view, Join if argument == "g" else Activation)
        elif kind is not None and argument in argument_fields(kind):
            yield from _of_type(view, argument_fields(kind)[argument].annotation)


def _called(where: CursorContext) -> str:
    """Return the name before the innermost bracket, without white space."""
    before = where.statement[: len(where.statement) - len(where.inner) - 1]
    words: list[str] = []
    while before and before[-1].type == "WORD":
        words.insert(0, str(before.pop()))
    return "".join(words)


def _names(view: EditorView, name: str) -> Iterator[Completion]:
    block = view.vocabulary.blocks.get(name)
    if block is not None:
        for parameter in block.parameters:
            default = parameter.default.span.text if parameter.default else ""
            yield Completion(parameter.name, "argument", default and f"{default} unless given")
        yield Completion("g=", "argument", about=kind_docs.NAMES["g"])
        yield Completion("SN=", "argument", about=kind_docs.NAMES["SN"])
        return
    kind = view.vocabulary.any_kind(name)
    if kind is not None:
        letters = set(kind.letters().values())
        for field, about in kind_docs.field_docs(kind).items():
            if field not in letters:
                yield Completion(f"{field}=", "argument", about=about)


def _of_type(view: EditorView, annotation: Any) -> Iterator[Completion]:
    """What a field can be set to, where that can be listed."""
    if get_origin(annotation) is Literal:
        yield from (Completion(str(value), "value") for value in get_args(annotation))
    elif annotation is bool:
        yield from (Completion(word, "value") for word in ("on", "off"))
    elif annotation is NoneType:
        yield Completion("none", "value")
    elif isinstance(annotation, type) and issubclass(annotation, Kind):
        yield from _kinds(view, annotation)
    else:
        for part in get_args(annotation):
            yield from _of_type(view, part)


def _kinds(view: EditorView, family: type[Kind]) -> Iterator[Completion]:
    found = ((name, view.vocabulary.neurons.find(name)) for name in sorted(view.vocabulary.neurons.names(family)))
    return (_of_kind(name, kind, "value") for name, kind in found if kind is not None)


# --- settings ----------------------------------------------------------------------------------------------

_HEADER: dict[str, Any] = {
    "encode": Literal["none", "direct"],
    "neuron": Activation,
    "join": Join,
    "init": Literal["default", "kaiming", "normal", "zero"],
    "readout": Literal["mean", "sum", "last"],
}
"""What the keys of a header can be set to, where that can be listed."""


def _entries(view: EditorView, where: CursorContext) -> Iterator[Completion]:
    """Inside a section: its keys, and their values."""
    if where.opened:
        return _arguments(view, where)
    if where.statement:
        field = Recipe.model_fields.get(where.key) if where.name == "train" else None
        if where.name == "study":
            return _studied(where)
        if field and where.key in PARTS and view.compilation.network is not None:
            return (Completion(name, "value") for name in part_names(view.compilation.network))
        return _of_type(view, field.annotation) if field and len(where.statement) == 1 else iter(())
    said = kind_docs.STUDY if where.name == "study" else kind_docs.recipe_docs()
    given = _given(view, where.name)
    return (Completion(key, "setting", about=about) for key, about in said.items() if key not in given)


def _studied(where: CursorContext) -> Iterator[Completion]:
    if where.key == "probe":
        yield from (Completion(word, "value") for word in ("rates", "gradients"))
    elif where.key == "search" and len(where.statement) == 1:
        yield from (Completion(f"{method}(trials=20)", "value") for method in METHODS)
    elif where.key == "vary" and len(where.statement) == len(("vary", "KEY")):
        yield from (Completion(scale, "value", about="A range from one number to another.") for scale in SCALES)
    elif where.key == "vary" and len(where.statement) == 1:
        yield from (Completion(key, "setting", about=about) for key, about in kind_docs.header_docs().items())


def _given(view: EditorView, section: str) -> set[str]:
    """Keys that a section has already; a study may have its own several times."""
    if section == "study":
        return set()
    return {
        setting.key.text
        for statement in view.document.statements
        if isinstance(statement, Section) and statement.name.text == section
        for setting in statement.settings
    }
