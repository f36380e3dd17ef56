"""Neurons and surrogates in plain PyTorch: a common base class, and a class for each way to charge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.python import equations
from sewdsl.exchange.write.python.equations import EquationClasses
from sewdsl.exchange.write.source import loops
from sewdsl.exchange.write.source.class_text import init_head
from sewdsl.exchange.write.source.expressions import Arg, Code, Literal, PyCall
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Neuron, ParallelNeuron, Surrogate
from sewdsl.ir.signal import Signal
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.neurons.integrate_and_fire import DLIF, IF, LIF, PLIF
from sewdsl.ops.neurons.parallel import MaskedParallelSpikingNeuron, ParallelSpikingNeuron, SlidingParallelSpikingNeuron
from sewdsl.ops.surrogates import ATan, Constant, Rectangular, Sigmoid, Triangle

TEXTS: dict[type[Surrogate], str] = {
    ATan: '''\
def atan(u: Tensor, {arguments}) -> Tensor:
    """Derivative of arctan(pi / 2 * alpha * u) / pi + 1 / 2{times}."""
    slope = math.pi / 2 * alpha * u
    return {factor}alpha / 2 / (1 + slope * slope)
''',
    Constant: '''\
def constant(u: Tensor, {arguments}) -> Tensor:
    """Constant derivative (straight-through estimator)."""
    return torch.full_like(u, value)
''',
    Rectangular: '''\
def rectangular(u: Tensor, {arguments}) -> Tensor:
    """1 / width in a window of that width around 0, else 0."""
    return (u.abs() < width / 2).to(u.dtype) / width
''',
    Sigmoid: '''\
def sigmoid(u: Tensor, {arguments}) -> Tensor:
    """Derivative of 1 / (1 + exp(-alpha * u))."""
    falling = torch.exp(-alpha * u.abs())
    return alpha * falling / ((1 + falling) * (1 + falling))
''',
    Triangle: '''\
def triangle(u: Tensor, {arguments}) -> Tensor:
    """Triangle of height alpha at 0 and width 1 / alpha on either side."""
    return alpha * (1 - alpha * u.abs()).clamp(min=0)
''',
}
"""Functions by kind. The name of a function is that of the kind in lower case."""
SURROGATE_NAMES = frozenset(kind.kind.lower() for kind in TEXTS)


class Surrogates:
    """Surrogates of the neurons of a network."""

    def __init__(self, surrogates: Iterable[Surrogate]) -> None:
        self._values = list(dict.fromkeys(surrogates))
        self._first = {type(surrogate): surrogate for surrogate in reversed(self._values)}

    def name(self, node: Node, surrogate: Surrogate) -> Code:
        """Return a surrogate as an argument: ``atan``, or ``partial(atan, alpha=3.0)``."""
        if type(surrogate) not in TEXTS:
            raise UnsupportedLayer(node, f"has the surrogate {surrogate.kind}, which Python export does not support")
        defaults = dict(self._first[type(surrogate)])
        overrides = [f"{name}={value!r}" for name, value in surrogate if value != defaults[name]]
        name = surrogate.kind.lower()
        return Code(f"partial({', '.join([name, *overrides])})" if overrides else name)

    def definitions(self) -> Iterator[str]:
        """Yield the functions. Their defaults are the values of the first neuron."""
        scaled = any(getattr(surrogate, "scale", 1.0) != 1 for surrogate in self._values)
        times, factor = (", times scale", "scale * ") if scaled else ("", "")
        for surrogate in reversed(self._first.values()):
            values = [(name, value) for name, value in surrogate if scaled or name != "scale"]
            arguments = ", ".join(f"{name}: float = {value!r}" for name, value in values)
            yield TEXTS[type(surrogate)].format(arguments=arguments, times=times, factor=factor)


BASE_CLASS_TEXT = {
    "v_threshold": "Membrane potential at which a neuron fires.",
    "v_reset": "Membrane potential at rest and after a spike.",
    "detach_reset": "Whether the reset is constant for the gradient.",
    "surrogate": "Replaces the derivative of the step function.",
}
"""Arguments of all neurons, with their descriptions."""
TYPES = {"v_threshold": "float", "detach_reset": "bool", "surrogate": "Callable[[Tensor], Tensor]"}
SOFT = "Membrane potential at rest and after a spike; None: subtract v_threshold."
FIRE = '''\
def fire(u: Tensor{more}) -> Tensor:
    """Return 1 where u >= 0, else 0, with the derivative {slope}(u).

    u - u.detach() is 0: the term adds the gradient without changing the value.
    """
    return (u >= 0).to(u.dtype) + (u - u.detach()) * {slope}(u.detach())
'''
NEURON = '''\
class Neuron({base}):
    """Spiking neurons, one per element, that charge, fire and reset at each time-step.

    Every {lasts} starts at rest.

    Args:
{arguments}

    Shape: [T, N, *] input current to [T, N, *] spikes, each 0 or 1.
    """

{init}
        super().__init__()
{attributes}

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """Return H[t], given V[t-1] and X[t]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of all time-steps."""
        wide = torch.promote_types(x.dtype, torch.float32)  # also under autocast
        v = torch.full_like(x[0], {rest}, dtype=wide)
{resumed}        spikes = []
        for current in x.to(wide):
            h = self.charge(v, current)
            spike = fire(h - self.v_threshold{surrogate})
            reset = {reset}
            {after}
            spikes.append(spike)
{kept}        return torch.stack(spikes).to(x.dtype)
'''
"""Base class of all neurons that charge, fire and reset."""
RESUMED = """\
        if self.loop_state:
            (v,) = self.loop_state
"""
KINDS: dict[type[Neuron], str] = {
    IF: '''\
class IF(Neuron):
    """Integrate and fire: H[t] = V[t-1] + X[t]."""

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """Return H[t], given V[t-1] and X[t]."""
        return v + x
''',
    LIF: '''\
class LIF(Neuron):
    """Leaky integrate and fire: H[t] = (1 - 1/tau) V[t-1] + 1/tau X[t]{rest}."""

    def __init__(self, tau: float = {tau}{more}) -> None:
        super().__init__({given})
        self.tau = tau

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """Return H[t], given V[t-1] and X[t]."""
        gain = 1 / self.tau
        return (1 - gain) * v + {lif}
''',
    DLIF: '''\
class DLIF(Neuron):
    """Leaky integrate and fire without input decay: H[t] = decay V[t-1] + X[t]{drift}."""

    def __init__(self, decay: float = {tau}{more}) -> None:
        super().__init__({given})
        self.decay = decay

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """Return H[t], given V[t-1] and X[t]."""
        return self.decay * v + {dlif}
''',
    PLIF: '''\
class PLIF(Neuron):
    """LIF with a learnable time constant: 1/tau = sigmoid(w)."""

    def __init__(self, tau: float = {tau}{more}) -> None:
        super().__init__({given})
        self.w = nn.Parameter(torch.tensor(-math.log(tau - 1)))

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """Return H[t], given V[t-1] and X[t]."""
        gain = self.w.sigmoid()
        return (1 - gain) * v + {plif}
''',
}
"""Class definitions by kind."""
MATRIX_NEURON = '''\
class {name}(nn.Module):
    """{what}"""

    def __init__(self, steps: int,{order} v_threshold: float = 1.0{{more}}) -> None:
        super().__init__()
{keep_order}        self.weight = nn.Parameter(torch.empty(steps, steps))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias = nn.Parameter(torch.full((steps, 1), -v_threshold)){{kept}}

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of all time-steps."""
        wide = torch.promote_types(x.dtype, torch.float32)  # also under autocast
        with torch.autocast(x.device.type, enabled=False):
{mask}            u = torch.addmm(self.bias, {weight}, x.to(wide).flatten(1))
        return fire(u.view(x.shape){{surrogate}}).to(x.dtype)
'''
"""Neurons whose membrane potentials are a matrix product over time."""
PARALLEL: dict[type[ParallelNeuron], str] = {
    ParallelSpikingNeuron: MATRIX_NEURON.format(
        name="PSN",
        what="Parallel spiking neurons: spikes where W X + b >= 0.",
        order="",
        keep_order="",
        mask="",
        weight="self.weight",
    ),
    MaskedParallelSpikingNeuron: MATRIX_NEURON.format(
        name="MaskedPSN",
        what="Parallel spiking neurons that read only the last order time-steps.",
        order=" order: int,",
        keep_order="        self.order = order\n",
        mask="            weight = self.weight.tril().triu(1 - self.order)\n",
        weight="weight",
    ),
    SlidingParallelSpikingNeuron: '''\
class SlidingPSN(nn.Module):
    """Parallel spiking neurons with the same weights at every time-step."""

    def __init__(self, order: int, v_threshold: float = 1.0{more}) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.5 ** torch.arange(order - 1.0, -1.0, -1.0))
        self.bias = nn.Parameter(torch.tensor(-v_threshold)){kept}

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of all time-steps."""
        wide = torch.promote_types(x.dtype, torch.float32)  # also under autocast
        order, current = len(self.weight), x.to(wide)
        h = current * self.weight[-1]
        for lag in range(1, min(order, len(x))):
            h[lag:] += current[:-lag] * self.weight[order - 1 - lag]
        return fire(h + self.bias{surrogate}).to(x.dtype)
''',
}
"""Class definitions of neurons without reset."""
LOOPED_PARALLEL: dict[type[ParallelNeuron], tuple[tuple[str, str], ...]] = {
    MaskedParallelSpikingNeuron: (
        (
            "            weight = self.weight.tril().triu(1 - self.order)\n",
            """\
            inputs = torch.cat((*self.loop_state, x.to(wide)))
            now = slice(self.loop_time, len(inputs))
            weight = self.weight.tril().triu(1 - self.order)[now, : len(inputs)]
            self.keep_state(inputs)
""",
        ),
        ("self.bias, weight, x.to(wide).flatten(1)", "self.bias[now], weight, inputs.flatten(1)"),
    ),
    SlidingParallelSpikingNeuron: (
        (
            "order, current = len(self.weight), x.to(wide)",
            "order, current = len(self.weight), torch.cat((*self.loop_state, x.to(wide)))",
        ),
        ("min(order, len(x))", "min(order, len(current))"),
        (
            "        return fire(h + self.bias",
            "        self.keep_state(current[1 - order :])\n        return fire(h[-len(x) :] + self.bias",
        ),
    ),
}
"""Replacements in a file with loops, where windows include previous time-steps."""
NAMES = frozenset({"Neuron", "fire", *equations.NAMES, *(kind.kind for kind in (*KINDS, *PARALLEL))})


class Neurons:
    """Neurons of a network. ``taken`` are the names in use in the file."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        activations = [node.op for node in network if isinstance(node.op, Activation | EquationKind)]
        ops = [op for op in activations if isinstance(op, Neuron) and not op.defined_by_text]
        surrogates = [surrogate for op in activations if (surrogate := op.step_surrogate) is not None]
        self._surrogates = Surrogates(surrogates)
        # Counts of the values of each argument: arguments with a single value are written into the class.
        self._values = {name: Counter(getattr(op, name) for op in ops) for name in BASE_CLASS_TEXT}
        self._values["surrogate"] = Counter(surrogates)
        self._parallel: dict[type[ParallelNeuron], None] = {}
        self._taus: dict[type[Neuron], float | None] = {}
        self._base = loops.BASE if network.graph.looped else "nn.Module"
        self._equations = EquationClasses(self._base, taken)

    def module_call(self, node: Node, source: Signal) -> PyCall:
        """Return the constructor call of a neuron with an input signal."""
        op = node.op
        if isinstance(op, EquationKind):
            surrogate = op.step_surrogate if self._varies("surrogate") else None
            slope = "" if surrogate is None else str(self._surrogates.name(node, surrogate))
            return self._equations.call(op, source, slope)
        if isinstance(op, ParallelNeuron) and type(op) in PARALLEL:
            return self._parallel_call(node, op)
        if not isinstance(op, Neuron) or type(op) not in KINDS:
            raise UnsupportedLayer(node, "is a neuron that Python export does not support")
        values: dict[str, object] = {**dict(op), "surrogate": self._surrogates.name(node, op.surrogate)}
        # The most common value is the default, so that most calls are short.
        defaults = {name: self._most_common(node, name) for name in BASE_CLASS_TEXT}
        shared = tuple(
            Arg(name, Literal(values[name]), defaults[name]) for name in BASE_CLASS_TEXT if self._varies(name)
        )
        key = "tau" if isinstance(op, LIF | PLIF) else "decay" if isinstance(op, DLIF) else None
        value = None if key is None else getattr(op, key)
        # The first neuron of a class determines the default.
        default_value = self._taus.setdefault(type(op), value)
        own_arguments = () if key is None else (Arg(key, Literal(value), default_value, positional=True),)
        return PyCall(op.kind, (*own_arguments, *shared))

    def _parallel_call(self, node: Node, op: ParallelNeuron) -> PyCall:
        self._parallel[type(op)] = None
        sizes = {name: value for name, value in op if name in {"order", "steps"}}
        surrogate = Literal(self._surrogates.name(node, op.surrogate))
        shared = (
            (Arg("surrogate", surrogate, self._most_common(node, "surrogate")),) if self._varies("surrogate") else ()
        )
        return PyCall(
            op.kind,
            (
                *(Arg(name, Literal(sizes[name]), positional=True) for name in ("steps", "order") if name in sizes),
                Arg("v_threshold", Literal(op.v_threshold), 1.0),
                *shared,
            ),
        )

    def definitions(self) -> Iterator[str]:
        """Yield the surrogates, ``fire`` and the classes of the requested neurons."""
        if self._taus or self._parallel or self._equations.fires:
            yield from self._firing()
        yield from self._equations.definitions()

    def _firing(self) -> Iterator[str]:
        """Yield everything except neurons with equations."""
        yield from self._surrogates.definitions()
        has_several = self._varies("surrogate")
        # Without several surrogates, fire() calls the only one directly.
        name = "surrogate" if has_several else next(iter(self._values["surrogate"])).kind.lower()
        yield FIRE.format(slope=name, more=f", surrogate: {TYPES['surrogate']}" if has_several else "")
        more = f", surrogate: {TYPES['surrogate']} = {self._default('surrogate')}" if has_several else ""
        for parallel in self._parallel:
            store_surrogate = "\n        self.surrogate = surrogate" if has_several else ""
            text = PARALLEL[parallel]
            if self._base != "nn.Module" and parallel in LOOPED_PARALLEL:
                text = text.replace("(nn.Module)", f"({self._base})")
                for old, new in LOOPED_PARALLEL[parallel]:
                    text = text.replace(old, new)
            yield text.format(more=more, kept=store_surrogate, surrogate=", self.surrogate" if has_several else "")
        if not self._taus:
            return
        yield self._base_class()
        rest = "self.rest" if self._hard and self._soft else "self.v_reset"
        has_rest = any(self._values["v_reset"].keys() - {None, 0.0})
        placeholders = {
            "more": ", **shared: Any" if any(map(self._varies, BASE_CLASS_TEXT)) else "",
            "given": "**shared" if any(map(self._varies, BASE_CLASS_TEXT)) else "",
            "rest": " + v_reset/tau" if has_rest else "",
            "lif": f"(gain * x + {rest} / self.tau)" if has_rest else "gain * x",
            "drift": " + (1 - decay) v_reset" if has_rest else "",
            "dlif": f"(x + (1 - self.decay) * {rest})" if has_rest else "x",
            "plif": f"(gain * x + {rest} * gain)" if has_rest else "gain * x",
        }
        for kind, tau in self._taus.items():
            yield KINDS[kind].format(tau=tau, **placeholders)

    def _varies(self, name: str) -> bool:
        """Return whether the neurons have different values of an argument."""
        return len(self._values[name]) > 1

    def _most_common(self, node: Node, name: str) -> object:
        """Return the most common value of an argument, which is its default."""
        value = self._values[name].most_common(1)[0][0]
        return self._surrogates.name(node, value) if name == "surrogate" else value

    @property
    def _hard(self) -> bool:
        return any(v_reset is not None for v_reset in self._values["v_reset"])

    @property
    def _soft(self) -> bool:
        return None in self._values["v_reset"]

    def _default(self, name: str) -> str:
        value = self._values[name].most_common(1)[0][0]
        return value.kind.lower() if isinstance(value, Surrogate) else repr(value)

    def _base_class(self) -> str:
        required = ["v_threshold", *(["v_reset"] if self._hard else [])]
        names = [name for name in BASE_CLASS_TEXT if name in required or self._varies(name)]
        looped = self._base != "nn.Module"
        types = {**TYPES, "v_reset": "float | None" if self._soft else "float"}
        parts = [f"{name}: {types[name]} = {self._default(name)}" for name in names]
        # Boolean arguments are keyword-only.
        if "detach_reset" in names:
            parts.insert(names.index("detach_reset"), "*")
        meanings = {**BASE_CLASS_TEXT, "v_reset": SOFT if self._soft else BASE_CLASS_TEXT["v_reset"]}
        attributes = [f"        self.{name} = {name}" for name in names]
        detached = {True: "spike.detach()", False: "spike"}
        reset = detached[next(iter(self._values["detach_reset"]))]
        if self._varies("detach_reset"):
            reset = f"{detached[True]} if self.detach_reset else {detached[False]}"
        hard, soft = "v = h * (1 - reset) + self.v_reset * reset", "v = h - self.v_threshold * reset"
        rest, after = ("self.v_reset", hard) if self._hard else ("0.0", soft)
        # With both resets, None means soft, and neurons with a soft reset rest at 0.
        if self._hard and self._soft:
            attributes.append("        self.rest = 0.0 if v_reset is None else v_reset")
            rest = "self.rest"
            after = f"{soft}\n            if self.v_reset is not None:\n                {hard}"
        return NEURON.format(
            base=self._base,
            lasts="sequence" if looped else "forward pass",
            arguments="\n".join(f"        {name}: {meanings[name]}" for name in names),
            init="\n".join(init_head(parts)),
            attributes="\n".join(attributes),
            rest=rest,
            resumed=RESUMED if looped else "",
            surrogate=", self.surrogate" if self._varies("surrogate") else "",
            reset=reset,
            after=after,
            kept="        self.keep_state(v)\n" if looped else "",
        )
