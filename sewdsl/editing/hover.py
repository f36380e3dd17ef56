"""Markdown documentation of the syntax at an offset."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.checks.expectation import MEASURED, compute_quantity, quantities
from sewdsl.diagnostics import Severity
from sewdsl.editing import EditorView, kind_docs
from sewdsl.editing.cursor import nodes_at
from sewdsl.editing.item_summary import item_flows, summarize_item
from sewdsl.elaborate.name_table import Meaning
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import BLOCK_KEYWORDS, POINTWISE
from sewdsl.syntax.scanner import token_end, token_start


class Hover(NamedTuple):
    """Documentation, and the span that it describes."""

    text: str
    span: Span


def hover(view: EditorView, offset: int) -> Hover | None:
    """Return the documentation at an offset, or None. In a statement with syntax errors, only names are documented."""
    nodes = nodes_at(view.document, offset)
    # The innermost node with documentation wins.
    for depth in range(len(nodes) - 1, -1, -1):
        result = _of(view, nodes[: depth + 1], offset)
        if result is not None:
            return result
    use = view.names.at(offset)
    # A name that an equation reads without a definition has no documentation.
    if use is not None and (text := _of_meaning(view, use.meaning)):
        return Hover(text, use.span)
    return _of_token(view, offset)


def _of_meaning(view: EditorView, meaning: Meaning) -> str:
    """Return the documentation of a name inside a word, such as ``Eye`` in ``freeze Eye.*``."""
    match meaning.scope:
        case tree.NeuronDefinition() as neuron:
            return _of_equation_name(view, neuron, meaning.name)
        case tree.BlockDefinition() as block if meaning.family != "value":
            return _block(block)
        case _:
            return _named_value(view, meaning)


def _of(view: EditorView, nodes: tuple[tree.SyntaxNode, ...], offset: int) -> Hover | None:
    *outer, node = nodes
    match node:
        case tree.Call() | tree.MergeOf() | tree.Repeat() | tree.Pointwise():
            return _of_item(view, node)
        case tree.Argument(name=str(name)) if offset <= node.span.start + len(name):
            return _of_argument(view, name, outer, node.span.part(0, len(name)))
        case tree.Setting(key=key) if _touches(key.span, offset):
            section = any(isinstance(above, tree.Section) for above in outer)
            docs = {**kind_docs.recipe_docs(), **kind_docs.STUDY} if section else kind_docs.header_docs()
            return Hover(docs[key.text], key.span) if key.text in docs else None
        case tree.Allow(code=code) if _touches(code.span, offset) and code.text in kind_docs.code_pages():
            return Hover(kind_docs.code_pages()[code.text], code.span)
        case tree.Expect(quantity=quantity) | tree.Claim(quantity=quantity) if _touches(quantity.span, offset):
            return _of_figure(view, quantity.text, quantity.span)
        case _:
            return None


def _touches(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end


def _of_item(view: EditorView, item: tree.Item) -> Hover | None:
    """Return the signals of an item, and the documentation of its name."""
    meaning = view.names.meaning(item.name) if isinstance(item, tree.Call | tree.MergeOf) else None
    if meaning is not None and meaning.family == "value":
        return Hover(_named_value(view, meaning), item.span)
    # The signals come first. For a call without signals, the signature of its kind is added.
    flow, text = summarize_item(view, item), ""
    if meaning is not None and isinstance(meaning.definition, tree.BlockDefinition):
        text = _block(meaning.definition)
    elif isinstance(item, tree.Call):
        text = _kind(view, item.name.plain or item.name.span.text, signature=not flow)
    elif isinstance(item, tree.Pointwise):
        text = kind_docs.NAMES[POINTWISE]
    elif isinstance(item, tree.MergeOf):
        text = _kind(view, item.name.plain or "")
    return Hover("\n\n".join(filter(None, (flow, text))), item.span) if flow or text else None


def _named_value(view: EditorView, value: Meaning) -> str:
    """Return the signals and the definition of a named value."""
    line = value.definition
    if isinstance(line, tree.Setting):
        return f"An input, `{line.span.text}`."
    if not isinstance(line, tree.Let):
        return f"An operand of {value.title}."
    signals = dict.fromkeys(str(flow.after) for flow in item_flows(view, line.expression.items[-1]))
    shapes = ", ".join(f"`{signal}`" for signal in signals)
    return "\n\n".join(filter(None, (shapes, f"`{line.span.text}`")))


def _block(definition: tree.BlockDefinition) -> str:
    return f"```sewdsl\n{definition.span.text}\n```"


def _kind(view: EditorView, word: str, *, signature: bool = True) -> str:
    """Return the documentation of a kind, or of a name of the language."""
    if word in kind_docs.NAMES:
        return kind_docs.NAMES[word]
    kind = view.vocabulary.any_kind(word)
    if kind is None or kind.key == "input":
        return ""
    arguments = [f"- `{name}`: {text}" for name, text in kind_docs.field_docs(kind).items()]
    head = f"`{kind_docs.signature(kind)}`" if signature else ""
    return "\n\n".join(filter(None, (head, kind_docs.kind_description(kind), "\n".join(arguments))))


def _of_argument(view: EditorView, name: str, outer: list[tree.SyntaxNode], span: Span) -> Hover | None:
    call = next((node for node in reversed(outer) if isinstance(node, tree.Call | tree.MergeOf)), None)
    if call is None:
        return None
    meaning = view.names.meaning(call.name)
    if meaning is not None and isinstance(meaning.definition, tree.BlockDefinition):
        return Hover(kind_docs.NAMES.get(name) or f"A parameter of {meaning.title}.", span)
    kind = view.vocabulary.any_kind(call.name.plain or "")
    text = kind_docs.field_docs(kind).get(name, "") if kind else ""
    return Hover(text, span) if text else None


def _of_equation_name(view: EditorView, neuron: tree.NeuronDefinition, name: str) -> str:
    """Return the documentation of a name in the definition of a neuron."""
    if name == neuron.name.text:
        kind = view.vocabulary.neurons.own.get(name)
        return kind_docs.kind_description(kind) if kind is not None else f"```sewdsl\n{neuron.span.text}\n```"
    if any(word.text == name for word in neuron.inputs):
        return f"An input of {neuron.name.text}."
    for parameter in neuron.parameters:
        if parameter.name.text == name:
            return f"A parameter of {neuron.name.text}, default {parameter.default.span.text}."
    lines = [
        f"`{' '.join(each.span.text.split())}`"
        for each in neuron.equations
        if isinstance(each, tree.Learn | tree.StateDeclaration | tree.Assignment) and each.name.text == name
    ]
    return "\n\n".join(filter(None, (kind_docs.EQUATION_NAMES.get(name, ""), *lines)))


def _of_figure(view: EditorView, quantity: str, span: Span) -> Hover | None:
    network, diagnostics = view.compilation.network, view.compilation.diagnostics
    # Values of a network with errors may be wrong. Failed expectations do not change them.
    has_errors = any(d.severity is Severity.ERROR and d.code != "expectation-failed" for d in diagnostics)
    if quantity in MEASURED and (network is None or quantity not in quantities(network)):
        return Hover(MEASURED[quantity], span)
    if network is None or has_errors or quantity not in quantities(network):
        return None
    value = compute_quantity(network, quantity)
    return Hover(f"computed: {value:,}" if isinstance(value, int) else f"computed: {value}", span)


def _of_token(view: EditorView, offset: int) -> Hover | None:
    """Return the documentation of a token: a keyword, or a name in a statement with syntax errors."""
    # Statements with syntax errors have tokens, but no nodes.
    for line in view.statements:
        for token in (*line.tokens, *(token for entry in line.entries for token in entry)):
            if token_start(token) <= offset < token_end(token):
                if line.neuron and token is not line.tokens[0]:
                    equation_words = {**kind_docs.EQUATION_LINES, **kind_docs.FUNCTIONS, **kind_docs.EQUATION_NAMES}
                    text = equation_words.get(str(token), "")
                elif line.tokens and token is line.tokens[0] and token in kind_docs.STATEMENTS:
                    text = kind_docs.STATEMENTS[token]
                elif token.type in BLOCK_KEYWORDS.values():
                    text = kind_docs.BLOCK_LINES[token]
                else:
                    text = _kind(view, str(token)) if token.type == "WORD" else ""
                return Hover(text, Span(view.source, token_start(token), token_end(token))) if text else None
    return None
