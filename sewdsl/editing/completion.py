"""Completion: the text that can be inserted at an offset."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, pairwise, takewhile
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
from sewdsl.elaborate.init_lines import INIT
from sewdsl.elaborate.study_section import METHODS, SCALES
from sewdsl.elaborate.text_files import net_files
from sewdsl.elaborate.train_section import LOSS, PARTS, TARGET
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.op import Activation, Join, Merge
from sewdsl.ir.recipe import Loss, Recipe
from sewdsl.source import Span
from sewdsl.syntax import lexicon
from sewdsl.syntax.tree import Section

if TYPE_CHECKING:
    from lark import Token

MAX_FILES = 200
"""Largest number of files to propose."""


class Completion(NamedTuple):
    """Proposed text, with a short remark next to it, and documentation in Markdown, as shown on hover."""

    text: str
    kind: Literal["statement", "setting", "layer", "join", "block", "argument", "value", "code", "data", "file"]
    detail: str = ""
    about: str = ""


class CompletionList(NamedTuple):
    """Proposals, and the span that they replace."""

    span: Span
    proposals: list[Completion]


def complete(view: EditorView, offset: int, datasets: Collection[str] = ()) -> CompletionList:
    """Return all proposals at an offset. The editor filters them by the text typed so far."""
    context = cursor_context(view.source, offset)
    # In a comment, or the source is too long.
    if context is None:
        return CompletionList(Span(view.source, offset, offset), [])
    return CompletionList(context.written, list(_proposals(view, context, datasets)))


def _proposals(view: EditorView, context: CursorContext, datasets: Collection[str]) -> Iterator[Completion]:
    if context.text is not None:
        return _files(view) if context.first == "_USE" else iter(())
    if context.section and context.name in {"block", "part"}:
        if not context.statement:
            return (Completion(word, "statement", about=about) for word, about in kind_docs.BLOCK_LINES.items())
        # Before the equals sign, a new name is typed.
        defined = context.first == "_GIVE" or any(token.type == "_EQUAL" for token in context.statement)
        return _items(view, context) if defined else iter(())
    if context.section and context.name == lexicon.NEURON:
        return _equation(context)
    if context.section:
        return _entries(view, context)
    match context.first:
        case "":
            return _statements(view)
        case "_BODY":
            return _items(view, context)
        case "_BLOCK" | "_PART" | "_LET":
            return _items(view, context) if any(token.type == "_EQUAL" for token in context.statement) else iter(())
        case "_ALLOW":
            codes = kind_docs.code_pages() if len(context.statement) == 1 else {}
            return (Completion(code, "code", about=page) for code, page in codes.items())
        case "_EXPECT" | "_CLAIM":
            network = view.compilation.network
            names = quantities(network) if network is not None else QUANTITIES
            measured = MEASURED if context.first == "_CLAIM" else {}
            docs = {**dict.fromkeys(names, ""), **{name: text for name, text in measured.items() if name not in names}}
            return (
                Completion(name, "value", about=about) for name, about in docs.items() if len(context.statement) == 1
            )
        case "SECTION" if len(context.statement) == 1:
            return iter([Completion("on", "statement", about="Dataset to train on.")])
        case "SECTION" if context.last == "_ON":
            return (Completion(name, "data") for name in datasets)
        case "KEY" if context.opened:
            return _arguments(view, context)
        case "KEY" if context.key == OUTPUTS:
            return _named_values(context)
        case "KEY" if len(context.statement) == 1 or context.key == INIT:
            network = view.compilation.network if context.key == INIT and len(context.statement) == 1 else None
            parts = () if network is None else (Completion(name, "value") for name in part_names(network))
            return chain(_of_type(view, _HEADER.get(context.key)), parts)
        case "KEY" if (
            context.key == "input" and context.last in {"INTEGER", "SIZE"} and lexicon.OF not in context.statement
        ):
            about = "Number of values of an input of integers from 0: `128 of 30522`."
            return iter([Completion(lexicon.OF, "statement", about=about)])
        case _:
            return iter(())


def _equation(context: CursorContext) -> Iterator[Completion]:
    """Propose keywords, functions and defined names in the equations of a neuron."""
    tokens, last = context.statement, context.last
    if context.first == "_LEARN" and (len(tokens) == len(("learn", "NAME")) or last == "_RSQB"):
        yield Completion(lexicon.PER, "statement", about=kind_docs.EQUATION_LINES[lexicon.PER])
        return
    if last == "_PER" or (last == "_COMMA" and any(token.type == "_PER" for token in tokens)):
        yield from (Completion(axis, "statement", about=kind_docs.EQUATION_LINES[axis]) for axis in lexicon.AXES)
        return
    # After a complete equation, the next one may start.
    if not tokens or last in {"WORD", "INTEGER", "DECIMAL", "_RPAR"}:
        yield from (
            Completion(word, "statement", about=kind_docs.EQUATION_LINES[word]) for word in lexicon.EQUATION_KEYWORDS
        )
    if tokens and last not in {"WORD", "INTEGER", "DECIMAL", "_RPAR", "_LEARN", "_STATE"}:
        yield from (Completion(f"{name}(", "layer", about=about) for name, about in kind_docs.FUNCTIONS.items())
        lines = statements_before(context.written.source, context.written.start)
        # Names of parameters are in the head, names of equations in the preceding entries.
        head = [token for entry in (lines[-1].tokens[2:], *lines[-1].entries) for token in entry] if lines else []
        words = dict.fromkeys(str(token) for token in (*head, *tokens) if token.type == "WORD")
        # With names in brackets, x has no meaning of its own.
        named = bool(lines) and any(token.type == "_LSQB" for token in lines[-1].tokens)
        names = {
            **{name: about for name, about in kind_docs.EQUATION_NAMES.items() if name != lexicon.INPUT or not named},
            **{word: "" for word in words if word not in {*kind_docs.FUNCTIONS, *lexicon.AXES}},
        }
        yield from (Completion(name, "value", about=kind_docs.EQUATION_NAMES.get(name, "")) for name in names)


def _statements(view: EditorView) -> Iterator[Completion]:
    assembly = view.compilation.assembly
    docs = kind_docs.header_docs()
    for key in HEADER:
        if not assembly or key not in assembly.settings:
            yield Completion(key, "setting", about=docs[key])
    for word, about in kind_docs.STATEMENTS.items():
        yield Completion(word, "statement", about=about)


def _named_values(context: CursorContext) -> Iterator[Completion]:
    """Propose the preceding named values of the block or file, for the start of a sequence."""
    if not context.section and context.first in lexicon.DEFINES_BLOCK:
        yield from (Completion(str(token), "value") for token in _operands(context.statement))
        return
    lines = statements_before(context.written.source, context.written.start)
    if context.section:
        yield from (Completion(str(token), "value") for token in _operands(lines[-1].tokens))
    rows = lines[-1].entries if context.section else [line.tokens for line in lines]
    if not context.section:
        named_inputs = (row for row in rows[:-1] if row[0] == "input" and len(row) > len(("input", "NAME")))
        yield from (Completion(str(row[1]), "value") for row in named_inputs if row[1].type == "WORD")
    yield from (Completion(str(row[1]), "value") for row in rows[:-1] if row[0].type == "_LET" and len(row) > 1)


def _operands(tokens: list[Token]) -> list[Token]:
    """Return the names of a block's operands, from the tokens of its head."""
    names: list[Token] = []
    opened: list[str] = []
    for token in tokens:
        # The head ends at the equals sign or the brace.
        if not opened and token.type in {"_EQUAL", "LBRACE"}:
            break
        if token.type in lexicon.OPENERS:
            opened.append(token.type)
        elif token.type in lexicon.CLOSERS and opened:
            opened.pop()
        elif opened == ["_LSQB"] and token.type == "WORD":
            names.append(token)
    return names


def _files(view: EditorView) -> Iterator[Completion]:
    """Propose the files of the project, by their path relative to this file."""
    if view.file is None:
        return
    folder, current = view.reach.project or project_folder(view.file), view.file.resolve()
    for path in net_files(folder, MAX_FILES):
        if path.resolve() != current:
            yield Completion(Path(relpath(path, current.parent)).as_posix(), "file")


# --- expressions -------------------------------------------------------------------------------------------


def _items(view: EditorView, context: CursorContext) -> Iterator[Completion]:
    bracket = context.opened[-1][0] if context.opened else ""
    if any(kind == "LBRACE" and context.statement[index - 1] == lexicon.POINTWISE for kind, index in context.opened):
        yield Completion(lexicon.INPUT, "value", about=kind_docs.EQUATION_NAMES[lexicon.INPUT])
        yield from (Completion(f"{name}(", "layer", about=about) for name, about in kind_docs.FUNCTIONS.items())
    elif bracket == "_OPEN":
        yield from _parameters(context)
    elif bracket == "_LPAR":
        yield from _arguments(view, context)
    elif context.last in {"_BODY", "_GIVE", "_EQUAL", "_DASH", "LBRACE", "LESS", "_LSQB", "_BAR", "_OR"}:
        if context.last != "_DASH":
            yield from _named_values(context)
        yield from _layers(view)
        if "_LSQB" in {kind for kind, _ in context.opened}:
            yield Completion("id", "value", about=kind_docs.NAMES["id"])
    elif context.last in {"WORD", "_RPAR"} and context.opened and any(token.type == "_BAR" for token in context.inner):
        yield Completion("or", "statement", about=kind_docs.NAMES["id"])


def _layers(view: EditorView) -> Iterator[Completion]:
    for key, definition in view.vocabulary.blocks.items():
        origin = f"own {definition.keyword}" if key in view.vocabulary.own else "shipped block"
        yield Completion(block_title(definition), "block", origin, f"```sewdsl\n{definition.span.text}\n```")
    neurons = ((name, view.vocabulary.neurons.find(name)) for name in view.vocabulary.neurons.names(Activation))
    for name, kind in {**view.vocabulary.layers, **dict(neurons)}.items():
        # The input is a statement and no layer of a sequence.
        if kind is not None and kind.key != "input":
            yield _of_kind(name, kind, "layer")
    yield Completion("SN", "layer", about=kind_docs.NAMES["SN"])
    yield Completion(f"{lexicon.POINTWISE}{{", "layer", about=kind_docs.NAMES[lexicon.POINTWISE])
    yield Completion("g[", "join", about=kind_docs.NAMES["g"])
    for name in sorted(view.vocabulary.neurons.names(Merge)):
        merge = view.vocabulary.neurons.find(name)
        if merge is not None:
            yield Completion(f"{name}[", "join", about=kind_docs.kind_description(merge))


def _of_kind(name: str, kind: type[Kind], what: Literal["layer", "value", "join"]) -> Completion:
    return Completion(name, what, kind_docs.signature(kind), kind_docs.kind_description(kind))


def _parameters(context: CursorContext) -> Iterator[Completion]:
    """Propose the parameters of the block under definition, inside ``$(…)``."""
    if context.first != "_BLOCK" or context.last not in {"_OPEN", "_LPAR", "_PLUS", "_DASH", "_STAR", "_SLASH"}:
        return
    # Parameters follow a parenthesis or a comma.
    for before, token in pairwise(takewhile(lambda token: token.type != "_RPAR", context.statement)):
        if before.type in {"_LPAR", "_COMMA"}:
            yield Completion(str(token), "argument")


def _arguments(view: EditorView, context: CursorContext) -> Iterator[Completion]:
    """Propose names of arguments after a bracket or a comma, and values after ``=``."""
    name = _called(context)
    inner = context.inner
    if context.last in {"_LPAR", "_COMMA"}:
        # Do not propose arguments that the call has already.
        present = {str(a) for a, b in pairwise(inner) if b.type == "_EQUAL"}
        yield from (p for p in _names(view, name) if p.text.removesuffix("=") not in present)
    elif context.last == "_EQUAL" and len(context.statement) > 1:
        argument, kind = str(context.statement[-2]), view.vocabulary.any_kind(name)
        # Every block takes a join and a neuron, in addition to its parameters.
        if name in view.vocabulary.blocks and argument in {"g", "SN"}:
            yield from _kinds(view, Join if argument == "g" else Activation)
        elif kind is not None and argument in argument_fields(kind):
            yield from _of_type(view, argument_fields(kind)[argument].annotation)


def _called(context: CursorContext) -> str:
    """Return the name before the innermost bracket, without white space."""
    before = context.statement[: len(context.statement) - len(context.inner) - 1]
    words: list[str] = []
    # Names of blocks may have several words.
    while before and before[-1].type == "WORD":
        words.insert(0, str(before.pop()))
    return "".join(words)


def _names(view: EditorView, name: str) -> Iterator[Completion]:
    block = view.vocabulary.blocks.get(name)
    if block is not None:
        for parameter in block.parameters:
            default = parameter.default.span.text if parameter.default else ""
            yield Completion(parameter.name, "argument", default and f"default: {default}")
        yield Completion("g=", "argument", about=kind_docs.NAMES["g"])
        yield Completion("SN=", "argument", about=kind_docs.NAMES["SN"])
        return
    kind = view.vocabulary.any_kind(name)
    if kind is not None:
        letters = set(kind.letters().values())
        for field, about in kind_docs.field_docs(kind).items():
            # Arguments with a letter are written in compact form: c32k3.
            if field not in letters:
                yield Completion(f"{field}=", "argument", about=about)


def _of_type(view: EditorView, annotation: Any) -> Iterator[Completion]:
    """Propose the values of a field, if its type has finitely many."""
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
    kinds = ((name, view.vocabulary.neurons.find(name)) for name in sorted(view.vocabulary.neurons.names(family)))
    return (_of_kind(name, kind, "value") for name, kind in kinds if kind is not None)


# --- settings ----------------------------------------------------------------------------------------------

_HEADER: dict[str, Any] = {
    "encode": Literal["none", "direct"],
    "neuron": Activation,
    "join": Join,
    "init": InitRule | Literal["zero"],
    "readout": Literal["mean", "sum", "last"],
}
"""Types of the header keys with a finite list of values."""


def _entries(view: EditorView, context: CursorContext) -> Iterator[Completion]:
    """Propose keys and values in a section."""
    if context.key == LOSS and [*map(str, context.statement[-2:])] == [TARGET, "="]:
        outputs = view.compilation.network.outputs if view.compilation.network is not None else ()
        return (Completion(name, "value") for name in ("input", "teacher", *(name for name, _ in outputs)))
    if context.opened:
        return _arguments(view, context)
    if context.statement:
        field = Recipe.model_fields.get(context.key) if context.name == "train" else None
        if context.key == LOSS and len(context.statement) > 1:
            return _kinds(view, Loss)
        if context.name == "study":
            return _studied(view, context)
        if field and context.key in PARTS and view.compilation.network is not None:
            return (Completion(name, "value") for name in part_names(view.compilation.network))
        return _of_type(view, field.annotation) if field and len(context.statement) == 1 else iter(())
    docs = kind_docs.STUDY if context.name == "study" else kind_docs.recipe_docs()
    present = _given(view, context.name)
    return (Completion(key, "setting", about=about) for key, about in docs.items() if key not in present)


def _studied(view: EditorView, context: CursorContext) -> Iterator[Completion]:
    if context.key == "probe":
        yield from (Completion(word, "value") for word in ("rates", "gradients"))
    elif context.key == "search" and len(context.statement) == 1:
        yield from (Completion(f"{method}(trials=20)", "value") for method in METHODS)
    elif context.key == "vary" and len(context.statement) == len(("vary", "KEY")):
        yield from (Completion(scale, "value", about="Range between two numbers.") for scale in SCALES)
    elif context.key == "vary" and len(context.statement) == 1:
        network = view.compilation.network
        recipe = {f"train.{key}": value for key, value in ((network and network.recipe) or ())}
        docs = kind_docs.header_docs() | {f"train.{key}": about for key, about in kind_docs.recipe_docs().items()}
        for key, kind in {"neuron": network and network.settings.neuron, **recipe}.items():
            if isinstance(kind, Kind):
                docs |= {f"{key}.{name}": about for name, about in kind_docs.field_docs(type(kind)).items()}
        yield from (Completion(key, "setting", about=about) for key, about in docs.items())


def _given(view: EditorView, section: str) -> set[str]:
    """Return the keys that a section has already."""
    # Keys of a study may be repeated.
    if section == "study":
        return set()
    return {
        setting.key.text
        for statement in view.document.statements
        if isinstance(statement, Section) and statement.name.text == section
        for setting in statement.settings
    }
