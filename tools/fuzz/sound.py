"""Sound files with every construct of the language: most of them compile, all are small enough to run.

Values have 4 channels of 8x8 positions, so that layers and merges can be combined freely.
"""

from __future__ import annotations

from random import Random

CHANNELS, SIDE = 4, 8
PLACES = SIDE * SIDE
_SIZE = f"{CHANNELS}x{SIDE}x{SIDE}"

_LAYERS = (
    "c4k3-BN-SN", "c4k1", "BN", "SN", "SEW Block", "SCALE(value=0.5)", "DELAY", "ReLU", "{c4k3-BN-SN}*2", "PSN",
    "DELAY2", "DELAY3", "FIRk3d2", "FIRk2", "RMS", "POS", "POS(per=step)", "BNTT", "TAB", "TEBN", "LN", "DP",
    "Swap[ c64k1-BN-SN ]", "Swap[ BN ]", "Swap[ Swap[ SN ] ]", "Swap-Swap(to=8x8)", "Swap(heads=2)[ SN ]",
    "Softmax(groups=2)", "MEAN(over=time)", "SUM(over=time)", "Reshape(256)-Reshape(4x8x8)", "GELU", "MPBN",
    "SCALE(value=-1.5, learn=on, per=channel)", "SCALE(value=1e-6, learn=on)", "TA(r=1)", "PReLU(shared=off)",
    "c4k3b0(init=orthogonal)", "c4k1(init=constant(0.5))", "c4k3(init=sparse(density=0.5))", "UP2-MPk2",
    "DFC256(reach=3)-Reshape(4x8x8)", "FC256b0(init=sparse(density=0.1, radius=0.9))-Reshape(4x8x8)",
    "FC8-BN-SN-DFC16b0(reach=2)-FC256-Reshape(4x8x8)", "MAP{1 - x}", "MAP(surrogate=Sigmoid){fire(x - 0.5)}",
    "CAT[ Slice(start=2) | Slice(stop=2) ]", "ADD[ TOK64c4-Reshape(4x8x8) | id ]", "Slice(start=-1, over=time)",
    "CAT[ TOK1-Swap | Swap ]-Swap-Slice(start=1, over=places)-Reshape(4x8x8)", "PAD1-c4k3p0",
    "UP2(mode=bilinear)-APk2", "PAD1x2(mode=reflect)-MPk3x5s1", "FFT-SN-FFT(inverse=on)", "tc4k3", "tc4k2s2-MPk2",
    "tdBN(alpha=0.5)", "GN2(eps=0.1)", "LN(eps=0.1)", "RMS(eps=0.1)", "DP(per=step)", "DropPath0.25",
    "TCJA(kernel_t=2, kernel_c=1)", "CA(r=1)-SA(k=3)", "GAP-FC256(init=normal(std=0.1))-Reshape(4x8x8)",
    "c2k3s2-BN-SN-FC256-Reshape(4x8x8)", "<c4k1-BN>*2", "SiLU-Logistic", "PReLU(slope=-0.5)",
    "SN-SEW Block (g=IAND)", "SEW Block (SN=IF)", "SEW Bottleneck (c1)", "RBA Block", "BN(weight=0.5)",
    "SlidingPSN(order=2, v_threshold=0.5, surrogate=ATan)", "MaskedPSN(order=2)", "DLIF(decay=0.5, v_reset=none)",
    "LIF(tau=3.0, detach_reset=off, surrogate=Constant(value=0.5))", "PLIF(surrogate=Triangle)", "IF(v_reset=-0.4)",
    "DLIF(decay=0.5, v_threshold=0.5, detach_reset=off, surrogate=Rectangular)", "KLIF", "GLIF", "CUBA", "ALIF",
    "RF", "EIF", "Ternary", "ILIF", "Rate", "LTH", "ADD[ SN-Slice(stop=1) | c1k1 ]-c4k1",
    "TOK64c4(init=constant(1))-Reshape(4x8x8)", "DFC256(reach=2, init=uniform(low=-0.5, high=0.5))-Reshape(4x8x8)",
)  # fmt: skip
_MERGES = (
    "ADD[ {a} | {b} ]", "CAT[ {a} | {b} ]-c4k1", "MUL[ {a} | {b} ]", "LOOP[ {l} | {m} ]", "MAX[ {a} | {b} ]",
    "MUL[ {a} | {b}-MEAN(over=places) ]", "LOOP[ {l} | {m}-BN ]", "IAND[ {a}-SN | {b}-SN ]",
    "OR[ {a}-SN | {b}-SN ]", "APPLY[ SCORES[ {a} | {b} ] | {c} ]",
    "APPLY(scale=0.5)[ SCORES(heads=2, scale=0.25)[ {a} | {b} ]-SN | {c} ]",
    "APPLY[ SCORES[ {a} | {b} ]-Softmax(causal=places) | {c} ]", "ATTN(heads=2, scale=0.5)[ {a} | {b} | {c} ]",
    "APPLY(causal=places)[ SCORES(heads=4)[ {a} | {b} ]-MAP{{x/8}} | {c} ]",
    "ATTN(causal=places)[ {a} | {b} | {c} ]", "APPLY(scale=rate)[ SCORES(scale=rate)[ {a} | {b} ]-SN | {c} ]",
    "SCORES[ {a} | {b}-APk4 ]",
    "APPLY(chunk={chunk}, causal=time)[ SCORES(chunk={chunk})[ {a} | {b} ]-BN-SN | {c} ]",
    "APPLY[ SCORES(heads=2)[ {a} | {b}-APk4-Swap-Swap(to=2x2) ] | {b}-APk4 ]", "g[ {a} | {b} ]",
    "ADD[ {a} | id or {b} ]", "MUL[ {a} | {b}-AMAX(over=channels, groups=2) ]",
    "MUL[ {a} | {b}-SUM(over=channels, groups=4) ]", "MUL[ {a} | {b}-MEAN(over=channels, groups=2) ]",
    "AND[ {a}-SN | {b}-SN ]", "ATTN(chunk={chunk})[ {a} | {b} | {c} ]",
)  # fmt: skip
_CYCLES = (
    *("ADD[ {a} | {b} ]-SN", "CAT[ {a} | {b} ]-c4k1", "MAX[ {a} | {b} ]", "CAT[ {b} | {a} ]-c4k3-Tanh"),
    *("MUL[ {a} | {b}-MAP{{1 - x}} ]", "APPLY[ SCORES[ {a} | {b} ]-SN | {a} ]", "MUL[ {a} | {b} ]"),
)
_RULES = (
    *("kaiming", "orthogonal", "orthogonal(gain=0.5)", "constant(0)", "constant(value=0.25)", "normal(std=0.1)"),
    *("uniform(low=-0.5, high=0.5)", "sparse(density=0.2)", "sparse(density=0.5, std=0.1, keep=off)", "default"),
)
_BLOCKS = {
    "B": "block B(c=in)[ a | b ] {\n    let d = CAT[ a | b-BN ]-c$(c)k1-SN\n    give ADD[ d | a ]\n}",
    "C": "block C(c=in) {\n    let h = ADD[ id | h-DELAY-c$(c)k1 ]-SN\n    give h\n}",
    "X": "block X[ x ] = ADD[ x | x-BN ]",
    "G": "block G(c=in, p=0.5)[ x ] {\n    let r = CAT[ x | h-DELAY ]-c$(c)k1-Logistic\n"
    "    let h = ADD[ MUL[ r | x ] | MUL[ r-MAP{1 - x*$(p)} | h-DELAY2 ] ]-Tanh\n    give h\n}",
    "K": "block K Block(c=in, n=2, s=1, f=0.5)[ a | b ] = ADD[ a-c$(c/2)k1-SN-c$(2*c - c)k3s$(s)-BN"
    " | id or b-c$(c)k1s$(s) ]-{BN-DP$(f/2)}*$(n)-Slice(start=$(-c))-SCALE(value=$(-(1/c)))"
    "-Reshape(2x$(c/2)x64)-Reshape($(c)x8x8)",
    "Eye": "part Eye = c4k3-BN-SN",
    "Mix": "part Mix[ a | b ] {\n    let s = ADD[ a | b-c4k1-BN ]\n    give CAT[ s | s-SN ]-c4k1-BN\n}",
    "Cell": "part Cell {\n    let h = CAT[ id | h-DELAY ]-c4k1-Tanh\n    give ADD[ h | id ]\n}",
    "Deep": "part Deep[ x ] = Eye-x-LOOP[ SN | c4k1 ]",
}
"""Definitions of blocks and parts by name. Deep is wrong: a name in the middle."""
_CALLS = {
    "B": ("B[ {a} | {b} ]",),
    "C": ("C", "C (c=4)"),
    "X": ("X", "X[ {a} ]"),
    "G": ("G", "G (p=0.25)[ {a} ]"),
    "K": ("K Block[ {a} | {b} ]", "K Block (n1, f=0.25)[ {a} | {b} ]", "K Block (SN=IF)[ {a} | {a} ]"),
    "Eye": ("Eye", "Eye-Eye", "{{Eye}}*2", "LOOP[ SN | Eye ]"),
    "Mix": ("Mix[ {a} | {b} ]", "Mix[ {a} | {a} ]"),
    "Cell": ("Cell", "{{Cell-Eye}}*2"),
    "Deep": ("Deep", "Deep[ {a} ]"),
}


class _File:
    """Statements of one file, drawn one after the other."""

    def __init__(self, random: Random) -> None:
        self.random, self.pick = random, random.choice
        self.inputs = self.pick(((), (), (), ("left", "right"), ("left", "right", "z")))
        # Some files read tokens, as integers.
        self.tokens = not self.inputs and random.random() < 0.05
        self.names = [*self.inputs] or ["t" if self.tokens else "id"]
        self.steps = self.pick((1, 2, 2, 3, 4))
        self.depth = self.pick((0, 1, 1, 1, 2))
        # One of fifty chunks does not divide the number of time-steps.
        self.chunk = self.steps if random.random() < 0.98 else 3
        self.neurons = {
            f"N{i}": self.pick(((), (), ("u",), ("basal", "apical"), ("x", "v"))) for i in range(self.up_to(2))
        }
        self.blocks = random.sample(sorted(_BLOCKS.keys() - {"Deep"}), self.up_to(3))
        if "Cell" in self.blocks and "Eye" not in self.blocks:
            self.blocks.append("Eye")
        if random.random() < 0.02:
            self.blocks.append("Deep")

    def up_to(self, count: int) -> int:
        return self.random.randint(0, count)

    def maybe(self, chance: float, *lines: str) -> list[str]:
        return [self.pick(lines)] if self.random.random() < chance else []

    def text(self) -> str:
        pick = self.pick
        lines = ["sewdsl 1"]
        lines += [f"input {name} {_SIZE}" for name in self.inputs] or [f"input {'16 of 20' if self.tokens else _SIZE}"]
        lines += [f"steps {self.steps}", f"neuron {pick(('LIF(tau=2.0)', 'IF', 'PLIF(v_reset=none)'))}"]
        lines += self.maybe(0.3, "encode direct", *(f"encode {name} direct" for name in self.inputs))
        lines += self.maybe(0.2, *(f"init {rule}" for rule in _RULES), "init kaiming zero")
        lines += self.maybe(0.3, 'network "N"', "readout last", "readout sum", "join OR", "join IAND", "join ADD")
        lines += self.maybe(
            0.1, 'claim accuracy 90.5% "Tab. 1"', "claim energy 3mJ", "claim macs 1M", "claim parameters 9"
        )
        lines += self.maybe(0.1, 'allow claim-differs "rounded"', 'allow unused-part "later"', "expect output 10")
        parts = ("conv1", "c1", "v0.*", "v0.*", "*.conv1", "v*.fc1", "Eye.*")
        lines += self.maybe(0.3, *(f"init {pick(parts)} {rule}" for rule in _RULES))
        lines += [_neuron(self.random, name, inputs) for name, inputs in self.neurons.items()]
        lines += [_BLOCKS[name] for name in self.blocks]
        lines += ["let t = EMB16-POS-Reshape(4x8x8)"] if self.tokens else []
        for i in range(self.random.randint(1 if self.inputs else 0, 4)):
            line = self.sequence()
            if self.random.random() < 0.4:
                # Read this value one time-step earlier, which closes a loop.
                back = f"v{i}-DELAY{pick(('', '2', '-c4k1', '-SCALE(value=0.5)'))}"
                line = pick(_CYCLES).format(a=line, b=back)
            if i == 0 and self.inputs:
                line = f"ADD[ {line} | {' | '.join(self.inputs)} ]"
            lines.append(f"let v{i} = {line}")
            self.names.append(f"v{i}")
        values = [name for name in self.names if name not in {"id", *self.inputs}]
        if len(values) > 1 and self.random.random() < 0.3:
            lines.append(f"outputs {' '.join(values[-2:])}")
            lines += [f"{_train(self.random, values[-2:], named=bool(self.inputs))}"]
        else:
            end = pick(("GAP-FC10", "FC3", "DFC5(reach=2)", "GAP", "c1k1", "Swap", "FC12-Reshape(3x2x2)"))
            start = f"ADD[ {values[0]} | {values[-1]} ]-{self.sequence(named=False)}" if values else self.sequence()
            lines.append(f"body {start}-{end}")
            lines += self.maybe(0.4, _train(self.random, [], named=bool(self.inputs)))
        lines += self.maybe(0.3, *_STUDIES)
        return "\n".join(lines) + "\n"

    def sequence(self, depth: int | None = None, *, named: bool = True) -> str:
        """Return a sequence, from one of the known values or from the input of a merge."""
        depth = self.depth if depth is None else depth
        start = self.pick(self.names) if named else "id"
        items = [start]
        for _ in range(self.random.randint(0 if named else 1, 3)):
            chance = self.random.random()
            if depth and chance < 0.35:
                items.append(self.filled(self.pick(_MERGES), depth))
            elif depth and self.blocks and chance < 0.55:
                items.append(self.filled(self.pick(_CALLS[self.pick(self.blocks)]), depth))
            elif depth and self.neurons and chance < 0.7:
                name, inputs = self.pick([*self.neurons.items()])
                call = f"{name}{self.pick(('', '', '(p=0.25)', '(D=3)', '(p=0.9, D=1)'))}"
                items.append(self.filled(f"{call}[ {{a}} | {{b}} ]", depth) if len(inputs) > 1 else call)
            elif chance < 0.75:
                items.append(f"MAP{{x - 0.25*({_sum(self.random, ['x', 'x', '0.5', '1'])})}}")
            else:
                items.append(self.pick(_LAYERS))
        return "-".join(items if items[0] != "id" or len(items) == 1 else items[1:])

    def filled(self, template: str, depth: int) -> str:
        """Return a merge with operands and layers in its holes."""
        # The first operand reads the input of the merge, so that the input is used.
        chances = dict(zip("abc", (0.05, 0.3, 0.3), strict=True))
        holes = {hole: self.operand(depth, chance) for hole, chance in chances.items()}
        return template.format(**holes, l=self.pick(_LAYERS), m=self.pick(_LAYERS), chunk=self.chunk)

    def operand(self, depth: int, chance: float) -> str:
        """Return an operand that begins with the name of a value with some probability."""
        named = self.random.random() < chance
        if self.random.random() < 0.5:
            return self.sequence(depth - 1, named=named)
        return self.pick(self.names) if named else "id"


def sound_file(random: Random) -> str:
    """Return a file."""
    return _File(random).text()


def _neuron(random: Random, name: str, inputs: tuple[str, ...]) -> str:
    pick = random.choice
    states = random.sample(("i", "u2"), random.randint(0, 2))
    learned = random.sample(("w", "k"), random.randint(0, 2))
    vectors = random.sample(("m", "n"), random.randint(0, 2))
    x, *others = inputs or ("x",)
    # An input named v hides the implicit state.
    v = "v" if "v" not in inputs else "0"
    scalars = [x, v, "p", "D", "0.5", "1", "v_threshold", *others, *states, *learned]
    starts = ("p", "1", "0.5*D", "uniform(0, 1)", "normal(0, p)", "uniform(-1, 1)")
    axes = ("", " per channel", " per step", " per channel, step")
    lines = [f"learn {each}{pick(axes)} = {pick(starts)}" for each in learned]
    lines += [f"state {each} = {pick(('0', 'p'))}" for each in states]
    length = pick(("D", "3", "1", "16"))
    lines += [f"learn g{each}[{length}] per channel = {pick((*starts, f'index({length})'))}" for each in vectors[:1]]
    lines += [f"state {each}[{length}] = {pick(('0', 'p', f'index({length})'))}" for each in vectors]
    lines += [f"{each} = {_sum(random, [*scalars, each])}" for each in vectors]
    lines += [f"{each} = {_sum(random, scalars)}" for each in states]
    total = [
        *states,
        *learned,
        *others,
        *(f"sum({each})" for each in vectors),
        *(f"sum(g{e}*0.5)" for e in vectors[:1]),
    ]
    lines += [f"h = {' + '.join([x, *total])} - {_sum(random, [*scalars, v])}"]
    spikes = (
        *("fire(h - v_threshold)", "fire(h)", "round(clip(h, 0, D))", "clip(round(h), -1, D)", "relu(h)", "tanh(h)"),
        *("floor(clip(h, 0, D))", "h - ceil(h)"),
        *("max(h, p)", "where(h > p, h, 0)"),
    )
    lines += [f"s = {pick(spikes)}"]
    lines += [f"v = {pick(('reset(h, s)', 'h - s', 'h', 'reset(h, s, p)'))}"] if v == "v" else []
    lines += [f"give {pick(('s', 's', 's*p', 's + h'))}"]
    between, end = pick((("\n    ", "\n"), ("   ", " ")))
    brackets = f"[ {' | '.join(inputs)} ]" if inputs else ""
    return f"neuron {name}(p=0.5, D=2){brackets} {{{between}{between.join(lines)}{end}}}"


def _sum(random: Random, atoms: list[str], depth: int = 2) -> str:
    a, b = (_sum(random, atoms, depth - 1) if depth and random.random() < 0.6 else random.choice(atoms) for _ in "ab")
    formats = ("{a} + {b}", "{a} - {b}", "{a}*({b})", "({a})/2", "-({a})", "max({a}, {b})", "where({a} < {b}, {a}, 1)")
    functions = (
        "sigmoid({a})",
        "exp({a})",
        "clip({a}, 0, 1)",
        "abs({a})",
        "detach({b})",
        "cos({a})",
        "sin({a})",
        "{a}",
    )
    more = ("sqrt(abs({a}))", "log(abs({a}) + 1)", "min({a}, {b})", "where({a}, {b}, 0)", "where({a} >= {b}, 1, {a})")
    last = ("where({a} <= {b}, {a}, {b})", "relu({a})", "tanh({a})", "where({a} > 0, {b}, 1.5)", "1e-3*({a})")
    return random.choice((*formats, *formats, *functions, *more, *last)).format(a=a, b=b)


_OPTIMIZERS = (
    *(
        "Adam(lr=0.001)",
        "Adam",
        "AdamW(lr=0.001, weight_decay=0.1)",
        "NAdam(momentum_decay=0.01)",
        "RAdam",
        "RMSprop(centered=on)",
    ),
    *("SGD(lr=0.1, momentum=0.9, nesterov=on)", "SGD(lr=0.1, weight_decay=0.01)"),
)
_KEYS = {
    "accumulate": ("2", "3"), "T_train": ("1", "2"), "ema": ("0.9", "0.999"), "quantize": ("int8", "int3"),
    "quantize_epochs": ("1", "2"), "warmup": ("0", "1"), "clip": ("0.5", "1"), "label_smoothing": ("0.1", "0"),
    "precision": ("32", "mixed", '"bf16-mixed"'), "tf32": ("on", "off"), "sync_bn": ("on",), "compile": ("on", "off"),
    "optimize": ("0", "1", "2"), "memory": ("2GB", "1.5GB"), "seed": ("3",), "shift": ("1",), "flip": ("on",),
    "resize": ("area", "sum", "none"), "crop": ("middle", "whole"), "mean": ("0.5", "0.4 0.5 0.6 0.7"),
    "std": ("0.25",), "holdout": ("0.3",), "validation": ("0.2",), "subset": ("on",),
    "delay_width": ("Shrink(to=0.5, until=0.25)",), "lr": ("*.delay 100x", "v0.* 0.1x conv1 0.01"),
    "freeze": ("Eye.*", "conv1 v0.*"),
    "schedule": (
        *("Cosine", "Cosine(T_max=3)", "OneCycle(pct_start=0.4)", "Step(size=1)", "WarmRestarts(T_0=1, T_mult=2)"),
        *("Plateau(patience=1)", "Plateau(monitor=accuracy)"),
    ),
    "augment": (
        *("Mixup", "CutMix(p=0.5)", "RandomErasing(p=0.5) Mixup", "AutoAugment", "RandAugment", "TrivialAugment"),
        *("ColorJitter(brightness=0.2)", "EventDrop", "DropEvent(p=0.1)", "SpatialJitter", "UniformNoise(n=5)"),
        *("RandomFlipPolarity", "NDA"),
    ),
}  # fmt: skip
"""Values of the keys of recipes by key."""


def _train(random: Random, outputs: list[str], *, named: bool) -> str:
    pick = random.choice
    lines = [f"epochs {pick((1, 2, 3))}", "batch 16", f"optimizer {pick(_OPTIMIZERS)}"]
    for name in outputs or [""]:
        others = [each for each in outputs if each != name]
        kinds = (
            *(
                "CrossEntropy",
                "TET",
                "TET(weight=0.1, phi=1.0)",
                "MSE",
                "MSE(to=input)",
                "KL(to=teacher, temperature=2.0)",
            ),
            *("CrossEntropy", "KL(to=input)", *(f"KL(to={each}, temperature=4.0)" for each in others), "MSE(to=next)"),
            *("CrossEntropy(to=next)", "MSE(to=teacher)", "KL(to=teacher.v1)"),
        )
        start = f"loss {name} " if name else "loss "
        count = random.randint(0 if outputs else 1, 2)
        lines += [f"{start}{pick(kinds)}{pick(('', '', ' 0.3x', ' 2x', '  0.5x'))}" for _ in range(count)]
    lines += ['teacher "runs/ann-1"'] if any("teacher" in line for line in lines) and random.random() < 0.7 else []
    keys = random.sample(sorted(_KEYS), pick((0, 0, 0, 1, 1, 2, 3)))
    lines += [f"{key} {pick(_KEYS[key])}" for key in keys]
    random.shuffle(lines)
    dataset = (
        "numpy-files" if named or random.random() < 0.7 else pick(("mnist5k", "digits", "frame-folder", "cifar10-dvs"))
    )
    return f"train on {dataset} {{\n    " + "\n    ".join(lines) + "\n}"


_STUDIES = (
    "study {\n    vary steps 2 4\n    vary seed 0 1\n}",
    'study {\n    variant "soft" "neuron.v_reset=none"\n    variant "other" "neuron=IF"\n}',
    "study {\n    probe gradients\n    vary neuron.tau 2.0 3.0\n}",
    "study {\n    probe rates\n    vary join ADD MAX\n}",
    "study {\n    search TPE(trials=3, prune=median)\n    vary train.optimizer.lr log 0.001 0.1\n    vary steps 1 2\n}",
    "study {\n    search Random(trials=2)\n    vary train.label_smoothing linear 0 0.2\n}",
)
