"""Random networks as text, generated without the compiler.

The generator tracks shapes and value ranges by itself, so that commits with another compiler get the same networks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from random import Random
from typing import NamedTuple

NEURONS = ("IF", "LIF", "PLIF")
JOINS = ("ADD", "AND", "IAND")
SURROGATES = (
    "ATan", "ATan(alpha=3.0, scale=1.5)", "Constant", "Constant(value=0.5)", "Rectangular", "Rectangular(width=2.0)",
    "Sigmoid", "Sigmoid(alpha=2.0)", "Triangle", "Triangle(alpha=0.5)",
)  # fmt: skip
SIZES = ((2, 16, 16), (1, 8, 8), (3, 12, 10), (4, 5, 3), (1, 7, 4), (2, 32, 32), (4, 1, 1), (4, 2, 8), (6,), (32,))
ROWS = ((2, 24), (4, 9), (1, 7), (4, 1))
"""Input shapes with one spatial axis, for networks with newer kinds."""
OWN_BLOCKS = {
    "Narrow Block": """block Narrow Block(c=in, s=1) = g[
    c$(c/2)k1-BN-SN-c$(c/2)k3s$(s)-BN-SN-c$(c)k1-BN-SN
    | id or c$(c)k1s$(s)-BN-SN
]""",
    "Row": "block Row(c, n=2, k=3) = {c$(c)k$(k)-BN-SN}*$(n)",
    "Twice": "block Twice(c=in) = Row (c=$(c), n=2, k=1)-ADD[ c$(c)k$(2*1+1)-tdBN-SN | id ]",
}
"""Blocks that use only preceding ones, and need an even number of channels."""
RECIPES = (
    "",
    "",
    "train on digits { epochs 2; batch 16; optimizer SGD(lr=0.1, momentum=0.9); schedule Cosine }",
    "train on digits { optimizer AdamW(lr=0.004); memory 200MB; batch 4 }",
    "train on mnist5k { epochs 3; optimizer Adam(lr=0.001, weight_decay=0.1); schedule Step(size=2, gamma=0.5) }",
    "train on mnist5k { epochs 3; optimizer Adam; warmup 1; clip 1.0; loss TET; label_smoothing 0.1; precision mixed }",
    "train on frame-folder { epochs 4; T_train 2; accumulate 2; optimizer SGD(lr=0.05, nesterov=on, momentum=0.5) }",
    "train on frame-folder { optimizer Adam(lr=0.1); validation 0.2; shift 2; flip on; subset on }",
)
STUDIES = (
    *("", "", ""),
    "study { vary steps 1 2; vary seed 0 1 2 }",
    'study { probe gradients; variant "soft reset" "neuron.v_reset=none"; vary init kaiming "kaiming zero" }',
    "study { probe rates; vary neuron.surrogate ATan Sigmoid }",
)
"""Sections, with semicolons instead of newlines."""


class Values(NamedTuple):
    """Shape of an edge, and its largest count, or None for real values."""

    shape: tuple[int, ...]
    upper: int | None


class Network(NamedTuple):
    """Text of a network, and its options."""

    text: str
    options: dict[str, str]


def network(index: int, seed: int = 0, *, younger: bool = False) -> Network:
    """Return the network of an index: a string with options for two of five, else a file.

    Args:
        index: Index of the network.
        seed: Seed of all networks.
        younger: Whether to use the kinds and shapes that were added later. Without them, old commits can run it too.
    """
    random = Random(f"{seed}:{index}")  # noqa: S311 -- reproducible by seed
    sizes = (*SIZES, *ROWS) if younger else SIZES
    shape = sizes[index % len(sizes)]
    is_file = index % 5 not in {1, 3}
    grown = (_YoungerGrowth if younger else _Growth)(random, index, is_file=is_file)
    body = grown.body(Values(shape, None))
    size = "x".join(map(str, shape))
    steps = str(1 + index % 4)
    if not is_file:
        options = {"input": size, "steps": steps, "neuron": grown.neuron}
        return Network(body, options)
    lines = ["sewdsl 1", f'network "Drawn {index}"', f"input {size}", f"steps {steps}"]
    lines += [f"encode {random.choice(('none', 'direct'))}", f"neuron {grown.neuron}", f"join {grown.join}"]
    inits = ("default", "kaiming", *(("kaiming zero", "default zero") if grown.can_begin_as_identities else ()))
    lines += [f"init {random.choice(inits)}"]
    lines += [f"readout {random.choice(('mean', 'sum', 'last'))}"]
    lines += [text for name, text in OWN_BLOCKS.items() if name in grown.own]
    lines += ["# what is grown", f"body {body}"]
    lines += [f"expect output {'x'.join(map(str, grown.end.shape))}"] if random.random() < 0.5 else []
    lines += ['claim parameters 1.5K "Tab. 1"', 'claim macs 20M "Sec. 2"'] if random.random() < 0.3 else []
    lines += ['allow claim-differs "rounded"', 'allow cropped-input "small"'] if random.random() < 0.3 else []
    recipe = RECIPES[random.randrange(len(RECIPES))]
    study = STUDIES[random.randrange(len(STUDIES))] if recipe else ""
    sections = f"{recipe}\n{study}\n".replace("{ ", "{\n    ").replace("; ", "\n    ").replace(" }", "\n}")
    return Network("\n".join(lines) + "\n" + sections, {})


Maker = Callable[[Values, int], tuple[str, Values]]


class _Growth:
    """Random body that grows item by item."""

    def __init__(self, random: Random, index: int, *, is_file: bool) -> None:
        self.random, self.is_file, self.own = random, is_file, set[str]()
        # One style per network, since kernels are compiled for each.
        style = index % len(SURROGATES)
        v_reset, detach = ("0.0", "none", "-0.4")[style % 3], ("on", "off")[style // 2 % 2]
        self.arguments = f"v_reset={v_reset}, detach_reset={detach}, surrogate={SURROGATES[style]}"
        self.neuron = self._neuron(NEURONS[index % 3])
        self.join = JOINS[index // 2 % 3] if is_file else "ADD"
        self.end, self.can_begin_as_identities = Values((1,), None), True

    def _neuron(self, kind: str) -> str:
        threshold = self.random.choice(("1.0", "0.6"))
        tau = f"tau={self.random.choice(('2.0', '1.5', '4.0'))}, " if kind != "IF" else ""
        return f"{kind}({tau}v_threshold={threshold}, {self.arguments})"

    def body(self, start: Values) -> str:
        """Return an expression of a few items and an end."""
        items, value = [], start
        if self.random.random() < 0.15:
            text, value = self._small(start)
            items.append(text)
        elif len(start.shape) == 3:
            text, value = self._convolution(value, 4)
            items += [text, self._norm(), "SN"]
            value = Values(value.shape, 1)
        else:
            items += ["FC8", "BN", "SN"]
            value = Values((8,), 1)
        for _ in range(self.random.randint(1, 6)):
            text, value = self._item(value, 2)
            items.append(text)
        text, self.end = self._ending(value)
        return "-".join([*items, text] if text else items)

    def _norm(self) -> str:
        return self.random.choice(
            ("BN", "BN", "tdBN", "tdBN(alpha=0.7071)", "tdBN(v_threshold=0.5)", "BN(eps=0.001, momentum=0.3)")
        )

    def _convolution(self, value: Values, channels: int | None = None) -> tuple[str, Values]:
        c, h, w = value.shape
        out = channels or self.random.choice((4, 4, 4, 2, 6, 8))
        k = self.random.choice(((3, 3), (3, 3), (1, 1), (5, 5), (3, 1), (3, 5), (2, 2)))
        s = self.random.choice(((1, 1), (1, 1), (1, 1), (2, 2), (1, 2), (3, 2)))
        d = 2 if k == (3, 3) and self.random.random() < 0.15 else 1
        p: tuple[int, int] | None = None
        if k == (2, 2) or self.random.random() < 0.15:
            p = self.random.choice(((1, 1), (0, 0), (2, 2)))
        q = p or ((k[0] - 1) * d // 2, (k[1] - 1) * d // 2)
        size = [(n + 2 * q[i] - d * (k[i] - 1) - 1) // s[i] + 1 for i, n in enumerate((h, w))]
        if min(size) < 1 or max(size) > 40:
            return self._convolution(value, channels)
        g = self.random.choice([n for n in (1, 1, 2, 4) if c % n == 0 and out % n == 0])
        text = f"c{out}k{_pair(k)}" + (f"s{_pair(s)}" if s != (1, 1) else "") + (f"p{_pair(p)}" if p else "")
        text += (f"d{d}" if d > 1 else "") + (f"g{g}" if g > 1 else "") + self.random.choice(("", "", "b0", "b1"))
        return text, Values((out, *size), None)

    def _item(self, value: Values, depth: int) -> tuple[str, Values]:
        makers: list[Maker] = [self._layered, self._layered, self._small, self._residual, self._residual]
        if len(value.shape) == 3:
            makers += [self._block, self._block, self._pool, self._own, self._projected]
        if depth:
            makers += [self._repeat] * 2
        if depth and value.upper == 1:
            makers += [self._nested]
        return self.random.choice(makers)(value, depth)

    def _layered(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return weights, a norm and neurons."""
        neuron = self.random.choice(("SN", "SN", self._neuron(self.random.choice(NEURONS))))
        if len(value.shape) == 1:
            n = self.random.choice((4, 8, 12))
            return f"FC{n}{self.random.choice(('', 'b0', 'b1'))}-{self._norm()}-{neuron}", Values((n,), 1)
        if self.random.random() < 0.03:
            return f"{self.random.choice(('', 'Flatten-', 'GAP-'))}FC8-{self._norm()}-{neuron}", Values((8,), 1)
        text, after = self._convolution(value)
        return f"{text}-{self._norm()}-{neuron}", Values(after.shape, 1)

    def _small(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a layer that keeps the shape."""
        text = self.random.choice(("SN", "BN", "tdBN", "ReLU", "DP", "DP0.25", "DP0", "BN-ReLU"))
        upper = {"SN": 1, "ReLU": value.upper, "DP": value.upper, "DP0.25": value.upper, "DP0": value.upper}.get(text)
        if text.startswith("DP") and value.upper is not None:
            upper = None if text != "DP0" else value.upper
        return text, Values(value.shape, upper)

    def _pool(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        c, h, w = value.shape
        kind = self.random.choice(("MP", "AP"))
        k, s, p = self.random.choice(
            (((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 3), (1, 1), (1, 1)), ((2, 2), (1, 1), (0, 0)),
             ((2, 1), (2, 1), (0, 0)), ((3, 2), (1, 2), (1, 1)))
        )  # fmt: skip
        size = [(n + 2 * p[i] - k[i]) // s[i] + 1 for i, n in enumerate((h, w))]
        if min(size) < 1:
            k, s, p, size = (1, 1), (1, 1), (0, 0), [h, w]
        text = f"{kind}k{_pair(k)}" + (f"s{_pair(s)}" if s != k else "") + (f"p{_pair(p)}" if p != (0, 0) else "")
        return text, Values((c, *size), value.upper if kind == "MP" else None)

    def _block(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a call of a shipped block."""
        c, h, w = value.shape
        kind = self.random.choice(
            ("SEW Block", "SEW Block", "SEW Bottleneck", "Spiking Block", "Spiking Bottleneck", "Plain Block",
             "Basic Block", "Bottleneck", "RBA Block")
        )  # fmt: skip
        s, width = self.random.choice((1, 1, 2)), self.random.choice((c, c, 4, 6))
        spiking = self.random.choice(("", "", f", SN={self._neuron(self.random.choice(NEURONS))}"))
        join = self.join if self.join == "ADD" or value.upper == 1 else "ADD"
        if kind.startswith("SEW"):
            join = self.random.choice((join, *JOINS)) if value.upper == 1 else "ADD"
            spiking += f", g={join}" if join != self.join or self.random.random() < 0.5 else ""
        if kind in {"Basic Block", "Bottleneck", "RBA Block"}:
            spiking = ""
        deep = "ottleneck" in kind
        out = 4 * width if deep else width
        text = f"{kind} (c{width}{'s2' if s > 1 else ''}{spiking})"
        if not deep and width == c and s == 1 and self.random.random() < 0.5:
            text = f"{kind} ({spiking[2:]})" if spiking else kind
        same = s == 1 and out == c
        upper = {"SEW": 1, "Spi": 1, "Pla": 1}.get(kind[:3])
        if kind.startswith("SEW") and join == "ADD":
            upper = 2 if not same else None if value.upper is None else value.upper + 1
        return text, Values((out, (h - 1) // s + 1, (w - 1) // s + 1), upper)

    def _own(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a call of a block of the file."""
        c, h, w = value.shape
        if c % 2 or value.upper is None or not self.is_file or (self.join != "ADD" and value.upper != 1):
            # The blocks halve the channels, and other joins need spikes.
            return self._layered(value)
        name = self.random.choice(list(OWN_BLOCKS))
        self.own |= {"Row", name} if name == "Twice" else {name}
        if name == "Row":
            n = self.random.choice((1, 2))
            return f"Row (c={c}, n={n})", Values(value.shape, 1)
        if name == "Twice":
            return "Twice", Values(value.shape, 2)
        if self.random.random() < 0.5:
            return "Narrow Block", Values(value.shape, value.upper + 1 if self.join == "ADD" else 1)
        return f"Narrow Block (c{c}s2)", Values((c, (h - 1) // 2 + 1, (w - 1) // 2 + 1), 2 if self.join == "ADD" else 1)

    def _residual(self, value: Values, depth: int = 0) -> tuple[str, Values]:
        """Return a join of two paths that keep the shape."""
        branch, one = self._way(value, depth)
        shortcut, two = self._way(value, depth) if self.random.random() < 0.4 else ("id", value)
        return self._joined(branch, one, shortcut, two)

    def _projected(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a join whose shortcut is an identity only if shapes match."""
        c, h, w = value.shape
        out, s = self.random.choice((c, c, 4, 6)), self.random.choice((1, 2))
        ending, ended = self.random.choice(("", "-SN")), self.random.choice(("", "-SN"))
        same = out == c and s == 1
        shape = (out, (h - 1) // s + 1, (w - 1) // s + 1)
        one = Values(shape, 1 if ending else None)
        two = value if same else Values(shape, 1 if ended else None)
        branch = f"c{out}k3s{s}-{self._norm()}-SN-c{out}k3-BN{ending}"
        return self._joined(branch, one, f"id or c{out}k1s{s}-BN{ended}", two)

    def _joined(self, branch: str, one: Values, shortcut: str, two: Values) -> tuple[str, Values]:
        """Return a join of two paths, of a kind that accepts them."""
        kind = self.random.choice((*JOINS, "ADD")) if one.upper == 1 and two.upper == 1 else "ADD"
        upper = None if one.upper is None or two.upper is None else one.upper + two.upper
        text = "g" if kind == self.join and self.random.random() < 0.4 else kind
        return f"{text}[ {branch} | {shortcut} ]", Values(one.shape, upper if kind == "ADD" else 1)

    def _way(self, value: Values, depth: int = 0) -> tuple[str, Values]:
        """Return layers that keep the shape, e.g. without weights, with repeats, or with a join."""
        c, is_map = value.shape[0], len(value.shape) == 3
        chance = self.random.random()
        if chance < 0.1:
            self.can_begin_as_identities = False
            text = self.random.choice(("SN", "BN", "ReLU", "DP0", *(("MPk3s1p1", "APk3s1p1") if is_map else ())))
            upper = {"SN": 1, "ReLU": value.upper, "DP0": value.upper, "MPk3s1p1": value.upper}.get(text)
            return text, Values(value.shape, upper)
        weights = self.random.choice((f"c{c}k3", f"c{c}k1", f"c{c}k3d2", f"c{c}k3x1g{c}")) if is_map else f"FC{c}"
        if depth and chance < 0.3:
            inner, after = self._residual(value, depth - 1)
            return f"{inner}-{weights}-{self._norm()}-SN", Values(after.shape, 1)
        if chance < 0.4:
            return f"{{{weights}-{self._norm()}-SN}}*{self.random.choice((2, 3))}", Values(value.shape, 1)
        ending = self.random.choice(("SN", "SN", "SN", "ReLU", "DP-SN", ""))
        self.can_begin_as_identities &= ending != "DP-SN"
        text = f"{weights}-{self._norm()}" + (f"-{ending}" if ending else "")
        return text, Values(value.shape, 1 if ending.endswith("SN") else None)

    def _repeat(self, value: Values, depth: int) -> tuple[str, Values]:
        """Return repeated items that keep the shape, or other items once."""
        n, items, after = self.random.choice((1, 2, 3)), [], value
        for _ in range(self.random.randint(1, 2)):
            text, after = (
                self._residual(after, depth - 1) if self.random.random() < 0.7 else self._item(after, depth - 1)
            )
            items.append(text)
        if (
            after.shape != value.shape
            or "AND[" in "".join(items)
            or "g[" in "".join(items)
            or "g=" in "".join(items)
            or self._own_in(items)
        ):
            n = 1
        if self.join != "ADD" and "SEW" in "".join(items):
            n = 1
        inner, upper = "-".join(items), after.upper
        opened, closed = self.random.choice(("{}", "{}", "<>"))
        if n > 1:
            upper = after.upper if after.upper == 1 and inner.endswith("SN") else None
        return f"{opened}{inner}{closed}*{n}", Values(after.shape, upper)

    def _own_in(self, items: list[str]) -> bool:
        return any(name in item for item in items for name in OWN_BLOCKS)

    def _nested(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return nested repeats."""
        c = value.shape[0]
        layer = f"FC{c}" if len(value.shape) == 1 else f"c{c}k3"
        n, m = self.random.choice((1, 2)), self.random.choice((2, 3))
        return f"{{{{{layer}-{self._norm()}-SN}}*{n}-IAND[ {layer}-BN-SN | id ]}}*{m}", Values(value.shape, 1)

    def _ending(self, value: Values) -> tuple[str, Values]:
        out = self.random.choice((3, 5, 10))
        if len(value.shape) == 3:
            text = self.random.choice(
                ("", "GAP", "Flatten", f"FC{out}", f"GAP-FC{out}", f"Flatten-FC{4 * out}-BN-SN-APk4")
            )
            flat = value.shape[0] * value.shape[1] * value.shape[2]
            shape = {"": value.shape, "GAP": value.shape[:1], "Flatten": (flat,)}.get(text, (out,))
        else:
            text = self.random.choice(("", f"FC{out}", f"FC{2 * out}-SN-APk2", f"FC{4 * out}-BN-SN-APk4s4"))
            shape = value.shape if not text else (out,)
        return text, Values(shape, None)


YOUNGER_NEURONS = (
    *("PSN", "MaskedPSN(order=2)", "SlidingPSN(order=3)", "DLIF(decay=0.5)"),
    *("KLIF", "GLIF", "CUBA", "ALIF", "LTH(v_threshold=0.5)", "RF(v_threshold=0.5)"),
)
REAL_LAYERS = (
    *("LN", "GN1", "GELU", "SiLU", "Tanh", "Logistic", "PReLU", "PReLU(shared=off)", "SCALE(learn=on)"),
    *("DropPath0.25", "BN(weight=0.5)", "TEBN", "TA(r=1)-ReLU", "CA(r=1)", "SCALE(value=0.5)"),
    *("DELAY", "LOOP[ id | SCALE(value=0.5) ]", "ILIF", "Ternary", "FIRk3d2", "DELAY3", "MAP{1 - x}"),
    *("RMS", "BNTT", "TAB", "POS", "POS(per=step)", "Softmax", "MEAN(over=time)"),
)
"""Layers that keep the shape and return real values."""
MAX_TOKENS = 64
"""Largest number of positions that become channels."""


class _YoungerGrowth(_Growth):
    """Random body with newer kinds: temporal layers, merges, loops and rows."""

    def body(self, start: Values) -> str:
        """Return an expression of a few items and an end."""
        if len(start.shape) != 2:
            return super().body(start)
        items, value = ["c4k3-BN-SN"], Values((4, *start.shape[1:]), 1)
        for _ in range(self.random.randint(1, 5)):
            text, value = self._row(value)
            items.append(text)
        text, self.end = self._ending_of_row(value)
        return "-".join([*items, text] if text else items)

    def _ending(self, value: Values) -> tuple[str, Values]:
        if self.random.random() < 0.1:
            return "DFC5(reach=3)", Values((5,), None)
        if self.random.random() < 0.1:
            return f"Reshape({prod(value.shape)})", Values((prod(value.shape),), None)
        return super()._ending(value)

    def _norm(self) -> str:
        return self.random.choice((super()._norm(), super()._norm(), "TEBN", "BN(weight=0.5)"))

    def _small(self, value: Values, depth: int = 0) -> tuple[str, Values]:
        if self.random.random() < 0.5:
            return super()._small(value, depth)
        layers = (*REAL_LAYERS, *(("SA(k=3)", "TCJA(kernel_t=2, kernel_c=1)") if len(value.shape) > 2 else ()))
        return self.random.choice(layers), Values(value.shape, None)

    def _layered(self, value: Values, depth: int = 0) -> tuple[str, Values]:
        text, after = super()._layered(value, depth)
        if self.random.random() < 0.25:
            text = f"{text}-{self.random.choice(YOUNGER_NEURONS)}"
        return text, after

    def _item(self, value: Values, depth: int) -> tuple[str, Values]:
        if self.random.random() < 0.35:
            makers = [self._small, self._merged, self._looped]
            if len(value.shape) == 3 and max(value.shape[1:]) <= 16:
                makers += [self._enlarged, self._attended]
            return self.random.choice(makers)(value, depth)
        return super()._item(value, depth)

    def _enlarged(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a layer that doubles height and width."""
        c, *size = value.shape
        text = self.random.choice(("UP2", "UP2(mode=bilinear)", f"tc{c}k2s2-BN-SN", f"tc{c}k3s2b1"))
        upper = {"UP2": value.upper, f"tc{c}k2s2-BN-SN": 1}.get(text)
        return text, Values((c, *(2 * length for length in size)), upper)

    def _merged(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return a merge of several operands."""
        c, *size = value.shape
        self.can_begin_as_identities = False
        weights = f"FC{c}" if not size else f"c{c}k1"
        operand = f"{weights}-{self._norm()}-SN"
        kind = self.random.choice(("CAT", "MAX", "ADD", "MUL", "OR"))
        if kind == "CAT":
            return f"CAT[ {operand} | {operand} ]-{weights}-BN-SN", Values(value.shape, 1)
        if kind == "ADD":
            return f"ADD[ {operand} | {operand} | {operand} ]", Values(value.shape, 3)
        return f"{kind}[ {operand} | {operand} ]", Values(value.shape, 1)

    def _looped(self, value: Values, depth: int = 0) -> tuple[str, Values]:
        """Return a loop with random body and feedback."""
        c, *size = value.shape
        self.can_begin_as_identities = False
        weights = f"FC{c}" if not size else f"c{c}k{self.random.choice((1, 3))}"
        neuron = self.random.choice(("SN", "SN", "KLIF", "DLIF(decay=0.5)"))
        body = self.random.choice((neuron, f"{neuron}-{weights}-SN", f"ADD[ {neuron} | {weights}-SN ]"))
        if depth and self.random.random() < 0.3:
            inner, _ = self._looped(value, depth - 1)
            body = f"{inner}-{weights}-SN"
        feedback = self.random.choice((weights, "id", "SCALE(value=0.5)", f"{weights}-SCALE(learn=on)"))
        return f"LOOP[ {body} | {feedback} ]", Values(value.shape, 2 if body.startswith("ADD") else 1)

    def _attended(self, value: Values, _depth: int = 0) -> tuple[str, Values]:
        """Return attention without softmax, or a gate."""
        c, *_ = value.shape
        self.can_begin_as_identities = False
        operand = f"c{c}k1-BN-SN"
        chance, places = self.random.random(), prod(value.shape[1:])
        if chance < 0.4:
            return f"ATTN(scale=0.5)[ {operand} | {operand} | {operand} ]-SN", Values(value.shape, 1)
        if chance < 0.6 and places <= MAX_TOKENS:
            between = self.random.choice(("", "-SN", "-Softmax"))
            scores = f"SCORES(scale=0.5)[ {operand} | {operand} ]{between}"
            return f"APPLY[ {scores} | {operand} ]-SN", Values(value.shape, 1)
        if chance < 0.63 and places <= MAX_TOKENS:
            shape = "x".join(map(str, value.shape))
            tokens = f"CAT[ TOK1-Swap | Swap ]-Swap-{operand}"
            return f"{tokens}-Slice(start=1, over=places)-Reshape({shape})", Values(value.shape, 1)
        if chance < 0.64 and len(value.shape) == 3:
            return "PAD1-MPk3s1p0", value
        if chance < 0.66 and len(value.shape) == 3 and value.shape[-1] % 2 == 0:
            return "FFT-SN-FFT(inverse=on)", Values(value.shape, None)
        if chance < 0.7 and places <= MAX_TOKENS:
            return f"Swap[ c{places}k1-BN-SN ]", Values(value.shape, 1)
        gate = self.random.choice(("SUM(over=places)", "SUM(over=channels)", "MEAN(over=places)", "AMAX(over=places)"))
        return f"MUL[ {operand} | {operand}-{gate}-SN ]", Values(value.shape, 1)

    def _row(self, value: Values) -> tuple[str, Values]:
        """Return an item for inputs with one spatial axis."""
        c, length = value.shape
        same = (
            f"c{c}k3-{self._norm()}-SN",
            f"{{c{c}k3-BN-SN}}*2",
            f"ADD[ c{c}k3-BN-SN | id ]",
            "SEW Block (g=ADD)",
            "MPk3s1p1-BN-SN",
        )
        chance = self.random.random()
        if chance < 0.4:
            return self.random.choice(same), Values(value.shape, None)
        if chance < 0.6:
            return self._small(value)
        if chance < 0.7:
            return self._merged(value)
        if chance < 0.8 and length <= 24:
            text, after = self._enlarged(value)
            return text, Values(after.shape, None)
        if chance < 0.9 and length > 1:
            return self.random.choice(("MPk2", "APk2")), Values((c, length // 2), None)
        if chance < 0.93:
            return self._attended(value)
        if chance < 0.97:
            return self._looped(value, 1)
        return f"c{c}k5s2-{self._norm()}-SN", Values((c, (length - 1) // 2 + 1), 1)

    def _ending_of_row(self, value: Values) -> tuple[str, Values]:
        out = self.random.choice((3, 5, 10))
        text = self.random.choice(("", "GAP", "Flatten", f"FC{out}", f"GAP-FC{out}"))
        shape = {"": value.shape, "GAP": value.shape[:1], "Flatten": (value.shape[0] * value.shape[1],)}.get(
            text, (out,)
        )
        return text, Values(shape, None)


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
