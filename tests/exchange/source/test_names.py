"""Whatever names a spec gives: they never become code, and the weights keep theirs."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

import sewdsl
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.exchange.write.source.expressions import class_name, is_identifier, one_line_prose, string_literal
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.source import Source, Span
from tests.effort import examples
from tests.exchange.source.files import SOURCES, made

HOSTILE = (
    *(
        '"""\nimport os\nos.abort()\n"""',
        "'''",
        '"',
        "\\",
        '\\"',
        "a\nb",
        "\r\x0cx",
        "\x00",
        "\u202e\u2066",
        "\U0001d4d2lass",
    ),
    *(
        "None",
        "class",
        "x" * 500,
        "Conv2d",
        "nn",
        "torch",
        "Exception",
        "__main__",
        "Tensor",
        "LIF",
        "layers",
        "é",
        "7",
    ),
    *("# coding: utf-7", "# fmt: off", "# ruff: noqa", "{name}", "{{}}", "%s", "blöck № 5", "", "import os"),
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
BASE = sewdsl.load("c4k3-BN-IF-{SEW Block}*2-SEW Block(c6s2)-FC3", input=(1, 8, 8), steps=2)


def code(text: str) -> str:
    """Return a file without its docstrings and the names of its classes."""
    tree = ast.parse(text)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.ClassDef):
            names[node.name] = node.name = f"Class{len(names)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = names[node.id]
    return ast.dump(tree)


@pytest.mark.parametrize("dialect", SOURCES)
@examples(12)
@given(name=TEXTS, file=TEXTS)
def test_the_name_of_a_network(dialect: str, name: str, file: str) -> None:
    source = Source(file, f"{name}\nbody c4k3")
    nodes = tuple(replace(node, span=Span(source, 0, len(source.text))) for node in BASE)
    written = SOURCES[dialect](replace(BASE, name=name, nodes=nodes))
    assert code(written) == code(SOURCES[dialect](BASE))
    assert written.isascii()
    assert all(line.isprintable() for line in written.split("\n"))


def renamed(network: Network, label: str, key: str) -> Network:
    """Return a network with another name for its blocks."""

    def step(old: PathStep) -> PathStep:
        return (
            old if old.kind != "block" else replace(old, label=label, key=f"{key}{old.key.removeprefix('sew_block')}")
        )

    def node(old: Node) -> Node:
        path = tuple(map(step, old.path))
        return replace(old, path=path, name=".".join([*(s.key for s in path), old.name.rpartition(".")[2]]))

    return network.with_nodes(tuple(map(node, network)))


@pytest.mark.parametrize("dialect", SOURCES)
@examples(12)
@given(label=TEXTS, key=st.text(min_size=1, max_size=20).filter(lambda key: "." not in key))
@example(label="Block", key="__class")
@example(label="Block", key="3x3")
@example(label="Block", key="блок")
@example(label="Block", key="ﬁ")
@example(label="Block", key='"); import os; ("')
def test_the_name_of_a_block(dialect: str, label: str, key: str) -> None:
    network = renamed(BASE, label, key)
    written = SOURCES[dialect](network)
    with torch.device("meta"):
        found, wanted = module_from_source(written), sewdsl.compile(network, optimize=0)
    assert list(found.state_dict()) == list(wanted.state_dict())
    plain = code(SOURCES[dialect](BASE))
    if is_identifier(key) and f"'{key}" not in plain:  # else the replacement would change other names too
        assert code(written).replace(f"'{key}", "'sew_block") == plain


def test_a_block_whose_name_is_no_identifier_computes_the_same() -> None:
    ours = sewdsl.compile(renamed(BASE, "3x3 Block", "3x3_block"), seed=0)
    theirs = module_from_source(SOURCES["python"](ours.network))
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, 3, 1, 8, 8)
    torch.testing.assert_close(theirs(x), ours(x))


@given(text=st.text())
def test_quoted(text: str) -> None:
    assert ast.literal_eval(string_literal(text)) == text
    assert string_literal(text).isascii()


@given(text=st.text())
def test_prose(text: str) -> None:
    assert not {*one_line_prose(text)} & {*'"#\\\n\r'}
    assert ast.get_docstring(ast.parse(f'"""{one_line_prose(text)}."""'), clean=False) == f"{one_line_prose(text)}."


@given(texts=st.lists(TEXTS))
def test_class_names_are_different_identifiers(texts: list[str]) -> None:
    taken = {"Conv2d", "Network", "Block"}
    names = [class_name(text, "Block", taken) for text in texts]
    assert len({*names, "Conv2d", "Network", "Block"}) == len(names) + 3
    assert all(name.isidentifier() and name.isascii() for name in names)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SEW ResNet-18", "SEWResNet18"),
        ("7B-Net", "Net7B"),
        ("tdBN Block", "TdBNBlock"),
        ("7", "Network"),
        ("exception", "ExceptionNetwork"),
        ("Exception", "ExceptionNetwork"),
        ("none", "NoneNetwork"),
    ],
)
def test_class_name(text: str, name: str) -> None:
    assert class_name(text, "Network", set()) == name


CLASHING = """\
sewdsl 1
network "{network}"
input   2x6x6
steps   3
neuron {neuron}(decay=0.5) {{
    h = decay*v + x
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}}
block {block}(c=2) = ADD[c$(c)k3-BN-{neuron} | id]
body    c2k3-BN-{neuron}-{block}-{neuron}(v_reset=none)-{block}-FC3
"""
SOME_NAMES = ("A Neuron", "ANeuron", "A", "A2", "ANeuron2", "A Neuron Block", "A Block", "Neuron", "Network", "Memory")


@pytest.mark.parametrize("dialect", SOURCES)
@examples(15)
@given(
    neuron=st.sampled_from([name for name in SOME_NAMES if " " not in name]),
    block=st.sampled_from(SOME_NAMES),
    title=st.sampled_from(SOME_NAMES),
)
@example(neuron="A", block="A Neuron", title="A")
@example(neuron="A", block="A", title="A Neuron")
@example(neuron="A", block="ANeuron2", title="A")
def test_a_class_has_a_name_of_its_own(dialect: str, neuron: str, block: str, title: str) -> None:
    text = CLASHING.format(neuron=neuron, block=block, network=title)
    compilation = sewdsl.read(Source("t.net", text))
    assume(neuron != block.replace(" ", ""))
    assert compilation.valid, compilation.diagnostics
    written = SOURCES[dialect](compilation.result())
    names = [node.name for node in ast.parse(written).body if isinstance(node, ast.ClassDef)]
    assert len({*names}) == len(names)
    model = sewdsl.compile(compilation.result(), optimize=0).double().eval()
    x = torch.rand(3, 2, 2, 6, 6, dtype=torch.float64)
    assert made(written, model).double().eval()(x).allclose(model(x))
