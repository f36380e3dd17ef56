from collections.abc import Iterator
from dataclasses import fields

import pytest
from hypothesis import given

from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax import tree
from sewdsl.syntax.parser import parse, parse_compact, parse_value
from sewdsl.syntax.printer import print_document, print_expression
from tests.syntax.strategies import documents

FILE = """\
sewdsl 1
# 7B-Net, Fang et al. 2021

network "7B-Net"
input   2x128x128
neuron  PLIF(tau=2.0, surrogate=ATan(alpha=2.0))
init    kaiming zero
body    c32k3s1-BN-PLIF-
        {SEW Block (c32)-   # go on
MPk2s2}*7-FC11

use "other.net"
expect  parameters 0.13M          # Tab. 5
claim   parameters 23.23M "Tab. 5"
allow   vanishing-gradient "Fig. 7"
train on dvs128-gesture {
    epochs 192
    optimizer SGD(
        lr=0.001, momentum=0.9)
}
data { memory 2GB }
block SEW Block(c=in, s=1) = g[c$(c)k3s$(s)-BN-SN | id or c$(4*c)k1-BN]
"""


def parsed(text: str) -> tree.Document:
    reporter = Reporter()
    document = reporter.take(parse(Source("t", text)))
    assert not list(reporter)
    return document


def body(text: str) -> tree.Sequence:
    reporter = Reporter()
    (statement,) = reporter.take(parse_compact(Source("t", text))).statements
    assert not reporter.errors
    assert isinstance(statement, tree.Body)
    return statement.expression


def item(text: str) -> tree.Item:
    (only,) = body(text).items
    return only


def word(text: str) -> tree.Call:
    return tree.Call(tree.Name((tree.Word(text),), (False,)))


def sequence(*words: str) -> tree.Sequence:
    return tree.Sequence(tuple(map(word, words)))


def test_a_sequence_has_its_items_in_order() -> None:
    assert body("c32k3s1-BN-PLIF") == sequence("c32k3s1", "BN", "PLIF")


def test_words_behind_white_space_are_one_name() -> None:
    call = item("SEW  Block (c32)")
    assert isinstance(call, tree.Call)
    assert call.name == tree.Name((tree.Word("SEW"), tree.Word("Block")), (False, True))
    assert call.name.plain == "SEWBlock"
    assert call.arguments == (tree.Argument(None, word("c32")),)
    assert call.called


@pytest.mark.parametrize(("text", "brackets"), [("{a}*2", "{}"), ("<a>*2", "<>")])
def test_both_brackets_repeat(text: str, brackets: str) -> None:
    repeat = item(text)
    assert repeat == tree.Repeat(sequence("a"), tree.Number("2"))
    assert isinstance(repeat, tree.Repeat)
    assert repeat.brackets == brackets


def test_a_count_can_be_computed() -> None:
    count = tree.Interpolation(tree.Arithmetic("-", tree.Parameter("n"), tree.Number("1")))
    assert item("{a}*$(n-1)") == tree.Repeat(sequence("a"), count)


def test_a_merge_has_operands() -> None:
    name = tree.Name((tree.Word("ADD"),), (False,))
    assert item("ADD[a-b | id]") == tree.MergeOf(name, (sequence("a", "b"), sequence("id")))
    alternative = tree.Alternative(sequence("id"), sequence("c1", "BN"))
    assert item("ADD[a | id or c1-BN]") == tree.MergeOf(name, (sequence("a"), alternative))
    assert item("ADD[a-b]") == tree.MergeOf(name, (sequence("a", "b"),))
    assert item("ADD[a | id or c1-BN | b]") == tree.MergeOf(name, (sequence("a"), alternative, sequence("b")))


def test_a_merge_may_have_arguments() -> None:
    merge = item("ATTN(heads=8, scale=0.5)[a | b | c]")
    assert isinstance(merge, tree.MergeOf)
    assert [argument.name for argument in merge.arguments] == ["heads", "scale"]
    assert len(merge.operands) == 3
    assert item("CAT()[a | b]") == item("CAT[a | b]")


def test_a_function_of_each_value() -> None:
    one, x = tree.Number("1"), tree.Variable("x")
    assert item("MAP{1 - x}") == item("MAP (){1-x}") == tree.Pointwise(tree.Infix("-", one, x))
    fire = item("MAP(surrogate=Sigmoid){fire(x - $(c))}")
    assert isinstance(fire, tree.Pointwise)
    assert [argument.name for argument in fire.arguments] == ["surrogate"]
    below = item("{MAP{where(x >= 1, x, 1)}}*2")
    assert isinstance(below, tree.Repeat)
    (inner,) = below.body.items
    assert inner == tree.Pointwise(tree.FunctionCall(tree.Word("where"), (tree.Infix(">=", x, one), x, one)))


def test_the_name_of_a_function_of_each_value_is_free_elsewhere() -> None:
    blocks = "block MAP = BN\nblock My MAP {\n give MAP-MAP{x}\n}\n"
    text = f"sewdsl 1\n{blocks}neuron MAP(a=1) {{ give x }}\nbody MAP-{{a}}*2\n"
    _, block, long_block, neuron, last = parsed(text).statements
    assert isinstance(block, tree.BlockDefinition)
    assert isinstance(neuron, tree.NeuronDefinition)
    assert isinstance(long_block, tree.BlockDefinition)
    assert long_block.expression == body("MAP-MAP{x}")
    assert isinstance(last, tree.Body)
    assert last.expression == body("MAP-{a}*2")


@pytest.mark.parametrize("text", ["ADD[]", "ADD[a | ]", "X[a | b][c | d]", "{a}*2[b | c]", "ADD[a | b](c)"])
def test_what_is_no_merge(text: str) -> None:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", text)))
    assert reporter.errors


def test_or_is_a_name_elsewhere() -> None:
    assert body("or-x") == sequence("or", "x")
    join = item("g[or | {or}*2 or f(or)]")
    assert isinstance(join, tree.MergeOf)
    assert join.operands[0] == sequence("or")


def test_interpolations_touch_words_or_stand_apart() -> None:
    call = item("c$(c)k$(2*(c+1)) $(s)")
    assert isinstance(call, tree.Call)
    assert call.name.spaced == (False, False, False, False, True)
    assert call.name.plain is None


def test_operators_bind_as_usual() -> None:
    call = item("c$(a-b-c*d/2)")
    assert isinstance(call, tree.Call)
    left = tree.Arithmetic("-", tree.Parameter("a"), tree.Parameter("b"))
    product = tree.Arithmetic("*", tree.Parameter("c"), tree.Parameter("d"))
    right = tree.Arithmetic("/", product, tree.Number("2"))
    assert call.name.parts[1] == tree.Interpolation(tree.Arithmetic("-", left, right))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", tree.Number("16")),
        ("-0.5", tree.Number("-0.5")),
        ("- 1", tree.Number("-1")),
        ("1e-3", tree.Number("1e-3")),
        ("0.13M", tree.Quantity("0.13M")),
        ("2GB", tree.Quantity("2GB")),
        ("90%", tree.Quantity("90%")),
        ("2x128x128", tree.Size((2, 128, 128))),
        ('"Tab. 5 # \u2013 {"', tree.Text("Tab. 5 # \u2013 {")),
        ("IAND", word("IAND")),
        ("mnist5k", word("mnist5k")),
    ],
)
def test_values(text: str, value: tree.Value) -> None:
    reporter = Reporter()
    assert reporter.take(parse_value(Source("t", text))) == (value,)
    assert not list(reporter)


def test_values_stand_side_by_side() -> None:
    values = parse_value(Source("t", "kaiming zero -1 Step(size=64)")).value
    assert values is not None
    assert [print_expression(value) for value in values] == ["kaiming", "zero", "-1", "Step(size=64)"]


def test_a_file() -> None:
    kinds = [type(statement).__name__ for statement in parsed(FILE).statements]
    assert kinds == [
        *("Version", "Setting", "Setting", "Setting", "Setting", "Body", "Use", "Expect", "Claim", "Allow"),
        *("Section", "Section", "BlockDefinition"),
    ]


def test_a_section() -> None:
    train, data = (statement for statement in parsed(FILE).statements if isinstance(statement, tree.Section))
    assert (train.name.text, train.on) == ("train", "dvs128-gesture")
    assert [setting.key.text for setting in train.settings] == ["epochs", "optimizer"]
    assert (data.on, data.settings) == (None, (tree.Setting(tree.Word("memory"), (tree.Quantity("2GB"),)),))


def test_a_block() -> None:
    block = parsed(FILE).statements[-1]
    assert isinstance(block, tree.BlockDefinition)
    assert block.name.plain == "SEWBlock"
    assert block.parameters == (
        tree.BlockParameter("c", tree.Parameter("in")),
        tree.BlockParameter("s", tree.Number("1")),
    )


@pytest.mark.parametrize(
    "name", ["block", "use", "expect", "claim", "allow", "body", "train", "data", "sewdsl", "on", "or"]
)
def test_keywords_are_names_away_from_a_statement_s_beginning(name: str) -> None:
    body = f"body {name}-{{a-\n{name}}}*2-f({name}={name})"
    text = f"sewdsl 1\nsteps {name}\n{body}\ntrain on {name} {{\n    {name} {name}\n}}\n"
    document = parsed(text)
    assert [type(s).__name__ for s in document.statements] == ["Version", "Setting", "Body", "Section"]


@pytest.mark.parametrize("line_break", ["\n", "  # layers\n\n    # stem\n  "])
def test_layers_begin_on_the_line_after_body(line_break: str) -> None:
    assert parsed(FILE.replace("body    ", f"body{line_break}")) == parsed(FILE)


def test_compact_text_may_be_broken_anywhere() -> None:
    assert body("c64k3s1-{SEW\nBlock (c64)\r\n-MP}*4\n-\nBN # end\n") == body("c64k3s1-{SEW Block (c64)-MP}*4-BN")


def nodes(node: object) -> Iterator[tree.SyntaxNode]:
    """A node and all those in it."""
    if isinstance(node, tuple):
        for part in node:
            yield from nodes(part)
    elif isinstance(node, tree.SyntaxNode):
        yield node
        for field in fields(node):
            if field.name != "span":
                yield from nodes(getattr(node, field.name))


@given(documents)
def test_a_printed_file_parses_to_the_same_tree_and_spans_cover_what_was_written(document: tree.Document) -> None:
    text = print_document(document)
    found = parsed(text)
    assert found == document
    for node in nodes(found):
        if isinstance(node, tree.Arithmetic | tree.Interpolation):
            continue  # its parentheses are outside
        try:
            printed = print_expression(node)
        except TypeError:
            continue
        assert node.span.text == printed


def test_spans_are_those_of_the_text_as_written() -> None:
    source = Source("t", "sewdsl 1\r\nbody a\u2013{SEW\u00a0Block  (c = 1)}\u00d72 # c\r\n")
    statement = parse(source).value.statements[1]
    assert isinstance(statement, tree.Body)
    repeat = statement.expression.items[1]
    assert isinstance(repeat, tree.Repeat)
    assert statement.span.text == "body a\u2013{SEW\u00a0Block  (c = 1)}\u00d72"
    assert (repeat.span.line, repeat.span.column) == (2, 8)
    assert repeat.body.span.text == "SEW\u00a0Block  (c = 1)"
    assert repeat.count.span.text == "2"


def test_a_broken_statement_is_left_out_and_a_mended_one_stays() -> None:
    document = parse(Source("t", "sewdsl 1\nsteps 4 =\nbody {a}*2b\nuse x\njoin ADD\n")).value
    assert [type(s).__name__ for s in document.statements] == ["Version", "Body", "Setting"]
    assert document.statements[1] == tree.Body(body("{a}*2-b"))


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("{a}*5DP", "{a}*5-DP"),
        ("a-{b-}*2-", "a-{b}*2"),
        ("a--b", "a-b"),
        ("{a}7", "{a}*7"),
        ("{a}", "{a}*1"),
        ("{a>*2", "{a}*2"),
    ],
)
def test_parsing_goes_on_as_if_it_were_mended(broken: str, mended: str) -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", broken))) == tree.Document((tree.Body(body(mended)),))
    assert reporter.errors


@pytest.mark.parametrize("text", ["", "{}*2", "a-|", "a-{b", "a}", "c32\u00a7", 'a-"x'])
def test_a_broken_compact_text_gives_no_statement(text: str) -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", text))).statements == ()
    assert reporter.errors


@pytest.mark.parametrize("text", ["BNPLIF", "PLIFAPk10s10", "APk2 FC11", "c32k3k5", "c0", "k3x5", "DP0.25"])
def test_what_names_mean_is_no_matter_of_syntax(text: str) -> None:
    assert print_expression(body(text)) == text
