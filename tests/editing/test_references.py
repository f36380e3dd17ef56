"""Definitions and uses of names, and renaming."""

from pathlib import Path

import pytest

from sewdsl.compiler import read
from sewdsl.diagnostics import Edit
from sewdsl.editing import EditorView, compile_for_editor
from sewdsl.editing.references import RenameProblem, find_definition, find_references, rename_edits
from sewdsl.ir.network import Network
from sewdsl.source import Source, Span
from tests.editing.marked import at_cursor
from tests.words import raises

TEXT = """\
sewdsl 1
input 2x32x32
neuron IF
block Inner(c, s=1) = c$(c)k3s$(s)-BN-SN
block My Net(c=in, n=2) = {Inner (c$(2*c)s1)}*$(n)-Inner (c=$(c+c), s=2)
body c8k3-BN-SN-My Net (n3)-{MyNet(c4n1)}*2-GAP-FC5
"""


def applied(text: str, edits: list[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def marked(before: str, word: str) -> tuple[EditorView, int]:
    """The text with its cursor in a word after some other text."""
    place = TEXT.index(word, TEXT.index(before))
    return at_cursor(f"{TEXT[:place]}‸{TEXT[place:]}")


def places(before: str, word: str) -> list[tuple[str, int]]:
    text, offset = marked(before, word)
    found = text.names.at(offset)
    return [] if found is None else [(r.span.text, r.span.line) for r in find_references([text], found)]


def network(text: str) -> Network:
    return read(Source("x.net", text)).result()


@pytest.mark.parametrize("before", ["block My", "body"])
def test_references_of_a_block(before: str) -> None:
    assert places(before, "My") == [("My Net", 5), ("My Net", 6), ("MyNet", 6)]


def test_references_of_a_parameter() -> None:
    expected = [("c", 5), ("c", 5), ("c", 5), ("c", 5), ("c", 6)]
    assert places("block My", "c=in") == expected
    assert places("(2*", "c)") == expected
    assert places("MyNet(", "c4") == expected
    assert (
        places("block My", "n=2")
        == [("n", 5), ("n", 5), ("n", 6), ("n", 6)]
        == places("body", "n3")
        == places("c4", "n1")
    )


def test_names_of_another_block_are_other_names() -> None:
    assert places("block Inner", "c,") == [("c", 4), ("c", 4), ("c", 5), ("c", 5)]
    assert places("block Inner", "s=1") == [("s", 4), ("s", 4), ("s", 5), ("s", 5)]


@pytest.mark.parametrize(("before", "word"), [("body", "c8k3"), ("body", "GAP"), ("input", "2x32"), ("neuron", "IF")])
def test_what_is_no_name_of_the_file(before: str, word: str) -> None:
    text, offset = marked(before, word)
    assert text.names.at(offset) is None
    assert find_definition(text, offset) is None


@pytest.mark.parametrize(
    ("before", "word", "name"),
    [
        ("body", "My", "Other"),
        ("body", "My", "Two Words_2"),
        ("block Inner", "Inner", "Outer"),
        ("block My", "c=in", "width"),
        ("block My", "n=2", "m"),
        ("block Inner", "s=1", "stride"),
        ("body", "My", "My Net"),
    ],
)
def test_another_name_changes_nothing_else(before: str, word: str, name: str) -> None:
    text, offset = marked(before, word)
    found = text.names.at(offset)
    assert found is not None
    changed = applied(TEXT, rename_edits([text], found, name))
    assert (changed == TEXT.replace("MyNet(", "My Net(")) == (name == "My Net")
    one, other = network(TEXT), network(changed)
    assert [(n.op, n.inputs, n.output) for n in one] == [(n.op, n.inputs, n.output) for n in other]


@pytest.mark.parametrize(
    ("before", "word", "name", "why"),
    [
        ("body", "My", "Inner", "a block 'Inner' already exists"),
        ("body", "My", "SEW Block", "a block 'SEW Block' already exists"),
        ("body", "My", "or b", "expected words of letters"),
        ("body", "My", "BN", "'BN' is a name of the language"),
        ("body", "My", "c3k3", "'c3k3' is a name of the language"),
        ("body", "My", "ADD", "'ADD' is a name of the language"),
        ("body", "My", "id", "'id' is a name of the language"),
        ("body", "My", "a-b", "expected words of letters"),
        ("body", "My", "", "expected words of letters"),
        ("body", "My", "1x", "expected words of letters"),
        ("block My", "c=in", "n", "already has a parameter 'n'"),
        ("block My", "c=in", "in", "none of"),
        ("block My", "c=in", "x", "none of"),
        ("block My", "c=in", "c2", "invalid parameter name"),
    ],
)
def test_names_that_cannot_be(before: str, word: str, name: str, why: str) -> None:
    text, offset = marked(before, word)
    found = text.names.at(offset)
    assert found is not None
    with pytest.raises(RenameProblem, match=why):
        rename_edits([text], found, name)


def test_a_study_that_says_a_name_stands_against_another() -> None:
    text, offset = at_cursor(
        TEXT.replace("block My", "block ‸My") + 'study {\n    vary block.MyNet "My Net" "Inner"\n}\n'
    )
    found = text.names.at(offset)
    assert found is not None
    with raises(RenameProblem):
        rename_edits([text], found, "Other")


def test_files_named_in_two_ways_are_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "sub").mkdir()
    library = "sewdsl 1\nblock Mine(c) = c$(c)k3-BN-IF\n"
    (tmp_path / "lib.net").write_text(library)
    body = 'sewdsl 1\nuse "../lib.net"\ninput 1x8x8\nbody Mine (c4)-FC2\n'
    using = compile_for_editor(body, str(tmp_path / "sub/a.net"), tmp_path / "sub/a.net")
    defining = compile_for_editor(library, str(tmp_path / "lib.net"), tmp_path / "lib.net")
    for text, place in ((using, body.index("Mine")), (defining, library.index("Mine"))):
        found = text.names.at(place)
        assert found is not None
        assert [edit.span.line for edit in rename_edits([using, defining], found, "Yours")] == [4, 2]


def test_a_block_that_another_hides_is_not_renamed(tmp_path: Path) -> None:
    """After a renaming, its calls would refer to the other block."""
    library = "sewdsl 1\nblock Mine(c) = c$(c)k3-BN-IF\nblock Two(c) = Mine(c$(c))\n"
    (tmp_path / "lib.net").write_text(library)
    body = 'sewdsl 1\nuse "lib.net"\ninput 1x8x8\nblock Mine(c) = c$(c)k1\nbody Two (c4)-FC2\n'
    views = [
        compile_for_editor(text, str(tmp_path / name), tmp_path / name)
        for name, text in (("a.net", body), ("lib.net", library))
    ]
    for text in views:
        found = text.names.at(text.source.text.index("Mine"))
        assert found is not None
        with pytest.raises(RenameProblem, match="another block 'Mine'"):
            rename_edits(views, found, "Yours")


def test_a_name_in_a_statement_that_cannot_be_read_is_not_left_behind(tmp_path: Path) -> None:
    library = "sewdsl 1\nblock Mine(c) = c$(c)k3-BN-IF\n"
    (tmp_path / "lib.net").write_text(library)
    defining = compile_for_editor(library, str(tmp_path / "lib.net"), tmp_path / "lib.net")
    found = defining.names.at(library.index("Mine"))
    assert found is not None
    body = 'sewdsl 1\nuse "lib.net"\ninput 1x8x8\nbody Mine (c4)-{FC2\n'
    half = compile_for_editor(body, str(tmp_path / "a.net"), tmp_path / "a.net")
    with raises(RenameProblem):
        rename_edits([defining, half], found, "Yours")
    for harmless in (body.replace("Mine", "Miner"), body.replace('use "lib.net"\n', "")):
        other = compile_for_editor(harmless, str(tmp_path / "a.net"), tmp_path / "a.net")
        assert len(rename_edits([defining, other], found, "Yours")) == 1


def test_what_ships_keeps_its_name() -> None:
    text, offset = at_cursor("sewdsl 1\nbody S‸EW Block (c8)\n")
    found = text.names.at(offset)
    assert found is not None
    with raises(RenameProblem):
        rename_edits([text], found, "X")


def test_definition_of_a_shipped_block() -> None:
    found = find_definition(*at_cursor("sewdsl 1\nbody S‸EW Block (c8)\n"))
    assert found is not None
    span, path = found
    assert path is not None
    assert path.name == "blocks.net"
    assert path.read_text(encoding="utf-8")[span.start : span.end] == "SEW Block"


def test_a_used_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "circle.net").symlink_to(tmp_path / "circle.net")
    for name in ("circle.net", "nul\0.net", "absent.net"):
        assert find_definition(*at_cursor(f'sewdsl 1\nuse "‸{name}"\n', tmp_path / "a.net")) is None


def test_files_that_use_each_other(tmp_path: Path) -> None:
    (tmp_path / "lib.net").write_text("sewdsl 1\n# Mine\nblock Mine(c) = c$(c)k3-BN-IF\n")
    body = 'sewdsl 1\nuse "lib.net"\ninput 1x8x8\nbody Mine (c4)-FC2\n'
    (tmp_path / "a.net").write_text(body)
    (tmp_path / "b.net").write_text("sewdsl 1\ninput 1x8x8\nblock Mine(c) = c$(c)k1\nbody Mine (c4)-FC2\n")
    files = [tmp_path / name for name in ("a.net", "lib.net", "b.net")]
    views = [compile_for_editor(path.read_text(), str(path), path) for path in files]
    found = views[0].names.at(body.index("Mine"))
    assert found is not None
    spans = [reference.span for reference in find_references(views, found)]
    assert [(Path(span.source.name).name, span.line) for span in spans] == [("a.net", 4), ("lib.net", 3)]
    assert [reference.defines for reference in find_references(views, found)] == [False, True]
    place = find_definition(views[0], body.index("Mine"))
    assert place is not None
    assert (place[1], place[0].line) == (tmp_path / "lib.net", 3)
    assert find_definition(views[0], body.index("lib")) == (Span(Source(str(files[1]), ""), 0, 0), files[1])
    edits = rename_edits(views, found, "Yours")
    assert {Path(edit.span.source.name).name for edit in edits} == {"a.net", "lib.net"}


VALUES = """\
sewdsl 1
input 2x32x32
neuron IF
block Up(c)[ low | high ] {
    let wide = high-c$(c)k1-BN
    give CAT[ low | wide-SN ]-c$(c)k3
}
let low = c8k3-BN-SN
let high = low-MPk2
body Up (c4)[ low-MPk2 | high ]-ADD[ BN | id ]-FC5
"""


def in_values(before: str, word: str, offset: int = 0) -> tuple[EditorView, int]:
    place = VALUES.index(word, VALUES.index(before)) + offset
    return at_cursor(f"{VALUES[:place]}‸{VALUES[place:]}")


@pytest.mark.parametrize(
    ("before", "word", "lines"),
    [
        ("block Up", "low", [4, 6]),
        ("block Up", "high", [4, 5]),
        ("let wide", "wide", [5, 6]),
        ("give", "wide", [5, 6]),
        ("let low", "low", [8, 9, 10]),
        ("body", "low", [8, 9, 10]),
        ("body", "high", [9, 10]),
    ],
)
def test_values_are_those_of_their_file_or_block(before: str, word: str, lines: list[int]) -> None:
    view, offset = in_values(before, word, 1)
    found = view.names.at(offset)
    assert found is not None
    assert found.name == word
    references = list(find_references([view], found))
    assert [reference.span.text for reference in references] == [word] * len(lines)
    assert [reference.span.line for reference in references] == lines
    assert [reference.defines for reference in references] == [True] + [False] * (len(lines) - 1)
    place = find_definition(view, offset)
    assert place is not None
    assert place[0].line == lines[0]
    renamed = applied(VALUES, rename_edits([view], found, "other"))
    assert [str(node.op) for node in network(renamed)] == [str(node.op) for node in network(VALUES)]
    assert renamed.count("other") == len(lines)


@pytest.mark.parametrize("name", ["high", "BN", "c4k3", "Up", "a.b", "id", "1"])
def test_what_a_value_cannot_be_called(name: str) -> None:
    view, offset = in_values("let low", "low")
    found = view.names.at(offset)
    assert found is not None
    with pytest.raises(RenameProblem):
        rename_edits([view], found, name)


def test_a_value_in_a_statement_that_cannot_be_read_is_not_left_behind() -> None:
    text, offset = at_cursor(VALUES.replace("let low", "let l‸ow") + "expect low )\n")
    found = text.names.at(offset)
    assert found is not None
    with raises(RenameProblem):
        rename_edits([text], found, "other")


@pytest.mark.parametrize(("before", "line"), [("block Up", 4), ("body Up", 10)])
def test_a_block_of_operands_and_its_calls(before: str, line: int) -> None:
    view, offset = in_values(before, "Up")
    assert VALUES[:offset].count("\n") + 1 == line
    found = view.names.at(offset)
    assert found is not None
    assert [reference.span.line for reference in find_references([view], found)] == [4, 10]
    renamed = applied(VALUES, rename_edits([view], found, "Down"))
    assert "block Down(c)[ low | high ]" in renamed
    assert "body Down (c4)[ low-MPk2 | high ]" in renamed
    assert [str(node.op) for node in network(renamed)] == [str(node.op) for node in network(VALUES)]


def test_a_block_cannot_be_called_what_a_value_is() -> None:
    view, offset = in_values("block Up", "Up")
    found = view.names.at(offset)
    assert found is not None
    with raises(RenameProblem):
        rename_edits([view], found, "wide")


def test_outputs_and_delays_are_read_by_name() -> None:
    text = (
        "sewdsl 1\ninput 2x8x8\nneuron IF\nlet low = ADD[ c4k3 | low-DELAY ]-SN\nlet high = low-MPk2\n"
        "outputs low high\n"
    )
    for place in (text.index("low = "), text.index("low-DELAY"), text.index("low high") + 1):
        view, offset = at_cursor(f"{text[:place]}‸{text[place:]}")
        found = view.names.at(offset)
        assert found is not None
        assert sorted(reference.span.line for reference in find_references([view], found)) == [4, 4, 5, 6]
        renamed = applied(text, rename_edits([view], found, "first"))
        assert renamed.endswith("outputs first high\n")
        assert [str(node.op) for node in network(renamed)] == [str(node.op) for node in network(text)]
