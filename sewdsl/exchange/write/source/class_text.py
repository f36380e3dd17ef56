"""Text of classes."""

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
from sewdsl.exchange.write.source.find_classes import ClassSpec, has_groups, order_parameters, parameter_default
from sewdsl.exchange.write.source.value_flow import FlowStep, StepLoop
from sewdsl.ir.network import Network
from sewdsl.ir.node import enclosing_parts
from sewdsl.ir.op import Merge, Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.attention import Attention
from sewdsl.ops.joins import Add, And, IAnd, Or
from sewdsl.ops.merges import Concatenation, Maximum, Product

FORMULAS: dict[type[Merge], str] = {
    Add: "{} + {}",
    And: "{} * {}",
    IAnd: "(1 - {}) * {}",
    Maximum: "torch.maximum({}, {})",
}
"""Formulas of merges of two operands. They are folded over further operands."""
PARTS = {
    "copy": "Repeated part",
    "branch": "Branch of a join",
    "shortcut": "Shortcut of a join",
    "operand": "Operand of a merge",
    "value": "Named value",
    "loop": "Part of a loop",
}
MEANINGS = {
    IN: "Number of input channels.",
    OUT: "Number of channels of the block.",
    STRIDE: "Stride of the block: 2 halves height and width.",
    PROJECTION: "Whether the shortcut is a projection instead of the identity.",
}


def class_text(spec: ClassSpec, network: Network) -> list[str]:
    """Return the class of a block, or of another part with joins."""
    title = PARTS.get(spec.section.kind) or one_line_prose(spec.section.title) or "Block"
    input_shape, output_shape = spec.shapes
    lines = [f"class {spec.name}(nn.Module):", f'    """{title}.', ""]
    if formula := Notation(network).formula(spec.section):
        lines += ["    In layer notation::", "", *(f"        {line}" for line in formula), ""]
    if spec.params:
        meanings = {name: MEANINGS.get(name, "Differs between instances.") for name in order_parameters(spec.params)}
        lines += ["    Args:", *(f"        {name}: {meaning}" for name, meaning in meanings.items()), ""]
    shape = wrap(f"Shape: {input_shape} to {output_shape}.", 120, initial_indent="    ", subsequent_indent="    ")
    lines += [*shape, '    """', ""]
    lines += [*_signature(spec), "        super().__init__()", *init_statements(spec, network), ""]
    variables = "".join(f", {variable}: Tensor" for variable in spec.section.variables)
    return [
        *lines,
        f"    def forward(self{variables}) -> Tensor:",
        '        """Process all time-steps."""',
        *forward_statements(spec, network),
    ]


def init_statements(spec: ClassSpec, network: Network) -> Iterator[str]:
    """Yield the statements that create the modules of a class and set their initial values."""
    for attribute in spec.attributes:
        # Only some instances have a projection.
        optional = attribute.name in spec.optional
        if optional:
            yield f"        self.{attribute.name}: nn.Module = nn.Identity()"
            yield f"        if {PROJECTION}:"
        indent = 12 if optional else 8
        if attribute.note is not None:
            yield format_comment(attribute.note.text, indent)
        yield from _assignment(attribute, indent)
    if spec.starts:
        kinds = dict.fromkeys(network.nodes[merge].op.kind for merge in spec.section.merges)
        yield format_comment(f"Initially, {' and '.join(kinds)} outputs the shortcut for every input.", 8)
    # With a weight of 0, the batch norm outputs its bias, at which the neuron is neutral.
    for start in spec.starts:
        norm = _module(start.name)
        yield f"        nn.init.zeros_({norm}.weight)"
        bias = repr(start.value.value) if isinstance(start.value, Literal) else ""
        yield f"        nn.init.constant_({norm}.bias, {bias})"


def forward_statements(spec: ClassSpec, network: Network, reset: str = "") -> Iterator[str]:
    """Yield the statements of a ``forward``, from its input to the return value.

    Args:
        reset: Statement before a further call of a part outside of loops, with ``{}`` for the module.
    """
    section = spec.section
    steps = [(step.gives, _step_value(step, network)) for step in section.flow]
    if reset:
        looped = {index for loop in section.loops for index in range(loop.begin, loop.end)}
        for index, key in _repeated_calls(section.flow):
            if index not in looped:
                variable, value = steps[index]
                steps[index] = f"{reset.format(_module(key))}\n        {variable}", value
    result = section.result
    last_is_looped = section.loops and section.loops[-1].end == len(steps)
    # Return the last expression directly.
    if steps and steps[-1][0] == result and not (section.results or section.delays or last_is_looped):
        result = steps.pop()[1]
    position = 0
    for index, loop in enumerate(section.loops, start=1):
        yield from _assigned(steps[position : loop.begin], 8)
        yield from _loop_statements(loop, steps[loop.begin : loop.end], f"step{index if index > 1 else ''}")
        position = loop.end
    yield from _assigned(steps[position:], 8)
    yield from _keep_state_statements(section.delays, 8)
    if section.results:
        outputs = [f"{string_literal(name)}: {variable}" for name, variable in section.results]
        yield from bracketed("return {", outputs, "}", 8)
    else:
        yield f"        return {result}"


def _repeated_calls(flow: Sequence[FlowStep]) -> Iterator[tuple[int, str]]:
    """Yield the index and the key of each step whose module, or a module inside or around it, was called before."""
    called: set[str] = set()
    around: set[str] = set()  # The modules that were called, and those around them.
    for index, step in enumerate(flow):
        for key in filter(None, (*step.keys, step.module)):
            parts = [*enclosing_parts(key)]
            if key in around or not called.isdisjoint(parts):
                yield index, key
            called.add(key)
            around.update(parts)


def _step_value(step: FlowStep, network: Network) -> str:
    """Return the expression that a step computes."""
    operand_reads = zip(step.keys, step.reads, strict=True)
    operands = [reads[0] if key is None else f"{_module(key)}({', '.join(reads)})" for key, reads in operand_reads]
    if step.merge is None:
        return operands[0]
    if step.module:
        return f"{_module(step.module)}({', '.join(operands)})"
    node = network.nodes[step.merge]
    return merge_formula(node.op, operands, network.inputs(node))


def _assigned(steps: Sequence[tuple[str, str]], indent: int) -> Iterator[str]:
    yield from (f"{' ' * indent}{variable} = {value}" for variable, value in steps)


def _keep_state_statements(delays: Sequence[tuple[str, str]], indent: int) -> Iterator[str]:
    """Yield the statements that pass values to their delays."""
    for name, variable in delays:
        yield f"{' ' * indent}{_module(name)}.keep_state({variable})"


def _loop_statements(loop: StepLoop, steps: Sequence[tuple[str, str]], name: str) -> Iterator[str]:
    """Yield the function of one time-step, and the call that runs it for all time-steps."""
    # A tuple of one element needs a comma.
    comma = "," if len(loop.gives) == 1 else ""
    gives = f"({', '.join(loop.gives)}{comma})"
    yield ""
    yield from bracketed(
        f"def {name}(", [f"{variable}: Tensor" for variable in loop.reads], ") -> tuple[Tensor, ...]:", 8
    )
    yield '            """Compute one time-step."""'
    yield from _assigned(steps, 12)
    yield from _keep_state_statements(loop.delays, 12)
    yield from (f"            return {gives}", "")
    call_arguments = (Code("self"), Code(name), *map(Code, loop.reads))
    call = PyCall("stepwise", tuple(Arg("", Literal(word), positional=True) for word in call_arguments))
    yield from format_statement(f"{gives if comma else ', '.join(loop.gives)} = ", call, 8)


def merge_formula(op: Op, operands: Sequence[str], inputs: Sequence[Signal]) -> str:
    """Return the expression of a merge.

    Args:
        op: A merge in :data:`FORMULAS`, or one of the cases below.
    """
    match op:
        case Concatenation():
            return f"torch.cat(({', '.join(operands)}), dim=2)"
        case Attention():
            return f"attention({', '.join(operands)}, heads={op.heads}, scale={op.scale!r})"
        case Product():
            # PyTorch expands a single channel, but no groups of channels.
            if not has_groups(inputs):
                return " * ".join(operands)
            return reduce(lambda one, other: f"gated({one}, {other})", operands)
        case Or():
            return f"1 - {' * '.join(f'(1 - {operand})' for operand in operands)}"
        case Merge():
            return reduce(FORMULAS[type(op)].format, operands)
    raise TypeError(f"{op} is not a merge")


def has_formula(op: Merge) -> bool:
    """Return whether :func:`merge_formula` supports a merge."""
    return isinstance(op, Concatenation | Attention | Product | Or) or type(op) in FORMULAS


def _assignment(attribute: Arg, indent: int) -> list[str]:
    if is_identifier(attribute.name):
        return format_statement(f"self.{attribute.name} = ", attribute.value, indent)
    name = Arg("name", Literal(Code(string_literal(attribute.name))), positional=True)
    return format_statement(
        "", PyCall("self.add_module", (name, Arg("module", attribute.value, positional=True))), indent
    )


def _module(name: str) -> str:
    """Return the expression for a module of the class, by its dotted name."""
    if all(map(is_identifier, name.split("."))):
        return f"self.{name}"
    return f"self.get_submodule({string_literal(name)})"


def _signature(spec: ClassSpec) -> list[str]:
    names = order_parameters(spec.params)
    positional = [name for name in names if name in {IN, OUT}]
    parts = [_parameter(spec, name) for name in positional]
    if len(names) > len(positional):
        parts += ["*", *(_parameter(spec, name) for name in names if name not in positional)]
    return init_head(parts)


def init_head(parts: Sequence[str]) -> list[str]:
    """Return the head of an ``__init__`` with the given parameters."""
    return bracketed("def __init__(", ["self", *parts], ") -> None:", 4)


def _parameter(spec: ClassSpec, name: str) -> str:
    kinds = sorted({_annotation(value) for value in spec.params[name]}, key=lambda kind: (kind == "None", kind))
    value = parameter_default(spec, name)
    return f"{name}: {' | '.join(kinds)}" + ("" if value is Unset.UNSET else f" = {value!r}")


def _annotation(value: object) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(['int'] * len(value))}]"
    return "None" if value is None else type(value).__name__
