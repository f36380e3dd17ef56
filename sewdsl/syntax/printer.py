"""Printer: syntax tree to canonical text. ``parse(print_document(tree)) == tree``, and ``fmt`` does not change it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, POINTWISE

_BINDING = {"<": 0, "<=": 0, ">": 0, ">=": 0, "+": 1, "-": 1, "*": 2, "/": 2}
_NEGATION_BINDING = 3


def is_pointwise(name: str) -> bool:
    """Return whether the name of a neuron is an expression, ``MAP{1 - x}``."""
    return name.startswith(f"{POINTWISE}{{")


def print_document(document: tree.Document) -> str:
    """Print a file, with a blank line between groups of statements and a newline at the end."""
    lines = [_print_statement(statement) for statement in document.statements]
    blanks = [_group(before) != _group(after) for before, after in pairwise(document.statements)]
    return "".join(f"{line}\n" + ("\n" if blank else "") for line, blank in zip(lines, [*blanks, False], strict=False))


def print_expression(node: tree.SyntaxNode) -> str:
    """Print a sequence, an item, a name or a value, or raise TypeError for other nodes."""
    match node:
        case tree.Sequence():
            return "-".join(map(print_expression, node.items))
        case tree.Call():
            return _print_call(node)
        case tree.Repeat():
            opener, closer = node.brackets
            return f"{opener}{print_expression(node.body)}{closer}*{print_expression(node.count)}"
        case tree.MergeOf():
            head = _print_call(tree.Call(node.name, node.arguments, called=node.called))
            return f"{head}[{' | '.join(map(print_expression, node.operands))}]"
        case tree.Pointwise():
            arguments = ", ".join(map(print_expression, node.arguments))
            head = f"{POINTWISE}({arguments})" if arguments or node.called else POINTWISE
            return f"{head}{{{_print_sum(node.expression, 0)}}}"
        case tree.Alternative():
            return f"{print_expression(node.first)} or {print_expression(node.second)}"
        case tree.Name():
            parts = zip(node.parts, node.spaced, strict=True)
            return "".join((" " if spaced else "") + print_expression(part) for part, spaced in parts)
        case tree.Variable() | tree.Negation() | tree.Infix() | tree.FunctionCall():
            return _print_sum(node, 0)
        case tree.Argument():
            return (f"{node.name}=" if node.name is not None else "") + print_expression(node.value)
        case tree.Interpolation():
            return f"$({_print_sum(node.formula, 0)})"
        case tree.Number() | tree.Quantity() | tree.Word():
            return node.text
        case tree.Parameter():
            return node.name
        case tree.Size():
            return "x".join(map(str, node.dims))
        case tree.Text():
            return f'"{node.text}"'
        case _:
            raise TypeError(f"{type(node).__name__} is not an expression")


def _print_sum(node: tree.RealExpression | tree.Formula, binding: int) -> str:
    """Print left-associative arithmetic with parentheses where the precedence ``binding`` requires them."""
    match node:
        case tree.Number():
            # A negative literal after an operator would read as a subtraction.
            return node.text if not node.text.startswith("-") or binding <= 1 else f"({node.text})"
        case tree.Variable() | tree.Parameter():
            return node.name
        case tree.Interpolation():
            return print_expression(node)
        case tree.FunctionCall():
            return f"{node.name.text}({', '.join(_print_sum(operand, 0) for operand in node.operands)})"
        case tree.Negation() | tree.Opposite():
            own, text = _NEGATION_BINDING, f"-{_print_sum(node.operand, _NEGATION_BINDING)}"
        case tree.Infix() | tree.Arithmetic():
            own = _BINDING[node.operator]
            left, right = _print_sum(node.left, own), _print_sum(node.right, own + 1)
            blank = "" if node.operator in "*/" or isinstance(node, tree.Arithmetic) else " "
            text = f"{left}{blank}{node.operator}{blank}{right}"
    return f"({text})" if own < binding else text


def _print_equation(equation: tree.Equation) -> str:
    match equation:
        case tree.Learn():
            per = f" per {', '.join(axis.text for axis in equation.axes)}" if equation.axes else ""
            return f"learn {equation.name.text}{_print_length(equation)}{per} = {_print_sum(equation.initial, 0)}"
        case tree.StateDeclaration():
            return f"state {equation.name.text}{_print_length(equation)} = {_print_sum(equation.initial, 0)}"
        case tree.Assignment():
            return f"{equation.name.text} = {_print_sum(equation.value, 0)}"
        case tree.Gives():
            return f"give {_print_sum(equation.value, 0)}"


def _print_length(declaration: tree.Learn | tree.StateDeclaration) -> str:
    return f"[{declaration.length.text}]" if declaration.length is not None else ""


def print_neuron(definition: tree.NeuronDefinition) -> str:
    """Print a neuron definition with one equation per line, without a newline at the end.

    The name of a ``MAP`` is its definition.
    """
    if is_pointwise(definition.name.text):
        return definition.name.text
    parameters = ", ".join(f"{each.name.text}={_print_sum(each.default, 0)}" for each in definition.parameters)
    head = f"neuron {definition.name.text}" + (f"({parameters})" if parameters else "")
    head += f"[{' | '.join(word.text for word in definition.inputs)}]" if definition.inputs else ""
    return "\n    ".join([f"{head} {{", *map(_print_equation, definition.equations)]) + "\n}"


def _print_call(call: tree.Call) -> str:
    name = print_expression(call.name)
    if not call.arguments and not call.called:
        return name
    blank = " " if any(call.name.spaced) else ""
    return f"{name}{blank}({', '.join(map(print_expression, call.arguments))})"


def _print_statement(statement: tree.Statement) -> str:
    match statement:
        case tree.Version():
            return f"sewdsl {statement.number.text}"
        case tree.Section():
            on = f" on {statement.on}" if statement.on is not None else ""
            entries = (f"    {' '.join(_words(entry))}\n" for entry in statement.settings)
            return f"{statement.name.text}{on} {{\n{''.join(entries)}}}"
        case tree.BlockDefinition():
            parameters = [
                each.name + (f"={print_expression(each.default)}" if each.default is not None else "")
                for each in statement.parameters
            ]
            signature = f"({', '.join(parameters)})" if parameters else ""
            if statement.operands:
                signature += f"[{' | '.join(operand.text for operand in statement.operands)}]"
            head = f"{statement.keyword} {print_expression(statement.name)}{signature}"
            if not statement.long:
                return f"{head} = {print_expression(statement.expression)}"
            lines = [" ".join(_words(let)) for let in statement.lets]
            lines.append(f"give {print_expression(statement.expression)}")
            return "\n    ".join([f"{head} {{", *lines]) + "\n}"
        case tree.NeuronDefinition():
            return print_neuron(statement)
        case tree.Give():
            return f"give {print_expression(statement.expression)}"
        case _:
            key, *values = _words(statement)
            return f"{key:{HEADER_VALUE_COLUMN - 1}} {' '.join(values)}"


def _words(
    statement: tree.Setting | tree.Let | tree.Body | tree.Use | tree.Expect | tree.Claim | tree.Allow,
) -> Iterator[str]:
    match statement:
        case tree.Setting():
            yield statement.key.text
            yield from map(print_expression, statement.values)
        case tree.Let():
            yield from ("let", statement.name.text, "=", print_expression(statement.expression))
        case tree.Body():
            yield from ("body", print_expression(statement.expression))
        case tree.Use():
            yield from ("use", print_expression(statement.path))
        case tree.Expect():
            yield from ("expect", statement.quantity.text, print_expression(statement.value))
        case tree.Claim():
            yield from ("claim", statement.quantity.text, print_expression(statement.value))
            if statement.source is not None:
                yield print_expression(statement.source)
        case tree.Allow():
            yield from ("allow", statement.code.text, print_expression(statement.reason))


def _group(statement: tree.Statement) -> object:
    """Return the group of a statement. There are no blank lines within a group."""
    if isinstance(statement, tree.Section | tree.NeuronDefinition) or (
        isinstance(statement, tree.BlockDefinition) and statement.long
    ):
        return id(statement)
    groups: dict[type, str] = {
        tree.Setting: "header",
        tree.Let: "header",
        tree.Body: "header",
        tree.Claim: "figures",
        tree.Expect: "figures",
    }
    return groups.get(type(statement), type(statement).__name__)
