"""The words and characters that syntax itself gives a meaning, and the forms of words, whose vocabulary is open."""

from __future__ import annotations

KEYWORDS = {
    "sewdsl": "_VERSION",
    "let": "_LET",
    "body": "_BODY",
    "block": "_BLOCK",
    "use": "_USE",
    "expect": "_EXPECT",
    "claim": "_CLAIM",
    "allow": "_ALLOW",
    "train": "SECTION",
    "study": "SECTION",
    "data": "SECTION",
}
"""The token kind of a statement's first word; any other word is the key of a setting."""

BLOCK_KEYWORDS = {"let": "_LET", "give": "_GIVE"}
"""The token kind of the first word of a line between the braces of a block."""

NEURON = "neuron"
"""The key of the setting that says what ``SN`` is; before a name and braces, the keyword of a neuron's definition."""

EQUATION_KEYWORDS = {"learn": "_LEARN", "state": "_STATE", "give": "_GIVE"}
"""The token kind of the first word of a statement between the braces of a neuron."""

PER, AXES = "per", ("channel", "step")
"""What follows the name of what is learned: of what each has its own."""

COMPARISON_TOKENS = {"LESS": "_BELOW", "MORE": "_ABOVE"}
"""Kinds of brackets that compare between the braces of a neuron, and their kinds there."""

SETTINGS = ("network", "input", "steps", "encode", "neuron", "join", "init", "readout", "outputs")
"""Keys of a file's header."""

IDENTITY, OWN_NEURON, OWN_JOIN = "id", "SN", "g"
"""Names in sequences that the language itself gives a meaning."""

VERSION = 1
"""The version of the language that this compiler reads."""

# ``c32k3s1`` is a name with compact arguments. A name that begins with upper-case letters, as ``MPk2``, ends with them;
# one in lower case ends at the first digit. Words of any other form, as ``ResNet152``, are names as a whole.
# An atomic group keeps whatever it has matched: there is one way to read a word, and it takes time in proportion.

NUMBER = r"(?>[0-9]+(?:\.[0-9]+)?(?:[x×][0-9]+)?)"
"""The value of a compact argument."""

HEAD = r"(?>[A-Z]+|[a-z]+)"
"""A name that compact arguments may follow."""

ARGUMENTS = rf"(?>{NUMBER}?(?:[a-z]{NUMBER})*)"
"""Compact arguments after a name; the first may have no letter."""

LETTERED = rf"(?>(?:[a-z]{NUMBER})*)"
"""Compact arguments that all have a letter."""

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
"""Characters that represent others, as PDF files and word processors leave them.

``×`` between digits is an ``x``. A soft hyphen is a ``-`` at a line's end only: elsewhere it is not even seen.
"""

ARROWS = ">\u27e9\u2192\u27f6"
"""Characters that an arrow between layers ends with."""

OPENERS = {"LBRACE": "RBRACE", "LESS": "MORE", "_LSQB": "_RSQB", "_LPAR": "_RPAR", "_OPEN": "_RPAR"}
"""Kinds of opening brackets, each with the kind that closes it."""

CLOSERS = {"RBRACE": "}", "MORE": ">", "_RSQB": "]", "_RPAR": ")"}
"""Kinds of closing brackets, each as it is written."""

CONTINUATION_TOKENS = frozenset({"_DASH", "_EQUAL", "_BAR"})
"""After these, a statement goes on in the next line."""

HEADER_VALUE_COLUMN = 8
"""Where the value of a header line begins in canonical text, counted from 0: right after ``network``."""

ALIGNED_KEYWORDS = frozenset({"KEY", "_LET", "_BODY", "_USE", "_EXPECT", "_CLAIM", "_ALLOW"})
"""Kinds of first words that are padded to that column."""
INPUT, POTENTIAL, RESET = "x", "v", "reset"
THRESHOLD, RESET_POTENTIAL = "v_threshold", "v_reset"
NEURON_SETTINGS = (THRESHOLD, RESET_POTENTIAL, "detach_reset", "surrogate")
"""Arguments that every neuron has."""
GIVEN_NAMES = frozenset({INPUT, THRESHOLD, RESET_POTENTIAL})
"""Names that an equation can read, and nothing can assign."""
