"""Classes as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from sewdsl.exchange.write.source.class_parameters import IN, OUT, PROJECTION, STRIDE
from sewdsl.exchange.write.source.comments import Notation
from sewdsl.exchange.write.source.expressions import Arg, Code, Literal, PyCall, Unset
from sewdsl.exchange.write.source.find_classes import ClassSpec, order_parameters, parameter_default
from sewdsl.exchange.write.source.python_text import (
    WIDTH,
    format_comment,
    format_statement,
    is_identifier,
    one_line_prose,
    string_literal,
)
from sewdsl.exchange.write.source.value_flow import MergePoint
from sewdsl.ir.network import Network
from sewdsl.ir.op import Merge, Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.joins.add import Add
from sewdsl.ops.joins.and_ import And
from sewdsl.ops.joins.iand import IAnd
from sewdsl.ops.joins.or_ import Or
from sewdsl.ops.merges.attn import Attention
from sewdsl.ops.merges.cat import Concatenation
from sewdsl.ops.merges.max_ import Maximum
from sewdsl.ops.merges.mul import Product

FORMULAS: dict[type[Merge], str] = {
    Add: "{} + {}",
    And: "{} * {}",
    IAnd: "(1 - {}) * {}",
    Maximum: "torch.maximum({}, {})",
}
"""What a merge makes of its first two operands; of that and the next it makes the same."""
PARTS = {
    "copy": "What is repeated",
    "branch": "The branch of a join",
    "shortcut": "The shortcut of a join",
    "operand": "An operand of a merge",
    "value": "A named value",
}
MEANINGS = {
    IN: "Channels of the input.",
    OUT: "Width of the block.",
    STRIDE: "Step of the block: 2 halves height and width.",
    PROJECTION: "Whether the shortcut is a projection, not the identity.",
}


def class_text(made: ClassSpec, network: Network) -> list[str]:
    """The class of a block, or of a part with joins."""
    title = PARTS.get(made.section.kind) or one_line_prose(made.section.title) or "A block"
    before, after = made.shapes
    lines = [f"class {made.name}(nn.Module):", f'    """{title}.', ""]
    if formula := Notation(network).formula(made.section):
        lines += ["    In the notation::", "", *(f"        {line}" for line in formula), ""]
    if made.params:
        meanings = {name: MEANINGS.get(name, "Differs from place to place.") for name in order_parameters(made.params)}
        lines += ["    Args:", *(f"        {name}: {meaning}" for name, meaning in meanings.items()), ""]
    lines += [f"    Shape: {before} to {after}.", '    """', ""]
    lines += [*_signature(made), "        super().__init__()", *init_statements(made, network), ""]
    variables = "".join(f", {variable}: Tensor" for variable in made.section.variables)
    return [
        *lines,
        f"    def forward(self{variables}) -> Tensor:",
        '        """All time-steps."""',
        *forward_statements(made, network),
    ]


def init_statements(made: ClassSpec, network: Network) -> Iterator[str]:
    """The statements that make the modules of a class and give them their initial values."""
    for attribute in made.attributes:
        optional = attribute.name in made.optional
        if optional:
            yield f"        self.{attribute.name}: nn.Module = nn.Identity()"
            yield f"        if {PROJECTION}:"
        indent = 12 if optional else 8
        if attribute.note is not None:
            yield format_comment(attribute.note.text, indent)
        yield from _assignment(attribute, indent)
    if made.starts:
        kinds = dict.fromkeys(network.nodes[meet.node].op.kind for meet in made.section.meets)
        yield format_comment(f"At the start, {' and '.join(kinds)} gives the shortcut, whatever the input.", 8)
    for start in made.starts:
        norm = f"self.{start.name}"
        if not all(map(is_identifier, start.name.split("."))):
            norm = f"self.get_submodule({string_literal(start.name)})"
        yield f"        nn.init.zeros_({norm}.weight)"
        bias = repr(start.value.value) if isinstance(start.value, Literal) else ""
        yield f"        nn.init.constant_({norm}.bias, {bias})"


def forward_statements(made: ClassSpec, network: Network) -> Iterator[str]:
    """The statements of a forward, from what comes in to what it returns."""
    steps: list[tuple[str, str]] = []
    for step in made.section.flow:
        if isinstance(step, MergePoint):
            pairs = zip(step.operands, step.reads, strict=True)
            operands = [reads[0] if key is None else _through(key, reads) for key, reads in pairs]
            node = network.nodes[step.node]
            steps.append((step.gives, merge_formula(node.op, operands, network.inputs(node))))
        else:
            steps.append((step.gives, _through(step.key, step.reads)))
    result = made.section.result
    if steps and steps[-1][0] == result:
        result = steps.pop()[1]
    yield from (f"        {variable} = {value}" for variable, value in steps)
    yield f"        return {result}"


def merge_formula(op: Op, operands: Sequence[str], inputs: Sequence[Signal]) -> str:
    """What a merge makes of its operands, as an expression.

    Args:
        op: The merge; one of :data:`FORMULAS`, or one of those below.
        operands: An expression for each.
        inputs: What each gives.
    """
    match op:
        case Concatenation():
            return f"torch.cat(({', '.join(operands)}), dim=2)"
        case Attention():
            return f"attention({', '.join(operands)}, heads={op.heads}, scale={op.scale!r})"
        case Product():
            channels = {signal.channels for signal in inputs}
            if len(channels - {1}) == 1:
                return " * ".join(operands)
            return reduce(lambda one, other: f"gated({one}, {other})", operands)
        case Or():
            return f"1 - {' * '.join(f'(1 - {operand})' for operand in operands)}"
        case Merge():
            return reduce(FORMULAS[type(op)].format, operands)
    message = f"{op} is no merge"
    raise TypeError(message)


def has_formula(op: Merge) -> bool:
    """Whether :func:`merge_formula` knows a merge."""
    return isinstance(op, Concatenation | Attention | Product | Or) or type(op) in FORMULAS


def _assignment(attribute: Arg, indent: int) -> list[str]:
    if is_identifier(attribute.name):
        return format_statement(f"self.{attribute.name} = ", attribute.value, indent)
    name = Arg("name", Literal(Code(string_literal(attribute.name))), positional=True)
    return format_statement(
        "", PyCall("self.add_module", (name, Arg("module", attribute.value, positional=True))), indent
    )


def _through(key: str, reads: Sequence[str]) -> str:
    module = f"self.{key}" if is_identifier(key) else f"self.get_submodule({string_literal(key)})"
    return f"{module}({', '.join(reads)})"


def _signature(made: ClassSpec) -> list[str]:
    names = order_parameters(made.params)
    positional = [name for name in names if name in {IN, OUT}]
    parts = [_parameter(made, name) for name in positional]
    if len(names) > len(positional):
        parts += ["*", *(_parameter(made, name) for name in names if name not in positional)]
    return init_head(parts)


def init_head(parts: Sequence[str]) -> list[str]:
    """The head of an ``__init__`` with these parameters."""
    line = f"    def __init__({', '.join(['self', *parts])}) -> None:"
    if len(line) <= WIDTH:
        return [line]
    return ["    def __init__(", "        self,", *(f"        {part}," for part in parts), "    ) -> None:"]


def _parameter(made: ClassSpec, name: str) -> str:
    kinds = sorted({_annotation(value) for value in made.params[name]}, key=lambda kind: (kind == "None", kind))
    value = parameter_default(made, name)
    return f"{name}: {' | '.join(kinds)}" + ("" if value is Unset.UNSET else f" = {value!r}")


def _annotation(value: object) -> str:
    if isinstance(value, tuple):
        return "tuple[int, int]"
    return "None" if value is None else type(value).__name__
