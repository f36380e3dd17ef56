"""Layer strings in LaTeX, and LaTeX escapes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from textwrap import wrap
from unicodedata import combining, normalize

from sewdsl.ir.network import Network
from sewdsl.notation.compact_text import body_items
from sewdsl.notation.item_text import (
    IDENTITY,
    BlockText,
    BracketText,
    LayerText,
    LetText,
    MergeText,
    PartText,
    PrintedItems,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
    bracketed,
    item_text,
    outputs_text,
    split_lets,
)

_COMMANDS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\char96{}", "\u00a0": "~",
    "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "∧": r"$\wedge$", "¬": r"$\neg$", "→": r"$\to$",
    "≤": r"$\leq$", "≥": r"$\geq$", "°": r"$^{\circ}$", "²": r"$^{2}$", "³": r"$^{3}$", "…": r"\dots{}",
    "‐": "-", "–": "--", "—": "---", "−": "$-$", "’": "'", "“": "``", "”": "''",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "ł": r"\l{}", "Ł": r"\L{}",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\varepsilon$", "θ": r"$\theta$",
    "λ": r"$\lambda$", "μ": r"$\mu$", "µ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$",
    "φ": r"$\varphi$", "Δ": r"$\Delta$", "Θ": r"$\Theta$", "Σ": r"$\Sigma$", "Ω": r"$\Omega$",
    "\N{MATHEMATICAL ITALIC SMALL C}": "$c$",
}  # fmt: skip
"""Commands for characters that need one."""
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
"""Accent commands by combining mark."""
_LIGATURES, _AFTER = frozenset("-',!?"), frozenset("-',`")
"""Characters that form ligatures, and characters before which they do."""


def tex(text: str) -> str:
    r"""Escape a text for LaTeX.

    Characters that need special engines or fonts become code points. Control characters become spaces.

    >>> print(tex("50% of a_b--c{1}"), tex("Ångström 中"))
    50\% of a\_b-{}-c\{1\} \r{A}ngstr\"{o}m U+4E2D
    """
    letters = [_letter(letter) for letter in normalize("NFC", text)]
    following = [letter[0] for letter in letters[1:]]
    parts = (
        letter + "{}" if letter in _LIGATURES and after in _AFTER else letter
        for letter, after in zip_longest(letters, following)
    )
    return "".join(parts)


def _letter(letter: str) -> str:
    if letter in _COMMANDS:
        return _COMMANDS[letter]
    if letter.isascii():
        return letter if letter.isprintable() else " "
    base, *marks = tuple(normalize("NFD", letter))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    if combining(letter) or not letter.isprintable():
        return " "
    return f"U+{ord(letter):04X}"


BREAK = r"\allowbreak"
"""Possible line break after a hyphen. TeX does not break there in all fonts."""
SOURCE_WIDTH = 80
"""Width of the source in characters."""
LONGEST_LINE = 99
"""Largest width of a source line with a single long call."""
HYPHENATED = 6
"""Smallest number of letters of a word that TeX may hyphenate, which would look like a hyphen of the notation."""


def latex(network: Network) -> str:
    r"""Return a layer string for running text: ``c32k3s1-\allowbreak BN-\allowbreak \{…\}*7-\allowbreak FC11``.

    The source needs no packages. Lines can break after hyphens and at the blanks of a call. Named values precede the
    body, one line ``low = …\\`` each.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    lets, body = split_lets(body_items(network))
    lines = [line for let in lets for line in _let_lines(let)]
    last = tex(outputs_text(network)) if network.outputs else _sequence(body)
    return "\n".join([*lines, *_lines(last)])


def _let_lines(let: LetText) -> Iterator[str]:
    """Yield the lines of a named value, or of a part after those of its own named values, ``Eye.low = …``."""
    inner, items = split_lets(let.items)
    for each in inner:
        yield from _let_lines(LetText(f"{let.name}.{each.name}", each.items))
    keyword = "part " if isinstance(let, PartText) else ""
    yield from _lines(f"{keyword}{tex(let.name)} = {_sequence(items)}\\\\")


def _lines(text: str) -> list[str]:
    first, *pieces = text.split(f"{BREAK} ")
    lines = [first]
    for piece in pieces:
        lines[-1] += BREAK
        if len(lines[-1]) + len(piece) < SOURCE_WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    # Wrap long calls at blanks: for TeX, a line end is a blank.
    wrapped = (wrap(line, LONGEST_LINE, break_long_words=False, break_on_hyphens=False) for line in lines)
    return [part for parts in wrapped for part in parts]


def _sequence(items: TextItems) -> str:
    return _printed(bracketed(items))


def _printed(items: PrintedItems) -> str:
    return f"-{BREAK} ".join(map(_item, items)) or IDENTITY


def _item(item: TextItem | BracketText) -> str:
    match item:
        case BracketText(opening, inner):
            return f"{tex(opening.text)}[{_printed(inner)}]"
        case LayerText(text):
            return tex(text)
        case MergeText(name, operands):
            bar = rf"\,\textbar\,{BREAK} "
            return f"{tex(name)}[{bar.join(map(_sequence, operands))}]"
        case BlockText():
            return " ".join(map(_word, item_text(item).split()))
        case RepeatText(inner, count):
            return rf"\{{{_sequence(inner)}\}}*{count}"
        case ReadText() | LetText():
            return tex(item_text(item))


def _word(word: str) -> str:
    return rf"\mbox{{{tex(word)}}}" if word.isalpha() and len(word) >= HYPHENATED else tex(word)
