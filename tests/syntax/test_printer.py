import pytest
from hypothesis import given

from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax import tree
from sewdsl.syntax.parser import parse, parse_compact, parse_value
from sewdsl.syntax.printer import print_document, print_expression
from tests.syntax.strategies import plain_values, sequences
from tests.words import raises


@given(sequences)
def test_a_printed_sequence_parses_to_the_same_tree(sequence: tree.Sequence) -> None:
    reporter = Reporter()
    document = reporter.take(parse_compact(Source("t", print_expression(sequence))))
    assert document == tree.Document((tree.Body(sequence),))
    assert not list(reporter)


@given(plain_values)
def test_a_printed_value_parses_to_the_same_tree(value: tree.Value) -> None:
    reporter = Reporter()
    assert reporter.take(parse_value(Source("t", print_expression(value)))) == (value,)
    assert not list(reporter)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        (" a -b- c ", "a-b-c"),
        ("SEW  Block(c32)", "SEW Block (c32)"),
        ("SEWBlock (c32)", "SEWBlock(c32)"),
        ("BN()", "BN()"),
        ("< a >*2-{b} * 3", "<a>*2-{b}*3"),
        ("ADD[a|id or b]", "ADD[a | id or b]"),
        ("LIF( tau = 2.0,v_reset=- 1 )", "LIF(tau=2.0, v_reset=-1)"),
        ("c$( (c) )k$(4*(c+1)-(2-1))", "c$(c)k$(4*(c+1)-(2-1))"),
        ("c$((2*c)/3)", "c$(2*c/3)"),
        ("a\u2013{b}\u00d73", "a-{b}*3"),
    ],
)
def test_canonical_text(written: str, printed: str) -> None:
    body = parse_compact(Source("t", written)).value.statements[0]
    assert isinstance(body, tree.Body)
    assert print_expression(body.expression) == printed


def test_a_file_keeps_its_values_in_one_column_and_its_kinds_apart() -> None:
    text = (
        "sewdsl 1\n\n"
        'network "7B-Net"\n'
        "steps   16\n"
        "body    a\n\n"
        'use     "b.net"\n\n'
        "block A B(c=in, s=1, t) = a\n"
        "block A = a\n"
        "block F(n) = MAP{$(n)*x}\n\n"
        "block U(c)[a | b] {\n    let h = a-c$(c)k3\n    give ADD[h | b]\n}\n\n"
        "expect  parameters 0.13M\n"
        'claim   parameters 1.19M "Tab. 6"\n'
        'claim   energy 11.577mJ "Tab. 2"\n\n'
        'allow   cropped-input "as printed"\n\n'
        "train on a-b {\n    epochs 192\n    optimizer SGD(lr=0.1)\n}\n\n"
        "data {\n}\n"
    )
    reporter = Reporter()
    assert print_document(reporter.take(parse(Source("t", text)))) == text
    assert not list(reporter)


def test_a_statement_is_no_expression() -> None:
    with raises(TypeError):
        print_expression(tree.Version(tree.Number("1")))
