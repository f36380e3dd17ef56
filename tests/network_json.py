"""Reader of the JSON of networks, to test that the JSON contains everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.signal import Signal, ValueRange
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import defined_kind
from sewdsl.source import Source, Span


def from_json(data: Mapping[str, Any]) -> Network:
    """Return the network of :func:`sewdsl.ir.json.to_json`, or raise ValueError if it is not valid."""
    sources = [Source(item["name"], item["text"]) for item in data["sources"]]

    def span(indices: list[int]) -> Span:
        return Span(sources[indices[0]], indices[1], indices[2])

    return Network(
        name=data["name"],
        nodes=tuple(_node(item, span(item["span"])) for item in data["nodes"]),
        output=data["output"],
        settings=Settings.model_validate(_values(data["settings"])),
        recipe=Recipe.model_validate(_values(data["recipe"])) if data["recipe"] else None,
        outputs=tuple((name, index) for name, index in data.get("outputs", ())),
        expectations=tuple(Expectation(**{**item, "span": span(item["span"])}) for item in data["expectations"]),
    ).validate()


def _node(item: Mapping[str, Any], span: Span) -> Node:
    out = item["output"]
    values = ValueRange(out["upper"], out.get("unit", 1.0), out.get("lower", 0))
    signal, path = Signal(tuple(out["shape"]), values, out["varies"]), tuple(PathStep(**step) for step in item["path"])
    op, inputs = _value(item["op"]), tuple(item["inputs"])
    return Node(item["name"], op, inputs, signal, path, span, item.get("delayed"), item.get("weights"))


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in fields.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "definition" in value:
            return defined_kind(value["definition"]).model_validate(_values(value["arguments"]))
        fields = {name: each for name, each in value.items() if name != "kind"}
        return catalogue()[value["kind"]].model_validate(_values(fields))
    return tuple(map(_value, value)) if isinstance(value, list) else value
