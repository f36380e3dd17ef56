"""Networks as JSON, without loss of information."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sewdsl.ir.kind import Kind, stated_fields
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.source import Span

# Incremented by incompatible changes of the format. Optional keys, such as "outputs", "delayed" and "weights", do not
# change it.
VERSION = 1


def to_json(network: Network) -> dict[str, Any]:
    """Return a network as plain data: dicts, lists, strings, numbers, None."""
    spans = [node.span for node in network] + [item.span for item in network.expectations]
    sources = {source: index for index, source in enumerate(dict.fromkeys(span.source for span in spans))}

    def indices(span: Span) -> list[int]:
        return [sources[span.source], span.start, span.end]

    return {
        "sewdsl": VERSION,
        "name": network.name,
        "settings": _fields(network.settings),
        "recipe": _fields(network.recipe) if network.recipe else None,
        "expectations": [
            {
                "quantity": e.quantity,
                "value": e.value,
                "source": e.source,
                "binding": e.binding,
                "span": indices(e.span),
            }
            for e in network.expectations
        ],
        # Spans refer to sources by index, so that each source text is stored once.
        "sources": [{"name": source.name, "text": source.text} for source in sources],
        "nodes": [{**_node(node), "span": indices(node.span)} for node in network],
        "output": network.output,
        **({"outputs": [list(each) for each in network.outputs]} if network.outputs else {}),
    }


def _node(node: Node) -> dict[str, Any]:
    signal, values = node.output, node.output.values
    # Defaults are omitted: files written before these keys existed remain valid.
    unit = {**({"unit": values.unit} if values.unit != 1 else {}), **({"lower": values.lower} if values.lower else {})}
    delayed = {} if node.delayed is None else {"delayed": node.delayed}
    weights = {} if node.weights is None else {"weights": node.weights}
    return {
        "name": node.name,
        "op": _value(node.op),
        "inputs": list(node.inputs),
        **delayed,
        **weights,
        "output": {"shape": list(signal.shape), "upper": values.upper, **unit, "varies": signal.varies},
        # The line of a call belongs to the source, and must not change the network.
        "path": [{key: value for key, value in asdict(step).items() if key != "line"} for step in node.path],
    }


def _fields(model: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in stated_fields(model)}


def _value(value: Any) -> Any:
    if isinstance(value, Kind):
        definition = value.definition_text()
        if definition:
            # The parameters are nested, because one of them may be named 'kind'.
            return {"kind": value.kind, "definition": definition, "arguments": _fields(value)}
        return {"kind": value.kind, **_fields(value)}
    return [_value(item) for item in value] if isinstance(value, tuple) else value
