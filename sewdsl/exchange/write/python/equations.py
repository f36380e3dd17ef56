"""Neurons as equations in plain PyTorch: a class each, with the equations almost as they are written."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import NamedTuple
from unicodedata import normalize

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import LEARNED, NUMBER, STEP
from sewdsl.exchange.write.source import loops
from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall, class_name
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.ir.op import Activation, KnowsSteps
from sewdsl.ir.signal import Signal
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.syntax.lexicon import GIVEN_NAMES, INPUT, RESET, RESET_POTENTIAL, THRESHOLD
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
    names_in,
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
_TAKEN = (
    frozenset({"self", "torch", "nn", "math", "fire", "given", "inputs", "t", "wide", "x", "channels", "steps"})
    | frozenset({"Tensor", "partial", loops.BASE, *HELPERS, *loops.ATTRIBUTES, *dir(builtins)})
    | MODULE_ATTRIBUTES
)
"""What no parameter and no variable of a class can be called."""
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2}
_ATOM = 4


def python_names(words: Iterable[str]) -> dict[str, str]:
    """Names of Python for names of the language: the same wherever Python and the class leave them free.

    Python reads names that look alike as one, and those that begin with underscores in its own way.
    """
    names: dict[str, str] = {}
    for word in words:
        name = normalize("NFKC", word)
        name = name if name.isidentifier() and name[0] != "_" else f"name{len(names)}"
        while iskeyword(name) or name in _TAKEN or name in names.values():
            name += "_"
        names[word] = name
    return names


class _Text(NamedTuple):
    """A part of an equation in Python.

    Attributes:
        level: What it depends on: 0 on numbers alone, 1 on what is learned, 2 on the input or a state.
        binding: How tightly its outermost operator binds.
    """

    text: str
    level: int
    binding: int = _ATOM

    @property
    def tensor(self) -> bool:
        """Whether it is a tensor, not a number."""
        return self.level > NUMBER

    def within(self, binding: int) -> str:
        """In parentheses, where the order needs them."""
        return f"({self.text})" if self.binding < binding else self.text

    def for_all(self) -> str:
        """As a tensor like the input."""
        if self.level == STEP:
            return self.text
        return f"{self.within(_ATOM)}.expand_as(x)" if self.tensor else f"torch.full_like(x, {self.text})"


class EquationClass:
    """The class of a neuron, for one way to reset and one surrogate.

    Args:
        name: What the class is called.
        surrogate: What ``fire`` is given in addition; empty: nothing.
        base: The class that it derives from; ``Memory`` in a file with loops.
    """

    def __init__(self, op: EquationKind, name: str, surrogate: str, base: str) -> None:
        self.op, self.name, self.surrogate, self.base = op, name, surrogate, base
        self.definition, self.step = op.definition, op.equations
        self.soft = op.v_reset is None
        self.used: set[str] = set()
        words = [word.text for word in names_in(self.definition.equations) if word.text not in GIVEN_NAMES]
        learned = [word for word in words if word in self.step.learned]  # keys of the state_dict, which are as they are
        self.names = python_names(dict.fromkeys([*learned, THRESHOLD, RESET_POTENTIAL, *op.defaults, *words]))
        self.signed: Iterator[bool] = iter(())
        self.initial: dict[str, str] = {}

    # --- expressions

    def _text(self, expression: RealExpression, known: Mapping[str, _Text]) -> _Text:
        match expression:
            case Number():
                number = expression.text
                return _Text(repr(expression.value) if number[0] == "0" and number[1:2].isdigit() else number, NUMBER)
            case Variable(name=name):
                return known[name]
            case Negation(operand=operand):
                inner = self._text(operand, known)
                return _Text(f"-{inner.within(3)}", inner.level, 3)
            case Infix(operator=operator, left=left, right=right):
                a, b = self._text(left, known), self._text(right, known)
                level = max(a.level, b.level)
                if operator in _BINDING:
                    own = _BINDING[operator]
                    return _Text(f"{a.within(own)} {operator} {b.within(own + 1)}", level, own)
                truth = f"{a.within(1)} {operator} {b.within(1)}"
                return _Text(f"({truth}).to(x.dtype)" if level else f"float({truth})", level)
            case FunctionCall():
                return self._call(expression, known)

    def _call(self, call: FunctionCall, known: Mapping[str, _Text]) -> _Text:
        name = call.name.text
        operands = [self._text(each, known) for each in call.operands]
        texts, level = [each.text for each in operands], max(each.level for each in operands)
        if name == RESET:
            return self._reset_call(operands, level)
        spelling = OPERATIONS[name].spelling
        if not level:  # of numbers that are known before the first time-step
            return _Text(spelling.python.format(*texts), NUMBER)
        first = operands[0].within(_ATOM)
        match name:
            case "fire":
                return _Text(f"fire({', '.join([*texts, *filter(None, [self.surrogate])])})", level)
            case "round":
                self.used.add("rounded")
                return _Text(f"rounded({texts[0]})", level)
            case "min" | "max":
                sign = "<=" if name == "min" else ">="
                a, b = (each.within(1) for each in operands)
                return _Text(f"torch.where({a} {sign} {b}, {texts[0]}, {texts[1]})", level)
            case "where":
                return self._where(call.operands[0], operands, level)
        return _Text(f"{first}.{spelling.torch or name}({', '.join(texts[1:])})", level)

    def _where(self, condition: RealExpression, operands: list[_Text], level: int) -> _Text:
        truth = operands[0]
        if not truth.tensor:  # either way a tensor of its level
            chosen, left = (
                each.for_all() if level == STEP else each.text if each.tensor else f"x.new_tensor({each.text})"
                for each in operands[1:]
            )
            return _Text(f"({chosen} if {truth.text} else {left})", level)
        _, one, other = operands
        said = truth.text.removesuffix(".to(x.dtype)").removeprefix("(").removesuffix(")")
        if not isinstance(condition, Infix) or condition.operator in _BINDING:
            said = f"{truth.within(1)} != 0"
        # of two numbers, torch would make a tensor of its own number format
        first = one.text if one.tensor or other.tensor else f"x.new_tensor({one.text})"
        return _Text(f"torch.where({said}, {first}, {other.text})", level)

    def _reset_call(self, operands: list[_Text], level: int) -> _Text:
        h, s, *by = operands
        signed = next(self.signed, False) and not self.soft
        if not s.tensor:  # no spike: there is nothing to detach
            spike = f"abs({s.text})" if signed else s.within(2)
            least = by[0].within(2) if by else f"self.{THRESHOLD}"
            if self.soft:
                return _Text(f"{h.within(1)} - {least} * {spike}", level, 1)
            return _Text(f"{h.within(2)} * (1 - {spike}) + self.{RESET_POTENTIAL} * {spike}", level, 1)
        self.used.add(RESET)
        spike = f"{s.within(_ATOM)}.abs()" if signed else s.text
        return _Text(f"self._reset({', '.join([h.text, spike, *(each.text for each in by)])})", level)

    # --- the class

    def lines(self) -> Iterator[str]:
        """The class, line by line."""
        self.signed = iter(self.step.signed)
        settings = [name for name in (THRESHOLD, RESET_POTENTIAL) if self.reads(name)]
        learned = self.step.learned
        channels = any(item.per_channel for item in learned.values())
        steps = any(item.per_step for item in learned.values())
        yield f"class {self.name}({self.base}):"
        yield f'    """Neurons of one kind, {self.definition.name.text}, one per element of [T, N, C, *]."""'
        yield ""
        given = [*(["channels: int"] if channels else []), *(["steps: int"] if steps else [])]
        given += [f"{self.names[name]}: float = {default!r}" for name, default in self.op.defaults.items()]
        given += [f"{name}: float = {getattr(self.op, name) or 0.0!r}" for name in settings]
        if len(", ".join(given)) < 80:  # noqa: PLR2004 -- the width of a line
            yield f"    def __init__({', '.join(['self', *given])}) -> None:"
        else:
            yield from ("    def __init__(", "        self,", *(f"        {each}," for each in given), "    ) -> None:")
        yield "        super().__init__()"
        numbers = (*self.op.defaults, *settings)
        parameters = {name: _Text(f"self.{self.names[name]}", NUMBER) for name in numbers}
        if RESET_POTENTIAL not in settings:
            parameters[RESET_POTENTIAL] = _Text("0.0", NUMBER)
        yield from (f"        self.{self.names[name]} = {self.names[name]}" for name in numbers)
        forward = [*self._forward(parameters)]
        for equation in self.definition.equations:
            if isinstance(equation, Learn):
                item = learned[equation.name.text]
                axes = ["steps"] * item.per_step + ["channels"] * item.per_channel
                shape = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
                value = self.initial[equation.name.text]
                yield f"        self.{equation.name.text} = nn.Parameter(torch.full({shape}, float({value})))"
        if RESET in self.used:
            yield from self._reset()
        yield from forward

    def reads(self, name: str) -> bool:
        """Whether the equations need a setting."""
        words = {word.text for word in names_in(self.definition.equations)}
        resets = bool(self.step.signed)
        if name == RESET_POTENTIAL:
            return not self.soft and (name in words or resets or "v" in self.step.start)
        return name in words or (resets and self.soft)

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
        yield f"        s = {detached}"
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
            yield f"        {self.names[name]} = torch.full_like(inputs[0], {start}, dtype=wide)"
            known[name] = _Text(self.names[name], STEP)
        states, looped = [self.names[name] for name in self.step.start], self.base != "nn.Module"
        if looped and states:
            yield from (
                "        if self.loop_state:",
                f"            {', '.join(states) if len(states) > 1 else f'({states[0]},)'} = self.loop_state",
            )
        yield "        given = []"
        per_step = any(item.per_step for item in self.step.learned.values())
        first = ", self.loop_time" if looped else ""
        yield f"        for {f't, x in enumerate(inputs.to(wide){first})' if per_step else 'x in inputs.to(wide)'}:"
        known[INPUT] = _Text("x", STEP)
        for equation in self.definition.equations:
            match equation:
                case Learn(name=word, initial=value):
                    self.initial[word.text] = self._text(value, parameters).text
                    yield from self._learned(word.text, known)
                case Assignment(name=word, value=value):
                    local, made = self.names[word.text], self._text(value, known)
                    is_state = word.text in self.step.start
                    yield f"            {local} = {made.for_all() if is_state else made.text}"
                    known[word.text] = _Text(local, STEP if is_state else made.level)
                case Gives(value=value):
                    yield f"            given.append({self._text(value, known).for_all()})"
                case StateDeclaration():
                    pass
        if looped:
            yield f"        self.keep_state({', '.join(states)})"
        yield "        return torch.stack(given).to(inputs.dtype)"

    def _learned(self, name: str, known: dict[str, _Text]) -> Iterator[str]:
        item = self.step.learned[name]
        text = f"self.{name}" + ("[t]" if item.per_step else "")
        if item.per_channel:
            self.used.add("spread")
            yield f"            {self.names[name]} = spread({text}, x)"
            text = self.names[name]
        known[name] = _Text(text, LEARNED)


class EquationClasses:
    """The classes of the neurons as equations of a network.

    Args:
        base: The class that they derive from.
        taken: Names of the file that no class may have; those of the classes are added.
    """

    def __init__(self, base: str, taken: set[str]) -> None:
        self._base, self._taken = base, taken
        self._made: dict[tuple[object, ...], EquationClass] = {}

    @property
    def fires(self) -> bool:
        """Whether one of those asked for fires."""
        return any(made.op.step_surrogate for made in self._made.values())

    def call(self, op: Activation, source: Signal, surrogate: str) -> PyCall:
        """The call that makes a neuron that a text defines.

        Args:
            surrogate: What ``fire`` is given in addition.
        """
        assert isinstance(op, EquationKind)  # noqa: S101 -- the caller asked whether a text defines it
        key = op.definition, op.v_reset is None, op.detach_reset, op.equations.signed, surrogate
        if key not in self._made:
            name = class_name(f"{op.kind}Neuron", "Neuron", self._taken)
            self._made[key] = EquationClass(op, name, surrogate, self._base)
        made = self._made[key]
        arguments: list[Arg] = []
        if any(item.per_channel for item in made.step.learned.values()):
            arguments.append(Arg("channels", Literal(source.channels), positional=True, channels="out"))
        if any(item.per_step for item in made.step.learned.values()):
            arguments.append(Arg("steps", Literal(op.T if isinstance(op, KnowsSteps) else 1), positional=True))
        arguments += [
            Arg(made.names[name], Literal(op.arguments[name]), default) for name, default in op.defaults.items()
        ]
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
