"""Hostile texts, reproducible by seed: slow to read, or unexpected.

``hostile_text(random, size)`` returns a text. ``numbered_text(seed, number)`` returns the text of a number, which does
not depend on other draws, so two integers identify a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

from sewdsl.ops import catalogue

MAX_BYTES = 256 * 1024
"""Limit of the language for the size of a text in UTF-8."""
NETS = Path(__file__).parents[2] / "nets"

Generator = Callable[[Random, int], str]
"""Function that returns a text of about the given size. Longer texts are cut."""

HEADS = (
    "",
    "body ",
    "sewdsl 1\n",
    "sewdsl 1\nbody ",
    "sewdsl 1\ninput 2x32x32\nneuron PLIF\nbody ",
    'sewdsl 1\nnetwork "N"\ninput 3x16x16\nsteps 4\nneuron LIF(tau=2.0)\njoin ADD\nbody c4k3-BN-SN-',
    "sewdsl 1\ninput 100\nneuron IF\nbody FC10\n",
    "sewdsl 1\ninput 2x8x8\nneuron IF\nbody c4k3-BN-SN\nblock B(n=1) = ",
    "sewdsl 1\nblock B(c=in, s=1, g=ADD) = ",
    "sewdsl 1\ninput 2x8x8\nbody BN\ntrain on mnist5k {\n",
    "sewdsl 1\ninput 2x8x8\nbody BN\nstudy {\n",
    "sewdsl 1\ninput 2x8x8\nbody LIF(",
    "sewdsl 1\ninput 2x8x8\nbody c8k3-SEW Block (",
    "sewdsl 1\ninput 2x8x8\nbody g[BN | ",
    "sewdsl 1\ninput 2x8x8\nbody c$(",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nlet a = c4k3-SN\nlet b = a-BN\nbody ",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nlet a = ",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nbody X[ BN | id ]\nblock X[ a | b ] {\n    let c = ",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nbody X\nblock X {\n    let a = BN\n    give ",
    "sewdsl 1\nneuron A(tau=2) {\n    state i = 0\n    h = ",
    "sewdsl 1\ninput 4\nbody FC4-A\nneuron A { learn w per channel = 1   give w*",
    "sewdsl 1\ninput 4\nbody FC4-A\nneuron A(N=3)[ u ] { state h[N] = 0   learn w[2] = uniform(0, 1)   give sum(h)*",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nbody A-A\npart A = c4k3-",
    "sewdsl 1\ninput left 4x8x8\ninput right 4x8x8\nneuron IF\nbody ADD[ left | right-",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nlet a = BN\nlet b = SN\noutputs a b\ntrain on mnist5k {\n    loss a ",
    "sewdsl 1\ninput 4x8x8\nneuron IF\ninit kaiming\ninit v.* ",
    "sewdsl 1\ninput 4x8x8\nbody MAP{",
    "sewdsl 1\ninput 4x8x8\nneuron IF\nbody APPLY(scale=0.5)[ SCORES(heads=2)[ id | ",
)
"""Starts of texts, which put the hostile part into each context."""

_SIGNS = (
    *(
        "-",
        "{",
        "}",
        "<",
        ">",
        "[",
        "]",
        "(",
        ")",
        "|",
        "*",
        "=",
        ",",
        "+",
        "/",
        "$(",
        "$",
        "#",
        '"',
        ".",
        ";",
        "?",
        "%",
    ),
    *(" ", "\n", "\r\n", "\t", "\\", "'", "_", "@", "\0"),
)
_NUMBERS = (
    "0",
    "1",
    "2",
    "7",
    "9" * 9,
    "9" * 10,
    "1.5",
    "1e9",
    "1e-9",
    "2x3",
    "1x",
    "0.13M",
    "2GB",
    "50%",
    "00",
    "3x5x7",
)
_WORDS = (
    *("body", "block", "use", "expect", "claim", "allow", "train", "study", "data", "on", "or", "id", "SN", "g", "in"),
    *("network", "input", "steps", "encode", "neuron", "join", "init", "readout", "sewdsl", "sewdsl 1\n"),
    *("let", "give", "let a = ", "give a-", "a-", "b-", "ADD[ a | b ]-", "X[ a | BN ]-", "block X[ a | b ] = ", "{\n"),
    *(
        "neuron A {\n",
        "learn w = ",
        "state i = ",
        "h = ",
        "give s }",
        "fire(h - 1)",
        "reset(h, s)",
        "clip(h, 0, D)",
        "per channel",
    ),
    *("where(x < 1, ", "v_threshold", "v", "x", "h", "v + x", "exp(", "sigmoid(w)*", ">= ", "round("),
    *("part", "part A = ", "part A[ a | b ] = ", "A-", "input left 4x8x8\n", "left-", "teacher", 'teacher "runs/a-1"'),
    *("loss a CrossEntropy 0.3x\n", "KL(to=a, temperature=2.0)", "MSE(to=input)", "init v.* ", "(init=orthogonal)"),
    *("orthogonal", "sparse(density=0.1, radius=0.9)", "constant(0)", "uniform(0, 1)", "normal(0, 1)", "index(N)"),
    *("MAP{1 - x}-", "MAP{", "}", "[N]", "sum(h)", "Swap[ BN ]-", "DELAY2-", "SCORES[ ", "APPLY[ ", "chunk=2", "rate"),
    *("vary", "variant", "probe", "epochs", "batch", "optimizer", "schedule", "memory", "none", "kaiming", "zero"),
    *("c8k3", "c8k3s2p1", "BN", "MPk2", "APk2", "FC10", "DP0.5", "PLIF", "LIF(tau=2.0)", "SEW Block", "SEW Block (c8)"),
    *("SEWBlock", "SEWBlok", "Plif", "conv2d", "ConvBn", "BNSN", "c3BN", "c12k", "C8K3", "res_block", "voting", "tau"),
    *(
        "c$(n)k3",
        "$(n*2)",
        "c$(c)",
        "g[BN | id]",
        "g[ BN | id or c8k1 ]",
        "{BN}*2",
        "{c4k3-BN-SN}*3",
        "<BN>*2",
        "X(c2s2)",
    ),
    *("c8k3-BN-SN", "id or ", "B(n=2)", "B(n2)", "LIF(surrogate=ATan(alpha=2.0))", "a.b.c", "Block", "CAT", "IAND"),
    *("LOOP", "LOOP[ SN | ", "LOOP[ ", "DELAY", "b-DELAY", "outputs ", "outputs a b\n"),
    *("128C3", "AP2", "10FC", "[8]", "(7B-Net)", "->", "*3", "*0", "*10000", '"x"', '"steps=3"', "#\n", "1x28x28"),
)
_UNUSUAL = (
    *("\u2013", "\u2212", "\u00ad", "\ufffe", "\uff0d", "\u2192", "\u27f6", "\u27e8", "\u27e9", "\u00d7", "\u2217"),
    *("\u00a0", "\u2009", "\u202f", "\ufeff", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1f", "\r"),
    *("\u2083", "\u2077", "\u00b2", "\u0663", "\uff11", "\U0001d7d9", "\u2160", "\u00bd", "\u0130", "\u017f", "\u00df"),
    *(
        "\u0301",
        "e\u0301",
        "\u200b",
        "\u200d",
        "\u202e",
        "\U0001f600",
        "\U0001f1e9",
        "\ud800",
        "\udfff",
        "\x7f",
        "\x1b[31m",
    ),
    *(
        "\u4e2d",
        "\u05d0",
        "\u03c3",
        "\u03c2",
        "\u2026",
        "\u201c",
        "\u201d",
        "\u2018",
        "\u2044",
        "\ufb01",
        "\U0010ffff",
        "\u0001",
    ),
)


@cache
def _kinds() -> tuple[str, ...]:
    """Return the names of the shipped kinds. Kinds of other tests must not change texts."""
    return tuple(sorted(name for name, kind in catalogue().items() if kind.__module__.startswith("sewdsl.ops.")))


@cache
def _shipped() -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8") for path in sorted(NETS.glob("*.net")))


def piece(random: Random) -> str:
    """Return a short piece of the language, or something similar."""
    draw = random.random()
    if draw < 0.3:
        return random.choice(_SIGNS)
    if draw < 0.65:
        return random.choice(_WORDS)
    if draw < 0.75:
        return random.choice(_NUMBERS)
    if draw < 0.85:
        return random.choice(_kinds()) + random.choice(("", "", "3", "k3", "(a=1)", "32k3s2", "x"))
    if draw < 0.92:
        return random.choice(_UNUSUAL)
    return digits(random, 40)


def phrase(random: Random, most: int = 4) -> str:
    """Return a few pieces, some with blanks between them."""
    return "".join(piece(random) + random.choice(("", "", " ", "-")) for _ in range(random.randint(1, most)))


# --- one generator for each kind of text


def fragments(random: Random, size: int) -> str:
    """Return pieces in random order."""
    parts = [random.choice(HEADS)]
    length = len(parts[0])
    while length < size:
        parts.append(piece(random) + random.choice(("", "", " ", "-", "\n")))
        length += len(parts[-1])
    return "".join(parts)


def digits(random: Random, size: int) -> str:
    """Return a word of letters and many digits, which may have exponentially many readings."""
    letters = random.choice(("c", "FC", "C", "MP", "x", "k", "e", "", "Block", "c$(n)", "a.", "1."))
    unit = random.choice(("1", "9", "0", "12", "1x1", "1.1", "k3", "3k", "1e1", ".1", "1x", "x1", "\u00d71", "_1"))
    tail = random.choice(("", "e", "k", "x", ".", "e-", "E", "$(n)", "(", "[", "\u00d7", "-", "_", "A"))
    return letters + unit * max(1, size // max(1, len(unit))) + tail


def pumped(random: Random, size: int) -> str:
    """Return a head, many copies of a short piece, and a tail."""
    head, unit, tail = random.choice(HEADS), phrase(random), phrase(random)
    if random.random() < 0.5:
        # Units that form valid sequences reach more than the parser.
        unit = random.choice(
            ("{u}-", "-{u}", "{u}\n", "{u}, ", "{u} ", "g[{u} | id]-", "{{{u}}}*2-", "x={u}, ")
        ).format(u=unit)
    return head + unit * max(1, (size - len(head) - len(tail)) // len(unit)) + tail


def pumped_pair(random: Random, size: int) -> str:
    """Return many copies of a piece that opens, then of one that closes: ``a a a … b b b``."""
    head, first, middle, second = random.choice(HEADS), phrase(random, 3), phrase(random, 2), phrase(random, 3)
    count = max(1, (size - len(head) - len(middle)) // (len(first) + len(second)))
    return head + first * count + middle + second * count


_NAMED = (
    "block Block{i} = BN\n",
    "block Block{i}(n=1) = c$(n)k3-BN\n",
    "block My Block{i} = Block{j}-BN\n",
    "block B{i} = Blok{i}-My Block {i}\n",
    "block B{i}(n{i}=1) = B{j}(n{i}=2)\n",
    "expect Quantity{i} {i}\n",
    "claim parameters {i}\n",
    "claim energy {i}mJ\n",
    'claim accuracy {i}.5% "Tab. {i}"\n',
    'allow code-{i} "why"\n',
    "steps{i} 3\n",
    "steps 3\n",
    'use "file{i}.net"\n',
    "body BN\n",
    "    epochs{i} 3\n",
    "    vary key{i} 1\n",
    "    vary seed {i}\n",
    '    variant "name {i}" "steps={i}"\n',
    "let v{i} = c4k3-SN\n",
    "part P{i} = c4k3-BN\n",
    "part Q{i}[ a | b ] = ADD[ a-P{j} | b ]\n",
    "P{i}-P{j}-",
    "input in{i} 4x8x8\n",
    "init v{i}.* orthogonal\n",
    "    loss v{i} MSE(to=v{j}) 0.{i}x\n",
    "MAP{{x + {i}}}-",
    "DELAY{i}-",
    "    state h{i}[{i}] = 0\n",
    "    learn w{i} = uniform(0, {i})\n",
    "SCORES(heads={i})[ v{j} | BN ]-",
    "CAT[ v{i} | v{i}-DELAY ]-",
    "let v{i} = v{j}-BN\n",
    "let v{i} = ADD[ v{j} | SN ]\n",
    "block X{i}[ a | b ] = CAT[ a | b-BN ]\n",
    "block Y{i} {{\n    let a = BN\n    let v{i} = Y{j}\n    give ADD[ a | v{i} ]\n}}\n",
    "X{i}[ v{j} | BN ]-",
    "v{i} | ",
    "v{i}-",
    "Blok{i}-",
    "My Block{i}-",
    "c{i}k3-",
    "LIF(tau{i}=2.0)-",
    "SEW Block (c{i}s{j})-",
    "SEW Block (c=$({i}+{j}))-",
    "{{BN}}*{i}-",
    "{{c{i}k3-BN}}*2-",
    "g[c{i}k3 | id or c{i}k1]-",
    "ADD[BN | Blok{i}]-",
    "name{i}=$({i}+1), ",
    "Convv{i}d-",
    "CamelCaseName{i}Conv-",
)


def named(random: Random, size: int) -> str:
    """Return many names that differ in a number: definitions and calls."""
    parts = [random.choice(HEADS)]
    share = size // random.choice((1, 2, 2, 3))
    while sum(map(len, parts)) < size:
        template = random.choice(_NAMED)
        count, offset = max(1, share // len(template)), random.choice((0, 0, 1, 10_000))
        step = random.choice((1, -1))
        parts.append("".join(template.format(i=offset + i, j=max(0, offset + i - step)) for i in range(count)))
        parts.append(random.choice(("", "\n", "body ", "\nbody ", "}\n", ")")))
    return "".join(parts)


def nested(random: Random, size: int) -> str:
    """Return nested brackets, up to the nesting limit or far beyond, once or many times."""
    pairs = (
        ("{", "}*2"),
        ("<", ">*3"),
        ("g[", " | id]"),
        ("ADD[BN | ", "]"),
        ("g[id | id or ", "]"),
        ("SEW Block (g=", ")"),
        ("LIF(surrogate=", ")"),
        ("{BN-", "}*9999"),
        ("{id-", "}*10000"),
        ("$(", ")"),
        ("c$((1+", "))"),
        ("(", ")"),
        ("[", "]"),
    )
    depth = random.choice((2, 5, 16, 31, 32, 33, size // 8 + 1))
    kinds = random.choices(pairs, k=random.choice((1, 1, 2, 4)))
    chosen = [random.choice(kinds) for _ in range(min(depth, size // 8 + 1))]
    inner = random.choice(("BN", "id", "c8k3", "", "SN", "SEW Block", "Blok", "c$(n)k3", phrase(random)))
    one = "".join(a for a, _ in chosen) + inner + "".join(b for _, b in reversed(chosen))
    head = random.choice(HEADS)
    return head + "-".join([one] * max(1, (size - len(head)) // (len(one) + 1)))


def doubling(random: Random, size: int) -> str:
    """Return blocks that call each other several times: exponentially many layers."""
    leaf = random.choice(
        ("BN", "id", "{BN}*$(n)", "c$(n)k3", "Blok$(n)", "SN", "g[BN | id]", "{id}*9999", "c$(n-1)k1", "X")
    )
    call = random.choice(("B{j}", "B{j}(n$(n))", "B{j}(n$(n+1))", "B{j}(n2)", "B{j}(n=$(n*2))", "{{B{j}}}*$(n)"))
    pattern = random.choice(
        ("{a}-{a}", "{a}-BN-{a}", "g[{a} | {a}]", "g[BN | {a} or {a}]", "{{{a}}}*2", "g[{a} | id or {a}]")
    )
    levels = random.choice((3, 12, 25, 31, 40, 200))
    calls = (pattern.format(a=call.format(j=i - 1)) for i in range(1, levels))
    lines = [f"block B0(n=1) = {leaf}\n", *(f"block B{i}(n=1) = {c}\n" for i, c in enumerate(calls, 1))]
    if random.random() < 0.3:
        random.shuffle(lines)
    body = random.choice(
        ("", "body BN\n", f"body B{levels - 1}\n", f"body {{B{levels - 1}}}*9999\n", "body B2(n9999)\n")
    )
    text = "sewdsl 1\ninput 4x8x8\nneuron IF\n" + "".join(lines) + body
    return text if random.random() < 0.7 else text + "".join(lines) * (size // max(1, 2 * len("".join(lines))))


def _numbered(template: str, i: int, count: int) -> str:
    """Fill in the numbers of a value, of previous ones, of the next and of the last."""
    numbers = {"{i}": i, "{j}": i - 1, "{k}": max(0, i - 2), "{l}": min(i + 1, count - 1), "{n}": count - 1}
    for hole, value in numbers.items():
        template = template.replace(hole, str(value))
    return template


def values(random: Random, size: int) -> str:
    """Return named values that read earlier ones, or later ones through delays."""
    reads = (
        "v{j}",
        "v{k}",
        "v0",
        "id",
        "BN",
        "v{i}",
        "SN",
        "B[ v{j} | v{k} ]",
        phrase(random, 2),
        "v{l}-DELAY",
        "v{l}-DELAY3",
        "v{n}-SN-DELAY",
        "P[ v{j} | BN ]",
    )
    templates = (
        "{a}",
        "{a}-SN",
        "ADD[ {a} | {b} ]",
        "CAT[ {a}-BN | {b} | {a} ]",
        "MAX[ {a} | {b} ]",
        "LOOP[ {a} | {b} ]",
        "{{{a}}}*2",
        "{a}-{b}",
    )
    count = random.choice((2, 5, 20, 100, size // 20 + 1))
    lines = []
    for i in range(1, count):
        template = random.choice(templates).format(a=random.choice(reads), b=random.choice(reads))
        lines.append(f"let v{i} = {_numbered(template, i, count)}\n")
    if random.random() < 0.2:
        random.shuffle(lines)
    last = random.choice(("v{n}", "ADD[ v{n} | v0 ]", "{{v{n}}}*3", "BN", "CAT[ v{n} | id ]-FC3", "v{n}-A-A")).format(
        n=count - 1
    )
    head = "sewdsl 1\ninput 4x8x8\nneuron IF\n" + random.choice(
        ("", "block B[ a | b ] = ADD[ a | b-SN ]\n", "part P[ a | b ] = ADD[ a-c4k1 | b ]\n")
    )
    if random.random() < 0.2:
        return f"{head}let v0 = c4k3\n{''.join(lines)}outputs v0 v{count - 1}\n"
    if random.random() < 0.5:
        return f"{head}let v0 = c4k3\n{''.join(lines)}body {last}\n"
    return (
        f"{head}block A {{\nlet v0 = BN\n{''.join(lines)}give {last}\n}}\nbody {{A}}*{random.choice((1, 3, 9999))}-BN\n"
    )


def formulas(random: Random, size: int) -> str:
    """Return long, deep or invalid arithmetic in every position that allows it."""
    atoms = ("1", "n", "0", "999999999", "m", "(n+1)", "1.5", "n n")
    length = random.choice((1, 3, 31, 32, 33, 200))
    formula = random.choice(atoms) + "".join(random.choice("+-*/") + random.choice(atoms) for _ in range(length))
    slot = random.choice(("c$({f})k3-", "{{BN}}*$({f})-", "B($({f}))-", "B(n=$({f}))-", "$({f})-", "LIF(tau=$({f}))-"))
    unit = slot.format(f=formula)
    defined = random.choice(("", "block B(n=1) = c$(n)k1\n"))
    head = f"sewdsl 1\ninput 4x8x8\nneuron IF\n{defined}{random.choice(('body ', 'block C(n=3) = '))}"
    return head + unit * max(1, (size - len(head)) // len(unit)) + "BN\n"


def unusual(random: Random, size: int) -> str:
    """Return rare characters between usual ones, or many copies of one."""
    if random.random() < 0.3:
        return pumped(random, size // 2) + random.choice(_UNUSUAL) * (size // 8)
    parts = [random.choice(HEADS)]
    length = 0
    while length < size:
        parts.append(random.choice(_UNUSUAL) if random.random() < 0.5 else piece(random))
        length += len(parts[-1])
    return "".join(parts)


def mutated(random: Random, size: int) -> str:
    """Return a shipped network with some changes."""
    text = random.choice(_shipped())
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        begin = random.randint(0, len(text))
        end = min(len(text), begin + random.choice((0, 0, 1, 3, 20, 200)))
        other = random.choice(_shipped())
        cut = random.randint(0, len(other))
        fresh = random.choice(
            ("", piece(random), phrase(random), text[begin:end] * 2, other[cut : cut + end - begin + 10])
        )
        text = text[:begin] + fresh + text[end:]
    if random.random() < 0.2:
        text = text[: random.randint(0, len(text))]
    if random.random() < 0.2:
        # Repeat one of its lines.
        line = random.choice(text.splitlines(keepends=True) or ["\n"])
        text += line * max(0, (size - len(text)) // max(1, len(line)))
    return text


def mixed(random: Random, size: int) -> str:
    """Return lines of several texts."""
    lines = [line for _ in range(3) for line in random.choice(GENERATORS)(random, size // 3).splitlines(keepends=True)]
    if random.random() < 0.5:
        random.shuffle(lines)
    return "".join(lines)


GENERATORS: tuple[Generator, ...] = (
    fragments,
    digits,
    pumped,
    pumped,
    pumped_pair,
    named,
    named,
    nested,
    doubling,
    values,
    formulas,
    unusual,
    mutated,
    mutated,
    mutated,
)


def hostile_text(random: Random, size: int) -> str:
    """Return a text of any kind, of at most ``size`` bytes in UTF-8."""
    return cut(random.choice((*GENERATORS, mixed))(random, size), size)


def cut(text: str, size: int) -> str:
    """Return the start of a text, of at most ``size`` bytes in UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    return text if len(data) <= size else data[:size].decode("utf-8", "ignore")


SIZES = (20, 60, 200, 200, 500, 500, 2_000)
"""Sizes of most texts in bytes."""
LONG = ((1_000, MAX_BYTES), (100, 16_384))
"""Periods and sizes of longer texts: one of 1,000 texts has the largest size."""


def numbered_text(seed: int, number: int) -> str:
    """Return the text of a number."""
    random = Random(f"{seed}/{number}")  # noqa: S311 -- reproducible by seed
    size = next((size for share, size in LONG if number % share == share - 1), random.choice(SIZES))
    return hostile_text(random, size)


def hostile_texts(seed: int, numbers: Sequence[int]) -> Iterator[str]:
    """Yield the texts of some numbers."""
    for number in numbers:
        yield numbered_text(seed, number)
