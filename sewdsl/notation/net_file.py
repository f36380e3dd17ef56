"""A network as the text of a ``.net`` file, with sequences broken over lines."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.elaborate.header import RANKS
from sewdsl.elaborate.neuron_kinds import is_shipped
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import LISTS, Recipe
from sewdsl.ir.settings import Expectation
from sewdsl.notation.compact_text import UNLIMITED, body_with_own_blocks
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    Definition,
    MergeText,
    RepeatText,
    TextItem,
    TextItems,
    UnwritableNetwork,
    definition_head,
    item_text,
    items_text,
    let_head,
    outputs_text,
    prefixed_operands,
    split_lets,
    walk_items,
)
from sewdsl.notation.kind_text import kind_text, quote_text, value_text
from sewdsl.ops.input import Input
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, VERSION

WIDTH = 120
"""Characters of a line."""
MIN_LINE_LENGTH = 40
"""Characters of a line that follow its indentation, however deep that is."""
STEP = 4
"""By how much the formatter indents what is inside of brackets."""


def wrap_sequence(items: TextItems, indent: int, used: int = 0) -> str:
    """A sequence that goes on in the next line where a line is full, after a ``-``; joins are opened up.

    Args:
        indent: Blanks that the formatter will put in front of each line.
        used: Characters that precede the sequence in its first line; others are as short.
    """
    whole, room = items_text(items), max(WIDTH - indent - used, MIN_LINE_LENGTH)
    return whole if len(whole) <= room else "\n".join(_lines(items, indent, room))


def _lines(items: TextItems, indent: int, room: int) -> Iterator[str]:
    line = ""
    for place, item in enumerate(items):
        dash = "-" if place < len(items) - 1 else ""
        flat = item_text(item) + dash
        if len(line) + len(flat) <= room:
            line += flat
            continue
        if line:
            yield line
        line = flat
        if len(flat) > room:
            *full, last = _opened(item, indent)
            yield from full
            line = last + dash
    if line:
        yield line


def _opened(item: TextItem, indent: int) -> list[str]:
    """An item that is longer than a line, over several."""
    match item:
        case MergeText(name):
            lines = [f"{name}["]
            for place, (prefix, operand) in enumerate(prefixed_operands(item)):
                head = f"| {prefix}" if place else prefix
                lines += (head + wrap_sequence(operand, indent + STEP, len(head))).split("\n")
            return [*lines, "]"]
        case RepeatText(inner, count):
            return ["{", *wrap_sequence(inner, indent + STEP).split("\n"), f"}}*{count}"]
        case _:
            return [item_text(item)]


def write_net(network: Network, name: str | None = None) -> str:
    """The text of a file that compiles to a network: the same layers, arguments, edges, settings, recipe and figures.

    Names and paths of nodes, and with them the keys of a ``state_dict``, are those that the compiler gives.

    Args:
        network: Any network; its paths say what blocks of its own are called, and where blocks without a join are.
        name: What to call it; None: as it is called. Quotes and ends of line become blanks, all others stay.

    Raises:
        UnwritableNetwork: no text of the language gives this network; the message names a node.
    """
    definitions, _, items = body_with_own_blocks(network)
    neurons = "".join(f"{text}\n\n" for text in neuron_definitions(network))
    try:
        header = "".join(f"{line}\n" for line in _header(network, name or network.name, items))
        figures = "".join(f"{_figure(item)}\n" for item in network.expectations)
        recipe = _recipe(network.recipe) if network.recipe is not None else ""
    except ValueError as error:
        raise UnwritableNetwork(None, str(error)) from error
    lets, rest = split_lets(items)
    heads = [(let_head(let), let.items) for let in lets]
    body = "".join(f"{head}{wrap_sequence(row, HEADER_VALUE_COLUMN, len(head))}\n" for head, row in heads)
    last = outputs_text(network) if network.outputs else f"body {wrap_sequence(rest, HEADER_VALUE_COLUMN)}"
    body += f"{last}\n"
    text = neurons + "\n".join(filter(None, (*map(_block, definitions), header + body, figures, recipe)))
    return format_source(Source(network.name, f"sewdsl {VERSION}\n\n{text}"), UNLIMITED)


def neuron_definitions(network: Network) -> list[str]:
    """The texts of the neurons that a network's own text defines, each once; those of the library need none.

    Raises:
        UnwritableNetwork: two of one name differ.
    """
    found: dict[str, type[Kind]] = {}
    for node in network:
        kind = node.op.named()
        if found.setdefault(kind.kind, kind) is not kind:
            raise UnwritableNetwork(node, f"there is another {kind.kind}")
    if network.settings.neuron is not None:
        found.setdefault(network.settings.neuron.kind, network.settings.neuron.named())
    own = (kind for kind in found.values() if kind.defined_by_text and not is_shipped(kind))
    return [kind.definition_text() for kind in own]


def _block(definition: Definition) -> str:
    head = definition_head(definition)
    return f"{head}{wrap_sequence(fold_repeats(definition.items), 0, len(head))}\n"


def _header(network: Network, name: str, items: TextItems) -> Iterator[str]:
    settings, source = network.settings, network.nodes[0].op
    if source != Input(shape=settings.input, varies=settings.encode == "none"):
        raise UnwritableNetwork(network.nodes[0], f"it is not the input that the settings say: {settings.input}")
    if len(settings.input) not in RANKS:
        raise UnwritableNetwork(network.nodes[0], f"an input has 1 to 3 lengths, not {len(settings.input)}")
    plain = "".join(" " if letter in '"\r\n' else letter for letter in name)
    if plain.strip():
        yield f"network {quote_text(plain)}"
    yield f"input {format_value(settings.input)}"
    yield f"steps {settings.steps}"
    if settings.encode != "none":
        yield f"encode {settings.encode}"
    if settings.neuron is not None:
        yield f"neuron {kind_text(settings.neuron, lambda left: left.over_steps(settings.steps))}"
    join = value_text(settings.join)
    if join != "ADD" or any(isinstance(item, MergeText) and isinstance(item.op, Join) for item in walk_items(items)):
        yield f"join {join}"
    chosen = (settings.init, settings.init != "default"), ("zero", settings.zero_init)
    words = [word for word, said in chosen if said]
    if words:
        yield f"init {' '.join(words)}"
    if settings.readout != "mean":
        yield f"readout {settings.readout}"


def _figure(item: Expectation) -> str:
    key = "expect" if item.binding else "claim"
    source = f" {quote_text(item.source)}" if item.source and not item.binding else ""
    return f"{key} {item.quantity} {item.value}{source}"


def _recipe(recipe: Recipe) -> str:
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in Recipe.model_fields.items()
    }
    given = ((name, value) for name, value in recipe if name != "on" and value != defaults[name])
    texts = {
        name: " ".join(map(value_text, value)) if name in LISTS and value else value_text(value)
        for name, value in given
    }
    lines = [f"    {name} {text}\n" for name, text in texts.items()]
    return f"train on {recipe.on} {{\n{''.join(lines)}}}\n"
