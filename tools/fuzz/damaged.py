"""Target: files with every construct of the language, sound or slightly damaged.

Compiling ends in time. A sound file is unchanged when it is written and read again. Fixes obey their law
(``fixing_law``). Some networks are drawn, and computed at several optimization levels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

from sewdsl.cli.check import _check_spec
from sewdsl.compiler import Compilation, read
from sewdsl.diagnostics import errors_in
from sewdsl.draw import dot, mermaid
from sewdsl.ir.json import to_json
from sewdsl.notation import compact_text, write_net
from sewdsl.notation.latex import latex
from sewdsl.notation.tikz import tikz
from sewdsl.ops.layers.tokens import TokenEmbedding
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.parser import parse
from sewdsl.syntax.printer import print_document
from tests.network_json import from_json
from tests.notation.same import compiled, unordered
from tools.fuzz.check import check_said
from tools.fuzz.fixing_law import check_fixes
from tools.fuzz.networks import check_values
from tools.fuzz.sound import sound_file
from tools.fuzz.texts import cut, phrase, piece
from tools.snapshot.generated import network

SECONDS = 60.0
"""Processor time limit per text, for all checks together."""
NAME = "damaged.net"
SIZE = 4_000
"""Largest size of a text in bytes."""
DRAWN, COMPUTED = 0.2, 0.1
"""Fractions of the valid networks that are drawn and computed."""
LARGE = 60
"""Largest number of nodes of a network to compute."""


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
        # Patterns of recipes name layers and parts, whose names follow from the text.
        if network.recipe is None or not (network.recipe.freeze or network.recipe.lr):
            assert unordered(compiled(write_net(network))) == unordered(network.with_init_in_calls())
        assert from_json(to_json(network)) == network
        if random.random() < DRAWN:
            for picture in (dot, mermaid, tikz, latex, compact_text):
                assert picture(network)
        # Random inputs are real numbers.
        tokens = any(isinstance(node.op, TokenEmbedding) for node in network)
        if len(network) <= LARGE and not tokens and random.random() < COMPUTED:
            check_values(text, random)


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
    return sound_file(random)


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
