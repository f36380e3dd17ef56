"""Parser: source to syntax tree and diagnostics. Statements with errors are left out of the tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import chain, pairwise, takewhile
from typing import Any, TypeVar, cast

from lark import Token, UnexpectedToken

from sewdsl.limits import DEFAULT_LIMITS, Limits, raise_limit_help
from sewdsl.reporter import NestingError, Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax import tree
from sewdsl.syntax.brackets import BracketPairs, match_brackets
from sewdsl.syntax.characters import check_arrows, check_characters
from sewdsl.syntax.lexicon import BLOCK_KEYWORDS, CLOSERS, DEFINES_BLOCK, OPENERS, SETTINGS
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
"""Maximum number of statements in a neuron definition."""
MAX_EQUATION_TOKENS = 400
"""Maximum number of tokens in a statement of a neuron definition."""

_MAX_REPORTS = 1000
"""Maximum number of reported syntax errors. A source with more is probably not a network."""


def parse(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """Parse a ``.net`` file."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.file)


def parse_statements(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """Parse a part of a ``.net`` file, without the version line."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(lambda: parser.file(part=True))


def parse_compact(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tree.Document]:
    """Parse a layer string, where newlines are white space, to a Body, or to no statements if there are errors."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.compact)


def parse_value(source: Source, limits: Limits = DEFAULT_LIMITS) -> Reported[tuple[tree.Value, ...] | None]:
    """Parse the values of a setting, as in ``--set KEY=VALUE``. The result is None after an error."""
    parser = _Parser(source, limits)
    return parser.reporter.follow(parser.values)


def parse_dialect(
    source: Source, language: Language, builder: type[TreeBuilder], limits: Limits = DEFAULT_LIMITS
) -> Reported[tree.Document]:
    """Parse a layer string of a dialect to a Body, or to no statements if there are errors."""
    parser = _Parser(source, limits, builder, language)
    return parser.reporter.follow(parser.compact)


class _Parser:
    def __init__(
        self,
        source: Source,
        limits: Limits,
        builder: type[TreeBuilder] = TreeBuilder,
        language: Language = NET_LANGUAGE,
    ) -> None:
        self.source, self.limits, self.reporter = source, limits, Reporter(limits)
        self.source_span = Span(source, 0, len(source.text))
        self.broken: set[int] = set()
        self.language = language
        self.statements = StatementParser(builder(source, self.reporter), language)
        # Parser for attempts, with a reporter of its own whose diagnostics are dropped.
        self.trial_parser = StatementParser(TreeBuilder(source, Reporter(limits)))

    def file(self, *, part: bool = False) -> tree.Document:
        tokens, brackets = self._scan()
        if tokens is None:
            return tree.Document((), span=self.source_span)
        lines = self.reporter.take(rejoin_lines(self.source, statements(tokens, brackets), self._can_parse))
        if not part:
            self.reporter.extend(check_version(self.source, lines))
            if (missing := add_missing_body(self.source, lines)) is not None:
                self.reporter.add(missing)
        parsed = [(line, self._statement(line)) for line in lines]
        # Later stages do not report names as unknown if their definitions could not be parsed.
        unread = frozenset(_defined(line.tokens) for line, statement in parsed if statement is None) - {""}
        read = tuple(statement for _, statement in parsed if statement)
        return tree.Document(read, unread, span=self.source_span)

    def compact(self) -> tree.Document:
        body = self._single("compact")
        return tree.Document((body,) if isinstance(body, tree.Body) else (), span=self.source_span)

    def values(self) -> tuple[tree.Value, ...] | None:
        setting = self._single("values")
        return setting.values if isinstance(setting, tree.Setting) else None

    def _scan(self) -> tuple[list[Token] | None, BracketPairs]:
        """Return the tokens, or None if the source is too long, and the matched brackets."""
        # A source from Python or an editor can contain unpaired surrogates, which strict encoding rejects.
        size, limit = len(self.source.text.encode("utf-8", "surrogatepass")), self.limits.source_bytes
        if size > limit:
            self.reporter.report(
                "source-too-long",
                f"the source has {size:,} bytes, which exceeds the limit of {limit:,}",
                Span(self.source, 0, 0),
                label="start of the source",
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
            self._check_pointwise(tokens)
        return tokens, brackets

    def _check_pointwise(self, tokens: list[Token]) -> None:
        """Report expressions of ``MAP`` that are too long, and do not parse them."""
        # Building a tree recurses over the operators of an expression.
        start: int | None = None
        for index, token in enumerate(tokens):
            if token.type == "_MAP":
                start = index
            elif token.type == "RBRACE" and start is not None:
                if (size := index - start) > MAX_EQUATION_TOKENS:
                    self._report_too_large(f"the expression has {size} tokens", MAX_EQUATION_TOKENS, tokens[start])
                    self.broken.add(token_start(tokens[start]))
                start = None

    def _single(self, rule: str) -> tree.Statement | tree.Equation | None:
        """Parse a source that is a single expression, or the values of a single setting."""
        tokens, _ = self._scan()
        if tokens is None:
            return None
        tokens = [token for token in tokens if token.type not in {"COMMENT", "NEWLINE"}]
        mark_alternatives(tokens)
        return self._parse(tokens, rule)

    def _statement(self, lines: Lines) -> tree.Statement | None:
        inside = (token_start(token) for tokens in lines.entries for token in tokens)
        if lines.neuron and lines.tokens[-1].type != "RBRACE" and not self.broken.isdisjoint(inside):
            return None  # An unclosed bracket in an equation extends over the closing brace.
        for token in chain(lines.tokens, *lines.entries) if lines.neuron else ():
            # A neuron is not part of a block: no rule accepts a formula in it.
            token.type = "_FORMULA" if token.type == "_OPEN" else token.type
        statement = self._parse(lines.tokens, "statement")
        assert not isinstance(statement, _EQUATIONS)  # noqa: S101 -- not part of the rule
        if lines.neuron and self._too_large(lines):
            return None
        if lines.long_block and self._has_joined_lines(lines.entries):
            return None
        entries = [self._parse(tokens, lines.entry_rule) for tokens in lines.entries]
        if isinstance(statement, tree.Section):
            settings = tuple(entry for entry in entries if isinstance(entry, tree.Setting))
            unread = (str(line[0]) for line, entry in zip(lines.entries, entries, strict=True) if entry is None)
            return replace(statement, settings=settings, unread=frozenset(unread))
        if isinstance(statement, tree.BlockDefinition) and lines.long_block:
            return self._long_block(statement, entries)
        if isinstance(statement, tree.NeuronDefinition):
            equations = tuple(entry for entry in entries if isinstance(entry, _EQUATIONS))
            return replace(statement, equations=equations) if len(equations) == len(entries) else None
        return statement

    def _has_joined_lines(self, entries: Iterable[list[Token]]) -> bool:
        """Return whether ``let`` or ``give`` is inside a line of a block, and report the first in each line."""
        count = len(self.reporter.diagnostics)
        for tokens in entries:
            depth = 0
            for before, token in pairwise(tokens):
                depth += (before.type in OPENERS) - (before.type in CLOSERS)
                if depth == 0 and token.type == "WORD" and token in BLOCK_KEYWORDS and before.type in _ENDS_ITEM:
                    message, hint = f"'{token}' inside a line", f"start a new line before '{token}'"
                    self.reporter.report("unexpected-token", message, token_span(self.source, token), help=hint)
                    break
        return len(self.reporter.diagnostics) > count

    def _too_large(self, lines: Lines) -> bool:
        """Return whether a neuron has too many or too long equations, and report it."""
        longest = max(lines.entries, key=len, default=[])
        if len(lines.entries) <= MAX_EQUATIONS and len(longest) <= MAX_EQUATION_TOKENS:
            return False
        if len(lines.entries) > MAX_EQUATIONS:
            size, last = f"the neuron has {len(lines.entries)} statements", lines.tokens[min(1, len(lines.tokens) - 1)]
            self._report_too_large(size, MAX_EQUATIONS, lines.tokens[0], last)
        else:
            self._report_too_large(f"the equation has {len(longest)} tokens", MAX_EQUATION_TOKENS, longest[0])
        return True

    def _report_too_large(self, size: str, limit: int, first: Token, last: Token | None = None) -> None:
        message, span = f"{size}, which exceeds the limit of {limit}", token_span(self.source, first, last)
        self.reporter.report("equations-too-large", message, span, help="shorten it")

    def _long_block(
        self, block: tree.BlockDefinition, lines: Sequence[tree.Statement | tree.Equation | None]
    ) -> tree.BlockDefinition | None:
        """Return a block with the lines between its braces, or None if a line has errors or ``give`` is missing."""
        gives = [line for line in lines if isinstance(line, tree.Give)]
        # A line with errors could be the missing 'give'.
        if None in lines:
            return None
        if not gives:
            self.reporter.report(
                "missing-give",
                f"missing 'give' line in a {block.keyword}",
                Span(self.source, block.span.end - 1, block.span.end),
                label="expected 'give …' before this",
                help=f"end the {block.keyword} with 'give' and a sequence",
            )
            return None
        give_index = lines.index(gives[0])
        for line in lines[give_index + 1 :]:
            assert line is not None  # noqa: S101 -- checked above
            message = "duplicate 'give' line" if isinstance(line, tree.Give) else "'let' after the 'give' line"
            hint = "remove it; a block ends with its only 'give' line"
            self.reporter.report("unexpected-token", message, line.span, label="after 'give'", help=hint)
        lets = tuple(line for line in lines[:give_index] if isinstance(line, tree.Let))
        return replace(block, expression=gives[0].expression, lets=lets)

    def _can_parse(self, tokens: list[Token], rule: str) -> bool:
        """Return whether tokens match a rule, possibly after repairs, without reporting anything."""
        if any(token_start(token) in self.broken for token in tokens):
            return False
        return self.trial_parser.parse(tokens, rule) is not None

    def _parse(self, tokens: list[Token], rule: str) -> tree.Statement | tree.Equation | None:
        """Parse a statement, unless an error in its tokens is already reported."""
        if any(token_start(token) in self.broken for token in tokens):
            return None
        if rule == "compact" or (tokens and tokens[0].type == "_BODY"):
            check = check_other_notation if self.language is NET_LANGUAGE else check_own_notation
            # Wrong notation would cause many syntax errors: report only the notation.
            notation_errors = check(self.source, tokens)
            self.reporter.extend(notation_errors)
            if notation_errors:
                return None
            tokens = self.reporter.take(strip_citation(self.source, tokens))
        return self.statements.parse(tokens, rule)


_ENDS_ITEM = {*CLOSERS, "WORD", "INTEGER"}
"""Types of tokens that can end an item of a sequence."""
_EQUATIONS = (tree.Learn, tree.StateDeclaration, tree.Assignment, tree.Gives)


class StatementParser:
    """Parser of single statements, based on Lark's interactive parser, with repair of frequent mistakes.

    Attributes:
        builder: Converts Lark's tree. Syntax errors go to its reporter.
    """

    def __init__(self, builder: TreeBuilder, language: Language = NET_LANGUAGE) -> None:
        self.builder, self.language = builder, language
        self.source, self.reporter = builder.source, builder.reporter
        self.reports = 0

    def parse(self, tokens: list[Token], rule: str) -> tree.Statement | tree.Equation | None:
        """Parse the tokens of a statement. If they do not match the rule, report an error and return None."""
        parser = language_parser(self.language).parse_interactive(start=rule)
        before = Token("", "", 0, 1, 1, 1, 1, 0)
        faithful = True
        result: Any = None
        stop = token_end(tokens[-1]) if tokens else len(self.source.text)
        end = Span(self.source, stop, stop)
        stream = [*tokens, Token("$END", "", stop, end.line, end.column, end.line, end.column, stop)]
        consumed = 0  # number of tokens that were parsed or skipped
        for at, token in enumerate(stream):
            if at < consumed:
                continue
            try:
                result = parser.feed_token(token)
            except UnexpectedToken:
                self.reports += 1
                reported = self.reports <= _MAX_REPORTS
                # Computing the accepted tokens is slow, so it is skipped for unreported errors.
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
                # A repair with fixes must make the token acceptable. Otherwise the fix would not help.
                if repaired is None or (refused and repaired.diagnostic.fixes):
                    if reported:
                        failure = ParseFailure(self.source, tokens, rule, before, token, accepted)
                        self.reporter.add(describe_unexpected(failure))
                    return None
                self.reporter.add(repaired.diagnostic)
                if refused:
                    return None
                faithful = faithful and repaired.faithful
                consumed = at + repaired.skip
            before = stream[max(at, consumed - 1)]
        statement: tree.Statement | tree.Equation | None = self.builder.build(result) if faithful else None
        return statement


def _defined(tokens: list[Token]) -> str:
    """Return the key of a setting, or the name of a defined block, neuron or value, if any."""
    if tokens[0].type == "KEY":
        return str(tokens[0]) if tokens[0] in SETTINGS else ""
    words = list(takewhile(lambda token: token.type == "WORD", tokens[1:]))
    if tokens[0].type in {"_LET", "_NEURON"}:
        return str(words[0]) if words else ""
    return "".join(words) if tokens[0].type in DEFINES_BLOCK else ""


Tree = TypeVar("Tree")
Parse = Callable[[Source, Limits], Reported[Tree]]


def parse_excerpt(excerpt: Span, parse: Parse[Tree], limits: Limits) -> Reported[Tree]:
    """Parse a part of a source, with spans in the complete source, or raise NestingError if it is too deep."""
    piece, reporter = Source(excerpt.source.name, excerpt.text), Reporter(limits)
    try:
        parsed = parse(piece, limits)
    except NestingError as error:
        raise NestingError(()) from error  # Drop diagnostics whose spans refer to the piece.
    reporter.extend(_shifted(parsed.diagnostics, piece, excerpt))
    return reporter.follow(lambda: _shifted(parsed.value, piece, excerpt))


def _shifted(value: Any, piece: Source, excerpt: Span) -> Any:
    """Return a copy of a value in which spans of the piece refer to the complete source."""
    if isinstance(value, Span):
        return excerpt.part(value.start, value.end) if value.source is piece else value
    if isinstance(value, tuple):
        return tuple(_shifted(item, piece, excerpt) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {item.name: _shifted(getattr(value, item.name), piece, excerpt) for item in fields(value)}
        return replace(value, **changes)
    return value
