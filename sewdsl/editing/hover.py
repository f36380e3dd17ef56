"""What is said of the thing under the cursor, as Markdown."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.checks.expectation import MEASURED, compute_quantity, quantities
from sewdsl.diagnostics import Severity
from sewdsl.editing import kind_docs
from sewdsl.editing.cursor import nodes_at
from sewdsl.editing.editor_view import EditorView
from sewdsl.editing.item_summary import item_flows, summarize_item
from sewdsl.editing.neuron_names import describe_equation_token, describe_name, name_at
from sewdsl.editing.references import Named, value_at
from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ops import find
from sewdsl.source import Span
from sewdsl.syntax.lexicon import BLOCK_KEYWORDS
from sewdsl.syntax.scanner import token_end, token_start
from sewdsl.syntax.tree import (
    Allow,
    Argument,
    BlockDefinition,
    Call,
    Claim,
    Expect,
    Let,
    MergeOf,
    NeuronDefinition,
    Repeat,
    Section,
    Setting,
    SyntaxNode,
)


class Hover(NamedTuple):
    """What is said, and of which characters."""

    text: str
    span: Span


def hover(view: EditorView, offset: int) -> Hover | None:
    """What there is to say of a place; None: nothing.

    In a statement that cannot be parsed, names alone are known.
    """
    nodes = nodes_at(view.document, offset)
    for depth in range(len(nodes) - 1, -1, -1):
        said = _of(view, nodes[: depth + 1], offset)
        if said is not None:
            return said
    return _of_token(view, offset)


def _of(view: EditorView, nodes: tuple[SyntaxNode, ...], offset: int) -> Hover | None:
    *outer, node = nodes
    match node:
        case Call() if (value := value_at(view, tuple(outer), node, offset)) is not None:
            return Hover(_named_value(view, value), node.span)
        case Call():
            return _of_call(view, node)
        case Let(name=name) if _touches(name.span, offset):
            return Hover(_named_value(view, Named(node, name)), name.span)
        case Repeat() | MergeOf():
            found = summarize_item(view, node)
            name = (node.name.plain or "") if isinstance(node, MergeOf) else ""
            block = view.vocabulary.blocks.get(name)
            text = _block(block) if block is not None else _kind(view, name) if name else ""
            return Hover("\n\n".join(filter(None, (found, text))), node.span) if found or text else None
        case Argument(name=str(name)) if offset <= node.span.start + len(name):
            return _of_argument(view, name, outer, node.span.part(0, len(name)))
        case Setting(key=key) if _touches(key.span, offset):
            section = any(isinstance(above, Section) for above in outer)
            known = {**kind_docs.recipe_docs(), **kind_docs.STUDY} if section else kind_docs.header_docs()
            return Hover(known[key.text], key.span) if key.text in known else None
        case Allow(code=code) if _touches(code.span, offset) and code.text in kind_docs.code_pages():
            return Hover(kind_docs.code_pages()[code.text], code.span)
        case Expect(quantity=quantity) | Claim(quantity=quantity) if _touches(quantity.span, offset):
            return _of_figure(view, quantity.text, quantity.span)
        case BlockDefinition(name=name) if _touches(name.span, offset):
            return Hover(_block(node), name.span)
        case NeuronDefinition() if (word := name_at(node, offset)) is not None:
            return Hover(describe_name(view, node, word.text), word.span)
        case _:
            return None


def _touches(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end


def _of_call(view: EditorView, call: Call) -> Hover | None:
    name = call.name.plain
    found = summarize_item(view, call)
    if name is not None and name in view.vocabulary.blocks:
        text = _block(view.vocabulary.blocks[name])
    else:
        text = _kind(view, name or call.name.span.text, signature=not found)
    return Hover("\n\n".join(filter(None, (found, text))), call.span) if found or text else None


def _named_value(view: EditorView, value: Named) -> str:
    """What flows out of a named value, and the line that names it; of an operand, that it is one."""
    if not isinstance(value.definition, Let):
        return f"An operand of {block_title(value.definition)}."
    signals = dict.fromkeys(str(flow.after) for flow in item_flows(view, value.definition.expression.items[-1]))
    said = [f"`{value.definition.span.text}`"]
    return "\n\n".join([", ".join(f"`{signal}`" for signal in signals), *said] if signals else said)


def _block(definition: BlockDefinition) -> str:
    return f"```sewdsl\n{definition.span.text}\n```"


def _kind(view: EditorView, word: str, *, signature: bool = True) -> str:
    """What a name means that is no block: a kind, with or without compact arguments, or a name of the language."""
    if word in kind_docs.NAMES:
        return kind_docs.NAMES[word]
    kind = view.vocabulary.neurons.find(word) or find(Vocabulary().symbol(word) or "")
    if kind is None or kind.key == "input":
        return ""
    arguments = [f"- `{name}`: {text}" for name, text in kind_docs.field_docs(kind).items()]
    head = f"`{kind_docs.signature(kind)}`" if signature else ""
    return "\n\n".join(filter(None, (head, kind_docs.kind_description(kind), "\n".join(arguments))))


def _of_argument(view: EditorView, name: str, outer: list[SyntaxNode], span: Span) -> Hover | None:
    call = next((node for node in reversed(outer) if isinstance(node, Call | MergeOf)), None)
    if call is None:
        return None
    plain = call.name.plain or ""
    if plain in view.vocabulary.blocks:
        text = kind_docs.NAMES.get(name) or f"A parameter of {block_title(view.vocabulary.blocks[plain])}."
        return Hover(text, span)
    kind = view.vocabulary.neurons.find(plain)
    text = kind_docs.field_docs(kind).get(name, "") if kind else ""
    return Hover(text, span) if text else None


def _of_figure(view: EditorView, quantity: str, span: Span) -> Hover | None:
    network, said = view.compilation.network, view.compilation.diagnostics
    broken = any(d.severity is Severity.ERROR and d.code != "expectation-failed" for d in said)
    if quantity in MEASURED and (network is None or quantity not in quantities(network)):
        return Hover(MEASURED[quantity], span)
    if network is None or broken or quantity not in quantities(network):
        return None
    value = compute_quantity(network, quantity)
    return Hover(f"computed: {value:,}" if isinstance(value, int) else f"computed: {value}", span)


def _of_token(view: EditorView, offset: int) -> Hover | None:
    """What a word means by itself: the keyword of a statement, or a name in one with syntax errors."""
    for line in view.statements:
        for token in (*line.tokens, *(token for entry in line.entries for token in entry)):
            if token_start(token) <= offset < token_end(token):
                if line.neuron:
                    text = describe_equation_token(view, line, token)
                elif line.tokens and token is line.tokens[0] and token in kind_docs.STATEMENTS:
                    text = kind_docs.STATEMENTS[token]
                elif token.type in BLOCK_KEYWORDS.values():
                    text = kind_docs.BLOCK_LINES[token]
                else:
                    text = _kind(view, str(token)) if token.type == "WORD" else ""
                return Hover(text, Span(view.source, token_start(token), token_end(token))) if text else None
    return None
