"""The walk over an expression that makes the nodes."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.blocks import BlockCalls, BlockProblem
from sewdsl.elaborate.builder import Builder
from sewdsl.elaborate.calls import Calls
from sewdsl.elaborate.formulas import FormulaError, evaluate
from sewdsl.elaborate.frame import Frame
from sewdsl.elaborate.names import IDENTITY, OWN_JOIN, Vocabulary
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.network import Step
from sewdsl.ir.op import Activation, Join, Misfit, Op
from sewdsl.ops import find
from sewdsl.source import Span
from sewdsl.syntax.limits import Limits
from sewdsl.syntax.tree import Alternative, Call, Item, JoinOf, Name, Number, Repeat, Sequence

Place = int | None
"""Index of the node whose output flows on; None behind something broken."""


class TooLarge(Exception):  # noqa: N818 -- not an error of the program
    """Raised where the expansion passes a limit; reported. Nothing after it can be said."""


class Walker:
    """Walks one body."""

    def __init__(
        self, builder: Builder, calls: Calls, vocabulary: Vocabulary, diagnostics: Diagnostics, limits: Limits
    ) -> None:
        self._builder, self._calls, self._vocabulary = builder, calls, vocabulary
        self._blocks = BlockCalls(diagnostics)
        self._diagnostics, self._limits = diagnostics, limits
        self._nearest: Activation | None = None
        self._unsure = False  # whether an activation may stand where something is not understood
        self._ops: dict[tuple[int, int], Op | None] = {}
        self._frames: dict[tuple[object, ...], int] = {}
        self._visits = 0

    def sequence(self, sequence: Sequence, at: Place, frame: Frame) -> Place:
        """Makes the nodes of a sequence behind a place; the place behind them."""
        for item in sequence.items:
            at = self._item(item, at, frame)
        return at

    def _item(self, item: Item, at: Place, frame: Frame) -> Place:
        self._visits += 1
        if self._visits > self._limits.nodes:
            self._too_large(item.span, frame)
        match item:
            case Repeat():
                return self._repeat(item, at, frame)
            case JoinOf():
                return self._join(item, at, frame)
            case Call():
                return self._call(item, at, frame)

    # --- repeats -------------------------------------------------------------------------------------------

    def _repeat(self, repeat: Repeat, at: Place, frame: Frame) -> Place:
        copies = self._copies(repeat, frame)
        ordinal = frame.number("repeat")
        for copy in range(1, copies + 1):
            step = Step("repeat", "repeat", f"repeat{ordinal}.{copy}", copy, copies)
            at = self.sequence(repeat.body, at, frame.inside(step))
            if at is None:
                break  # the other copies would say the same
        return at

    def _copies(self, repeat: Repeat, frame: Frame) -> int:
        if isinstance(repeat.count, Number):
            return int(repeat.count.value)
        try:
            copies = evaluate(repeat.count.formula, frame.parameters, self._diagnostics)
        except FormulaError:
            return 1
        if copies == 0:
            self._diagnostics.report(
                "zero-count", "a repeat of 0 copies", repeat.count.span, help="repeat at least once"
            )
        if copies > self._limits.repeat:
            message = f"{copies:,} copies, but the limit is {self._limits.repeat:,}"
            self._diagnostics.report(
                "repeat-too-large", message, repeat.count.span, help="raise it with --limit repeat=N"
            )
            raise TooLarge
        return copies

    # --- joins ---------------------------------------------------------------------------------------------

    def _join(self, item: JoinOf, at: Place, frame: Frame) -> Place:
        op = self._join_op(item.name, frame)
        ordinal = frame.number("branch")
        suffix = str(ordinal) if ordinal > 1 else ""
        branch = self.sequence(item.branch, at, frame.inside(Step("branch", "branch", f"branch{suffix}")))
        shortcut_frame = frame.inside(Step("shortcut", "shortcut", f"shortcut{suffix}"))
        shortcut = self._shortcut(item.shortcut, at, branch, shortcut_frame)
        if op is None or branch is None or shortcut is None:
            return None
        return self._add(op, (branch, shortcut), item.span, item.name.span.text, frame)

    def _join_op(self, name: Name, frame: Frame) -> Join | None:
        text = name.plain or name.span.text
        if text == OWN_JOIN:
            return frame.join
        kind = find(text)
        if kind is not None and issubclass(kind, Join):
            return kind()
        joins = [known for known, k in CATALOGUE.items() if issubclass(k, Join)]
        self._diagnostics.report(
            "wrong-kind" if kind is not None else "unknown-name",
            f"'{name.span.text}' is not a join",
            name.span,
            help=did_you_mean(text, [*joins, OWN_JOIN]) or f"joins: {', '.join([*joins, OWN_JOIN])}",
            path=frame.where(name.span.text),
        )
        return None

    def _shortcut(self, shortcut: Sequence | Alternative, at: Place, branch: Place, frame: Frame) -> Place:
        """The shortcut's place; of two, the first whose shape is the branch's."""
        if isinstance(shortcut, Sequence):
            return self.sequence(shortcut, at, frame)
        if branch is None or at is None:
            self.sequence(shortcut.second, None, frame)
            return None
        mark, nearest = len(self._builder.nodes), self._nearest
        scratch = Walker(self._builder, self._calls, self._vocabulary, Diagnostics(), self._limits)
        place = scratch.sequence(shortcut.first, at, frame)
        if place is not None and self._builder.signal(place).shape == self._builder.signal(branch).shape:
            return place
        self._builder.cut(mark)
        self._nearest = nearest
        return self.sequence(shortcut.second, at, replace(frame, ordinals=type(frame.ordinals)()))

    # --- calls ---------------------------------------------------------------------------------------------

    def _call(self, call: Call, at: Place, frame: Frame) -> Place:
        plain = call.name.plain
        if plain == IDENTITY:
            return at
        if plain is not None and plain in self._vocabulary.blocks:
            return self._block(call, plain, at, frame)
        op = self._op(call, frame)
        if op is None or at is None:
            return None
        return self._add(op, (at,), call.span, call.span.text, frame)

    def _op(self, call: Call, frame: Frame) -> Op | None:
        """The op of a call; asked once for each set of surroundings, however often a repeat comes by."""
        surroundings = (id(call), *frame.parameters.items(), id(frame.neuron), id(self._nearest))
        key = (id(call), self._frames.setdefault(surroundings, len(self._frames)))
        if key not in self._ops:
            try:
                name = self._calls.spell(call, frame)
                self._ops[key] = self._calls.op(call, name, frame, self._nearest, unsure=self._unsure)
            except FormulaError:
                self._ops[key] = None
        self._unsure = self._unsure or self._ops[key] is None
        return self._ops[key]

    def _block(self, call: Call, key: str, at: Place, frame: Frame) -> Place:
        definition = self._vocabulary.blocks[key]
        before = None if at is None else self._builder.signal(at)
        here = replace(frame, neuron=frame.neuron or self._nearest)
        try:
            inner = self._blocks.frame(call, key, definition, here, before)
        except BlockProblem:
            return None
        if inner is None:
            return None
        if frame.site is not None or key in self._vocabulary.own:
            return self.sequence(definition.expression, at, inner)
        self._diagnostics.site = call.span
        try:
            return self.sequence(definition.expression, at, replace(inner, site=call.span))
        finally:
            self._diagnostics.site = None

    def _add(self, op: Op, inputs: tuple[int, ...], span: Span, text: str, frame: Frame) -> Place:
        if len(self._builder.nodes) > self._limits.nodes:
            self._too_large(span, frame)
        try:
            index = self._builder.add(frame.node_name(op.key), op, inputs, frame.path, frame.site or span)
        except Misfit as misfit:
            self._misfit(misfit, inputs, span, text, frame)
            return None
        if isinstance(op, Activation):
            self._nearest = op
        return index

    def _misfit(self, misfit: Misfit, inputs: tuple[int, ...], span: Span, text: str, frame: Frame) -> None:
        copy = next((step for step in reversed(frame.path) if step.kind == "repeat"), None)
        signal = self._builder.signal(inputs[0])
        label = f"input is [{', '.join(map(str, signal.shape))}]" if len(inputs) == 1 else "branch and shortcut differ"
        help_text = misfit.help
        if copy is not None and copy.copy > 1 and misfit.code == "spatial-size-exhausted":
            help_text = f"the input lasts for {copy.copy - 1} copies; use *{copy.copy - 1} or a larger input"
        self._diagnostics.report(
            misfit.code,
            str(misfit),
            span,
            label=f"{copy}: {label}" if copy is not None else label,
            help=help_text,
            path=frame.where(text),
        )

    def _too_large(self, span: Span, frame: Frame) -> None:
        message = f"more than {self._limits.nodes:,} nodes, the limit"
        self._diagnostics.report(
            "network-too-large", message, span, help="raise it with --limit nodes=N", path=frame.where(span.text[:40])
        )
        raise TooLarge
