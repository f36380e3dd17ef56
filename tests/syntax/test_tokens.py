"""Tokens of a text, for highlighting."""

from __future__ import annotations

import pytest

from sewdsl.source import Source, Span
from sewdsl.syntax.highlight_tokens import TokenType, compact_tokens, tokens


def written(found: list[tuple[TokenType, Span]]) -> str:
    """Pieces as text, each after the first letters of what it is."""
    return " ".join(f"{kind}:{span.text}" for kind, span in found)


FILES = {
    "sewdsl 1 # v": "keyword:sewdsl number:1 comment:# v",
    "input 2x128x128": "key:input number:2x128x128",
    'train on x-1k {\n  lr 0.1 "s" 2x2\n}': (
        'keyword:train keyword:on value:x value:- value:1k bracket:{ key:lr number:0.1 string:"s" number:2x2 bracket:}'
    ),
    "train on a -b - c": "keyword:train keyword:on value:a value:- value:b operator:- value:c",
    "data x { on 1 }": "keyword:data value:x bracket:{ key:on number:1 bracket:}",
    'allow a-in-row "why"': 'keyword:allow value:a value:- value:in value:- value:row string:"why"',
    'use "x.net"': 'keyword:use string:"x.net"',
    "expect parameters 0.13M": "keyword:expect key:parameters number:0.13 unit:M",
    'claim energy 11.577mJ "Tab"': 'keyword:claim key:energy number:11.577 unit:mJ string:"Tab"',
    "claim energy 4J": "keyword:claim key:energy number:4 unit:J",
    'claim accuracy 97.5% "Tab"': 'keyword:claim key:accuracy number:97.5 unit:% string:"Tab"',
    "expect 3": "keyword:expect number:3",
    "memory 2GB": "key:memory number:2 unit:GB",
    "init kaiming": "key:init value:kaiming",
    "join ADD": "key:join name:ADD",
    "neuron my(tau=-2.0, f=ATan, g=none, h=f(1))": (
        "key:neuron name:my bracket:( argument:tau operator:= operator:- number:2.0 separator:, "
        "argument:f operator:= name:ATan separator:, argument:g operator:= value:none separator:, "
        "argument:h operator:= name:f bracket:( number:1 bracket:) bracket:)"
    ),
    "vary block.A B c\nvary c d": "key:vary value:block.A name:B value:c key:vary value:c value:d",
    "block block(c=in) = g[a|b or c]": (
        "keyword:block block:block bracket:( argument:c operator:= argument:in bracket:) operator:= "
        "name:g bracket:[ name:a operator:| name:b keyword:or name:c bracket:]"
    ),
    "block A b(c)=\nA-B": "keyword:block block:A b bracket:( argument:c bracket:) operator:= name:A operator:- name:B",
    "body or{a or b}*2": "keyword:body name:or bracket:{ block:a or b bracket:} operator:* number:2",
    "block X\nbody A\nB": "keyword:block block:X keyword:body name:A key:B",
    '? "open': 'bad:? string:"open',
    "vary x {A}*2 b c": "key:vary value:x bracket:{ name:A bracket:} operator:* number:2 value:b value:c",
    "vary x \u27e8a\u27e9 b": "key:vary value:x bracket:\u27e8 name:a bracket:\u27e9 value:b",
    "train {\n a g[a|b or c]\n}": (
        "keyword:train bracket:{ key:a name:g bracket:[ name:a operator:| name:b keyword:or name:c bracket:] bracket:}"
    ),
}
STRINGS = {
    "c32k3s1": "name:c number:32 argument:k number:3 argument:s number:1",
    "MPk2-FC11-DP0.25": "name:MP argument:k number:2 operator:- name:FC number:11 operator:- name:DP number:0.25",
    "conv32k3": "name:conv number:32 argument:k number:3",
    "c32k3x5": "name:c number:32 argument:k number:3x5",
    "ResNet152-T_train-a.b-tdBN-e3f": (
        "name:ResNet152 operator:- name:T_train operator:- name:a.b operator:- name:tdBN operator:- name:e3f"
    ),
    "c$(4*c)k3s$(s)-MPk$((k+1)/2)": (
        "name:c formula:$( number:4 operator:* argument:c formula:) argument:k number:3 argument:s "
        "formula:$( argument:s formula:) operator:- name:MP argument:k "
        "formula:$( bracket:( argument:k operator:+ number:1 bracket:) operator:/ number:2 formula:)"
    ),
    "c$(c)Foo-c$(c) k3": (
        "name:c formula:$( argument:c formula:) name:Foo operator:- "
        "name:c formula:$( argument:c formula:) name:k number:3"
    ),
    "SEW Block (c128s2, g=IAND)": (
        "block:SEW Block bracket:( argument:c number:128 argument:s number:2 separator:, "
        "argument:g operator:= name:IAND bracket:)"
    ),
    "X(c32)k3": "name:X bracket:( argument:c number:32 bracket:) name:k number:3",
    "X (c$(c)s2)": "name:X bracket:( argument:c formula:$( argument:c formula:) argument:s number:2 bracket:)",
    "X (a=Y Z, b=c32)": (
        "name:X bracket:( argument:a operator:= block:Y Z separator:, "
        "argument:b operator:= argument:c number:32 bracket:)"
    ),
    "{SEW\nBlock  x\r\ny\rz}*2": "bracket:{ block:SEW block:Block  x block:y block:z bracket:} operator:* number:2",
    "<a)>\u00d77": "bracket:< name:a bracket:) bracket:> operator:\u00d7 number:7",
    "a\u2013b # c\n": "name:a operator:\u2013 name:b comment:# c",
}


@pytest.mark.parametrize("text", FILES)
def test_files(text: str) -> None:
    assert written(tokens(Source("t", text))) == FILES[text]


@pytest.mark.parametrize("text", STRINGS)
def test_compact_strings(text: str) -> None:
    assert written(compact_tokens(Source("t", text))) == STRINGS[text]


def test_a_string_is_read_likewise_in_a_file() -> None:
    for text, expected in STRINGS.items():
        if "\n" not in text:
            assert written(tokens(Source("t", f"body {text}"))) == f"keyword:body {expected}"
