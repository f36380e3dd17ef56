"""Target: files with equations, named values, loops and studies, sound or slightly damaged.

Compiling ends in time. A sound file is unchanged when it is written and read again. Fixes obey their law
(``fixing_law``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

from sewdsl.cli.check import _check_spec
from sewdsl.compiler import Compilation, read
from sewdsl.diagnostics import errors_in
from sewdsl.ir.json import from_json, to_json
from sewdsl.notation import write_net
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import defined_kind
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.parser import parse
from sewdsl.syntax.printer import print_document
from tests.notation.same import compiled, unordered
from tools.fuzz.check import check_said
from tools.fuzz.fixing_law import check_fixes
from tools.fuzz.texts import cut, phrase, piece
from tools.snapshot.generated import network

SECONDS = 60.0
"""Processor time limit per text, for all checks together."""
NAME = "damaged.net"
SIZE = 4_000
"""Largest size of a text in bytes."""


def ask(text: str, random: Random) -> None:
    """Check a file."""
    compilation = _read(text)
    check_said(compilation)
    fixed = check_fixes(text, _read)
    # Unsafe fixes may make a text worse, so they obey a weaker law.
    if random.random() < 0.2:
        check_fixes(text, _read, unsafe=True)
    write = random.choice((_printed, format_source))
    for sound in {text, fixed}:
        _text_back(sound, write)
    # Without the checks of the dataset, which would reject more networks.
    front_end = read(Source(NAME, text))
    if front_end.valid and front_end.network is not None:
        network = front_end.network
        assert unordered(compiled(write_net(network))) == unordered(network)
        assert from_json(to_json(network), catalogue(), defined_kind) == network


@lru_cache(8)
def _read(text: str) -> Compilation:
    return _check_spec(Source(NAME, text), {})


def _printed(source: Source) -> str:
    return print_document(parse(source).value)


def _text_back(text: str, write: Callable[[Source], str]) -> None:
    """Check that a text without syntax errors has the same tree after writing and reading it."""
    parsed = parse(Source(NAME, text))
    if errors_in(parsed.diagnostics):
        return
    reparsed = parse(Source(NAME, write(Source(NAME, text))))
    assert reparsed.value == parsed.value
    assert not errors_in(reparsed.diagnostics)


# --- texts


def numbered_text(seed: int, number: int) -> str:
    """Return the file of a number: sound for three of ten, else with one to eight changes."""
    random = Random(f"damaged/{seed}/{number}")  # noqa: S311 -- reproducible by seed
    text = _sound(random, seed, number)
    # Most damaged texts get few changes, so that they pass the parser.
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 2, 3, 5, 8))):
        text = random.choice(_DAMAGES)(random, text)
    return cut(text, SIZE)


def _sound(random: Random, seed: int, number: int) -> str:
    if random.random() < 0.3:
        # Every fifth index is a file.
        text, options = network(5 * number, seed, younger=True)
        return text if not options else f"sewdsl 1\nbody {text}\n"
    neurons = [f"N{i}" for i in range(random.randint(0, 2))]
    lines = ["sewdsl 1", "input 4x8x8", f"steps {random.randint(1, 4)}", "neuron LIF(tau=2.0)"]
    lines += [_neuron(random, name) for name in neurons]
    lines += [_block(random)] if random.random() < 0.3 else []
    names = ["id"]
    for i in range(random.randint(0, 4)):
        line = _sequence(random, names, neurons)
        if random.random() < 0.5:
            # Read this value one time-step earlier, which closes a loop.
            back = f"v{i}-DELAY{random.choice(('', '-c4k1', '-SCALE(value=0.5)'))}"
            line = random.choice(("ADD[ {a} | {b} ]-SN", "CAT[ {a} | {b} ]-c4k1", "MAX[ {a} | {b} ]")).format(
                a=line, b=back
            )
        lines.append(f"let v{i} = {line}")
        names.append(f"v{i}")
    if len(names) > 2 and random.random() < 0.15:
        lines.append(f"outputs {names[-2]} {names[-1]}")
    else:
        lines.append(f"body {_sequence(random, names, neurons)}-GAP-FC10")
    lines += [_TRAIN] if random.random() < 0.4 else []
    lines += [random.choice(_STUDIES)] if random.random() < 0.4 else []
    return "\n".join(lines) + "\n"


def _block(random: Random) -> str:
    return random.choice(
        (
            "block B(c=in)[ a | b ] {\n    let d = CAT[ a | b-BN ]-c$(c)k1-SN\n    give ADD[ d | a ]\n}",
            "block B[ a | b ] = ADD[ a-BN | b-SN ]",
            "block C(c=in) {\n    let h = ADD[ id | h-DELAY-c$(c)k1 ]-SN\n    give h\n}",
        )
    )


_LAYERS = ("c4k3-BN-SN", "c4k1", "BN", "SN", "SEW Block", "SCALE(value=0.5)", "DELAY", "ReLU", "{c4k3-BN-SN}*2", "PSN")
_MERGES = ("ADD[ {a} | {b} ]", "CAT[ {a} | {b} ]-c4k1", "MUL[ {a} | {b} ]", "LOOP[ {l} | {m} ]", "MAX[ {a} | {b} ]")


def _sequence(random: Random, names: list[str], neurons: list[str], depth: int = 2) -> str:
    items = [random.choice(names)]
    for _ in range(random.randint(0, 3)):
        if depth and random.random() < 0.4:
            a, b = (_sequence(random, names, neurons, depth - 1) for _ in "ab")
            layer, other = random.choice(_LAYERS), random.choice(_LAYERS)
            items.append(random.choice(_MERGES).format(a=a, b=b, l=layer, m=other))
        elif neurons and random.random() < 0.4:
            items.append(f"{random.choice(neurons)}{random.choice(('', '', '(p=0.25)', '(D=3)', '(p=0.9, D=1)'))}")
        else:
            items.append(random.choice(_LAYERS))
    return "-".join(items if items[0] != "id" or len(items) == 1 else items[1:])


def _neuron(random: Random, name: str) -> str:
    states = random.sample(("i", "u"), random.randint(0, 2))
    learned = random.sample(("w", "k"), random.randint(0, 2))
    atoms = ["x", "v", "p", "D", "0.5", "1", "v_threshold", *states, *learned]
    lines = [
        f"learn {each}{random.choice(('', ' per channel'))} = {random.choice(('p', '1', '0.5*D'))}" for each in learned
    ]
    lines += [f"state {each} = {random.choice(('0', 'p'))}" for each in states]
    lines += [f"{each} = {_sum(random, atoms)}" for each in states]
    lines += [f"h = {' + '.join(['x', *states, *learned])} - {_sum(random, [*atoms, 'v'])}"]
    spikes = (
        "fire(h - v_threshold)",
        "fire(h)",
        "round(clip(h, 0, D))",
        "clip(round(h), -1, D)",
        "relu(h)",
        "tanh(h)",
    )
    lines += [f"s = {random.choice(spikes)}"]
    lines += [f"v = {random.choice(('reset(h, s)', 'h - s', 'h', 'reset(h, s, p)'))}"]
    lines += [f"give {random.choice(('s', 's', 's*p', 's + h'))}"]
    between, end = random.choice((("\n    ", "\n"), ("   ", " ")))
    return f"neuron {name}(p=0.5, D=2) {{{between}{between.join(lines)}{end}}}"


def _sum(random: Random, atoms: list[str], depth: int = 2) -> str:
    a, b = (_sum(random, atoms, depth - 1) if depth and random.random() < 0.6 else random.choice(atoms) for _ in "ab")
    formats = ("{a} + {b}", "{a} - {b}", "{a}*({b})", "({a})/2", "-({a})", "max({a}, {b})", "where({a} < {b}, {a}, 1)")
    functions = ("sigmoid({a})", "exp({a})", "clip({a}, 0, 1)", "abs({a})", "detach({b})")
    return random.choice((*formats, *formats, *functions)).format(a=a, b=b)


_TRAIN = "train on mnist5k {\n    epochs 2\n    batch 16\n    optimizer Adam(lr=0.001)\n}"
_STUDIES = (
    "study {\n    vary steps 2 4\n    vary seed 0 1\n}",
    'study {\n    variant "soft" "neuron.v_reset=none"\n    variant "other" "neuron=IF"\n}',
    "study {\n    probe gradients\n    vary neuron.tau 2.0 3.0\n}",
)
_TOKEN = re.compile(r"[A-Za-z0-9_.]+|[^\sA-Za-z0-9_.]|\n")


def _token(random: Random, text: str) -> tuple[int, int]:
    """Return the span of a random token, or the end of the text."""
    spans = [match.span() for match in _TOKEN.finditer(text)]
    return random.choice(spans) if spans else (len(text), len(text))


def _without(random: Random, text: str) -> str:
    start, end = _token(random, text)
    return text[:start] + text[end:]


def _twice(random: Random, text: str) -> str:
    start, end = _token(random, text)
    return text[:end] + random.choice(("", " ")) + text[start:]


def _with_another(random: Random, text: str) -> str:
    start, end = _token(random, text)
    start = random.choice((start, end))
    return text[:start] + random.choice((piece, phrase))(random) + text[end:]


def _moved(random: Random, text: str) -> str:
    """Move a copy of a token to another position."""
    (start, end), (position, _) = _token(random, text), _token(random, text)
    return text[:position] + text[start:end] + text[position:]


def _swapped(random: Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    i, j = random.randrange(len(lines) or 1), random.randrange(len(lines) or 1)
    if lines:
        lines[i], lines[j] = lines[j], lines[i]
    return "".join(lines)


def _with_a_sequence(random: Random, text: str) -> str:
    """Replace a token by layers, e.g. in an equation or a value."""
    start, end = _token(random, text)
    return text[:start] + random.choice(("{IF}*2", "{c4k3-BN}*3", "<SN>*2", "c4k3 BN", "ADD[ BN | id ]")) + text[end:]


def _at_a_line_end(random: Random, text: str) -> str:
    """Damage a line end: a lost hyphen or line break, or a wrong last character."""
    ends = [match.start() for match in re.finditer("\n|$", text)]
    end = random.choice(ends)
    return text[:end] + random.choice((".", ";", "-", "\\", " [8]", ",")) + text[end + random.choice((0, 0, 1)) :]


_DAMAGES = (_without, _without, _twice, _with_another, _moved, _swapped, _with_a_sequence, _at_a_line_end)
