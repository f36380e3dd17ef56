from sewdsl.source import Source
from sewdsl.syntax.tokens import tokens


def test_tokens_say_what_they_are() -> None:
    text = (
        'sewdsl 1 # v\nbody a-or{SEW $(c)}*2\ntrain on x-1k {\n  lr 0.1 "s" 2x2\n}\nblock block = g[a|b or c]\n? "open'
    )
    assert [(kind, span.text) for kind, span in tokens(Source("t", text))] == [
        *(("keyword", "sewdsl"), ("number", "1"), ("comment", "# v")),
        *(("keyword", "body"), ("word", "a"), ("punctuation", "-"), ("word", "or"), ("punctuation", "{")),
        *(("word", "SEW"), ("punctuation", "$("), ("word", "c"), ("punctuation", ")"), ("punctuation", "}")),
        *(("punctuation", "*"), ("number", "2")),
        *(("keyword", "train"), ("keyword", "on"), ("word", "x"), ("punctuation", "-"), ("number", "1k")),
        *(("punctuation", "{"), ("key", "lr"), ("number", "0.1"), ("string", '"s"'), ("number", "2x2")),
        *(("punctuation", "}"), ("keyword", "block"), ("word", "block"), ("punctuation", "="), ("word", "g")),
        *(("punctuation", "["), ("word", "a"), ("punctuation", "|"), ("word", "b"), ("keyword", "or"), ("word", "c")),
        *(("punctuation", "]"), ("bad", "?"), ("string", '"open')),
    ]
