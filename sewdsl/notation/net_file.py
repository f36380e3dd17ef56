"""Text of a network as a ``.net`` file, with wrapped lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sewdsl.analysis.named_parts import fold_parts, match_nodes, match_parameters
from sewdsl.elaborate import Context, elaborate
from sewdsl.elaborate.assembly import assemble
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.header import RANKS
from sewdsl.elaborate.neuron_kinds import is_shipped
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.ir.recipe import LISTS, Recipe
from sewdsl.ir.settings import Expectation
from sewdsl.notation.compact_text import UNLIMITED, body_with_own_blocks, part_items
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    BracketText,
    Definition,
    MergeText,
    PartText,
    PrintedItems,
    RepeatText,
    TextItem,
    TextItems,
    UnwritableNetwork,
    bracketed,
    definition_head,
    item_text,
    let_head,
    outputs_text,
    prefixed_operands,
    printed_text,
    split_lets,
    walk_items,
)
from sewdsl.notation.kind_text import kind_text, quote_text, value_text
from sewdsl.notation.part_text import scopes
from sewdsl.ops.input import Input
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, VERSION
from sewdsl.syntax.parser import parse

WIDTH = 120
"""Line width in characters."""
MIN_LINE_LENGTH = 40
"""Smallest line length in characters after the indentation."""
STEP = 4
"""Indentation of brackets by the formatter."""


def wrap_sequence(items: TextItems, indent: int, used: int = 0) -> str:
    """Wrap a sequence after hyphens, and long merges and repeats at their brackets.

    Args:
        indent: Indentation that the formatter will add.
        used: Number of characters before the sequence in its first line. All lines are shortened by this number.
    """
    return _wrapped(bracketed(items), indent, used)


def _wrapped(items: PrintedItems, indent: int, used: int = 0) -> str:
    one_line, line_length = printed_text(items), max(WIDTH - indent - used, MIN_LINE_LENGTH)
    return one_line if len(one_line) <= line_length else "\n".join(_lines(items, indent, line_length))


def _lines(items: PrintedItems, indent: int, line_length: int) -> Iterator[str]:
    line = ""
    for index, item in enumerate(items):
        dash = "-" if index < len(items) - 1 else ""
        flat = item_text(item) + dash
        if len(line) + len(flat) <= line_length:
            line += flat
            continue
        if line:
            yield line
        line = flat
        if len(flat) > line_length:
            *full, last = _item_lines(item, indent)
            yield from full
            line = last + dash
    if line:
        yield line


def _item_lines(item: TextItem | BracketText, indent: int) -> list[str]:
    """Split a long item at its brackets. Layers and calls are never split."""
    match item:
        case MergeText(name):
            lines = [f"{name}["]
            for index, (prefix, operand) in enumerate(prefixed_operands(item)):
                head = f"| {prefix}" if index else prefix
                lines += (head + wrap_sequence(operand, indent + STEP, len(head))).split("\n")
            return [*lines, "]"]
        case BracketText(opening, inside):
            return [f"{opening.text}[", *_wrapped(inside, indent + STEP).split("\n"), "]"]
        case RepeatText(inner, count):
            return ["{", *wrap_sequence(inner, indent + STEP).split("\n"), f"}}*{count}"]
        case _:
            return [item_text(item)]


def write_net(network: Network, name: str | None = None) -> str:
    """Return the text of a ``.net`` file with the layers, edges, settings, recipe and figures of a network.

    The compiler assigns new names and paths to the nodes. Keys of a ``state_dict`` can therefore differ. ``freeze`` and
    ``lr`` select the same layers by their new names.

    Args:
        network: Any network. Its paths determine names of blocks and calls of blocks without a join.
        name: Name in the file, None for the name of the network. Quotes and line ends become blanks.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    network = network.with_init_in_calls()  # The names of parts can change.
    *parts, body_scope = scopes(network)
    part_lines = "".join(f"{_part(part)}\n" for part in part_items(parts))
    definitions, _, items = body_with_own_blocks(body_scope.network, parts=[part.title for part in parts])
    neurons = "".join(f"{text}\n\n" for text in neuron_definitions(network))
    try:
        header = "".join(f"{line}\n" for line in _header(network, name or network.name, items))
        figures = "".join(f"{_figure(item)}\n" for item in network.expectations)
    except ValueError as error:
        raise UnwritableNetwork(None, str(error)) from error
    lets, rest = split_lets(items)
    heads = [(let_head(let), let.items) for let in lets]
    body = "".join(f"{head}{wrap_sequence(row, HEADER_VALUE_COLUMN, len(head))}\n" for head, row in heads)
    last = outputs_text(network) if network.outputs else f"body {wrap_sequence(rest, HEADER_VALUE_COLUMN)}"
    body += f"{last}\n"
    text = neurons + "\n".join(filter(None, (*map(_block, definitions), part_lines, header + body, figures)))
    source = Source(network.name, f"sewdsl {VERSION}\n\n{text}")
    try:
        recipe = "" if network.recipe is None else f"\n{_recipe(_with_new_names(network, network.recipe, source))}"
    except ValueError as error:
        raise UnwritableNetwork(None, str(error)) from error
    return format_source(Source(network.name, source.text + recipe), UNLIMITED)


def _with_new_names(network: Network, recipe: Recipe, source: Source) -> Recipe:
    """Return a recipe that selects the same layers by the names that the compiler gives them in a text.

    Raises:
        ValueError: If the layers of the text are not those of the network.
    """
    if not (recipe.freeze or recipe.lr):
        return recipe
    reporter = Reporter(UNLIMITED)
    document = reporter.take(parse(source, UNLIMITED))
    assembly = reporter.take(assemble(document, lambda _: None))
    written = elaborate(assembly, document, Context(network.name, shipped_blocks()), reporter).network
    if written is None or [node.op for node in written] != [node.op for node in network]:
        message = "'freeze' and 'lr' name layers, and the layers of the text are others"
        raise ValueError(message)
    freeze = (name for pattern in recipe.freeze for name in _new_patterns(network, written, pattern))
    rates = ((name, rate) for pattern, rate in recipe.lr for name in _new_patterns(network, written, pattern))
    return recipe.model_copy(update={"freeze": tuple(freeze), "lr": tuple(rates)})


def _new_patterns(network: Network, written: Network, pattern: str) -> Sequence[str]:
    """Return the patterns that select the same nodes or parameters of a network with other names."""
    nodes, parameters = match_nodes(network, pattern), match_parameters(network, pattern)
    if nodes:
        same = match_nodes(written, pattern) == nodes
        return [pattern] if same else fold_parts(written, sorted(nodes), range(len(written)))
    names = {node.name: other.name for node, other in zip(network, written, strict=True)}
    keys = [f"{names[layer]}.{key}" for layer, _, key in (each.rpartition(".") for each in sorted(parameters))]
    return [pattern] if match_parameters(written, pattern) == {*keys} else keys


def neuron_definitions(network: Network) -> list[str]:
    """Return the definitions of neurons that are not shipped, or raise UnwritableNetwork if two share a name."""
    kinds: dict[str, type[Kind]] = {}
    for node in network:
        kind = node.op.named()
        if kinds.setdefault(kind.kind, kind) is not kind:
            raise UnwritableNetwork(node, f"another definition has the name {kind.kind}")
    if network.settings.neuron is not None:
        kinds.setdefault(network.settings.neuron.kind, network.settings.neuron.named())
    return [text for kind in kinds.values() if (text := kind.separate_definition()) and not is_shipped(kind)]


def _block(definition: Definition) -> str:
    head = definition_head(definition)
    return f"{head}{wrap_sequence(fold_repeats(definition.items), 0, len(head))}\n"


def _part(part: PartText) -> str:
    """Return the text of a part, with wrapped sequences."""
    lets, output = split_lets(part.items)
    if not lets:
        head = let_head(part)
        return f"{head}{wrap_sequence(output, 0, len(head))}"
    rows = [(let_head(let), let.items) for let in lets] + [("give ", output)]
    lines = [f"    {head}{wrap_sequence(items, STEP, len(head))}" for head, items in rows]
    return "\n".join([f"{let_head(part).removesuffix('= ')}{{", *lines, "}"])


def _header(network: Network, name: str, items: TextItems) -> Iterator[str]:
    settings = network.settings
    for index, source in zip(network.input_indices, settings.sources, strict=True):
        node = network.nodes[index]
        if node.op != Input.of_setting(source):
            raise UnwritableNetwork(node, f"expected the input of the settings, {source.size}")
        if len(source.shape) not in RANKS:
            raise UnwritableNetwork(node, f"expected an input of 1 to 3 lengths, got {len(source.shape)}")
        if source.name and node.name != source.name:
            raise UnwritableNetwork(node, f"expected the name of the input in the settings, {source.name}")
    # The language has no escapes for these characters.
    plain = "".join(" " if letter in '"\r\n' else letter for letter in name)
    if plain.strip():
        yield f"network {quote_text(plain)}"
    yield from (f"input {source.size}" for source in settings.sources)
    yield f"steps {settings.steps}"
    if settings.encode != "none":
        yield f"encode {settings.encode}"
    differing = (source for source in settings.inputs if source.encode != settings.encode)
    yield from (f"encode {source.name} {source.encode}" for source in differing)
    if settings.neuron is not None:
        yield f"neuron {kind_text(settings.neuron, lambda left: left.over_steps(settings.steps))}"
    join = value_text(settings.join)
    # ADD is the default, but a text with joins is clearer if it names the join.
    if join != "ADD" or any(isinstance(item, MergeText) and isinstance(item.op, Join) for item in walk_items(items)):
        yield f"join {join}"
    options = (settings.init, settings.init != "default"), ("zero", settings.zero_init)
    words = [word for word, is_set in options if is_set]
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
    omitted = {"on", "loss", "losses"} if recipe.losses else {"on"}
    entries = ((name, value) for name, value in recipe if name not in omitted and value != defaults[name])
    texts = {
        name: " ".join(map(value_text, value)) if name in LISTS and value else value_text(value)
        for name, value in entries
    }
    lines = [f"    {name} {text}\n" for name, text in texts.items()]
    lines += [f"    loss {term}\n" for term in recipe.losses]
    return f"train on {recipe.on} {{\n{''.join(lines)}}}\n"
