"""Keywords and characters of the syntax, and patterns of names."""

from __future__ import annotations

BLOCK = "block"
"""Keyword of a block definition."""

KEYWORDS = {
    "sewdsl": "_VERSION",
    "let": "_LET",
    "body": "_BODY",
    BLOCK: "_BLOCK",
    "part": "_PART",
    "use": "_USE",
    "expect": "_EXPECT",
    "claim": "_CLAIM",
    "allow": "_ALLOW",
    "train": "SECTION",
    "study": "SECTION",
    "data": "SECTION",
}
"""Token types of the first words of statements. Any other word is the key of a setting."""

DEFINES_BLOCK = frozenset({"_BLOCK", "_PART"})
"""Token types of the first words of definitions of blocks and parts."""

BLOCK_KEYWORDS = {"let": "_LET", "give": "_GIVE"}
"""Token types of the first words of lines between the braces of a block."""

NEURON = "neuron"
"""Key of the setting that defines ``SN``, and keyword of a neuron definition."""

EQUATION_KEYWORDS = {"learn": "_LEARN", "state": "_STATE", "give": "_GIVE"}
"""Token types of the first words of statements between the braces of a neuron."""

POINTWISE = "MAP"
"""Keyword before the braces of an expression in a sequence. Elsewhere, it is a name."""

PER, AXES = "per", ("channel", "step")
"""Keyword and axes after the name of a learnable: whether each channel or time-step has its own value."""

COMPARISON_TOKENS = {"LESS": "_BELOW", "MORE": "_ABOVE"}
"""Types of bracket tokens that are comparisons in equations, with their types there."""

SETTINGS = ("network", "input", "steps", "encode", "neuron", "join", "init", "readout", "outputs")
"""Keys of the settings in the header of a file."""

OF = "of"
"""Word between the shape and the number of values of an input."""

IDENTITY, OWN_NEURON, OWN_JOIN = "id", "SN", "g"
"""Names in sequences that the language defines: the identity, the neuron and the join of the file."""

VERSION = 1
"""Supported version of the language."""

# ``c32k3s1`` is a name with compact arguments. An upper-case name, as in ``MPk2``, ends with its last capital letter.
# A lower-case name ends at the first digit. Words of any other form, e.g. ``ResNet152``, are whole names.
# Atomic groups prevent backtracking, so matching takes linear time.

NUMBER = r"(?>[0-9]+(?:\.[0-9]+)?(?:[x×][0-9]+)?)"
"""Value of a compact argument."""

HEAD = r"(?>[A-Z]+|[a-z]+)"
"""Name that compact arguments can follow."""

ARGUMENTS = rf"(?>{NUMBER}?(?:[a-z]{NUMBER})*)"
"""Compact arguments after a name. The first can omit its letter."""

LETTERED = rf"(?>(?:[a-z]{NUMBER})*)"
"""Compact arguments with a letter each."""

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d\ufffe"
_SPACES = "\u00a0\u2007\u2009\u202f"

TYPOGRAPHIC = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_SPACES, " "),
    "\ufeff": "",
    "\u00d7": "*",
    "\u204e": "*",
    "\u2217": "*",
    "\u27e8": "<",
    "\u27e9": ">",
}
"""Typographic characters of PDF files and word processors, with their ASCII equivalents.

``×`` in a size or an argument is ``x`` instead. A soft hyphen is ``-`` at the end of a line, and ignored elsewhere.
"""

ARROWS = ">\u27e9\u2192\u27f6"
"""Last characters of arrows between layers."""

OPENERS = {"LBRACE": "RBRACE", "LESS": "MORE", "_LSQB": "_RSQB", "_LPAR": "_RPAR", "_OPEN": "_RPAR"}
"""Token types of opening brackets, with the types of the closing ones."""

CLOSERS = {"RBRACE": "}", "MORE": ">", "_RSQB": "]", "_RPAR": ")"}
"""Token types of closing brackets, with their characters."""

CONTINUATION_TOKENS = frozenset({"_DASH", "_EQUAL", "_BAR", "_BODY"})
"""Types of tokens after which a statement continues on the next line."""

HEADER_VALUE_COLUMN = 8
"""Column of values in canonical headers, from 0. It fits ``network``, the longest key."""

ALIGNED_KEYWORDS = frozenset({"KEY", "_LET", "_BODY", "_USE", "_EXPECT", "_CLAIM", "_ALLOW"})
"""Types of first words that are padded to that column."""
INPUT, POTENTIAL, RESET = "x", "v", "reset"
THRESHOLD, RESET_POTENTIAL = "v_threshold", "v_reset"
NEURON_SETTINGS = (THRESHOLD, RESET_POTENTIAL, "detach_reset", "surrogate")
GIVEN_NAMES = frozenset({INPUT, THRESHOLD, RESET_POTENTIAL})
"""Names that an equation can read but not assign."""
