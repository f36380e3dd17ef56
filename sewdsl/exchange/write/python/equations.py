"""Neurons as equations in plain PyTorch: a class each, with the equations almost as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from keyword import iskeyword
from typing import NamedTuple

from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.ir.op import KnowsSteps
from sewdsl.ir.signal import Signal
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.read_equations import INPUT, RESET, RESET_POTENTIAL, THRESHOLD, names_in
from sewdsl.syntax.tree import (
    Assignment,
    FunctionCall,
    Gives,
    Infix,
    Learn,
    Negation,
    Number,
    RealExpression,
    StateDeclaration,
    Variable,
)

SPREAD = '''\
def spread(w: Tensor, x: Tensor) -> Tensor:
    """Numbers of each channel as a factor of x, [N, C, *]."""
    return w.reshape(-1, *[1] * (x.ndim - 2))
'''
ROUNDED = '''\
def rounded(x: Tensor) -> Tensor:
    """The nearest whole numbers, with gradient 1."""
    return x.round().detach() + (x - x.detach())
'''
HELPERS = {"spread": SPREAD, "rounded": ROUNDED}
NAMES = frozenset(HELPERS)
"""What files with such neurons define in addition to their classes."""
_TAKEN = frozenset(
    {"self", "torch", "nn", "math", "fire", "given", "inputs", "t", "wide", "Tensor", "partial", *HELPERS}
)
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2}
_ATOM = 4


def fires(op: EquationKind) -> bool:
    """Whether a neuron has a step function, and so a surrogate in use."""
    return "fire(" in op.definition_text()


class _Text(NamedTuple):
    """A part of an equation in Python.

    Attributes:
        text: It.
        tensor: Whether it is a tensor, not a number.
        binding: How tightly its outermost operator binds.
    """

    text: str
    tensor: bool
    binding: int = _ATOM

    def within(self, binding: int) -> str:
        """In parentheses, where the order needs them."""
        return f"({self.text})" if self.binding < binding else self.text


class EquationClass:
    """The class of a neuron, for one way to reset and one surrogate.

    Args:
        op: The neuron.
        name: What the class is called.
        surrogate: What ``fire`` is given in addition; empty: nothing.
    """

    def __init__(self, op: EquationKind, name: str, surrogate: str) -> None:
        self.op, self.name, self.surrogate = op, name, surrogate
        self.definition, self.step = op.definition, op.equations
        self.soft = op.v_reset is None
        self.used: set[str] = set()
        words = {word.text for word in names_in(self.definition.equations)}
        self.locals = {word: f"{word}_" if iskeyword(word) or word in _TAKEN else word for word in words}

    # --- expressions

    def _text(self, expression: RealExpression, known: Mapping[str, _Text]) -> _Text:
        match expression:
            case Number():
                return _Text(expression.text, tensor=False)
            case Variable(name=name):
                return known[name]
            case Negation(operand=operand):
                inner = self._text(operand, known)
                return _Text(f"-{inner.within(3)}", inner.tensor, 3)
            case Infix(operator=operator, left=left, right=right) if operator in _BINDING:
                own = _BINDING[operator]
                a, b = self._text(left, known), self._text(right, known)
                return _Text(f"{a.within(own)} {operator} {b.within(own + 1)}", a.tensor or b.tensor, own)
            case Infix(operator=operator, left=left, right=right):
                a, b = self._text(left, known), self._text(right, known)
                return _Text(f"({a.text} {operator} {b.text}).to(x.dtype)", tensor=True)
            case FunctionCall():
                return self._call(expression, known)

    def _call(self, call: FunctionCall, known: Mapping[str, _Text]) -> _Text:
        name = call.name.text
        operands = [self._text(each, known) for each in call.operands]
        texts = [each.text for each in operands]
        if name == RESET:
            return _Text(f"self._reset({', '.join(texts)})", tensor=True)
        if name == "fire":
            return _Text(f"fire({', '.join([*texts, *filter(None, [self.surrogate])])})", tensor=True)
        if not any(each.tensor for each in operands):
            return _number(name, texts)
        first, tensor = operands[0].within(_ATOM), operands[0].tensor
        match name:
            case "round":
                self.used.add("rounded")
                return _Text(f"rounded({texts[0]})", tensor=True)
            case "clip":
                return _Text(f"{first}.clamp({', '.join(texts[1:])})", tensor=True)
            case "min" | "max":
                sign = "<=" if name == "min" else ">="
                a, b = (each.within(1) for each in operands)
                return _Text(f"torch.where({a} {sign} {b}, {texts[0]}, {texts[1]})", tensor=True)
            case "where":
                condition = call.operands[0]
                said = texts[0].removesuffix(".to(x.dtype)").removeprefix("(").removesuffix(")")
                said = said if isinstance(condition, Infix) and condition.operator not in _BINDING else f"{first} != 0"
                cast = "" if any(each.tensor for each in operands[1:]) else ".to(x.dtype)"
                return _Text(f"torch.where({said}, {texts[1]}, {texts[2]}){cast}", tensor=True)
        return _Text(f"{first}.{name}()", tensor) if tensor else _number(name, texts)

    # --- the class

    def lines(self) -> Iterator[str]:
        """The class, line by line."""
        settings = [name for name in (THRESHOLD, RESET_POTENTIAL) if self.reads(name)]
        learned = self.step.learned
        channels = any(item.per_channel for item in learned.values())
        steps = any(item.per_step for item in learned.values())
        yield f"class {self.name}(nn.Module):"
        yield f'    """Neurons of one kind, {self.definition.name.text}, one per element of [T, N, C, *]."""'
        yield ""
        given = [*(["channels: int"] if channels else []), *(["steps: int"] if steps else [])]
        given += [f"{name}: float = {default!r}" for name, default in self.op.defaults.items()]
        given += [f"{name}: float = {getattr(self.op, name) or 0.0!r}" for name in settings]
        if len(", ".join(given)) < 80:  # noqa: PLR2004 -- the width of a line
            yield f"    def __init__({', '.join(['self', *given])}) -> None:"
        else:
            yield from ("    def __init__(", "        self,", *(f"        {each}," for each in given), "    ) -> None:")
        yield "        super().__init__()"
        parameters = {name: _Text(f"self.{name}", tensor=False) for name in (*self.op.defaults, *settings)}
        if RESET_POTENTIAL not in settings:
            parameters[RESET_POTENTIAL] = _Text("0.0", tensor=False)
        yield from (f"        self.{name} = {name}" for name in (*self.op.defaults, *settings))
        for equation in self.definition.equations:
            if isinstance(equation, Learn):
                item = learned[equation.name.text]
                axes = ["steps"] * item.per_step + ["channels"] * item.per_channel
                shape = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
                value = self._text(equation.initial, parameters).text
                yield f"        self.{equation.name.text} = nn.Parameter(torch.full({shape}, float({value})))"
        if any(self._calls(equation) for equation in self.definition.equations):
            yield from self._reset()
        yield from self._forward(parameters)

    def reads(self, name: str) -> bool:
        """Whether the equations need a setting."""
        words = {word.text for word in names_in(self.definition.equations)}
        resets = any(self._calls(equation) for equation in self.definition.equations)
        if name == RESET_POTENTIAL:
            return not self.soft and (name in words or resets or "v" in self.step.start)
        return name in words or (resets and self.soft)

    @staticmethod
    def _calls(equation: Assignment | Gives | Learn | StateDeclaration) -> bool:
        return f"{RESET}(" in "".join(equation.span.text.split()) if equation.span.text else False

    def _reset(self) -> Iterator[str]:
        """The method that resets, as the settings say."""
        detached = "s.detach()" if self.op.detach_reset else "s"
        yield ""
        if self.soft:
            yield "    def _reset(self, h: Tensor, s: Tensor, by: Tensor | float | None = None) -> Tensor:"
            yield '        """The potential after a spike."""'
            yield f"        return h - (self.{THRESHOLD} if by is None else by) * {detached}"
            return
        yield "    def _reset(self, h: Tensor, s: Tensor, _by: Tensor | float | None = None) -> Tensor:"
        yield '        """The potential after a spike, whatever a soft reset would subtract."""'
        yield f"        s = {detached}{'.abs()' if self.step.values.low < 0 else ''}"
        yield f"        return h * (1 - s) + self.{RESET_POTENTIAL} * s"

    def _forward(self, parameters: dict[str, _Text]) -> Iterator[str]:
        known = dict(parameters)
        yield ""
        yield "    def forward(self, inputs: Tensor) -> Tensor:"
        yield '        """What they give at all time-steps."""'
        yield "        wide = torch.promote_types(inputs.dtype, torch.float32)  # also under autocast"
        starts = {
            equation.name.text: self._text(equation.initial, parameters).text
            for equation in self.definition.equations
            if isinstance(equation, StateDeclaration)
        }
        for name in self.step.start:
            start = starts.get(name, parameters[RESET_POTENTIAL].text)
            yield f"        {self.locals[name]} = torch.full_like(inputs[0], {start}, dtype=wide)"
            known[name] = _Text(self.locals[name], tensor=True)
        yield "        given = []"
        per_step = any(item.per_step for item in self.step.learned.values())
        yield f"        for {'t, x in enumerate(inputs.to(wide))' if per_step else 'x in inputs.to(wide)'}:"
        known[INPUT] = _Text("x", tensor=True)
        for equation in self.definition.equations:
            match equation:
                case Learn(name=word):
                    yield from self._learned(word.text, known)
                case Assignment(name=word, value=value):
                    local = self.locals[word.text]
                    made = self._text(value, known)
                    yield f"            {local} = {made.text}"
                    known[word.text] = _Text(local, made.tensor)
                case Gives(value=value):
                    yield f"            given.append({self._text(value, known).text})"
                case StateDeclaration():
                    pass
        yield "        return torch.stack(given).to(inputs.dtype)"

    def _learned(self, name: str, known: dict[str, _Text]) -> Iterator[str]:
        item = self.step.learned[name]
        text = f"self.{name}" + ("[t]" if item.per_step else "")
        if item.per_channel:
            self.used.add("spread")
            yield f"            {self.locals[name]} = spread({text}, x)"
            text = self.locals[name]
        known[name] = _Text(text, tensor=True)


def _number(name: str, texts: list[str]) -> _Text:
    """A function of numbers that are known before the first time-step."""
    forms = {
        "sigmoid": "(1 / (1 + math.exp(-({0}))))",
        "relu": "max({0}, 0.0)",
        "clip": "min(max({0}, {1}), {2})",
        "round": "float(round({0}))",
        "where": "({1} if {0} else {2})",
        "detach": "{0}",
        **{plain: f"{plain}({{0}})" for plain in ("abs",)},
        **{plain: f"{plain}({{0}}, {{1}})" for plain in ("min", "max")},
    }
    return _Text(forms.get(name, f"math.{name}({{0}})").format(*texts), tensor=False)


class EquationClasses:
    """The classes of the neurons as equations of a network."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], EquationClass] = {}

    @property
    def fires(self) -> bool:
        """Whether one of those asked for fires."""
        return any(fires(made.op) for made in self._made.values())

    def call(self, op: EquationKind, source: Signal, surrogate: str) -> PyCall:
        """The call that makes a neuron.

        Args:
            op: The neuron.
            source: What it reads.
            surrogate: What ``fire`` is given in addition.
        """
        key = op.definition, op.v_reset is None, op.detach_reset, surrogate
        if key not in self._made:
            alike = sum(made.op.kind == op.kind for made in self._made.values())
            name = f"{op.kind[0].upper()}{op.kind[1:]}{alike + 1 if alike else ''}Neuron"
            self._made[key] = EquationClass(op, name, surrogate)
        made = self._made[key]
        arguments: list[Arg] = []
        if any(item.per_channel for item in made.step.learned.values()):
            arguments.append(Arg("channels", Literal(source.channels), positional=True, channels="out"))
        if any(item.per_step for item in made.step.learned.values()):
            arguments.append(Arg("steps", Literal(op.T if isinstance(op, KnowsSteps) else 1), positional=True))
        arguments += [Arg(name, Literal(getattr(op, name)), default) for name, default in op.defaults.items()]
        for name in (THRESHOLD, RESET_POTENTIAL):
            if made.reads(name):
                arguments.append(Arg(name, Literal(getattr(op, name) or 0.0), getattr(made.op, name) or 0.0))
        return PyCall(made.name, tuple(arguments))

    def definitions(self) -> Iterator[str]:
        """The helpers and the classes that were asked for."""
        classes = ["\n".join([*made.lines(), ""]) for made in self._made.values()]
        used = {name for made in self._made.values() for name in made.used}
        yield from (text for name, text in HELPERS.items() if name in used)
        yield from classes
