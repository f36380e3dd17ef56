"""Lark's tree to ours, with the words of the dialect as names of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.syntax import tree
from sewdsl.syntax.builder import Children, TreeBuilder
from sewdsl.syntax.counts import check_count
from sewdsl.syntax.scanner import Language

if TYPE_CHECKING:
    from sewdsl.source import Span

LANGUAGE = Language("he", ("compact",))


class HeBuilder(TreeBuilder):
    """Builds the nodes of one source: a Call for each word, its remark as an argument; a Repeat for what has a count.

    Groups without one are repeats of a single copy.
    """

    def _layer(self, children: Children, span: Span) -> tree.Call:
        word, *remark = children
        name = tree.Name((self.build(word),), (False,), span=self._span(word))
        return tree.Call(name, tuple(map(self.build, remark)), span=span)

    def _remark(self, children: Children, span: Span) -> tree.Argument:
        word = self.build(children[0])
        return tree.Argument(None, tree.Call(tree.Name((word,), (False,), span=word.span), span=word.span), span=span)

    def _times(self, children: Children, span: Span) -> tree.Repeat:
        times, item = children
        digits = times.rstrip(" \t\u00a0\u2009x*\u00d7\u204e\u2217")
        count = tree.Number(digits, span=self._span(times).part(0, len(digits)))
        return self._repeated(tree.Sequence((self.build(item),), span=self._span(item)), count, span)

    def _repeat(self, children: Children, span: Span) -> tree.Repeat:
        _, body, _, count = children
        return self._repeated(self.build(body), self.build(count), span)

    def _group(self, children: Children, span: Span) -> tree.Repeat:
        body, *count = children
        return self._repeated(self.build(body), self.build(count[0]) if count else tree.Number("1", span=span), span)

    def _repeated(self, body: tree.Sequence, count: tree.Number, span: Span) -> tree.Repeat:
        return tree.Repeat(body, check_count(count, self.diagnostics, self.limits), span=span)
