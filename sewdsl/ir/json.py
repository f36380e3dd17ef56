"""Lossless JSON serialisation of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from sewdsl.ir.kind import Kind, stated_fields
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.op import Op
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.signal import Signal, ValueRange
from sewdsl.source import Source, Span

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


def from_json(
    data: Mapping[str, Any], catalogue: Mapping[str, type[Kind]], define: Callable[[str], type[Kind]] | None = None
) -> Network:
    """Return the network written by :func:`to_json`.

    Args:
        define: Returns the kind of a definition in the language. None: definitions are rejected.

    Raises:
        ValueError: If the format version or a kind is unknown, or the network is not valid.
        KeyError: If a part is missing.
    """
    if data.get("sewdsl") != VERSION:
        raise ValueError(f"unsupported version {data.get('sewdsl')} of the network format; expected {VERSION}")
    kinds = _Kinds(catalogue, define)
    sources = [Source(item["name"], item["text"]) for item in data["sources"]]

    def span(indices: list[int]) -> Span:
        return Span(sources[indices[0]], indices[1], indices[2])

    return Network(
        name=data["name"],
        nodes=tuple(_read_node(item, span(item["span"]), kinds) for item in data["nodes"]),
        output=data["output"],
        settings=Settings.model_validate(_values(data["settings"], kinds)),
        recipe=Recipe.model_validate(_values(data["recipe"], kinds)) if data["recipe"] else None,
        outputs=tuple((name, index) for name, index in data.get("outputs", ())),
        expectations=tuple(Expectation(**{**item, "span": span(item["span"])}) for item in data["expectations"]),
    ).validate()


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


def _read_node(item: Mapping[str, Any], span: Span, kinds: _Kinds) -> Node:
    op = _kind(item["op"], kinds)
    if not isinstance(op, Op):
        message = f"{item['name']}: {item['op']['kind']} is not an operation"
        raise ValueError(message)  # noqa: TRY004 -- the data is wrong, not the program
    out = item["output"]
    signal = Signal(
        tuple(out["shape"]), ValueRange(out["upper"], out.get("unit", 1.0), out.get("lower", 0)), out["varies"]
    )
    path = tuple(PathStep(**step) for step in item["path"])
    return Node(item["name"], op, tuple(item["inputs"]), signal, path, span, item.get("delayed"), item.get("weights"))


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


def _values(fields: Mapping[str, Any], kinds: _Kinds) -> dict[str, Any]:
    return {name: _read_value(value, kinds) for name, value in fields.items()}


def _read_value(value: Any, kinds: _Kinds) -> Any:
    if isinstance(value, Mapping):
        return _kind(value, kinds)
    return tuple(_read_value(item, kinds) for item in value) if isinstance(value, list) else value


def _kind(data: Mapping[str, Any], kinds: _Kinds) -> Kind:
    fields = {key: value for key, value in data.items() if key != "kind"}
    # A definition has nested arguments, see _value.
    fields = data["arguments"] if "definition" in data else fields
    return kinds.of(data).model_validate(_values(fields, kinds))


class _Kinds(NamedTuple):
    catalogue: Mapping[str, type[Kind]]
    define: Callable[[str], type[Kind]] | None

    def of(self, data: Mapping[str, Any]) -> type[Kind]:
        if "definition" in data and self.define is not None:
            return self.define(data["definition"])
        name = data["kind"]
        if "definition" in data or name not in self.catalogue:
            raise ValueError(f"unknown kind '{name}'")
        return self.catalogue[name]
