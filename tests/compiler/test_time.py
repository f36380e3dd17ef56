"""No text of 256 KiB takes long: what grew with the square of the text, or faster, each in its largest form.

Only a deep run takes the largest form and looks at the time; ``tests/elaborate/test_work.py`` counts the work instead.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import compact_tokens, tokens
from tests.effort import factor

WHOLE = DEFAULT_LIMITS.source_bytes
SIZE = WHOLE if factor() > 1 else WHOLE // 64
SECONDS = 30
"""Of processor time for a text of the largest size, on a busy machine; each takes three or less on an idle one."""
HEAD = "sewdsl 1\ninput 4x8x8\nneuron IF\n"


def many(head: str, piece: str, tail: str = "") -> str:
    """A text of the largest size."""
    return head + piece * ((SIZE - len(f"{head}{tail}".encode())) // len(piece.encode())) + tail


def numbered(head: str, piece: str, tail: str = "", size: int = SIZE) -> str:
    """Return a text of the largest size, with a number in each piece."""
    count = (size - len(head) - len(tail)) // (len(piece) + 4)
    return head + "".join(piece.replace("#", str(i)) for i in range(count)) + tail


def joins(depth: int, blocks: int) -> str:
    """Joins in joins, over blocks, around as many layers as may be there."""
    lines = ["{{BN}*9900}*4", *(f"B{i}" for i in range(blocks))]
    defined = "".join(f"block B{i} = {'g[' * depth}{line}{' | id]' * depth}\n" for i, line in enumerate(lines[:-1]))
    return f"{HEAD}{defined}body {lines[-1]}\n"


def pools() -> str:
    """Joins of joins that all begin after one long row of pools."""
    defined = "".join(f"block B{i} = g[B{i - 1} | B{i - 1}]\n" for i in range(1, 13))
    return f"{HEAD}block B0 = g[IF | id]-IF\n{defined}body c4k3-BN-IF-{{{{MPk1}}*9999}}*2-B12\n"


def values(line: str, last: str) -> str:
    """Named values that each read the two before them."""
    count = SIZE // (len(line) + 12)
    lines = (line.format(i=i, one=i - 1, two=i - 2) for i in range(2, count))
    return f"{HEAD}let v0 = c4k3-SN\nlet v1 = c4k1-SN\n{''.join(lines)}{last.format(one=count - 1)}\n"


def forks() -> str:
    """Values of a long row, each of which is added after all of those that follow it."""
    # A value takes up to 56 bytes.
    count = SIZE // 56
    row = "".join(f"let a{i} = a{i - 1}-SN\n" for i in range(1, count))
    back = "".join(f"let b{i} = ADD[b{i + 1}|a{i}]-SN\n" for i in range(count - 2, -1, -1))
    return f"{HEAD}let a0 = c4k3-SN\n{row}let b{count - 1} = a{count - 1}-BN\n{back}body b0\n"


TEXTS = {
    "words of one name": many(f"{HEAD}body ", "a b-", "a"),
    "one name": many(f"{HEAD}body ", "a ", "a"),
    "interpolations in one name": many(f"{HEAD}body c3", "$(1)c3"),
    "small digits": many("", "\u2083 "),
    "characters between dashes": many("", "?\u2013"),
    "lines behind a body": many(f"{HEAD}body BN\n", "A-B C\n"),
    "comments below each other": many(HEAD, "steps 1 # \n"),
    "repeats": many(f"{HEAD}body ", "{BN}*2-", "BN"),
    "alternatives": many(f"{HEAD}body ", "g[BN | id or BN]-", "BN"),
    "operands": many(f"{HEAD}body c4k1-ADD[BN", " | BN", "]"),
    "operands that are alternatives": many(f"{HEAD}body c4k1-ADD[BN", " | id or BN", "]"),
    "alternatives that do not fit": many(f"{HEAD}body ", "ADD[BN | GAP-c1k1 or BN]-", "BN"),
    "sums": numbered(f"{HEAD}block B(c) = c$(c)k1\nbody ", "B(c=$(#+1))-", "BN"),
    "unknown names": numbered(f"{HEAD}body ", "Blok#-", "BN"),
    "unknown arguments": numbered(f"{HEAD}body LIF(", "a#=1, ", "b=1)"),
    "unknown settings": numbered(HEAD, "stpes# 1\n"),
    "joins in joins": joins(28, 5),
    "joins behind pools": pools(),
    "counts that double": f"{HEAD}body c4k3-BN-IF-{{{{ADD[id | id]}}*9999}}*4\n",
    "channels that double": f"{HEAD}body c4k3-BN-IF-{{{{CAT[id | id]}}*9999}}*4\n",
    "values that read the two before": values("let v{i} = MAX[ v{one}-SN | v{two} ]\n", "body v{one}"),
    "shortcuts of values": values("let v{i} = v0-ADD[ v{one} | id or c4k1 ]\n", "body v{one}"),
    "values that nothing reads": values("let v{i} = ADD[ v{one} | v{two} ]\n", "body BN"),
    "values that are read in reverse": forks(),
    "values that are read at once": many(f"{HEAD}let a = c4k3-SN\nbody CAT[ a", " | a", " ]\n"),
    "blocks of many values": numbered(f"{HEAD}block A {{\n", "let a# = SN\n", "give BN\n}\nbody {A}*9999\n"),
    "values of many blocks": many(
        f"{HEAD}block A[ a | b ] {{\nlet c = a-SN\ngive ADD[ c | b ]\n}}\nbody BN", "-A[ id | BN ]"
    ),
    "blocks with different neurons": numbered(
        *(f"{HEAD}steps 16\nbody c4k3-BN-IF-", "ADD[BN | id]-LIF(tau=2.#)-c4k3-BN-IF-", "BN"),
        size=min(WHOLE, 2 * SIZE),  # of many the first are judged, which takes as long for few
    ),
    "joins that pool between": f"{HEAD}body c4k3-BN-IF-{{ADD[BN | id]-IF-{{MPk3s1p1}}*999}}*99\n",
    "names with a lost hyphen": numbered(f"{HEAD}body ", f"{'BN' * 90}Q#-", "BN"),
}


MUCH = "joins in joins", "joins behind pools", "counts that double", "channels that double", "joins that pool between"
"""Few bytes that ask for much, whatever the size of the others."""
DOES: tuple[Callable[[Source], object], ...] = read, format_source, tokens, compact_tokens
CASES = [
    pytest.param(text, does, id=f"{does.__name__}-{name}", marks=[pytest.mark.deep] * (does is read and name in MUCH))
    for name, text in TEXTS.items()
    for does in DOES
]


@pytest.mark.parametrize(("text", "does"), CASES)
def test_every_text_ends(text: str, does: Callable[[Source], object]) -> None:
    assert len(text.encode()) <= min(WHOLE, 2 * SIZE)
    began = process_time()
    try:
        does(Source("t", text))
    except SewdslError:
        assert does is format_source
    if factor() > 1:
        assert process_time() - began < SECONDS
