"""Target: drawings of any text that compiles end in time, as DOT and Mermaid, folded or not.

A few are also rendered as SVG. Half of the pictures collapse blocks and have a width. Half of the texts are networks of
deeply nested joins, repeats and blocks. The other half are hostile texts.
"""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree as ET

from sewdsl.compiler import read
from sewdsl.draw import THEMES, PictureLook, RenderingError, dot, mermaid, read_length, render_picture
from sewdsl.source import Source
from tools.fuzz.texts import numbered_text as hostile

SECONDS = 180.0
"""Processor time limit per text: reading it, and ten pictures of at most 200,000 layers in total."""
NODES = 2_000
"""Node limit of 99 % of the networks, since time grows in proportion."""
WIDTH = read_length("397pt")
"""Width of half of the pictures."""
RENDERED = 0.01
"""Fraction of the networks that are also rendered, in a separate process."""
SMALL = 200
"""Largest number of layers to render."""
HEAD = "sewdsl 1\ninput 4x8x8\nneuron IF\n"
LAYERS = ("BN", "id", "SN", "MPk1", "c4k3", "c4k1-BN-SN", "PLIF", "DP0.5", "LIF(tau=2.0)", "B0", "B1", "B2")


def numbered_text(seed: int, number: int) -> str:
    """Return a deep network, or a hostile text."""
    random = Random(f"draw/{seed}/{number}")  # noqa: S311 -- reproducible by seed
    if random.random() < 0.5:
        return hostile(seed, number)
    depths = (random.choice((0, 1, 3, 8)), *random.choices((0, 1, 2), k=3))
    # A block may call the preceding ones.
    blocks = [_sequence(random, depth, LAYERS[: 9 + known]) for known, depth in enumerate(depths)]
    defined = "".join(f"block B{i} = {block}\n" for i, block in enumerate(blocks))
    depth = random.choice((1, 2, 4, 8, 12, 20, 31))
    return f"{HEAD}{defined}body c4k3-BN-SN-{_sequence(random, depth, LAYERS)}\n"


def _sequence(random: Random, depth: int, layers: tuple[str, ...]) -> str:
    """Return layers with one part of the given depth, and others that are less deep."""
    if not depth:
        return "-".join(random.choices(layers, k=random.choice((1, 1, 2, 5))))
    inner = _sequence(random, depth - 1, layers)
    other = _sequence(random, random.randint(0, min(2, depth - 1)), layers)
    # Doubling at each level would give 2^31 layers.
    twice = f"ADD[{inner} | {inner}]" if depth < 5 else f"ADD[{other} | {inner}]"
    deep = random.choice((
        f"ADD[{inner} | {other}]", f"ADD[{inner} | id]", f"IAND[{other} | {inner} or id]", twice,
        f"{{{inner}}}*{random.choice((2, 3, 40))}", f"{{{inner}-{other}}}*2",
    ))  # fmt: skip
    return random.choice((deep, f"BN-{deep}", f"{deep}-{other}"))


def ask(text: str, random: Random) -> None:
    """Check all drawings of a text that compiles."""
    # One of a hundred networks may reach the default limit.
    limit = {} if random.random() < 0.01 else {"nodes": NODES}
    network = read(Source("t", text), limit=limit).network
    if network is None:
        return
    for expand in (False, True):
        for direction in ("TB", "LR"):
            for collapse, look in ((False, PictureLook()), (True, PictureLook(random.choice(THEMES), width=WIDTH))):
                try:
                    drawn = dot(network, expand=expand, collapse=collapse, direction=direction, look=look)
                except RenderingError as error:
                    assert "boxes" in str(error) or (look.width and "too narrow" in str(error))  # noqa: PT017 -- no other errors
                else:
                    assert drawn.rstrip().endswith("}")
        assert mermaid(network, expand=expand, collapse=not expand).strip()
    if len(network) <= SMALL and random.random() < RENDERED:
        root = ET.fromstring(render_picture(network).decode())  # noqa: S314 -- written by sewdsl
        assert root.tag.endswith("svg")
