"""Hypothesis strategies over syntax trees and over texts that may be anything."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_letters, ascii_lowercase, digits

from hypothesis import strategies as st

from sewdsl.source import Source
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import CLOSERS, EQUATION_KEYWORDS, KEYWORDS, OPENERS
from sewdsl.syntax.scanner import scan, token_end, token_start

_usual = st.sampled_from(
    ["c32k3s1", "BN", "SEW", "Block", "id", "g", "DP0.25", "T_train", "on", "use", "body", "e3", "x2"]
)
words = _usual | st.tuples(  # hypothesis' own regular expressions take several times as long
    st.sampled_from(ascii_letters),
    st.text(f"{ascii_letters}{digits}_", max_size=4),
    st.sampled_from(["", "", ".0", ".7", ".5x"]),
).map("".join).filter(lambda word: word != "or")
"""Words of any kind; ``or`` is none after the ``|`` of a join."""

integers = st.integers(0, 999_999_999).map(str)
decimals = st.sampled_from(["0.5", "0.001", "1e3", "1e-3", "2.5E+10", "123456789.25"])
positive = st.builds(tree.Number, st.one_of(integers, decimals))
numbers = positive | st.builds(tree.Number, st.one_of(integers, decimals).map(lambda text: f"-{text}"))
quantities = st.builds(
    tree.Quantity, st.sampled_from(["0.13M", "2GB", "90%", "1.5k", "3KiB", "7B", "0.5%", "11.577mJ", "4J", "0.5uJ"])
)
sizes = st.builds(tree.Size, st.lists(st.integers(0, 10_000), min_size=2, max_size=4).map(tuple))
texts = st.builds(tree.Text, st.text(st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"]), max_size=12))
constants = st.one_of(numbers, quantities, sizes, texts)

parameters = st.builds(tree.Parameter, words)


def _formulas(inner: st.SearchStrategy[tree.Formula]) -> st.SearchStrategy[tree.Formula]:
    return inner | st.builds(tree.Opposite, inner) | st.builds(tree.Arithmetic, st.sampled_from("+-*/"), inner, inner)


formulas = _formulas(_formulas(positive | parameters))
interpolations = st.builds(tree.Interpolation, formulas)


@st.composite
def names(draw: st.DrawFn) -> tree.Name:
    """A word, then words after white space, and interpolations and what touches them."""
    parts: list[tree.Word | tree.Interpolation] = [tree.Word(draw(words))]
    spaced = [False]
    for part in draw(st.lists(st.one_of(words.map(tree.Word), interpolations), max_size=3)):
        both_words = isinstance(part, tree.Word) and isinstance(parts[-1], tree.Word)
        parts.append(part)
        spaced.append(both_words or draw(st.booleans()))
    return tree.Name(tuple(parts), tuple(spaced))


plain_names = st.builds(lambda word: tree.Name((tree.Word(word),), (False,)), words)
block_names = st.lists(words, min_size=1, max_size=3).map(
    lambda parts: tree.Name(tuple(map(tree.Word, parts)), (False, *[True] * (len(parts) - 1)))
)


def _calls(names: st.SearchStrategy[tree.Name], values: st.SearchStrategy[tree.Value]) -> st.SearchStrategy[tree.Call]:
    arguments = st.builds(tree.Argument, st.none() | words, values)
    return st.builds(tree.Call, names, st.lists(arguments, max_size=3).map(tuple), called=st.booleans())


_filled_sizes = interpolations.flatmap(
    lambda length: st.sampled_from(
        [
            tree.Name((length, tree.Word("x2x3")), (False, False)),
            tree.Name((tree.Word("2x3x"), length), (False, False)),
        ]
    )
)
_simple_values = constants | interpolations | _filled_sizes | st.builds(tree.Call, names())
values = _simple_values | _calls(names(), _simple_values | _calls(names(), constants))
calls = _calls(names(), values)
plain_values = constants | _calls(plain_names, values)
"""What is in a setting: one word each."""


def _sequences(items: st.SearchStrategy[tree.Item]) -> st.SearchStrategy[tree.Sequence]:
    return st.builds(tree.Sequence, st.lists(items, min_size=1, max_size=3).map(tuple))


def _nested(items: st.SearchStrategy[tree.Item]) -> st.SearchStrategy[tree.Item]:
    inner = _sequences(items)
    counts = st.builds(tree.Number, st.integers(1, 10_000).map(str)) | interpolations
    repeats = st.builds(tree.Repeat, inner, counts, st.sampled_from(["{}", "<>"]))
    operands = st.tuples(inner) | st.tuples(inner, inner | st.builds(tree.Alternative, inner, inner))
    return items | repeats | st.builds(tree.MergeOf, names(), operands)


def _mapped() -> st.SearchStrategy[tree.RealExpression]:
    return mapped


_given = st.lists(st.builds(tree.Argument, st.none() | words, values), max_size=2).map(tuple)
pointwise = st.builds(tree.Pointwise, st.deferred(_mapped), _given, st.booleans())
sequences = _sequences(_nested(_nested(calls | pointwise)))

keys = words.filter(lambda word: word not in KEYWORDS and word.isalpha() and word.islower()).map(tree.Word)
"""An unknown key with digits or capitals, after a body, may as well be a layer before which a hyphen was lost."""
entries = st.builds(tree.Setting, words.map(tree.Word), st.lists(plain_values, min_size=1, max_size=3).map(tuple))
settings = st.builds(tree.Setting, keys, st.lists(plain_values, min_size=1, max_size=3).map(tuple))
lets = st.builds(tree.Let, words.map(tree.Word), sequences)
operands = st.one_of(st.just(()), st.lists(words.map(tree.Word), min_size=1, max_size=3).map(tuple))
block_parameters = st.builds(tree.BlockParameter, words, st.none() | parameters | positive)
_simple_words = words.map(tree.Word)
_assigned = words.filter(lambda word: word not in EQUATION_KEYWORDS).map(tree.Word)


def _reals(inner: st.SearchStrategy[tree.RealExpression]) -> st.SearchStrategy[tree.RealExpression]:
    comparisons = st.builds(tree.Infix, st.sampled_from(["<", "<=", ">", ">="]), inner, inner)
    given = st.lists(inner | comparisons, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(tree.Infix, st.sampled_from(["+", "-", "*", "/"]), inner, inner),
        st.builds(tree.Negation, inner),
        st.builds(tree.FunctionCall, _simple_words, given),
    )


reals = st.recursive(positive | st.builds(tree.Variable, words), _reals, max_leaves=6)
mapped: st.SearchStrategy[tree.RealExpression] = st.recursive(
    positive | st.builds(tree.Variable, words) | interpolations, _reals, max_leaves=6
)
"""What is between the braces of ``MAP``."""
_axes = st.lists(st.sampled_from(["channel", "step"]).map(tree.Word), max_size=2).map(tuple)
_lengths = st.one_of(st.none(), _simple_words, st.integers(0, 300).map(lambda number: tree.Word(str(number))))
equations = st.one_of(
    st.builds(tree.Learn, _simple_words, _axes, reals, _lengths),
    st.builds(tree.StateDeclaration, _simple_words, reals, _lengths),
    st.builds(tree.Assignment, _assigned, reals),
    st.builds(tree.Gives, reals),
)
neurons = st.builds(
    tree.NeuronDefinition,
    _simple_words,
    st.lists(st.builds(tree.NeuronParameter, _simple_words, reals), max_size=2).map(tuple),
    st.lists(equations, max_size=4).map(tuple),
    st.one_of(st.just(()), st.lists(_simple_words, min_size=1, max_size=3).map(tuple)),
)
_place_words = st.text(ascii_lowercase, min_size=1, max_size=4)
places = st.tuples(
    _place_words,
    st.sampled_from(["", "", "0", "5"]),
    st.lists(st.one_of(_place_words, st.integers(0, 999).map(str), st.sampled_from(["1k", "5k"])), max_size=2),
).map(lambda parts: "-".join([f"{parts[0]}{parts[1]}", *parts[2]]))
statements: st.SearchStrategy[tree.Statement] = st.one_of(
    settings,
    st.builds(tree.Body, sequences),
    lets,
    st.builds(
        tree.BlockDefinition, block_names, st.lists(block_parameters, max_size=3).map(tuple), sequences, operands
    ),
    st.builds(
        tree.BlockDefinition,
        block_names,
        st.lists(block_parameters, max_size=2).map(tuple),
        sequences,
        operands,
        st.lists(lets, max_size=3).map(tuple),
        long=st.just(value=True),
    ),
    st.builds(
        lambda name, block: replace(block, name=tree.Name((tree.Word(name),), (False,)), shared=True),
        words,
        st.one_of(
            st.builds(tree.BlockDefinition, block_names, st.just(()), sequences, operands),
            st.builds(
                tree.BlockDefinition,
                block_names,
                st.just(()),
                sequences,
                operands,
                st.lists(lets, max_size=2).map(tuple),
                long=st.just(value=True),
            ),
        ),
    ),
    neurons,
    st.builds(tree.Use, texts),
    st.builds(tree.Expect, words.map(tree.Word), plain_values),
    st.builds(tree.Claim, words.map(tree.Word), plain_values, st.none() | texts),
    st.builds(tree.Allow, places.map(tree.Word), texts),
    st.builds(
        tree.Section,
        st.sampled_from(["train", "data"]).map(tree.Word),
        st.none() | places,
        st.lists(entries, max_size=3).map(tuple),
    ),
)
documents = st.lists(statements, max_size=5).map(lambda rest: tree.Document((tree.Version(tree.Number("1")), *rest)))
"""Whole files without errors."""

fragments = st.lists(
    st.sampled_from(
        [
            *("c32k3s1", "BN", "SEW Block", "SEW", "id", "or", "DP0.5", "x", "MAP", "MAP{", "MAP{1 - x}"),
            *("{", "}", "<", ">", "[", "]", "(", ")", "$(", "$", "*", "*2", "*0", "7", "2x3", "0.13M", "1e-3"),
            *(
                "-",
                "-",
                "-",
                "|",
                "=",
                ",",
                "+",
                "/",
                " ",
                " ",
                "\n",
                "\r\n",
                "#",
                '"',
                "\u2013",
                "\u00d7",
                "\u00a0",
                "?",
                "->",
                "\u2192",
                "\u2013>",
                "\u00ad",
                "\u2083",
                "\u2077",
            ),
            *(
                "sewdsl 1\n",
                "body ",
                "block ",
                "part ",
                "let ",
                "give ",
                "use ",
                "expect ",
                "claim ",
                "allow ",
                "train on x {\n",
                "data ",
                "steps ",
                "on ",
            ),
        ]
    ),
    max_size=40,
).map("".join)
"""Texts of the language's own tokens, in any order."""


@st.composite
def untidy(draw: st.DrawFn, text: str) -> str:
    """A canonical text with other white space, line breaks and comments, which say the same."""
    blanks, breaks = (
        st.sampled_from(["", " ", "\t "]),
        st.sampled_from(["\n", "  \n ", " # why\n", "#\n# \u2013x \n\n"]),
    )
    ends = st.sampled_from(["\n", "\r\n", "\n\n\n", " # why  \n", "\n   # \u00d7\n \t\n"])
    first, *rest = scan(Source("t", text))
    depth, before, pieces = 0, first, [str(first)]
    for token in rest:
        gap = text[token_end(before) : token_start(token)]
        within_name = before.type in {"WORD", "_RPAR", "LENGTHS"} and token.type in {"WORD", "_OPEN"}
        if "NEWLINE" not in {before.type, token.type} and (gap or not within_name):
            goes_on = depth or before in {"-", "|", "="}
            broken = goes_on and not within_name and token not in KEYWORDS and draw(st.booleans())
            gap = draw(breaks) if broken else gap + draw(blanks)
        pieces.append(gap + (draw(ends) if token.type == "NEWLINE" else str(token)))
        opens_section = token == "{" and text[token_end(token) :].startswith("\n")
        closes_section = token == "}" and before.type == "NEWLINE"
        if not opens_section and not closes_section:
            depth += (token.type in OPENERS) - (token.type in CLOSERS)
        before = token
    return "".join(pieces)
