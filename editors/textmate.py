"""TextMate grammar of ``.net`` files, generated from the tokens and keywords of the compiler.

``python -m editors.textmate`` writes it. The rules follow sewdsl/syntax/highlight_tokens.py, as far as possible: a
grammar sees one line at a time, and does not see closing brackets on later lines.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sewdsl.highlight.pygments_lexer import LOOKS
from sewdsl.syntax.highlight_tokens import TokenType
from sewdsl.syntax.lexicon import (
    ARGUMENTS,
    EQUATION_KEYWORDS,
    HEAD,
    KEYWORDS,
    LETTERED,
    NEURON,
    NUMBER,
    PER,
    POINTWISE,
    SETTINGS,
)
from sewdsl.syntax.scanner import parser

PATH = Path(__file__).parent / "vscode" / "syntaxes" / "sewdsl.tmLanguage.json"
LANGUAGE = "sewdsl"

Rule = dict[str, Any]


def _terminal(name: str) -> str:
    """Return the regular expression of a token, without capturing groups."""
    (pattern,) = (terminal.pattern.to_regexp() for terminal in parser().terminals if terminal.name == name)
    unescaped = re.sub(r"\\u([0-9A-F]{4})", lambda match: chr(int(match[1], 16)), pattern)
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", unescaped)


def _scope(kind: TokenType) -> str:
    return f"{LOOKS[kind].scope}.{LANGUAGE}"


BLANKS = _terminal("_SPACE")
BLANK = BLANKS.removeprefix("[").removesuffix("]+")
GAP = f"(?>[{BLANK}]*)"
WORD = f"(?>{_terminal('WORD')})"
WORD_END = f"(?!{_terminal('WORD').removeprefix('[A-Za-z]').removesuffix('*')})"
DASH, STAR, EQUAL, BAR = map(_terminal, ("_DASH", "_STAR", "_EQUAL", "_BAR"))
PATTERN = _terminal("PATTERN")
SIZE, LENGTHS, QUANTITY, DECIMAL, INTEGER = map(_terminal, ("SIZE", "LENGTHS", "QUANTITY", "DECIMAL", "INTEGER"))
FORMULA_BEHIND = f"(?={_terminal('_OPEN')})"
CALLED = rf"(?={GAP}[(\[])"

_WORDS = "|".join([*KEYWORDS, *SETTINGS])
_VALUE = r"[\"A-Za-z{<⟨]|[0-9]+(?:[x×][0-9]+)*(?![0-9.%A-Za-z_])"
KNOWN = f"(?:{_WORDS}){WORD_END}{GAP}(?:{_VALUE})"
"""Start of a line that is a statement, even if the previous line seems to continue."""
STATEMENT_END = f"$|^(?={GAP}{KNOWN})"
LINE_END = f"(?={GAP}(?:#|$))"
ANYWAY = f"^(?={KNOWN})"
"""End of an unclosed bracket: a known statement without indentation."""


def _match(kind: TokenType, *expressions: str) -> Rule:
    return {"match": "|".join(expressions), "name": _scope(kind)}


def _include(name: str) -> Rule:
    return {"include": f"#{name}"}


def _first(kind: TokenType) -> Rule:
    return {"0": {"name": _scope(kind)}}


PARTS: Rule = {"patterns": [_match("argument", "[a-z]"), _match("number", NUMBER)]}
"""Rules for the letters and numbers of compact arguments."""


def _names(before: str = "", behind: str = "") -> list[Rule]:
    """Return rules for names, divided into kind and compact arguments if possible."""
    captures = {"1": {"name": _scope("name")}, "2": PARTS}
    expressions = [
        f"{before}({HEAD})({ARGUMENTS}[a-z]){WORD_END}{FORMULA_BEHIND}{behind}",
        f"{before}({HEAD})({ARGUMENTS}){WORD_END}{behind}",
    ]
    return [*({"match": match, "captures": captures} for match in expressions), _match("name", before + WORD + behind)]


def _bracket(begin: str, end: str, patterns: list[Rule]) -> Rule:
    return {
        "begin": _terminal(begin),
        "beginCaptures": _first("bracket"),
        "end": f"{_terminal(end)}|{ANYWAY}",
        "endCaptures": _first("bracket"),
        "patterns": patterns,
    }


def _expression_bracket(begin: str, end: str) -> Rule:
    """Return a rule for brackets around a sequence, in which ``or`` is a keyword after a bar."""
    shortcut = {
        "begin": BAR,
        "beginCaptures": _first("operator"),
        "end": f"(?={_terminal(end)})|{ANYWAY}",
        "patterns": [
            _match("keyword", f"or{WORD_END}"),
            _match("block", f"{WORD}(?:{BLANKS}(?!or{WORD_END}){WORD})+"),
            _include("items"),
        ],
    }
    return _bracket(begin, end, [shortcut, _include("expression")])


def _statement(begin: str, captures: dict[str, TokenType], patterns: list[Rule], end: str = STATEMENT_END) -> Rule:
    return {
        "begin": begin,
        "beginCaptures": {group: {"name": _scope(kind)} for group, kind in captures.items()},
        "end": end,
        "patterns": patterns,
    }


def _continuation(begin: str, kind: TokenType) -> Rule:
    """Return a rule for the last token of a line that continues on the next line."""
    return {
        "begin": f"(?:{begin}){LINE_END}",
        "beginCaptures": _first(kind),
        "end": rf"^(?={GAP}[^#\r\n])",
        "patterns": [_include("comment")],
    }


def _keywords(*kinds: str) -> str:
    words = [word for word, kind in KEYWORDS.items() if kind in kinds]
    return f"({'|'.join(words)}){WORD_END}"


def _tokens() -> dict[str, Rule]:
    """Return the rules of tokens that are equal in all contexts."""
    closers = [_terminal(name) for name in ("_RPAR", "_RSQB", "RBRACE", "MORE")]
    operators = [DASH, STAR, EQUAL, BAR, _terminal("_PLUS"), _terminal("_SLASH")]
    unit = [_match("number", "[0-9.]+"), _match("unit", ".+")]
    return {
        "comment": _match("comment", _terminal("COMMENT")),
        "string": _match("string", _terminal("STRING"), _terminal("UNTERMINATED")),
        "number": {
            "patterns": [
                _match("value", PATTERN),
                _match("number", SIZE, LENGTHS),
                {"match": QUANTITY, "captures": {"0": {"patterns": unit}}},
                _match("number", DECIMAL, INTEGER),
            ]
        },
        "rest": {
            "patterns": [
                _match("separator", _terminal("_COMMA")),
                _match("operator", *operators),
                _match("bracket", *closers),
                _match("bad", rf"[^{BLANK}\r\n]"),
            ]
        },
        "continuation": _continuation(f"{DASH}|{EQUAL}|{BAR}", "operator"),
    }


def _contexts() -> dict[str, Rule]:
    """Return the rules of words by context."""
    general = [*map(_include, ("comment", "brackets", "formula", "string", "number"))]
    block = _match("block", f"{WORD}(?:{BLANKS}{WORD})+")
    words = [*_names(before="(?=[A-Z])"), *_names(behind=CALLED), _match("value", WORD)]
    lettered = [
        {"match": f"({LETTERED}[a-z]){WORD_END}{FORMULA_BEHIND}", "captures": {"1": PARTS}},
        {"match": f"((?>(?:[a-z]{NUMBER})+)){WORD_END}", "captures": {"1": PARTS}},
    ]
    named = _match("argument", f"{WORD}(?={GAP}{EQUAL})")
    inner = _bracket("_LPAR", "_RPAR", [_include("parameters")])
    arguments = rf"(?:{GAP}\((?:{_terminal('STRING')}|[^{{}}\"\r\n])*\))?"
    return {
        "expression": {"patterns": [block, _include("items")]},
        "items": {"patterns": [*general, _include("pointwise"), *_names(), _include("rest")]},
        "pointwise": {
            "begin": rf"{POINTWISE}{WORD_END}(?={arguments}{GAP}{_terminal('LBRACE')})",
            "beginCaptures": _first("name"),
            "end": rf"(?<={_terminal('RBRACE')})|{ANYWAY}",
            "patterns": [
                _bracket("LBRACE", "RBRACE", [_include("equations")]),
                _bracket("_LPAR", "_RPAR", [_include("arguments")]),
            ],
        },
        "values": {"patterns": [*general, *words, _include("rest")]},
        "arguments": {"patterns": [*general, named, block, *lettered, *words, _include("rest")]},
        "equations": {
            "patterns": [
                *map(_include, ("comment", "formula", "string", "number")),
                _bracket("_LPAR", "_RPAR", [_include("equations")]),
                _bracket("_LSQB", "_RSQB", [_include("equations")]),
                _match("keyword", f"(?:{'|'.join([*EQUATION_KEYWORDS, PER])}){WORD_END}"),
                _match("name", f"{WORD}(?={GAP}{_terminal('_LPAR')})"),
                _match("argument", WORD),
                _match("operator", _terminal("LESS"), _terminal("MORE")),
                _include("rest"),
            ]
        },
        "parameters": {"patterns": [inner, *general, _match("argument", WORD), _include("rest")]},
    }


def _brackets() -> dict[str, Rule]:
    """Return the rules of brackets and their content."""
    return {
        "brackets": {
            "patterns": [
                _expression_bracket("LBRACE", "RBRACE"),
                _expression_bracket("LESS", "MORE"),
                _expression_bracket("_LSQB", "_RSQB"),
                _bracket("_LPAR", "_RPAR", [_include("arguments")]),
            ]
        },
        "formula": {
            "begin": _terminal("_OPEN"),
            "beginCaptures": _first("formula"),
            "end": rf"({_terminal('_RPAR')})(?:(?=[a-z])({LETTERED}[a-z]?){WORD_END}|({WORD}))?|{ANYWAY}",
            "endCaptures": {"1": {"name": _scope("formula")}, "2": PARTS, "3": {"name": _scope("name")}},
            "patterns": [_include("parameters")],
        },
    }


def _statements() -> dict[str, Rule]:
    """Return the rules of statements by their first word, and of entries of sections."""
    values = [_include("continuation"), _include("values")]
    allow_values = [
        _match("value", WORD, SIZE, QUANTITY, DECIMAL, INTEGER, f"{DASH}(?=[A-Za-z0-9])"),
        *map(_include, ("continuation", "comment", "brackets", "formula", "string", "rest")),
    ]
    section_end = f"(?={_terminal('RBRACE')})|{STATEMENT_END}"
    entry = _statement(WORD, {"0": "key"}, values, section_end)
    other = _statement(rf"(?=[^{BLANK}\r\n#A-Za-z}}])", {}, values, section_end)
    body = [_include("continuation"), _include("expression")]
    let = [
        {"begin": f"(?={EQUAL})", "end": section_end, "patterns": body},
        *map(_include, ("continuation", "comment", "brackets", "formula", "string", "number")),
        _match("block", f"{WORD}(?:{BLANKS}{WORD})*"),
        _include("rest"),
    ]
    lines = [
        _statement(f"(let){WORD_END}", {"1": "keyword"}, let, section_end),
        _statement(f"(give){WORD_END}", {"1": "keyword"}, body, section_end),
    ]
    header = [
        _bracket("LBRACE", "RBRACE", [_include("comment"), *lines, entry, other]),
        _bracket("_LSQB", "_RSQB", [_include("parameters")]),
        {"begin": f"(?={EQUAL})", "end": STATEMENT_END, "patterns": [_include("continuation"), _include("expression")]},
        _bracket("_LPAR", "_RPAR", [_include("parameters")]),
        *map(_include, ("continuation", "comment", "brackets", "formula", "string", "number")),
        _match("block", f"{WORD}(?:{BLANKS}{WORD})*"),
        _include("rest"),
    ]
    section = _bracket("LBRACE", "RBRACE", [_include("comment"), entry, other])
    equations = _bracket("LBRACE", "RBRACE", [_include("equations")])
    parameters = rf"(?:{GAP}\([^{{}}\r\n]*\))?(?:{GAP}\[[^{{}}\r\n]*\])?"
    neuron = f"({NEURON}){WORD_END}(?={BLANKS}{WORD}{parameters}{GAP}{_terminal('LBRACE')})"
    on = f"(?:{BLANKS}(on){WORD_END})?"
    quantity = f"(?:{BLANKS}({WORD}))?"
    statements = [
        _statement(_keywords("_VERSION", "_USE"), {"1": "keyword"}, values),
        _statement(f"(?={_keywords('_BODY')}{LINE_END})", {}, [_continuation(_keywords("_BODY"), "keyword"), *body]),
        _statement(_keywords("_BODY"), {"1": "keyword"}, body),
        _statement(_keywords("_LET", "_BLOCK", "_PART"), {"1": "keyword"}, header),
        _statement(neuron, {"1": "keyword"}, [equations, *header]),
        _statement(_keywords("_EXPECT", "_CLAIM") + quantity, {"1": "keyword", "2": "key"}, values),
        _statement(_keywords("_ALLOW"), {"1": "keyword"}, allow_values),
        _statement(_keywords("SECTION") + on, {"1": "keyword", "2": "keyword"}, [section, *allow_values]),
        _statement(WORD, {"0": "key"}, values),
        _statement(rf"(?=[^{BLANK}\r\n#A-Za-z])", {}, values),
    ]
    return {"statement": {"patterns": statements}}


def grammar() -> Rule:
    """Return the grammar."""
    return {
        "name": LANGUAGE,
        "scopeName": f"source.{LANGUAGE}",
        "fileTypes": ["net"],
        "firstLineMatch": "^sewdsl [0-9]",
        "patterns": [_include("comment"), _include("statement")],
        "repository": {**_statements(), **_contexts(), **_brackets(), **_tokens()},
    }


def text() -> str:
    """Return the grammar as JSON."""
    return json.dumps(grammar(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
