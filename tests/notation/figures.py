"""Reads TikZ pictures, without LaTeX: what is drawn, and whether everything that is referred to is there."""

from __future__ import annotations

import re
from typing import NamedTuple

AUXILIARY = {"sew signal", "sew extent", "sew branch", "sew note", "sew caption"}
"""Styles of nodes that are no boxes."""
_PLACE = re.compile(r"(?:node|coordinate)(?:\[[^\]]*\])? \(([a-z]+[0-9]*)\)")
_REFERENCE = re.compile(r"\b[a-z]+[0-9]+\b|\b(?:in|out)\b")


class Figure(NamedTuple):
    """TikZ picture.

    Attributes:
        comment: Comment before the picture.
        boxes: Names of the boxes and circles, in order, with their styles.
        texts: Texts of boxes and circles, by their names.
        edges: Pairs of names, in order. Forks are nodes.
        negated: Names of the circles with a negating line.
        copies: Number of copies of each repeat.
        lines: Lines of the source.
    """

    comment: str
    boxes: dict[str, str]
    texts: dict[str, str]
    edges: list[tuple[str, str]]
    negated: set[str]
    copies: list[int]
    lines: list[str]

    def joined(self) -> list[tuple[str, str]]:
        """The edges, with forks contracted."""
        behind = {target: source for source, target in self.edges if target.startswith("fork")}

        def origin(name: str) -> str:
            while name in behind:
                name = behind[name]
            return name

        return [(origin(source), target) for source, target in self.edges if target not in behind]


def figures(text: str) -> list[Figure]:
    """The pictures in a document.

    Raises:
        AssertionError: there is one that LaTeX would not take.
    """
    source = re.sub(r"^%.*\n", "", text, flags=re.MULTILINE)
    assert balanced(source)
    found = re.findall(r"(?ms)^% ([^\n]*)\n\\begin\{tikzpicture\}\[sew[^\n]*\]\n(.*?)\n\\end\{tikzpicture\}$", text)
    assert len(found) == source.count(r"\begin{tikzpicture}") == source.count(r"\end{tikzpicture}")
    styles = set(re.findall(r"(sew[a-z ]*)/\.style", source))
    return [_figure(comment, body.split("\n"), styles) for comment, body in found]


def _figure(comment: str, lines: list[str], styles: set[str]) -> Figure:
    figure = Figure(comment, {}, {}, [], set(), [], lines)
    known: set[str] = set()
    for line in (line.strip() for line in lines):
        assert re.fullmatch(r"\\(node|coordinate|draw)\b.*;", line)
        plain = re.sub(r"\\[^a-zA-Z]", "", line)
        assert not re.search("[%#&~]", plain), f"not escaped: {line}"
        assert not re.search(r"[_^]", re.sub(r"\$[^$]*\$", "", plain)), f"not escaped: {line}"
        bare = _without_braces(plain)
        here = set(_PLACE.findall(bare))
        assert not known & here, f"defined twice: {line}"
        assert set(re.findall(r"sew [a-z]+", bare)) <= styles
        assert set(_REFERENCE.findall(bare)) - here <= known, f"not defined: {line}"
        known |= here
        if line.startswith(r"\draw[sew brace]"):
            figure.copies.append(int(re.findall(r"\\times([0-9]+)", line)[0]))
        elif line.startswith(r"\draw"):
            ends = re.findall(r"\(([a-z]+[0-9]*)\)", bare)
            figure.edges.append((ends[0], ends[-1]))
            figure.negated.update({ends[-1]} if "sew negated" in line else ())
        elif (style := re.search(r"\[(sew [a-z]+)", line)) and style[1] not in AUXILIARY:
            (name,) = here
            figure.boxes[name] = style[1]
            figure.texts[name] = line[line.index("{", line.index(f"({name})")) + 1 : -2]
    return figure


def balanced(text: str) -> bool:
    """Return whether braces match, and formulas end on their line."""
    depth = 0
    for letter in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0 and all(re.sub(r"\\.", "", line).count("$") % 2 == 0 for line in text.split("\n"))


def _without_braces(line: str) -> str:
    """A line without what is in braces, innermost first."""
    while (shorter := re.sub(r"\{[^{}]*\}", "", line)) != line:
        line = shorter
    return line
