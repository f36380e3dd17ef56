"""A network as the text of a ``.net`` file."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.elaborate.header import RANKS
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.words import format_value
from sewdsl.notation.fold import fold_repeats
from sewdsl.notation.text import UNLIMITED, body_with_own_blocks
from sewdsl.notation.tree import Definition, Items, JoinText, definition_head, walk_items
from sewdsl.notation.unwritable import UnwritableNetwork
from sewdsl.notation.words import quote_text, value_text
from sewdsl.notation.wrap import wrap_sequence
from sewdsl.ops.input import Input
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, VERSION


def write_net(network: Network, name: str | None = None) -> str:
    """The text of a file that compiles to a network: the same layers, arguments, edges, settings, recipe and figures.

    Names and paths of nodes, and with them the keys of a ``state_dict``, are those that the compiler gives.

    Args:
        network: Any network; its paths say what blocks of its own are called, and where blocks without a join are.
        name: What to call it; None: as it is called. Quotes and ends of line become blanks, all others stay.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    definitions, items = body_with_own_blocks(network)
    try:
        header = "".join(f"{line}\n" for line in _header(network, name or network.name, items))
        figures = "".join(f"{_figure(item)}\n" for item in network.expectations)
        recipe = _recipe(network.recipe) if network.recipe is not None else ""
    except ValueError as error:
        raise UnwritableNetwork(None, str(error)) from error
    body = f"body {wrap_sequence(items, HEADER_VALUE_COLUMN)}\n"
    text = "\n".join(filter(None, (*map(_block, definitions), header + body, figures, recipe)))
    return format_source(Source(network.name, f"sewdsl {VERSION}\n\n{text}"), UNLIMITED)


def _block(definition: Definition) -> str:
    head = definition_head(definition)
    return f"{head}{wrap_sequence(fold_repeats(definition.items), 0, len(head))}\n"


def _header(network: Network, name: str, items: Items) -> Iterator[str]:
    settings, source = network.settings, network.nodes[0].op
    if source != Input(shape=settings.input, varies=settings.encode == "none"):
        raise UnwritableNetwork(network.nodes[0], f"it is not the input that the settings say: {settings.input}")
    if len(settings.input) not in RANKS:
        raise UnwritableNetwork(network.nodes[0], f"an input has 1 or 3 lengths, not {len(settings.input)}")
    plain = "".join(" " if letter in '"\r\n' else letter for letter in name)
    if plain.strip():
        yield f"network {quote_text(plain)}"
    yield f"input {format_value(settings.input)}"
    yield f"steps {settings.steps}"
    if settings.encode != "none":
        yield f"encode {settings.encode}"
    if settings.neuron is not None:
        yield f"neuron {value_text(settings.neuron)}"
    join = value_text(settings.join)
    if join != "ADD" or _joins(items):
        yield f"join {join}"
    yield from _start(settings)
    if settings.readout != "mean":
        yield f"readout {settings.readout}"


def _joins(items: Items) -> bool:
    """Whether there is any join."""
    return any(isinstance(item, JoinText) for item in walk_items(items))


def _start(settings: Settings) -> Iterator[str]:
    words = [word for word, said in (("kaiming", settings.init == "kaiming"), ("zero", settings.zero_init)) if said]
    if words:
        yield f"init {' '.join(words)}"


def _figure(item: Expectation) -> str:
    key = "expect" if item.binding else "claim"
    source = f" {quote_text(item.source)}" if item.source and not item.binding else ""
    return f"{key} {item.quantity} {item.value}{source}"


def _recipe(recipe: Recipe) -> str:
    defaults = {name: field.get_default() for name, field in Recipe.model_fields.items()}
    lines = [f"    {name} {value_text(value)}\n" for name, value in recipe if name != "on" and value != defaults[name]]
    return f"train on {recipe.on} {{\n{''.join(lines)}}}\n"
