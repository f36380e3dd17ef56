"""Neurons with equations in plain PyTorch: a class each, with the equations almost as written."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import NamedTuple, cast
from unicodedata import normalize

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import LEARNED, NUMBER, STEP
from sewdsl.exchange.write.source import loops
from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall, class_name
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.ir.op import KnowsSteps
from sewdsl.ir.signal import Signal
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.read_equations import DRAWS, INDEX, SUM, input_names
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import GIVEN_NAMES, RESET, RESET_POTENTIAL, THRESHOLD

SPREAD = '''\
def spread(w: Tensor, x: Tensor) -> Tensor:
    """Reshape a parameter per channel to broadcast with x, [N, C, *]."""
    return w.reshape(-1, *[1] * (x.ndim - 2))
'''
SPREAD_VECTOR = '''\
def spread_vector(w: Tensor, x: Tensor) -> Tensor:
    """Reshape a vector, per channel or not, to broadcast with x, [N, C, *]. Its axis comes first."""
    return w.reshape(len(w), 1, -1, *[1] * (x.ndim - 2))
'''
ROUNDED = '''\
def rounded(x: Tensor) -> Tensor:
    """Round to the nearest integers, with gradient 1."""
    return x.round().detach() + (x - x.detach())
'''
HELPERS = {"spread": SPREAD, "spread_vector": SPREAD_VECTOR, "rounded": ROUNDED}
NAMES = frozenset(HELPERS)
"""Functions in files with such neurons."""
_RESERVED_NAMES = (
    frozenset({"self", "torch", "nn", "math", "fire", "outputs", "inputs", "t", "wide", "x", "channels", "steps"})
    | frozenset({"Tensor", "partial", loops.BASE, *HELPERS, *loops.ATTRIBUTES, *dir(builtins)})
    | MODULE_ATTRIBUTES
)
"""Names that no parameter or variable of a class may have."""
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2}
_ATOM = 4
_INDEX_NAME = "number"
"""Variable of the numbers of a vector."""


def python_names(words: Iterable[str]) -> dict[str, str]:
    """Return Python names for names in equations, unchanged where Python and the class permit."""
    # Python normalises identifiers (NFKC), and mangles names with leading underscores.
    names: dict[str, str] = {}
    for word in words:
        name = normalize("NFKC", word)
        name = name if name.isidentifier() and name[0] != "_" else f"name{len(names)}"
        while iskeyword(name) or name in _RESERVED_NAMES or name in names.values():
            name += "_"
        names[word] = name
    return names


class _Text(NamedTuple):
    """Part of an equation as Python code."""

    text: str
    level: int
    """Dependency: 0 for constants only, 1 for learned parameters, 2 for the input or a state."""
    binding: int = _ATOM
    """Precedence of the outermost operator."""

    @property
    def tensor(self) -> bool:
        """Whether the expression is a tensor."""
        return self.level > NUMBER

    def within(self, binding: int) -> str:
        """Return the text, in parentheses if its precedence is lower than ``binding``."""
        return f"({self.text})" if self.binding < binding else self.text

    def for_all(self) -> str:
        """Return an expression for a tensor of the input's shape."""
        if self.level == STEP:
            return self.text
        return f"{self.within(_ATOM)}.expand_as(x)" if self.tensor else f"torch.full_like(x, {self.text})"


class EquationClass:
    """Python class of a neuron, for one reset mode and one surrogate.

    Args:
        surrogate: Additional argument of ``fire``, or an empty text.
        base: Base class. ``Memory`` in a file with loops.
    """

    def __init__(self, op: EquationKind, name: str, surrogate: str, base: str) -> None:
        self.op, self.name, self.surrogate, self.base = op, name, surrogate, base
        self.definition, self.step = op.definition, op.equations
        self.soft = op.v_reset is None
        self.used: set[str] = set()
        first, *others = input_names(self.definition)
        self.first_input, self.other_inputs = first, tuple(others)
        ready_names = GIVEN_NAMES - {*others}
        words = [word.text for word in tree.names_in(self.definition.equations) if word.text not in ready_names]
        # Learned parameters come first: their names are keys of the state_dict and must not change.
        learned = [word for word in words if word in self.step.learned]
        self.names = python_names(dict.fromkeys([*learned, THRESHOLD, RESET_POTENTIAL, *op.defaults, *words]))
        self.signed: Iterator[bool] = iter(())
        self.initial: dict[str, list[str]] = {}
        # A name that is assigned a vector is one too.
        self.vectors: set[str] = set()
        for equation in self.definition.equations:
            declares = isinstance(equation, tree.Learn | tree.StateDeclaration) and equation.length
            if declares or (isinstance(equation, tree.Assignment) and self._is_vector(equation.value)):
                self.vectors.add(equation.name.text)  # type: ignore[union-attr]

    # --- expressions

    def _text(self, expression: tree.RealExpression, variables: Mapping[str, _Text]) -> _Text:
        """Translate an expression. ``variables`` are the translations of the variables."""
        match expression:
            case tree.Number():
                digits = expression.text
                # Python does not allow leading zeros in integers.
                return _Text(repr(expression.value) if digits[0] == "0" and digits[1:2].isdigit() else digits, NUMBER)
            case tree.Variable(name=name):
                return variables[name]
            case tree.Negation(operand=operand):
                negated = self._text(operand, variables)
                return _Text(f"-{negated.within(3)}", negated.level, 3)
            case tree.Infix(operator=operator, left=left, right=right):
                a, b = self._text(left, variables), self._text(right, variables)
                level = max(a.level, b.level)
                if operator in _BINDING:
                    binding = _BINDING[operator]
                    # Left-associative: the right operand needs parentheses at equal precedence.
                    return _Text(f"{a.within(binding)} {operator} {b.within(binding + 1)}", level, binding)
                comparison = f"{a.within(1)} {operator} {b.within(1)}"
                return _Text(f"({comparison}).to(x.dtype)" if level else f"float({comparison})", level)
            case tree.FunctionCall():
                return self._call(expression, variables)
            case tree.Interpolation():
                raise AssertionError  # the elaborator replaces formulas by numbers

    def _call(self, call: tree.FunctionCall, variables: Mapping[str, _Text]) -> _Text:
        name = call.name.text
        if name == INDEX:  # In the initial values of a vector.
            return _Text(_INDEX_NAME, NUMBER)
        operands = [self._text(operand, variables) for operand in call.operands]
        texts, level = [operand.text for operand in operands], max(operand.level for operand in operands)
        if name == RESET:
            return self._reset_call(operands, level)
        spelling = OPERATIONS[name].spelling
        if name == SUM:  # Python adds in the order of the kernels.
            return _Text(f"sum({texts[0]})", level) if self._is_vector(call.operands[0]) else operands[0]
        if name == "detach" and not level:  # A constant has no gradient.
            return operands[0]
        if not level:  # All operands are known before the first time-step.
            return _Text(spelling.python.format(*texts), NUMBER)
        receiver = operands[0].within(_ATOM)
        match name:
            case "fire":
                return _Text(f"fire({', '.join([*texts, *filter(None, [self.surrogate])])})", level)
            case "round":
                self.used.add("rounded")
                return _Text(f"rounded({texts[0]})", level)
            case "min" | "max":
                sign = "<=" if name == "min" else ">="
                a, b = (operand.within(1) for operand in operands)
                return _Text(f"torch.where({a} {sign} {b}, {texts[0]}, {texts[1]})", level)
            case "where":
                return self._where(call.operands[0], operands, level)
        return _Text(f"{receiver}.{spelling.torch or name}({', '.join(texts[1:])})", level)

    def _where(self, condition_tree: tree.RealExpression, operands: list[_Text], level: int) -> _Text:
        condition_text = operands[0]
        if not condition_text.tensor:  # Choose in Python; both branches must have the same type.
            if_true, if_false = (
                each.for_all() if level == STEP else each.text if each.tensor else f"x.new_tensor({each.text})"
                for each in operands[1:]
            )
            return _Text(f"({if_true} if {condition_text.text} else {if_false})", level)
        _, then_value, else_value = operands
        test = condition_text.text.removesuffix(".to(x.dtype)").removeprefix("(").removesuffix(")")
        if not isinstance(condition_tree, tree.Infix) or condition_tree.operator in _BINDING:
            test = f"{condition_text.within(1)} != 0"
        # torch.where of two Python numbers would have the default dtype.
        then_text = then_value.text if then_value.tensor or else_value.tensor else f"x.new_tensor({then_value.text})"
        return _Text(f"torch.where({test}, {then_text}, {else_value.text})", level)

    def _reset_call(self, operands: list[_Text], level: int) -> _Text:
        h, s, *by = operands
        signed = next(self.signed, False) and not self.soft
        if not s.tensor:  # A constant has no gradient to detach.
            spike_text = f"abs({s.text})" if signed else s.within(2)
            amount = by[0].within(2) if by else f"self.{THRESHOLD}"
            if self.soft:
                return _Text(f"{h.within(1)} - {amount} * {spike_text}", level, 1)
            return _Text(f"{h.within(2)} * (1 - {spike_text}) + self.{RESET_POTENTIAL} * {spike_text}", level, 1)
        self.used.add(RESET)
        spike_text = f"{s.within(_ATOM)}.abs()" if signed else s.text
        return _Text(f"self._reset({', '.join([h.text, spike_text, *(each.text for each in by)])})", level)

    # --- the class

    def lines(self) -> Iterator[str]:
        """Yield the lines of the class."""
        self.signed = iter(self.step.signed)
        settings = [name for name in (THRESHOLD, RESET_POTENTIAL) if self.reads(name)]
        learned = self.step.learned
        has_channels = any(item.per_channel for item in learned.values())
        has_steps = any(item.per_step for item in learned.values())
        yield f"class {self.name}({self.base}):"
        yield f'    """{self.definition.name.text} neurons, one per element of [T, N, C, *]."""'
        yield ""
        parameters_text = [*(["channels: int"] if has_channels else []), *(["steps: int"] if has_steps else [])]
        parameters_text += [f"{self.names[name]}: float = {default!r}" for name, default in self.op.defaults.items()]
        parameters_text += [f"{name}: float = {getattr(self.op, name) or 0.0!r}" for name in settings]
        if len(", ".join(parameters_text)) < 80:  # noqa: PLR2004 -- width of a line
            yield f"    def __init__({', '.join(['self', *parameters_text])}) -> None:"
        else:
            yield from (
                "    def __init__(",
                "        self,",
                *(f"        {each}," for each in parameters_text),
                "    ) -> None:",
            )
        yield "        super().__init__()"
        # _forward() also collects the initial values of learned parameters and the helpers in use.
        numbers = (*self.op.defaults, *settings)
        initial_texts = {name: _Text(f"self.{self.names[name]}", NUMBER) for name in numbers}
        if RESET_POTENTIAL not in settings:
            initial_texts[RESET_POTENTIAL] = _Text("0.0", NUMBER)
        yield from (f"        self.{self.names[name]} = {self.names[name]}" for name in numbers)
        forward = [*self._forward(initial_texts)]
        for equation in self.definition.equations:
            if isinstance(equation, tree.Learn):
                item = learned[equation.name.text]
                # The numbers of a vector are filled one by one, without the axis of time-steps.
                axes = ["steps"] * item.per_step + ["channels"] * item.per_channel
                shape = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
                yield f"        self.{equation.name.text} = nn.Parameter({self._start(equation, shape)})"
        if RESET in self.used:
            yield from self._reset()
        yield from forward

    def _start(self, equation: tree.Learn, shape: str) -> str:
        """Return the expression of the initial value of a learned parameter."""
        numbers, draw = ", ".join(self.initial[equation.name.text]), _draw(equation)
        value = f"torch.full({shape}, float({numbers}))" if draw is None else f"torch.empty({shape}).{draw}_({numbers})"
        axis = int(self.step.learned[equation.name.text].per_step)
        return f"torch.stack([{value}{self._each_number(equation)}], {axis})" if equation.length else value

    def _each_number(self, declaration: tree.Learn | tree.StateDeclaration) -> str:
        """Return the loop of a list over the numbers of a vector."""
        assert declaration.length is not None  # noqa: S101 -- of a vector
        text = declaration.length.text
        return f" for {_INDEX_NAME} in range({text if text.isdigit() else f'int(self.{self.names[text]})'})"

    def _is_vector(self, expression: tree.RealExpression) -> bool:
        if isinstance(expression, tree.FunctionCall) and expression.name.text == SUM:
            return False
        if isinstance(expression, tree.Variable):
            return expression.name in self.vectors
        return any(self._is_vector(cast("tree.RealExpression", each)) for each in tree.child_nodes(expression))

    def reads(self, name: str) -> bool:
        """Return whether the equations need a setting."""
        words = {word.text for word in tree.names_in(self.definition.equations)}
        resets = bool(self.step.signed)
        if name == RESET_POTENTIAL:
            return not self.soft and (name in words or resets or "v" in self.step.start)
        return name in words or (resets and self.soft)

    def _reset(self) -> Iterator[str]:
        """Yield the method that resets the membrane potential."""
        detached = "s.detach()" if self.op.detach_reset else "s"
        yield ""
        if self.soft:
            yield "    def _reset(self, h: Tensor, s: Tensor, by: Tensor | float | None = None) -> Tensor:"
            yield '        """Return the membrane potential after a spike."""'
            yield f"        return h - (self.{THRESHOLD} if by is None else by) * {detached}"
            return
        yield "    def _reset(self, h: Tensor, s: Tensor, _by: Tensor | float | None = None) -> Tensor:"
        yield '        """Return the membrane potential after a spike; hard resets ignore _by."""'
        yield f"        s = {detached}"
        yield f"        return h * (1 - s) + self.{RESET_POTENTIAL} * s"

    def _forward(self, parameters: dict[str, _Text]) -> Iterator[str]:
        variables = dict(parameters)
        yield ""
        others = [self.names[name] for name in self.other_inputs]
        names = "".join(f", {name}_inputs: Tensor" for name in others)
        yield f"    def forward(self, inputs: Tensor{names}) -> Tensor:"
        yield '        """Return the outputs of all time-steps."""'
        yield "        wide = torch.promote_types(inputs.dtype, torch.float32)  # also under autocast"
        declared = {
            each.name.text: each for each in self.definition.equations if isinstance(each, tree.StateDeclaration)
        }
        starts = {name: self._text(each.initial, parameters).text for name, each in declared.items()}
        for name in self.step.start:
            start = starts.get(name, parameters[RESET_POTENTIAL].text)
            start_text = f"torch.full_like(inputs[0], {start}, dtype=wide)"
            if name in self.vectors:
                start_text = f"torch.stack([{start_text}{self._each_number(declared[name])}])"
            yield f"        {self.names[name]} = {start_text}"
            variables[name] = _Text(self.names[name], STEP)
        states, looped = [self.names[name] for name in self.step.start], self.base != "nn.Module"
        if looped and states:
            yield from (
                "        if self.loop_state:",
                f"            {', '.join(states) if len(states) > 1 else f'({states[0]},)'} = self.loop_state",
            )
        per_step = any(item.per_step for item in self.step.learned.values())
        t_start = ", self.loop_time" if looped else ""
        steps, x = "inputs.to(wide)", "x"
        if others:
            sequences = ", ".join([steps, *(f"{name}_inputs.to(wide)" for name in others)])
            steps, x = f"zip({sequences}, strict=True)", f"{'(' * per_step}{', '.join(['x', *others])}{')' * per_step}"
        loop = f"for {f't, {x} in enumerate({steps}{t_start})' if per_step else f'{x} in {steps}'}"
        lines, output = list[str](), ""
        variables[self.first_input] = _Text("x", STEP)
        variables |= {word: _Text(self.names[word], STEP) for word in self.other_inputs}
        for equation in self.definition.equations:
            match equation:
                case tree.Learn(name=word, initial=value):
                    numbers = value.operands if isinstance(value, tree.FunctionCall) and _draw(equation) else (value,)
                    self.initial[word.text] = [self._text(initial, parameters).text for initial in numbers]
                    lines += self._learned(word.text, variables)
                case tree.Assignment(name=word, value=value):
                    local, value_text = self.names[word.text], self._text(value, variables)
                    is_state = word.text in self.step.start
                    text = value_text.for_all() if is_state else value_text.text
                    if is_state and word.text in self.vectors:
                        # A single number stands for all numbers of a vector.
                        is_vector = self._is_vector(value) and value_text.level == STEP
                        text = text if is_vector else f"({text}).expand_as({local})"
                        text = text if value_text.level != LEARNED else f"({value_text.text}).expand_as({local})"
                    lines.append(f"            {local} = {text}")
                    variables[word.text] = _Text(local, STEP if is_state else value_text.level)
                case tree.Gives(value=value):
                    output = self._text(value, variables).for_all()
                    lines.append(f"            outputs.append({output})")
                case tree.StateDeclaration():
                    pass
        if len(lines) == 1:
            yield f"        outputs = [{output} {loop}]"
        else:
            yield from ("        outputs = []", f"        {loop}:", *lines)
        if looped:
            yield f"        self.keep_state({', '.join(states)})"
        yield "        return torch.stack(outputs).to(inputs.dtype)"

    def _learned(self, name: str, variables: dict[str, _Text]) -> Iterator[str]:
        """Yield the line that reads a learned parameter, if it needs one, and register its expression."""
        item = self.step.learned[name]
        text = f"self.{name}" + ("[t]" if item.per_step else "")
        helper = "spread_vector" if item.more is not None else "spread" if item.per_channel else ""
        if helper:
            self.used.add(helper)
            yield f"            {self.names[name]} = {helper}({text}, x)"
            text = self.names[name]
        variables[name] = _Text(text, LEARNED)


def _draw(equation: tree.Learn) -> str | None:
    """Return the distribution of a random initial value, or None for a number."""
    initial = equation.initial
    return initial.name.text if isinstance(initial, tree.FunctionCall) and initial.name.text in DRAWS else None


class EquationClasses:
    """Classes of the neurons with equations in a network. Their names are added to ``taken``, the names in use."""

    def __init__(self, base: str, taken: set[str]) -> None:
        self._base, self._reserved_names = base, taken
        self._classes: dict[tuple[object, ...], EquationClass] = {}

    @property
    def fires(self) -> bool:
        """Whether one of the requested neurons fires."""
        return any(neuron_class.op.step_surrogate for neuron_class in self._classes.values())

    def call(self, op: EquationKind, source: Signal, surrogate: str) -> PyCall:
        """Return the constructor call of a neuron with equations.

        Args:
            surrogate: Additional argument of ``fire``.
        """
        # Neurons that differ in numbers only share a class.
        key = op.definition, op.v_reset is None, op.detach_reset, op.equations.signed, surrogate
        if key not in self._classes:
            name = class_name(f"{op.kind}Neuron", "Neuron", self._reserved_names)
            self._classes[key] = EquationClass(op, name, surrogate, self._base)
        neuron_class = self._classes[key]
        arguments: list[Arg] = []
        if any(item.per_channel for item in neuron_class.step.learned.values()):
            arguments.append(Arg("channels", Literal(source.channels), positional=True, channels="out"))
        if any(item.per_step for item in neuron_class.step.learned.values()):
            arguments.append(Arg("steps", Literal(op.T if isinstance(op, KnowsSteps) else 1), positional=True))
        arguments += [
            Arg(neuron_class.names[name], Literal(op.arguments[name]), default) for name, default in op.defaults.items()
        ]
        for name in (THRESHOLD, RESET_POTENTIAL):
            if neuron_class.reads(name):
                arguments.append(Arg(name, Literal(getattr(op, name) or 0.0), getattr(neuron_class.op, name) or 0.0))
        return PyCall(neuron_class.name, tuple(arguments))

    def definitions(self) -> Iterator[str]:
        """Yield the helpers and classes of the requested neurons."""
        classes = ["\n".join([*neuron_class.lines(), ""]) for neuron_class in self._classes.values()]
        used = {name for neuron_class in self._classes.values() for name in neuron_class.used}
        yield from (text for name, text in HELPERS.items() if name in used)
        yield from classes
