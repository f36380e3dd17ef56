"""Classes as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from textwrap import wrap

from sewdsl.exchange.write.source.class_parameters import IN, OUT, PROJECTION, STRIDE
from sewdsl.exchange.write.source.comments import Notation
from sewdsl.exchange.write.source.expressions import (
    Arg,
    Code,
    Literal,
    PyCall,
    Unset,
    bracketed,
    format_comment,
    format_statement,
    is_identifier,
    one_line_prose,
    string_literal,
)
from sewdsl.exchange.write.source.find_classes import ClassSpec, order_parameters, parameter_default
from sewdsl.exchange.write.source.value_flow import FlowStep, StepLoop
from sewdsl.ir.network import Network
from sewdsl.ir.op import Merge, Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.joins import Add, And, IAnd, Or
from sewdsl.ops.merges import Attention, Concatenation, Maximum, Product

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
    "loop": "A part of a loop",
}
MEANINGS = {
    IN: "Channels of the input.",
    OUT: "Width of the block.",
    STRIDE: "Step of the block: 2 halves height and width.",
    PROJECTION: "Whether the shortcut is a projection, not the identity.",
}


def class_text(made: ClassSpec, network: Network) -> list[str]:
    """Return the class of a block, or of a part with joins."""
    title = PARTS.get(made.section.kind) or one_line_prose(made.section.title) or "A block"
    before, after = made.shapes
    lines = [f"class {made.name}(nn.Module):", f'    """{title}.', ""]
    if formula := Notation(network).formula(made.section):
        lines += ["    In the notation::", "", *(f"        {line}" for line in formula), ""]
    if made.params:
        meanings = {name: MEANINGS.get(name, "Differs from place to place.") for name in order_parameters(made.params)}
        lines += ["    Args:", *(f"        {name}: {meaning}" for name, meaning in meanings.items()), ""]
    shape = wrap(f"Shape: {before} to {after}.", 120, initial_indent="    ", subsequent_indent="    ")
    lines += [*shape, '    """', ""]
    lines += [*_signature(made), "        super().__init__()", *init_statements(made, network), ""]
    variables = "".join(f", {variable}: Tensor" for variable in made.section.variables)
    return [
        *lines,
        f"    def forward(self{variables}) -> Tensor:",
        '        """All time-steps."""',
        *forward_statements(made, network),
    ]


def init_statements(made: ClassSpec, network: Network) -> Iterator[str]:
    """Yield the statements that make the modules of a class and give them their initial values."""
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
        kinds = dict.fromkeys(network.nodes[merge].op.kind for merge in made.section.merges)
        yield format_comment(f"At the start, {' and '.join(kinds)} gives the shortcut, whatever the input.", 8)
    for start in made.starts:
        norm = _module(start.name)
        yield f"        nn.init.zeros_({norm}.weight)"
        bias = repr(start.value.value) if isinstance(start.value, Literal) else ""
        yield f"        nn.init.constant_({norm}.bias, {bias})"


def forward_statements(made: ClassSpec, network: Network) -> Iterator[str]:
    """Yield the statements of a forward, from what comes in to what it returns."""
    section = made.section
    steps = [(step.gives, _step_value(step, network)) for step in section.flow]
    result = section.result
    last_is_looped = section.loops and section.loops[-1].end == len(steps)
    if steps and steps[-1][0] == result and not (section.results or section.delays or last_is_looped):
        result = steps.pop()[1]
    done = 0
    for number, loop in enumerate(section.loops, start=1):
        yield from _assigned(steps[done : loop.begin], 8)
        yield from _loop_statements(loop, steps[loop.begin : loop.end], f"step{number if number > 1 else ''}")
        done = loop.end
    yield from _assigned(steps[done:], 8)
    yield from _kept(section.delays, 8)
    if section.results:
        outputs = [f"{string_literal(name)}: {variable}" for name, variable in section.results]
        yield from bracketed("return {", outputs, "}", 8)
    else:
        yield f"        return {result}"


def _step_value(step: FlowStep, network: Network) -> str:
    """Return what a step computes, as an expression."""
    pairs = zip(step.keys, step.reads, strict=True)
    operands = [reads[0] if key is None else f"{_module(key)}({', '.join(reads)})" for key, reads in pairs]
    if step.merge is None:
        return operands[0]
    node = network.nodes[step.merge]
    return merge_formula(node.op, operands, network.inputs(node))


def _assigned(steps: Sequence[tuple[str, str]], indent: int) -> Iterator[str]:
    yield from (f"{' ' * indent}{variable} = {value}" for variable, value in steps)


def _kept(delays: Sequence[tuple[str, str]], indent: int) -> Iterator[str]:
    """Return the statements that hand values to their delays."""
    for name, variable in delays:
        yield f"{' ' * indent}{_module(name)}.keep_state({variable})"


def _loop_statements(loop: StepLoop, steps: Sequence[tuple[str, str]], name: str) -> Iterator[str]:
    """Yield the function of a time-step, and the call that runs it for all of them."""
    comma = "," if len(loop.gives) == 1 else ""
    gives = f"({', '.join(loop.gives)}{comma})"
    yield ""
    yield from bracketed(
        f"def {name}(", [f"{variable}: Tensor" for variable in loop.reads], ") -> tuple[Tensor, ...]:", 8
    )
    yield '            """One time-step."""'
    yield from _assigned(steps, 12)
    yield from _kept(loop.delays, 12)
    yield from (f"            return {gives}", "")
    words = (Code("self"), Code(name), *map(Code, loop.reads))
    call = PyCall("stepwise", tuple(Arg("", Literal(word), positional=True) for word in words))
    yield from format_statement(f"{gives if comma else ', '.join(loop.gives)} = ", call, 8)


def merge_formula(op: Op, operands: Sequence[str], inputs: Sequence[Signal]) -> str:
    """Return the expression of a merge of its operands.

    Args:
        op: The merge; one of :data:`FORMULAS`, or one of those below.
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
    raise TypeError(f"{op} is no merge")


def has_formula(op: Merge) -> bool:
    """Return whether :func:`merge_formula` knows a merge."""
    return isinstance(op, Concatenation | Attention | Product | Or) or type(op) in FORMULAS


def _assignment(attribute: Arg, indent: int) -> list[str]:
    if is_identifier(attribute.name):
        return format_statement(f"self.{attribute.name} = ", attribute.value, indent)
    name = Arg("name", Literal(Code(string_literal(attribute.name))), positional=True)
    return format_statement(
        "", PyCall("self.add_module", (name, Arg("module", attribute.value, positional=True))), indent
    )


def _module(name: str) -> str:
    """Return the expression for a module of the class, by its name with dots."""
    if all(map(is_identifier, name.split("."))):
        return f"self.{name}"
    return f"self.get_submodule({string_literal(name)})"


def _signature(made: ClassSpec) -> list[str]:
    names = order_parameters(made.params)
    positional = [name for name in names if name in {IN, OUT}]
    parts = [_parameter(made, name) for name in positional]
    if len(names) > len(positional):
        parts += ["*", *(_parameter(made, name) for name in names if name not in positional)]
    return init_head(parts)


def init_head(parts: Sequence[str]) -> list[str]:
    """Return the head of an ``__init__`` with these parameters."""
    return bracketed("def __init__(", ["self", *parts], ") -> None:", 4)


def _parameter(made: ClassSpec, name: str) -> str:
    kinds = sorted({_annotation(value) for value in made.params[name]}, key=lambda kind: (kind == "None", kind))
    value = parameter_default(made, name)
    return f"{name}: {' | '.join(kinds)}" + ("" if value is Unset.UNSET else f" = {value!r}")


def _annotation(value: object) -> str:
    if isinstance(value, tuple):
        return "tuple[int, int]"
    return "None" if value is None else type(value).__name__
