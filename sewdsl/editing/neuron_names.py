"""The names of neurons that a text defines, and those in their equations: what they mean, where, and other ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.editing import kind_docs
from sewdsl.editing.cursor import nodes_at, walk_syntax
from sewdsl.editing.editor_view import EditorView
from sewdsl.elaborate.neuron_kinds import LIBRARY, shipped_neurons
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.read_equations import FUNCTIONS, GIVEN_NAMES, POTENTIAL, SETTINGS, names_in
from sewdsl.source import Span
from sewdsl.syntax.lexicon import AXES, EQUATION_KEYWORDS, OWN_NEURON, PER
from sewdsl.syntax.tree import Argument, Assignment, Call, Learn, Let, NeuronDefinition, StateDeclaration, Word

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.statements import Lines

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
RESERVED = frozenset({*GIVEN_NAMES, *SETTINGS, *FUNCTIONS, *EQUATION_KEYWORDS, PER, POTENTIAL})
"""What no parameter, and nothing that an equation defines, can be called."""


@dataclass(frozen=True)
class NeuronReferent:
    """What a name at some place means.

    Attributes:
        definition: The neuron, or the neuron in whose equations the name is.
        inner: The name in its equations, or of its parameter; None: the neuron itself.
        place: The name at that place.
    """

    definition: NeuronDefinition
    inner: str | None
    place: Span

    @property
    def key(self) -> str:
        """The neuron's name, which every text that means it says."""
        return self.definition.name.text

    @property
    def name(self) -> str:
        """What would be renamed."""
        return self.definition.name.text if self.inner is None else self.inner

    @property
    def shipped(self) -> bool:
        """Whether the neuron comes with sewdsl."""
        return Path(self.definition.span.source.name).name == LIBRARY and self.definition in shipped_neurons().values()


def names_of(definition: NeuronDefinition) -> Iterator[Word]:
    """Every name in a definition but the neuron's own and those of functions, in the order of the text."""
    yield from (parameter.name for parameter in definition.parameters)
    yield from names_in(definition.equations)


def name_at(definition: NeuronDefinition, offset: int) -> Word | None:
    """The name at a place of a definition, the neuron's own among them."""
    words = (definition.name, *names_of(definition))
    return next((word for word in words if word.span.start <= offset <= word.span.end), None)


def neuron_referent_at(view: EditorView, offset: int) -> NeuronReferent | None:
    """The neuron, or the name in one, at a place; None: there is none."""
    nodes = nodes_at(view.document, offset, ending=True)
    for index, node in enumerate(nodes):
        if isinstance(node, NeuronDefinition):
            word = name_at(node, offset)
            if word is None or word.text in GIVEN_NAMES:
                return None
            return NeuronReferent(node, None if word is node.name else word.text, word.span)
        if isinstance(node, Call) and node.name.span.start <= offset <= node.name.span.end:
            definition = _definition(view, node)
            if definition is not None:
                return NeuronReferent(definition, None, node.name.span)
        if isinstance(node, Argument) and node.name is not None and offset <= node.span.start + len(node.name):
            call = next((above for above in reversed(nodes[:index]) if isinstance(above, Call)), None)
            definition = _definition(view, call) if call is not None else None
            if definition is not None and node.name in {each.name.text for each in definition.parameters}:
                return NeuronReferent(definition, node.name, node.span.part(0, len(node.name)))
    return None


def _definition(view: EditorView, call: Call) -> NeuronDefinition | None:
    """The definition of the neuron that a call names: that in the text, or else that of the library."""
    name = call.name.plain or ""
    assembly = view.compilation.assembly
    own = assembly.neurons.get(name) if assembly is not None else None
    if own is not None or name in view.vocabulary.blocks or find(name) is not None:
        return own
    return shipped_neurons().get(name)


def neuron_definition_span(found: NeuronReferent) -> Span:
    """Where what is named is defined."""
    if found.inner is None:
        return found.definition.name.span
    return next(word.span for word in names_of(found.definition) if word.text == found.inner)


def neuron_references(views: Iterable[EditorView], found: NeuronReferent) -> Iterator[tuple[Span, bool]]:
    """Every place in some texts that refers to a neuron or to a name in it, and whether it is the definition."""
    first = neuron_definition_span(found)
    for view in views:
        for node in walk_syntax(view.document):
            if isinstance(node, NeuronDefinition) and _same(node, found.definition):
                inner = names_of(node) if found.inner is not None else [node.name]
                words = [word for word in inner if word.text == found.name]
                yield from ((word.span, word.span.start == first.start) for word in words)
            elif isinstance(node, Call) and (definition := _definition(view, node)) is not None:
                if not _same(definition, found.definition):
                    continue
                if found.inner is None:
                    yield node.name.span, False
                for argument in node.arguments:
                    if argument.name == found.inner and argument.name is not None:
                        yield argument.span.part(0, len(argument.name)), False


def _same(one: NeuronDefinition, other: NeuronDefinition) -> bool:
    """Whether two are the same definition, perhaps read twice."""
    places = [Path(each.span.source.name).resolve() for each in (one, other)]
    return one.span.start == other.span.start and places[0] == places[1]


def neuron_rename_problem(views: list[EditorView], found: NeuronReferent, name: str) -> str:
    """Why a neuron, or something in one, cannot have a name; empty: it can."""
    if found.shipped:
        return f"'{found.definition.name.text}' comes with sewdsl"
    if not _NAME.fullmatch(name):
        return f"a name is letters, digits and underscores, unlike '{name}'"
    for view in views:
        for span in view.unread:
            if re.search(rf"\b{re.escape(found.name)}\b", span.text):
                return f"line {span.line} has a syntax error, and says '{found.name}': fix it first"
    if found.inner is not None:
        return _inner_problem(views, found, name)
    if find(name) is not None or Vocabulary().complete(name):
        return f"'{name}' is a name of the language"
    taken: set[str] = set()
    for view in views:
        values = (each.name.text for each in view.document.statements if isinstance(each, Let))
        taken |= {*view.vocabulary.blocks, *view.vocabulary.neurons.own, *values}
    return f"there is something called '{name}' already" if name != found.name and name in taken else ""


def _inner_problem(views: list[EditorView], found: NeuronReferent, name: str) -> str:
    if found.inner in RESERVED or name in RESERVED:
        return f"'{found.inner if found.inner in RESERVED else name}' has a meaning of its own in equations"
    if name != found.inner and name in {word.text for word in names_of(found.definition)}:
        return f"'{found.definition.name.text}' has a name '{name}' already"
    if found.inner in {parameter.name.text for parameter in found.definition.parameters}:
        for view in views:
            for node in walk_syntax(view.document):
                if (
                    isinstance(node, Call)
                    and node.name.plain == OWN_NEURON
                    and any(argument.name == found.inner for argument in node.arguments)
                ):
                    return f"line {node.span.line} says '{found.inner}' of {OWN_NEURON}: change that first"
    return ""


# --- what is said of names


def describe_name(view: EditorView, definition: NeuronDefinition, name: str) -> str:
    """What a name in a definition means, as Markdown."""
    if name == definition.name.text:
        kind = view.vocabulary.neurons.own.get(name)
        return kind_docs.kind_description(kind) if kind is not None else f"```sewdsl\n{definition.span.text}\n```"
    for parameter in definition.parameters:
        if parameter.name.text == name:
            return f"A parameter of {definition.name.text}, {parameter.default.span.text} unless a call says otherwise."
    lines = [
        each.span.text
        for each in definition.equations
        if isinstance(each, Learn | StateDeclaration | Assignment) and each.name.text == name
    ]
    said = "\n\n".join(f"`{' '.join(line.split())}`" for line in lines)
    return "\n\n".join(filter(None, (kind_docs.EQUATION_NAMES.get(name, ""), said)))


def describe_equation_token(view: EditorView, line: Lines, token: Token) -> str:
    """What a word of a neuron's definition means by itself: a keyword, a function, a name that every neuron has."""
    if token is line.tokens[0]:
        return kind_docs.STATEMENTS[str(token)]
    kind = view.vocabulary.neurons.find(str(token)) if token in line.tokens else None
    if kind is not None and issubclass(kind, EquationKind):
        return kind_docs.kind_description(kind)
    known = {**kind_docs.EQUATION_LINES, **kind_docs.FUNCTIONS, **kind_docs.EQUATION_NAMES}
    return known.get(str(token), "")


# --- what can be written


def equation_words(tokens: list[Token], head: list[Token]) -> Iterator[tuple[str, str, str]]:
    """What can be written in an equation: its text, whether it is a keyword, a function or a name, and what it says.

    Args:
        tokens: The equation up to the place.
        head: The tokens of the definition before it, its head and its equations so far.
    """
    last = tokens[-1].type if tokens else ""
    if tokens and tokens[0].type == "_LEARN" and len(tokens) == 2:  # noqa: PLR2004 -- its name is complete
        yield PER, "keyword", kind_docs.EQUATION_LINES[PER]
        return
    if last == "_PER" or (last == "_COMMA" and any(token.type == "_PER" for token in tokens)):
        yield from ((axis, "keyword", kind_docs.EQUATION_LINES[axis]) for axis in AXES)
        return
    if not tokens or last in {"WORD", "INTEGER", "DECIMAL", "_RPAR"}:
        yield from ((word, "keyword", kind_docs.EQUATION_LINES[word]) for word in EQUATION_KEYWORDS)
    if tokens and last not in {"WORD", "INTEGER", "DECIMAL", "_RPAR", "_LEARN", "_STATE"}:
        yield from ((f"{name}(", "function", about) for name, about in kind_docs.FUNCTIONS.items())
        words = (str(token) for token in (*head, *tokens) if token.type == "WORD")
        known = dict.fromkeys(word for word in words if word not in {*FUNCTIONS, *AXES})
        yield from (
            (word, "name", kind_docs.EQUATION_NAMES.get(word, "")) for word in {**kind_docs.EQUATION_NAMES, **known}
        )
