"""Neurons and surrogate derivatives in plain PyTorch: one class that fires and resets, one for each way to charge."""

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
from sewdsl.ops.neurons.integrate_and_fire import DLIF, IF, LIF, PLIF
from sewdsl.ops.neurons.parallel import MaskedParallelSpikingNeuron, ParallelSpikingNeuron, SlidingParallelSpikingNeuron
from sewdsl.ops.surrogates import ATan, Constant, Rectangular, Sigmoid, Triangle

TEXTS: dict[type[Surrogate], str] = {
    ATan: '''\
def atan(u: Tensor, {arguments}) -> Tensor:
    """The derivative of arctan(pi / 2 * alpha * u) / pi + 1 / 2{times}."""
    slope = math.pi / 2 * alpha * u
    return {factor}alpha / 2 / (1 + slope * slope)
''',
    Constant: '''\
def constant(u: Tensor, {arguments}) -> Tensor:
    """The same everywhere: straight through."""
    return torch.full_like(u, value)
''',
    Rectangular: '''\
def rectangular(u: Tensor, {arguments}) -> Tensor:
    """1 / width in a window of that width around 0, else 0."""
    return (u.abs() < width / 2).to(u.dtype) / width
''',
    Sigmoid: '''\
def sigmoid(u: Tensor, {arguments}) -> Tensor:
    """The derivative of 1 / (1 + exp(-alpha * u))."""
    falling = torch.exp(-alpha * u.abs())
    return alpha * falling / ((1 + falling) * (1 + falling))
''',
    Triangle: '''\
def triangle(u: Tensor, {arguments}) -> Tensor:
    """Height alpha at 0, falling to 0 at 1 / alpha on either side."""
    return alpha * (1 - alpha * u.abs()).clamp(min=0)
''',
}
"""The function of each kind; its name is the kind's in lower case."""
SURROGATE_NAMES = frozenset(kind.kind.lower() for kind in TEXTS)


class Surrogates:
    """The surrogates of a network, those that its neurons have."""

    def __init__(self, found: Iterable[Surrogate]) -> None:
        self._found = list(dict.fromkeys(found))
        self._first = {type(surrogate): surrogate for surrogate in reversed(self._found)}

    def name(self, node: Node, surrogate: Surrogate) -> Code:
        """Return the argument of a neuron: ``atan``, or ``partial(atan, alpha=3.0)``."""
        if type(surrogate) not in TEXTS:
            raise UnsupportedLayer(node, f"has the surrogate {surrogate.kind}, whose formula no file can have")
        usual = dict(self._first[type(surrogate)])
        special = [f"{name}={value!r}" for name, value in surrogate if value != usual[name]]
        name = surrogate.kind.lower()
        return Code(f"partial({', '.join([name, *special])})" if special else name)

    def definitions(self) -> Iterator[str]:
        """Yield the functions, each with the values of the first neuron that has it as the default ones."""
        scaled = any(getattr(surrogate, "scale", 1.0) != 1 for surrogate in self._found)
        times, factor = (", times scale", "scale * ") if scaled else ("", "")
        for surrogate in reversed(self._first.values()):
            values = [(name, value) for name, value in surrogate if scaled or name != "scale"]
            arguments = ", ".join(f"{name}: float = {value!r}" for name, value in values)
            yield TEXTS[type(surrogate)].format(arguments=arguments, times=times, factor=factor)


BASE_CLASS_TEXT = {
    "v_threshold": "Potential at which a neuron fires.",
    "v_reset": "Potential at rest and after a spike.",
    "detach_reset": "Whether a reset is a constant to the gradient.",
    "surrogate": "Stands for the derivative of the step function.",
}
"""What neurons of all kinds have."""
TYPES = {"v_threshold": "float", "detach_reset": "bool", "surrogate": "Callable[[Tensor], Tensor]"}
SOFT = "Potential at rest and after a spike; None: v_threshold is subtracted."
FIRE = '''\
def fire(u: Tensor{more}) -> Tensor:
    """1 where u >= 0, else 0, with the gradient of {slope}(u) * u.

    u - u.detach() is 0: it adds nothing to the value.
    """
    return (u >= 0).to(u.dtype) + (u - u.detach()) * {slope}(u.detach())
'''
NEURON = '''\
class Neuron({base}):
    """Spiking neurons, one per element: they charge, fire and reset at each time-step.

    No potential outlives {lasts}: each begins at rest.

    Args:
{arguments}

    Shape: [T, N, *] input current to [T, N, *] spikes, each 0 or 1.
    """

{init}
        super().__init__()
{attributes}

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """H[t] from V[t-1] and X[t]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all time-steps."""
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
"""The class of all neurons that charge, fire and reset."""
RESUMED = """\
        if self.loop_state:
            (v,) = self.loop_state
"""
KINDS: dict[type[Neuron], str] = {
    IF: '''\
class IF(Neuron):
    """Integrate and fire: H[t] = V[t-1] + X[t]."""

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """H[t] from V[t-1] and X[t]."""
        return v + x
''',
    LIF: '''\
class LIF(Neuron):
    """Leaky integrate and fire: H[t] = (1 - 1/tau) V[t-1] + 1/tau X[t]{rest}."""

    def __init__(self, tau: float = {tau}{more}) -> None:
        super().__init__({given})
        self.tau = tau

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """H[t] from V[t-1] and X[t]."""
        gain = 1 / self.tau
        return (1 - gain) * v + {lif}
''',
    DLIF: '''\
class DLIF(Neuron):
    """Leaky integrate and fire, the input as it is: H[t] = decay V[t-1] + X[t]{drift}."""

    def __init__(self, decay: float = {tau}{more}) -> None:
        super().__init__({given})
        self.decay = decay

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """H[t] from V[t-1] and X[t]."""
        return self.decay * v + {dlif}
''',
    PLIF: '''\
class PLIF(Neuron):
    """A LIF neuron that learns its time constant: 1/tau = sigmoid(w)."""

    def __init__(self, tau: float = {tau}{more}) -> None:
        super().__init__({given})
        self.w = nn.Parameter(torch.tensor(-math.log(tau - 1)))

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        """H[t] from V[t-1] and X[t]."""
        gain = self.w.sigmoid()
        return (1 - gain) * v + {plif}
''',
}
"""How each kind charges."""
MATRIX_NEURON = '''\
class {name}(nn.Module):
    """{what}"""

    def __init__(self, steps: int,{order} v_threshold: float = 1.0{{more}}) -> None:
        super().__init__()
{keep_order}        self.weight = nn.Parameter(torch.empty(steps, steps))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias = nn.Parameter(torch.full((steps, 1), -v_threshold)){{kept}}

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all time-steps."""
        wide = torch.promote_types(x.dtype, torch.float32)  # also under autocast
        with torch.autocast(x.device.type, enabled=False):
{mask}            u = torch.addmm(self.bias, {weight}, x.to(wide).flatten(1))
        return fire(u.view(x.shape){{surrogate}}).to(x.dtype)
'''
"""Neurons whose potentials are a matrix times their currents."""
PARALLEL: dict[type[ParallelNeuron], str] = {
    ParallelSpikingNeuron: MATRIX_NEURON.format(
        name="PSN",
        what="Parallel spiking neurons: H = W X, and a spike where H + b is not below 0.",
        order="",
        keep_order="",
        mask="",
        weight="self.weight",
    ),
    MaskedParallelSpikingNeuron: MATRIX_NEURON.format(
        name="MaskedPSN",
        what="Parallel spiking neurons that read the last order time-steps alone.",
        order=" order: int,",
        keep_order="        self.order = order\n",
        mask="            weight = self.weight.tril().triu(1 - self.order)\n",
        weight="weight",
    ),
    SlidingParallelSpikingNeuron: '''\
class SlidingPSN(nn.Module):
    """Parallel spiking neurons with the same order weights at every time-step."""

    def __init__(self, order: int, v_threshold: float = 1.0{more}) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.5 ** torch.arange(order - 1.0, -1.0, -1.0))
        self.bias = nn.Parameter(torch.tensor(-v_threshold)){kept}

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all time-steps."""
        wide = torch.promote_types(x.dtype, torch.float32)  # also under autocast
        order, current = len(self.weight), x.to(wide)
        h = current * self.weight[-1]
        for lag in range(1, min(order, len(x))):
            h[lag:] += current[:-lag] * self.weight[order - 1 - lag]
        return fire(h + self.bias{surrogate}).to(x.dtype)
''',
}
"""Those without reset, a class each."""
LOOPED_PARALLEL: dict[type[ParallelNeuron], tuple[tuple[str, str], ...]] = {
    MaskedParallelSpikingNeuron: (
        (
            "            weight = self.weight.tril().triu(1 - self.order)\n",
            """\
            known = torch.cat((*self.loop_state, x.to(wide)))
            now = slice(self.loop_time, len(known))
            weight = self.weight.tril().triu(1 - self.order)[now, : len(known)]
            self.keep_state(known)
""",
        ),
        ("self.bias, weight, x.to(wide).flatten(1)", "self.bias[now], weight, known.flatten(1)"),
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
"""What is another text in a file with loops: windows reach back to the time-steps before."""
NAMES = frozenset({"Neuron", "fire", *equations.NAMES, *(kind.kind for kind in (*KINDS, *PARALLEL))})


class Neurons:
    """The neurons of a network; ``taken`` are the names of the file."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        activations = [node.op for node in network if isinstance(node.op, Activation)]
        ops = [op for op in activations if isinstance(op, Neuron) and not op.defined_by_text]
        surrogates = [surrogate for op in activations if (surrogate := op.step_surrogate) is not None]
        self._surrogates = Surrogates(surrogates)
        self._found = {name: Counter(getattr(op, name) for op in ops) for name in BASE_CLASS_TEXT}
        self._found["surrogate"] = Counter(surrogates)
        self._parallel: dict[type[ParallelNeuron], None] = {}
        self._taus: dict[type[Neuron], float | None] = {}
        self._base = loops.BASE if network.graph.looped else "nn.Module"
        self._equations = EquationClasses(self._base, taken)

    def made(self, node: Node, source: Signal) -> PyCall:
        """Return the call that makes a neuron that reads a signal."""
        op = node.op
        if isinstance(op, Activation) and op.defined_by_text:
            surrogate = op.step_surrogate if self._varies("surrogate") else None
            slope = "" if surrogate is None else str(self._surrogates.name(node, surrogate))
            return self._equations.call(op, source, slope)
        if isinstance(op, ParallelNeuron) and type(op) in PARALLEL:
            return self._made_parallel(node, op)
        if not isinstance(op, Neuron):
            raise UnsupportedLayer(node, "is a neuron whose charging no file can have")
        if type(op) not in KINDS:
            raise UnsupportedLayer(node, "is a neuron whose charging no file can have")
        values: dict[str, object] = {**dict(op), "surrogate": self._surrogates.name(node, op.surrogate)}
        usual = {name: self._usual(node, name) for name in BASE_CLASS_TEXT}
        shared = tuple(Arg(name, Literal(values[name]), usual[name]) for name in BASE_CLASS_TEXT if self._varies(name))
        key = "tau" if isinstance(op, LIF | PLIF) else "decay" if isinstance(op, DLIF) else None
        value = None if key is None else getattr(op, key)
        usual_value = self._taus.setdefault(type(op), value)
        own = () if key is None else (Arg(key, Literal(value), usual_value, positional=True),)
        return PyCall(op.kind, (*own, *shared))

    def _made_parallel(self, node: Node, op: ParallelNeuron) -> PyCall:
        self._parallel[type(op)] = None
        counts = {name: value for name, value in op if name in {"order", "steps"}}
        surrogate = Literal(self._surrogates.name(node, op.surrogate))
        shared = (Arg("surrogate", surrogate, self._usual(node, "surrogate")),) if self._varies("surrogate") else ()
        return PyCall(
            op.kind,
            (
                *(Arg(name, Literal(counts[name]), positional=True) for name in ("steps", "order") if name in counts),
                Arg("v_threshold", Literal(op.v_threshold), 1.0),
                *shared,
            ),
        )

    def definitions(self) -> Iterator[str]:
        """Yield surrogates, what fires, and the kinds that were asked for."""
        if self._taus or self._parallel or self._equations.fires:
            yield from self._firing()
        yield from self._equations.definitions()

    def _firing(self) -> Iterator[str]:
        yield from self._surrogates.definitions()
        several = self._varies("surrogate")
        name = "surrogate" if several else next(iter(self._found["surrogate"])).kind.lower()
        yield FIRE.format(slope=name, more=f", surrogate: {TYPES['surrogate']}" if several else "")
        more = f", surrogate: {TYPES['surrogate']} = {self._default('surrogate')}" if several else ""
        for parallel in self._parallel:
            kept = "\n        self.surrogate = surrogate" if several else ""
            text = PARALLEL[parallel]
            if self._base != "nn.Module" and parallel in LOOPED_PARALLEL:
                text = text.replace("(nn.Module)", f"({self._base})")
                for before, after in LOOPED_PARALLEL[parallel]:
                    text = text.replace(before, after)
            yield text.format(more=more, kept=kept, surrogate=", self.surrogate" if several else "")
        if not self._taus:
            return
        yield self._base_class()
        rest = "self.rest" if self._hard and self._soft else "self.v_reset"
        resting = any(self._found["v_reset"].keys() - {None, 0.0})
        words = {
            "more": ", **shared: Any" if any(map(self._varies, BASE_CLASS_TEXT)) else "",
            "given": "**shared" if any(map(self._varies, BASE_CLASS_TEXT)) else "",
            "rest": " + v_reset/tau" if resting else "",
            "lif": f"(gain * x + {rest} / self.tau)" if resting else "gain * x",
            "drift": " + (1 - decay) v_reset" if resting else "",
            "dlif": f"(x + (1 - self.decay) * {rest})" if resting else "x",
            "plif": f"(gain * x + {rest} * gain)" if resting else "gain * x",
        }
        for kind, tau in self._taus.items():
            yield KINDS[kind].format(tau=tau, **words)

    def _varies(self, name: str) -> bool:
        return len(self._found[name]) > 1

    def _usual(self, node: Node, name: str) -> object:
        """Return the most common value, which is the default."""
        value = self._found[name].most_common(1)[0][0]
        return self._surrogates.name(node, value) if name == "surrogate" else value

    @property
    def _hard(self) -> bool:
        return any(v_reset is not None for v_reset in self._found["v_reset"])

    @property
    def _soft(self) -> bool:
        return None in self._found["v_reset"]

    def _default(self, name: str) -> str:
        value = self._found[name].most_common(1)[0][0]
        return value.kind.lower() if isinstance(value, Surrogate) else repr(value)

    def _base_class(self) -> str:
        """Return the class that each kind derives from."""
        always = ["v_threshold", *(["v_reset"] if self._hard else [])]
        names = [name for name in BASE_CLASS_TEXT if name in always or self._varies(name)]
        looped = self._base != "nn.Module"
        types = {**TYPES, "v_reset": "float | None" if self._soft else "float"}
        parts = [f"{name}: {types[name]} = {self._default(name)}" for name in names]
        if "detach_reset" in names:
            parts.insert(names.index("detach_reset"), "*")
        meanings = {**BASE_CLASS_TEXT, "v_reset": SOFT if self._soft else BASE_CLASS_TEXT["v_reset"]}
        attributes = [f"        self.{name} = {name}" for name in names]
        detached = {True: "spike.detach()", False: "spike"}
        reset = detached[next(iter(self._found["detach_reset"]))]
        if self._varies("detach_reset"):
            reset = f"{detached[True]} if self.detach_reset else {detached[False]}"
        hard, soft = "v = h * (1 - reset) + self.v_reset * reset", "v = h - self.v_threshold * reset"
        rest, after = ("self.v_reset", hard) if self._hard else ("0.0", soft)
        if self._hard and self._soft:
            attributes.append("        self.rest = 0.0 if v_reset is None else v_reset")
            rest = "self.rest"
            after = f"{soft}\n            if self.v_reset is not None:\n                {hard}"
        return NEURON.format(
            base=self._base,
            lasts="a sequence" if looped else "a forward",
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
