"""Equations of neurons as text: what is read is what is printed, formatting settles, and nothing takes long."""

import time

import pytest

import sewdsl
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.syntax.parser import MAX_EQUATION_TOKENS, MAX_EQUATIONS, parse
from sewdsl.syntax.printer import print_document, print_neuron
from sewdsl.syntax.tree import NeuronDefinition

SIGNS = "neuron Signs(a=-1,b=1/3){s=where(x<=1,-x,x>=2)v= -(v+s)*-2 - -x\n give(v-(x-a))-b/(a/b) # why\n}\n"


def read(text: str) -> tuple[NeuronDefinition, ...]:
    parsed = parse(Source("a.net", f"sewdsl 1\n{text}"))
    assert not parsed.diagnostics
    return tuple(each for each in parsed.value.statements if isinstance(each, NeuronDefinition))


@pytest.mark.parametrize("definition", shipped_neurons().values(), ids=shipped_neurons())
def test_printed_neurons_are_read_again(definition: NeuronDefinition) -> None:
    assert read(f"{print_neuron(definition)}\n") == (definition,)


def test_signs_are_spaced_and_grouped() -> None:
    source = Source("a.net", f"sewdsl 1\n{SIGNS}")
    text = format_source(source)
    assert text == (
        "sewdsl 1\n"
        "neuron Signs(a=-1, b=1/3) {\n"
        "    s = where(x <= 1, -x, x >= 2)   v = -(v + s)*-2 - -x\n"
        "    give (v - (x - a)) - b/(a/b)  # why\n"
        "}\n"
    )
    assert format_source(Source("a.net", text)) == text
    document = parse(source).value
    printed = print_document(document)
    assert parse(Source("a.net", printed)).value == document
    assert "give v - (x - a) - b/(a/b)" in printed
    assert format_source(Source("a.net", printed)) == printed


def test_statements_need_nothing_between_them() -> None:
    (one,), (other,) = (
        read(f"neuron A {{ learn w per channel, step = 1{gap}h = v{gap}+ w*x{gap}v = h{gap}give -h }}\n")
        for gap in (" ", "\n")
    )
    assert one == other
    assert len(one.equations) == 4


def test_words_of_equations_stay_names_elsewhere() -> None:
    text = "sewdsl 1\ninput 4\nneuron LIF(tau=3.0)\nlet state = FC4-SN\nbody state-FC2\n"
    assert sewdsl.read(text).valid


def test_kinds_of_tokens() -> None:
    source = Source("a.net", "sewdsl 1\nneuron A(k=2) { learn w per step = 1   give exp(w*x < k) }\n")
    found = {span.text: kind for kind, span in tokens(source)}
    assert {
        "neuron": "keyword",
        "A": "block",
        "k": "argument",
        "learn": "keyword",
        "per": "keyword",
    }.items() <= found.items()
    assert {"exp": "name", "x": "argument", "<": "operator", "give": "keyword"}.items() <= found.items()


INPUTS = "neuron Two ( tau=2.0 )[ basal|apical ]{h=v<1\n give basal*apical}\nneuron One[u] { give u }\n"


def test_names_of_inputs_are_printed_and_formatted_like_operands() -> None:
    source = Source("a.net", f"sewdsl 1\n{INPUTS.replace('h=v<1', 'h = where(basal < 1, 0, 1)')}")
    text = format_source(source)
    assert "neuron Two(tau=2.0)[basal | apical] {" in text
    assert "neuron One[u] {" in text
    assert format_source(Source("a.net", text)) == text
    two, one = read(text.removeprefix("sewdsl 1\n"))
    assert [[word.text for word in each.inputs] for each in (two, one)] == [["basal", "apical"], ["u"]]
    assert read(f"{print_neuron(two)}\n{print_neuron(one)}\n") == (two, one)
    found = {span.text: kind for kind, span in tokens(Source("a.net", text))}
    assert {"Two": "block", "basal": "argument", "<": "operator"}.items() <= found.items()


def test_lengths_are_printed_and_formatted() -> None:
    text = "neuron A(N=2){learn a [ N ] per channel=index( N )   state h[ 3 ]=0 h=h+x give sum(h)+sum(a)}\n"
    source = Source("a.net", f"sewdsl 1\n{text}")
    formatted = format_source(source)
    assert "learn a[N] per channel = index(N)   state h[3] = 0   h = h + x   give" in formatted
    assert format_source(Source("a.net", formatted)) == formatted
    (one,) = read(text)
    assert read(f"{print_neuron(one)}\n") == (one,)


STATEMENTS = "".join(f"h{i} = x\n" for i in range(MAX_EQUATIONS)) + "give x"
SUMS = [f"h{i} = {'x*(' * 30}{f'h{i - 1}' if i else 'x + x'}{')' * 30}" for i in range(80)]
TOO_LARGE = {
    f"{MAX_EQUATIONS + 1} statements": STATEMENTS,
    "tokens": f"give x{'+x' * (MAX_EQUATION_TOKENS // 2)}",
    "operations": "\n".join([*SUMS, "give h79"]),
}


@pytest.mark.parametrize(("what", "body"), TOO_LARGE.items(), ids=TOO_LARGE)
def test_size_is_bounded(what: str, body: str) -> None:
    began = time.process_time()
    said = sewdsl.read(f"sewdsl 1\nneuron A {{\n{body}\n}}\n").diagnostics
    assert [each.code for each in said if what in each.message] == ["equations-too-large"]
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text", ["neuron A {\n", "neuron A(", "neuron A { h = ", "neuron A { give " + "(" * 50, "neuron A { } "]
)
def test_many_broken_neurons_are_answered_soon(text: str) -> None:
    began = time.process_time()
    assert not sewdsl.read("sewdsl 1\n" + text * (20_000 // len(text))).valid
    assert time.process_time() - began < 20


def test_a_function_of_each_value_has_a_limit_of_its_own() -> None:
    for count, codes in ((199, []), (200, ["equations-too-large"])):
        text = f"sewdsl 1\nbody a-MAP{{{'+'.join('x' * count)}}}-\n  MAP{{x}}\n"
        assert [each.code for each in parse(Source("t", text)).diagnostics] == codes
