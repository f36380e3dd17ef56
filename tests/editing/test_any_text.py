"""Whatever the text, half-typed above all, an editor gets an answer."""

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.compiler import shipped_networks
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.completion import complete
from sewdsl.editing.hover import hover
from sewdsl.editing.item_summary import shape_hints
from sewdsl.editing.outline import folding_ranges, outline
from sewdsl.editing.references import RenameProblem, find_definition, find_references, rename_edits
from tests.editing.marked import HEAD
from tests.effort import examples

SIGNS = '-{}<>[]()|*=,.#"\n $0123456789x'
WORDS = "$( or id g[ block body train on SEW Block c3k3 LIF( tau= allow study { use"
PIECES = [*SIGNS, *(f"{word} " for word in WORDS.split()), *WORDS.split()]


def ask(text: EditorView, offset: int) -> None:
    """Request every feature at a position, and check that the answers refer to the text."""
    size = len(text.source.text)
    said = hover(text, offset)
    assert said is None or (said.text and 0 <= said.span.start <= offset <= said.span.end <= size)
    found = complete(text, offset)
    assert 0 <= found.span.start <= found.span.end == offset
    find_definition(text, offset)
    meant = text.names.at(offset)
    if meant is not None:
        for reference in find_references([text], meant):
            assert reference.span.text


def whole(text: EditorView) -> None:
    for hint in shape_hints(text):
        assert 0 < hint.offset <= len(text.source.text)
    for symbol in outline(text):
        assert symbol.span.start <= symbol.head.start <= symbol.head.end <= symbol.span.end
    last = len(text.source.line_starts)
    assert all(1 <= fold.first < fold.last <= last for fold in folding_ranges(text))


@pytest.mark.parametrize("name", ["7b-net", "blocks", "table-4", "tiny"])
def test_every_beginning_of_a_file(name: str) -> None:
    path = shipped_networks()[name]
    text = path.read_text(encoding="utf-8")
    for end in range(0, len(text) + 1, 97 if name == "blocks" else 13):
        typed = compile_for_editor(text[:end], str(path), path)
        ask(typed, end)
        ask(typed, end // 2)
        whole(typed)


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.data())
@examples(25)
def test_pieces_of_the_language(pieces: list[str], data: st.DataObject) -> None:
    text = compile_for_editor(HEAD + "".join(pieces), "x.net")
    ask(text, data.draw(st.integers(0, len(text.source.text))))
    whole(text)


@pytest.mark.deep
@pytest.mark.parametrize("text", ["body " + "{" * 10_000, "body " + "a" * 50_000, "body " + "BN-" * 10_000])
def test_long_texts_take_no_more_than_their_length(text: str) -> None:
    """Quadratic work would take minutes."""
    whole_text = compile_for_editor(f"{HEAD}{text}", "x.net")
    ask(whole_text, len(whole_text.source.text))


WORDS = "a " * 20_000
PARAMETERS = [f"{letters}q" for letters in map("".join, product("abcdefghi", repeat=4))]


@pytest.mark.deep
@pytest.mark.parametrize(
    "text",
    [
        f"block {WORDS}b = BN\nblock {WORDS}= (\n",
        f"block {'a' * 30_000} = BN\nblock {'a' * 60_000}= (\n",
        f"block A({'=1, '.join(PARAMETERS)}=1) = BN\nblock Other = A({'=1, '.join(PARAMETERS)}=1)\n",
    ],
)
def test_what_is_said_elsewhere_takes_no_more_than_the_length(text: str) -> None:
    """Comparing all pairs of words, or of arguments and parameters, would take minutes."""
    whole_text = compile_for_editor(f"sewdsl 1\n{text}", "x.net")
    for name in ("block ", "q=1"):
        found = whole_text.names.at(max(0, whole_text.source.text.find(name) + len(name)))
        if found is not None:
            assert list(find_references([whole_text], found))
            with suppress(RenameProblem):
                rename_edits([whole_text], found, "yours")


@given(st.text(max_size=60), st.data())
def test_any_characters(characters: str, data: st.DataObject) -> None:
    text = compile_for_editor(characters, "x.net")
    ask(text, data.draw(st.integers(0, len(characters))))
    whole(text)
