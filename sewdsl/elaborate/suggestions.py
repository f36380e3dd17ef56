"""Suggestions of similar names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TypedDict

from sewdsl.diagnostics import Edit, Fix
from sewdsl.limits import Budget
from sewdsl.source import Span

MAX_LENGTH = 200
"""Maximum length of a name for which similar names are searched."""
MAX_LISTED = 40
"""Maximum number of names listed in a message."""


class Names:
    """Known names with a similarity search."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = sorted(set(known))
        self._folded = {_folded(name): name for name in self._known}

    def nearest(self, name: str, cutoff: float = 0.6, budget: Budget | None = None) -> str | None:
        """Return the most similar known name, or None. Names that only differ in case or in ``_`` come first.

        Args:
            cutoff: Minimum similarity from 0 to 1: twice the length of the longest common subsequence, divided by the
                total length.
            budget: Work budget of the search. If it is spent, the result is None.
        """
        same = self._folded.get(_folded(name))
        if same is not None:
            return same
        if len(name) > MAX_LENGTH or (
            budget is not None and not budget.spend(len(self._known) * (1 + len(name) // 16))
        ):
            return None
        positions: dict[str, int] = {}  # bit mask of the positions of each character
        for position, character in enumerate(name):
            positions[character] = positions.get(character, 0) | 1 << position
        best, nearest = cutoff, None
        for candidate in self._known:
            total = len(name) + len(candidate)
            # The lengths alone exclude most candidates.
            if 2 * min(len(name), len(candidate)) < best * total:
                continue
            similarity = 2 * _common(positions, len(name), candidate) / total
            if similarity >= best:
                best, nearest = similarity, candidate
        return nearest


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def _common(positions: dict[str, int], length: int, other: str) -> int:
    """Return the length of the longest common subsequence, from the bit masks of positions in one text (Hyyrö 2004)."""
    mask = (1 << length) - 1
    free = mask
    for character in other:
        here = free & positions.get(character, 0)
        free = (free + here | free - here) & mask
    return length - free.bit_count()


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar known name, or None (see :meth:`Names.nearest`)."""
    return Names(known).nearest(name, cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'PLIF'?``, or an empty string without a similar name."""
    near = nearest_name(name, known)
    return f"did you mean '{near}'?" if near else ""


class Advice(TypedDict):
    """Help and fixes of a diagnostic for an unknown name."""

    help: str
    fixes: tuple[Fix, ...]


NO_ADVICE: Advice = {"help": "", "fixes": ()}


def advice(name: str, known: Iterable[str], span: Span, otherwise: str = "") -> Advice:
    """Suggest a similar name, with a fix if possible.

    Args:
        otherwise: Help without a similar name.
    """
    near = nearest_name(name, known)
    return {"help": otherwise, "fixes": ()} if near is None else suggest(name, near, span)


def suggest(name: str, near: str, span: Span) -> Advice:
    """Suggest another name, with a fix if possible."""
    # There is no fix if the name is not in the span, as on the command line, or occurs several times.
    offset = span.text.find(name) if span.text.startswith(name) or span.text.count(name) == 1 else -1
    fixes = (rename(span.part(offset, offset + len(name)), near),) if name and offset >= 0 else ()
    return {"help": f"did you mean '{near}'?", "fixes": fixes}


def rename(span: Span, name: str) -> Fix:
    """Return an unsafe fix that writes another name."""
    return Fix(f"write '{name}'", (Edit(span, name),), safe=False)


def listed(names: Iterable[str]) -> str:
    """Join names with commas, at most :data:`MAX_LISTED` of them."""
    shown = [*islice(names, MAX_LISTED + 1)]
    return ", ".join([*shown[:MAX_LISTED], "…"] if len(shown) > MAX_LISTED else shown)


CUSTOM = "define it as a layer in Python, in a file for --plugin"
"""Help for a layer without a replacement in the language."""

_SELECTIONS = "as in docs/attention.md, 'Selections and samplings'"

ABSENT: Mapping[str, tuple[str, str]] = {
    "deformable convolution": ("dcn|deform(able)?|grid_?sample", f"write it with APPLY, {_SELECTIONS}"),
    "top-k selection": ("top_?k|k_?wta|argmax", f"write it with the rank of each value, {_SELECTIONS}"),
    "sorting": ("(arg)?sort", CUSTOM),
    "gather or scatter": (
        "gather|scatter(_?add)?|index_?(select|add)|lookup",
        f"use EMB to read a table, or APPLY, {_SELECTIONS}",
    ),
    "sampling: evaluation has no random numbers": (
        "sampl(e|er|ing)|gaussian|reparam(eteri[sz]e)?|bernoulli|noise",
        CUSTOM,
    ),
    "window of positions: attention reads all positions": (
        "(shifted_?)?windows?|w_?msa|swin|roll|shift",
        f"multiply the scores by a mask, {_SELECTIONS}",
    ),
    "attention with built-in projections": (
        "(spik(e|ing)_?)?(multi_?head|self|cross)(_?self)?|mh?sa|mha|ssa",
        "use ATTN(heads=8)[ c64k1 | c64k1 | c64k1 ] with q, k and v, or SCORES and APPLY",
    ),
    "pixel shuffle": ("pixel_?(un)?shuffle|depth_?to_?space|space_?to_?depth", "use tc64k2s2, or UP2 and c64k3"),
    "instance norm": ("instance_?norm|in", "use GN with a group for each channel: GN32 after c32k3"),
    "split into parts": ("split|chunk|unbind", "use a Slice for each part, e.g. Slice(stop=64)"),
    "adaptive pooling": ("aap|amp", "use AP with the kernel and stride for the size: APk2s1"),
    "graph convolution": ("gcn|graph|gat", "use APPLY[ adjacency | nodes ] with the adjacency as a second input"),
    "gated cell": ("lstm|gru|rnn", "write it with named values and DELAY, as the GRU in docs/language.md"),
    "matrix product": ("matmul|bmm|dot|einsum", "use SCORES, APPLY or ATTN"),
    "gated linear unit": ("glu|swiglu|geglu", "use MUL[ c64k1-Logistic | c64k1 ]"),
    "exponential linear unit": ("elu", "use MAP{max(x, 0) + exp(min(x, 0)) - 1}"),
    "leaky ReLU": ("(leaky_?|l)relu", "use MAP{max(x, 0.01*x)}, or PReLU with learned slopes"),
    "softplus": ("softplus", "use MAP{max(x, 0) + log(1 + exp(-abs(x)))}"),
    "permutation": ("permute|transpose|rearrange", "use Swap or Reshape"),
    "time reversal: time-steps are computed in order": ("reverse|flip|bidirectional", CUSTOM),
    "input or output layer": ("inputs?|outputs?", "remove it: 'input' is a setting, and the last layer is the output"),
    "layer of constants": (
        "const|constant|ones|zeros|(cls_?)?tokens?|queries|query",
        "use TOK4 or POS, which are learned, or MAP{1} in the shape of a value",
    ),
    "layer of coordinates": ("arange|coord(inate)?s?|mesh_?grid", f"add up ones, {_SELECTIONS}"),
    "layer of quantised weights": (
        "binary|q_?(uant)?|q_?linear",
        "use c or FC, and 'quantize int8' in the recipe",
    ),
    "wavelet or cosine transform": ("d?wt|haar|dct|stft", "use a convolution with fixed weights from Python"),
}
"""Layers of papers that the language does not have, some with the reason: patterns of their names, and the help."""


def find_absent(name: str) -> tuple[str, str] | None:
    """Return the layer that a name means and the help for it, or None for other names."""
    # Papers add numbers and the kind of layer: DCNv3, DeformConv2d.
    word = re.sub(r"(v?\d.*|_?(layer|conv|pool|attention)\w*)$", "", name.replace(" ", "").lower())
    matches = (meaning for meaning, (pattern, _) in ABSENT.items() if re.fullmatch(pattern, word))
    meaning = next(matches, None)
    return None if meaning is None else (meaning, ABSENT[meaning][1])
