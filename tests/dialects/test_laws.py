"""Laws of all texts in the dialect."""

from collections.abc import Iterable
from random import Random
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from sewdsl import Compilation, load, read
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.dialects import Conventions, translate
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.parser import parse_compact
from sewdsl.syntax.printer import print_expression
from sewdsl.syntax.tree import Body
from tests.effort import examples

TOKENS = (
    *("128C3", "4c3", "4C1", "4C2", "0C3", "4C3S2P1", "4Conv3(Encoding)", "C3", "c32k3", "99999999999C3"),
    *("AP2", "MP2", "P2", "2P", "2a", "2s", "AP0", "AP3S1", "GAP", "BN", "tdBN", "LIF", "SN", "PLIF", "DP", "DP(.5)"),
    *("0.2DP", "DP1.0", "Flatten", "Input", "SoftMax", "Voting", "FC", "FC8", "16FC10", "10o", "10SVM", "10", "0"),
    *("28x28", "6x6x2", "2x5x6x7", "x", "2x", "2*", "*2", "*0", "*", "*99999", "-", "-", "-", "--", "->", "\u2192"),
    *("(", ")", "[", "]", "{", "}", "<", ">", "\u2013", "\u00d7", "\ufffe", " ", "\n", "#", '"', "\u00b2", "[8]", "="),
)
noise = st.lists(st.sampled_from(TOKENS), max_size=14).map("".join)
layers = st.sampled_from(["4C3", "4C1", "4c3s2p1", "AP2", "P2", "2P", "BN", "LIF", "DP", "8FC", "16", "2x4C3", "GAP"])
chains = st.recursive(
    st.lists(layers, min_size=1, max_size=5).map("-".join),
    lambda inner: st.tuples(inner, st.sampled_from(["({})*2-10", "{{{}}}*2", "2x({})-5FC", "[{}]-10o"])).map(
        lambda pair: pair[1].format(pair[0])
    ),
    max_leaves=4,
)
asked = st.builds(
    Conventions,
    norm=st.sampled_from([None, "BN", "tdBN", "none"]),
    padding=st.sampled_from([None, "same", "none"]),
    pool=st.sampled_from([None, "AP", "MP"]),
    neurons=st.sampled_from([None, "conv", "pool", "both"]),
    output=st.sampled_from([None, "current", "spikes"]),
    classes=st.sampled_from([None, 2, 10]),
)


def option(of: Conventions) -> str:
    given = ", ".join(f"{name}={value}" for name, value in of if value is not None)
    return f"he({given})" if given else "he"


def check_places(diagnostics: Iterable[Diagnostic], source: Source) -> None:
    """Check that all diagnostics are located in the text."""
    for found in diagnostics:
        assert found.span.source == source
        assert 0 <= found.span.start <= found.span.end <= len(source.text)
        assert found.message
        for fix in found.fixes:
            for edit in fix.edits:
                assert edit.span.source == source
                assert 0 <= edit.span.start <= edit.span.end <= len(source.text)
                assert edit.text != edit.span.text


def check(compilation: Compilation, source: Source) -> None:
    """Check that a text has a network or an error."""
    errors = [found for found in compilation.diagnostics if found.severity is Severity.ERROR]
    assert (compilation.network is not None and compilation.valid) != bool(errors)
    check_places(compilation.diagnostics, source)
    for node in compilation.network or ():
        assert node.span.source == source
        assert 0 <= node.span.start <= node.span.end <= len(source.text)


@given(st.randoms(use_true_random=True), asked)
@examples(3)
def test_a_text_has_a_body_or_an_error(random: Random, conventions: Conventions) -> None:
    """1,500 texts consist of random tokens, or 30,000 in a deep run."""
    for _ in range(500):
        text = "".join(random.choices(TOKENS, k=random.randint(0, 14)))
        source, reporter = Source("t", text), Reporter()
        document = reporter.take(translate(source, conventions)).document
        assert any(isinstance(found, Body) for found in document.statements) or reporter.errors, text
        check_places(reporter, source)


@given(noise | chains | st.text(max_size=40) | st.text("0123456789xC-*(){}", max_size=40), asked)
@examples(60)
def test_a_text_is_a_network_or_an_error(text: str, conventions: Conventions) -> None:
    source = Source("t", text)
    check(read(source, input="2x12x12", dialect=option(conventions)), source)


@given(chains, asked)
@examples(40)
def test_ours_is_the_same_network(text: str, conventions: Conventions) -> None:
    """The translation, printed and read again, is what the text is."""
    reporter = Reporter()
    document = reporter.take(translate(Source("t", text), conventions)).document
    bodies = [found for found in document.statements if isinstance(found, Body)]
    assert bool(bodies) != bool(reporter.errors)
    for body in bodies:
        printed, again = print_expression(body.expression), Reporter()
        parsed = again.take(parse_compact(Source("ours", printed)))
        assert not list(again)
        assert [print_expression(found.expression) for found in parsed.statements if isinstance(found, Body)] == [
            printed
        ]
        one = read(text, input="2x12x12", neuron="LIF", dialect=option(conventions))
        other = read(printed, input="2x12x12", neuron="LIF")
        assert one.valid == other.valid
        if one.valid:
            assert [str(node.op) for node in one.result()] == [str(node.op) for node in other.result()]


def test_hostile_texts_are_refused_at_once() -> None:
    for text in (
        "(" * 100_000,
        "2x(" * 20_000 + "4C3" + ")" * 20_000,
        "9999x(9999x(9999x(4C1)))",
        "4C1-" * 3_000,
        "1" * 200_000,
        "C3" * 60_000,
        "4C3P" * 40_000,
        "2x" * 60_000,
        "a.b" * 60_000,
    ):
        began = process_time()
        compilation = read(Source("t", text), input="2x12x12", dialect="he")
        assert not compilation.valid
        assert process_time() - began < 60, text[:20]


def test_python_takes_the_dialect() -> None:
    network = load("4C3-AP2-10", dialect="he(norm=BN)", input="2x12x12", neuron="IF")
    assert [node.op.kind for node in network] == ["input", "c", "BN", "IF", "AP", "FC"]
