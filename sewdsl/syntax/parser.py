"""Source to syntax tree, with what is wrong; what could be parsed is returned, so that later stages find more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import takewhile
from typing import Any, TypeVar, cast

from lark import Token, UnexpectedToken

from sewdsl.limits import DEFAULT_LIMITS, Limits, raise_limit_help
from sewdsl.reporter import NestingError, Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax import tree
from sewdsl.syntax.brackets import BracketPairs, match_brackets
from sewdsl.syntax.characters import check_arrows, check_characters
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.pasted_text import (
    add_missing_body,
    check_other_notation,
    check_own_notation,
    rejoin_lines,
    strip_citation,
)
from sewdsl.syntax.repair import repair_token
from sewdsl.syntax.scanner import NET_LANGUAGE, Language, scan, token_end, token_span, token_start
from sewdsl.syntax.scanner import parser as language_parser
from sewdsl.syntax.statements import Lines, check_version, mark_alternatives, statements
from sewdsl.syntax.tree_builder import TreeBuilder
from sewdsl.syntax.unexpected_token import ParseFailure, describe_unexpected

MAX_EQUATIONS = 200
"""Statements between the braces of one neuron."""
MAX_EQUATION_TOKENS = 400
"""Names, numbers and signs in one of them."""

_MAX_REPORTS = 1000
"""More statements than this that fit nothing are no text of this language; the rest goes unreported."""


def parse(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """The tree of a ``.net`` file; a statement that has errors is left out."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.file)


def parse_statements(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """The tree of a part of a ``.net`` file, which begins with no version."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(lambda: parser.file(part=True))


def parse_compact(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """The tree of a compact string as a document of one Body; of none if it has errors. Newlines are white space."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.compact)


def parse_value(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tuple[tree.Value, ...] | None]:
    """The values of a setting, as they follow ``--set KEY=``; None if they have errors."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.values)


def parse_dialect(
    source: Source, language: Language, builder: type[TreeBuilder], limits: Limits = DEFAULT_LIMITS
) -> Reported[tree.Document]:
    """The tree of a compact string in another language, as a document of one Body; of none if it has errors."""
    parser = _Parser(source, limits, builder, language)
    return parser.reporter.follow(parser.compact)


class _Parser:
    """The way through the stages of syntax for one source."""

    def __init__(
        self,
        source: Source,
        limits: Limits,
        builder: type[TreeBuilder] = TreeBuilder,
        language: Language = NET_LANGUAGE,
    ) -> None:
        self.source, self.limits, self.reporter = source, limits, Reporter(limits)
        self.whole = Span(source, 0, len(source.text))
        self.broken: set[int] = set()
        self.language = language
        self.statements = StatementParser(builder(source, self.reporter), language)
        self.tries = StatementParser(TreeBuilder(source, Reporter(limits)))

    def file(self, *, part: bool = False) -> tree.Document:
        tokens, brackets = self._scan()
        if tokens is None:
            return tree.Document((), span=self.whole)
        lines = self.reporter.take(rejoin_lines(self.source, statements(tokens, brackets), self._reads))
        if not part:
            self.reporter.extend(check_version(self.source, lines))
            if (missing := add_missing_body(self.source, lines)) is not None:
                self.reporter.add(missing)
        found = [(line, self._statement(line)) for line in lines]
        unread = frozenset(_defined(line.tokens) for line, statement in found if statement is None) - {""}
        read = tuple(statement for _, statement in found if statement)
        return tree.Document(read, unread, span=self.whole)

    def compact(self) -> tree.Document:
        body = self._single("compact")
        return tree.Document((body,) if isinstance(body, tree.Body) else (), span=self.whole)

    def values(self) -> tuple[tree.Value, ...] | None:
        setting = self._single("values")
        return setting.values if isinstance(setting, tree.Setting) else None

    def _scan(self) -> tuple[list[Token] | None, BracketPairs]:
        """The tokens and how their brackets pair; None for a text that is too long."""
        size, limit = len(self.source.text.encode("utf-8", "surrogatepass")), self.limits.source_bytes
        if size > limit:
            self.reporter.report(
                "source-too-long",
                f"the source has {size} bytes, over the limit of {limit}",
                Span(self.source, 0, 0),
                label="begins here",
                help=raise_limit_help("source"),
            )
            return None, BracketPairs()
        tokens = scan(self.source, self.language)
        self.broken = self.reporter.take(check_characters(self.source, tokens, self.limits))
        brackets = match_brackets(self.source, tokens, self.limits)
        self.broken |= brackets.broken
        self.reporter.extend(brackets.diagnostics)
        if self.language is NET_LANGUAGE:
            self.reporter.extend(check_arrows(self.source, tokens, brackets))
        return tokens, brackets

    def _single(self, rule: str) -> tree.Statement | tree.Equation | None:
        """The tree of a text that is one expression, or the values of one setting."""
        tokens, _ = self._scan()
        if tokens is None:
            return None
        tokens = [token for token in tokens if token.type not in {"COMMENT", "NEWLINE"}]
        mark_alternatives(tokens)
        return self._parse(tokens, rule)

    def _statement(self, lines: Lines) -> tree.Statement | None:
        inside = (token_start(token) for tokens in lines.entries for token in tokens)
        if lines.neuron and lines.tokens[-1].type != "RBRACE" and not self.broken.isdisjoint(inside):
            return None  # a bracket that is not closed between the braces takes the closing brace in
        statement = self._parse(lines.tokens, "statement")
        assert not isinstance(statement, _EQUATIONS)  # noqa: S101 -- the rule says so
        if lines.neuron and self._too_large(lines):
            return None
        entries = [self._parse(tokens, lines.entry_rule) for tokens in lines.entries]
        if isinstance(statement, tree.Section):
            return replace(statement, settings=tuple(entry for entry in entries if isinstance(entry, tree.Setting)))
        if isinstance(statement, tree.BlockDefinition) and lines.long_block:
            return self._long_block(statement, entries)
        if isinstance(statement, tree.NeuronDefinition):
            equations = tuple(entry for entry in entries if isinstance(entry, _EQUATIONS))
            return replace(statement, equations=equations) if len(equations) == len(entries) else None
        return statement

    def _too_large(self, lines: Lines) -> bool:
        """Whether a neuron has more equations than may be, or one that is too long, which is reported."""
        longest = max(lines.entries, key=len, default=[])
        if len(lines.entries) <= MAX_EQUATIONS and len(longest) <= MAX_EQUATION_TOKENS:
            return False
        if len(lines.entries) > MAX_EQUATIONS:
            what, limit = f"the neuron has {len(lines.entries)} statements", MAX_EQUATIONS
            first, last = lines.tokens[0], lines.tokens[min(1, len(lines.tokens) - 1)]
        else:
            what, limit = f"the equation has {len(longest)} names, numbers and signs", MAX_EQUATION_TOKENS
            first, last = longest[0], longest[0]
        span = token_span(self.source, first, last)
        self.reporter.report("equations-too-large", f"{what}, over the limit of {limit}", span, help="make it shorter")
        return True

    def _long_block(
        self, block: tree.BlockDefinition, lines: Sequence[tree.Statement | tree.Equation | None]
    ) -> tree.BlockDefinition | None:
        """A block with the lines between its braces; None where some have errors, or none says what it gives."""
        gives = [line for line in lines if isinstance(line, tree.Give)]
        if None in lines:
            return None
        if not gives:
            self.reporter.report(
                "missing-give",
                "the block does not say what it gives",
                Span(self.source, block.span.end - 1, block.span.end),
                label="expected 'give …' before this",
                help="the last line between the braces is 'give' and a sequence",
            )
            return None
        place = lines.index(gives[0])
        for line in lines[place + 1 :]:
            assert line is not None  # noqa: S101 -- as was seen above
            said = "gives once" if isinstance(line, tree.Give) else "names nothing after what it gives"
            hint = "'give' is its last line, and the only one"
            self.reporter.report("unexpected-token", f"a block {said}", line.span, label="remove it", help=hint)
        lets = tuple(line for line in lines[:place] if isinstance(line, tree.Let))
        return replace(block, expression=gives[0].expression, lets=lets)

    def _reads(self, tokens: list[Token], rule: str) -> bool:
        """Whether tokens follow a rule once fixed, of which nothing is said."""
        if any(token_start(token) in self.broken for token in tokens):
            return False
        return self.tries.parse(tokens, rule) is not None

    def _parse(self, tokens: list[Token], rule: str) -> tree.Statement | tree.Equation | None:
        """The tree of one statement, unless its tokens were already found to be broken."""
        if any(token_start(token) in self.broken for token in tokens):
            return None
        if rule == "compact" or (tokens and tokens[0].type == "_BODY"):
            check = check_other_notation if self.language is NET_LANGUAGE else check_own_notation
            elsewhere = check(self.source, tokens)
            self.reporter.extend(elsewhere)
            if elsewhere:
                return None
            tokens = self.reporter.take(strip_citation(self.source, tokens))
        return self.statements.parse(tokens, rule)


_EQUATIONS = (tree.Learn, tree.StateDeclaration, tree.Assignment, tree.Gives)


class StatementParser:
    """Drives Lark's parser over the tokens of single statements, fixing what can be fixed.

    Attributes:
        builder: Makes our tree of Lark's; what is wrong is reported where it reports too.
    """

    def __init__(self, builder: TreeBuilder, language: Language = NET_LANGUAGE) -> None:
        self.builder, self.language = builder, language
        self.source, self.reporter = builder.source, builder.reporter
        self.reports = 0

    def parse(self, tokens: list[Token], rule: str) -> tree.Statement | tree.Equation | None:
        """The tree of a statement's tokens; None, with something reported, if they do not follow the rule."""
        parser = language_parser(self.language).parse_interactive(start=rule)
        before: Token | None = None
        faithful = True
        result: Any = None
        place = token_end(tokens[-1]) if tokens else len(self.source.text)
        end = Span(self.source, place, place)
        stream = [*tokens, Token("$END", "", place, end.line, end.column, end.line, end.column, place)]
        passed = 0  # tokens at the front of the stream that were read, or left out
        for at, token in enumerate(stream):
            if at < passed:
                continue
            try:
                result = parser.feed_token(token)
            except UnexpectedToken:
                self.reports += 1
                reported = self.reports <= _MAX_REPORTS  # once too much is wrong, nothing is
                accepted = cast("set[str]", parser.accepts()) if reported else set()  # type: ignore[no-untyped-call]
                repaired = repair_token(self.source, before, stream[at:], accepted)
                refused = False
                try:
                    for missing in repaired.tokens if repaired is not None else ():
                        parser.feed_token(missing)
                    if repaired is not None:
                        result = None if repaired.skip else parser.feed_token(token)
                except UnexpectedToken:
                    refused = True
                # a fix after which the text is as wrong as before is none
                if repaired is None or (refused and repaired.diagnostic.fixes):
                    if reported:
                        failure = ParseFailure(self.source, tokens, rule, before, token, accepted)
                        self.reporter.add(describe_unexpected(failure))
                    return None
                self.reporter.add(repaired.diagnostic)
                if refused:
                    return None
                faithful = faithful and repaired.faithful
                passed = at + repaired.skip
            before = stream[max(at, passed - 1)]
        statement: tree.Statement | tree.Equation | None = self.builder.build(result) if faithful else None
        return statement


def _defined(tokens: list[Token]) -> str:
    """The setting's key or the name of the block, neuron or value that a statement defines; empty for others."""
    if tokens[0].type == "KEY":
        return str(tokens[0]) if tokens[0] in SETTINGS else ""
    words = list(takewhile(lambda token: token.type == "WORD", tokens[1:]))
    if tokens[0].type in {"_LET", "_NEURON"}:
        return str(words[0]) if words else ""
    return "".join(words) if tokens[0].type == "_BLOCK" else ""


Tree = TypeVar("Tree")
Parse = Callable[[Source, Limits], Reported[Tree]]


def parse_excerpt(place: Span, parse: Parse[Tree], limits: Limits) -> Reported[Tree]:
    """What a parser makes of the text at a place; its spans, and those of what it says, are in the whole source.

    Raises:
        NestingError: the text nests too deep.
    """
    piece, reporter = Source(place.source.name, place.text), Reporter(limits)
    try:
        parsed = parse(piece, limits)
    except NestingError as error:
        raise NestingError(()) from error  # what was said before is of the piece, not of the whole
    reporter.extend(_moved(parsed.diagnostics, piece, place))
    return reporter.follow(lambda: _moved(parsed.value, piece, place))


def _moved(thing: Any, piece: Source, place: Span) -> Any:
    """The same with every span of the piece where it lies in the whole."""
    if isinstance(thing, Span):
        return place.part(thing.start, thing.end) if thing.source is piece else thing
    if isinstance(thing, tuple):
        return tuple(_moved(item, piece, place) for item in thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{item.name: _moved(getattr(thing, item.name), piece, place) for item in fields(thing)})
    return thing
