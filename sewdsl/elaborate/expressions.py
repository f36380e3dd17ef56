"""Walk over an expression that creates the nodes, and count of the nodes before it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import count

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.elaborate.block_calls import BlockCalls, block_key, block_title
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.named_values import NamedValue, early_names, is_delay, live_names, value_keys, value_name
from sewdsl.elaborate.node_builder import BuilderMark, Expansion, NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.op import JOIN_OPERANDS, Activation, FeedbackSum, Join, Merge, Op, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal
from sewdsl.limits import Budget
from sewdsl.ops.input import Input
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.delay import Delay
from sewdsl.reporter import InvalidText
from sewdsl.source import Span
from sewdsl.syntax.lexicon import IDENTITY, LETTERED, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.suggestions import MAX_LISTED, advice
from sewdsl.syntax.tree import (
    Alternative,
    BlockDefinition,
    Call,
    Item,
    Let,
    MergeOf,
    Number,
    Pointwise,
    Repeat,
    Sequence,
)

Place = int | None
"""Index of the node whose output is the current value. None after an error."""


MAX_ROUNDS = 8
"""Maximum number of walks over a loop. After that, its feedback is assumed to be real."""
PATH_PER_STEP = 16
"""Length of the path to an item that costs one more step of the budget."""
MAX_WIDENINGS = 500
"""Maximum number of widened ranges of feedback in one source. Further loops assume real feedback at once."""

PLACEHOLDER = "…"
"""Placeholder for arguments in help texts."""


class ExpansionLimitExceeded(Exception):
    """Error for an expansion that exceeds a limit, which is already reported."""


class Walker:
    """Walk over one body that creates its nodes.

    Args:
        calls: Resolver of calls. The walk uses its vocabulary, and its reporter with the limits.
        budget: Work budget, shared by the walks of a source. None allows the maximum for the limits.
        expanded: Names of blocks that are already walked and can be skipped. None walks blocks in every call.
        root: Place that represents all named inputs. No layer can read it.
    """

    def __init__(
        self,
        builder: NodeBuilder,
        calls: CallResolver,
        budget: Budget | None = None,
        expanded: set[str] | None = None,
        root: Place = None,
    ) -> None:
        self._builder, self._calls, self._vocabulary = builder, calls, calls.vocabulary
        self._reporter, self._limits = calls.reporter, calls.reporter.limits
        self._blocks = BlockCalls(calls.default, calls.join, self._reporter, calls.vocabulary.neurons)
        self._budget = budget or Budget.of(self._limits)
        self._expanded, self._root = expanded, root
        self._nearest: Activation | None = None
        self._unsure = False  # whether an unknown item may be an activation
        self._ops: dict[tuple[object, ...], tuple[Op | None, Activation | None, Activation | None]] = {}
        self._misfits: set[Diagnostic] = set()
        self._types_only = False  # whether the walk only infers shapes, and may omit feedback
        self._guessing = False  # whether a shape is guessed, so that errors may be wrong
        self._widenings = 0
        self._shapes: dict[tuple[object, ...], dict[str, Signal]] = {}  # shapes of named values, by _inflow()
        self._fed: dict[tuple[object, ...], dict[str, Signal]] = {}  # signals of their feedback, by _inflow()
        # Whether all paths from a place to a node have a stride, None without a path.
        self._strides: dict[int, dict[int, tuple[Node, bool | None]]] = {}
        self._read_lets: dict[int, tuple[Let, ...]] = {}  # used definitions, by the id of the expression

    def sequence(self, sequence: Sequence, at: Place, frame: CallFrame) -> Place:
        """Create the nodes of a sequence, and return its place.

        Args:
            at: Place of the input, unless the sequence starts with a named value.
        """
        early = False  # whether the sequence starts with a name that the delay after it reads
        for index, item in enumerate(sequence.items):
            name = value_name(item) if frame.names else None
            before, begin = at, len(self._builder.nodes)
            if name is not None and name in frame.names:
                following = sequence.items[1] if index == 0 and len(sequence.items) > 1 else None
                at = before = self._read(item, name, following, frame, first=index == 0)
                early = index == 0 and at is not None and not frame.names[name].computed
            elif index == 1 and before is not None and early:
                begin = before
            else:
                reported = len(self._reporter.diagnostics)
                at = self._item(item, at, frame)
                # Pass on the input of an item that does not fit, but not of a merge whose operands are all unknown.
                if (
                    at is None
                    and self._guessing
                    and len(self._reporter.diagnostics) > reported
                    and before != self._root
                ):
                    at = before
            # Record user code only, for editors: most items of a large network are in shipped blocks.
            if frame.site is None:
                visit = Expansion(item.span, frame.path, before, begin, len(self._builder.nodes), at)
                self._builder.visits.append(visit)
        return at

    def scope(self, lets: tuple[Let, ...], expression: Sequence, at: Place, frame: CallFrame) -> Place:
        """Create the nodes of a file or a block: its named values in order, then its output.

        Args:
            at: Input of sequences that do not start with a name.
        """
        if not lets:
            return self.sequence(expression, at, frame)
        read, live = self._read_lets.get(id(expression)), set[str]()
        if read is None:  # The first walk includes unused values, to report their errors.
            live = live_names(lets, expression)
            self._read_lets[id(expression)] = tuple(let for let in lets if let.name.text in live)
        else:
            lets = read
        dead = set() if read is not None else {let.name.text for let in lets} - live
        return self.sequence(expression, at, frame.with_names(self._values(lets, dead, at, frame)))

    def named(
        self, lets: tuple[Let, ...], expression: Sequence, outputs: Iterable[Call], at: Place, frame: CallFrame
    ) -> list[Place]:
        """Create the nodes of named values, and return the places of the outputs."""
        dead = {let.name.text for let in lets} - live_names(lets, expression)
        names = self._values(lets, dead, at, frame)
        values = [names.get(call.name.plain or "") for call in outputs]
        return [None if value is None else value.index for value in values]

    def _values(
        self, lets: tuple[Let, ...], dead: Collection[str], at: Place, frame: CallFrame
    ) -> dict[str, NamedValue]:
        """Create the nodes of named values in order, without the unused ones, and close the loops between them."""
        early = early_names(lets) - {*dead} if at is not None else set[str]()
        if not early:
            return self._named(lets, dead, at, frame, {})
        # A delay needs a signal before its source exists. So walk several times: first until all shapes are known, then
        # until the value ranges do not change.
        mark, nearest, reported = self._builder.mark(), self._nearest, len(self._reporter.diagnostics)
        key = self._inflow(lets, at, frame)
        if self._types_only or key not in self._fed:
            names = self._shaped(lets, dead, at, frame, early)
            if self._types_only or len(self._reporter.diagnostics) > reported:
                return names
            assumed = {name: self._first_fed(self._builder.signal(names[name].index or 0)) for name in early}
        else:
            assumed = self._fed[key]
        for round_ in count(1):
            self._restart(mark, nearest)
            names = self._named(lets, dead, at, frame, assumed)
            if len(self._reporter.diagnostics) > reported or any(names[name].index is None for name in early):
                return names
            inferred = {name: self._builder.signal(names[name].index or 0) for name in early}
            if all(self._settled(inferred[name], assumed[name]) for name in early):
                break
            changed = [name for name in names if name in early and inferred[name].shape != assumed[name].shape]
            if changed and round_ == MAX_ROUNDS:
                # An equal error of another call is reported once, so that the number of diagnostics does not tell.
                self._report_unknown_shape(names[changed[0]], assumed[changed[0]], (), reported, frame)
                return names
            assumed = {name: self._widened(inferred[name], assumed[name], round_) for name in early}
        self._fed[key] = assumed
        for name in early:
            self._builder.close(names[name].delays, names[name].index or 0)
        return names

    def _inflow(self, lets: tuple[Let, ...], at: Place, frame: CallFrame) -> tuple[object, ...]:
        """Return a key for the signals of named values: their definitions, and the signals that flow into them."""
        places = [at, *(value.index for value in frame.names.values())]
        return id(lets), frame.scope, *(None if index is None else self._builder.signal(index) for index in places)

    def _shaped(
        self, lets: tuple[Let, ...], dead: Collection[str], at: Place, frame: CallFrame, early: Collection[str]
    ) -> dict[str, NamedValue]:
        """Create the nodes of named values with cyclic dependencies, until all shapes are known.

        Args:
            dead: Names of unused values, whose nodes are removed.
            early: Names of values that delays read before they are computed.
        """
        # A merge assumes that an unknown operand has the shape of its first known one. After such a guess, errors are
        # dropped, and items that do not fit return their input, until a pass confirms all shapes.
        mark, nearest, reported = self._builder.mark(), self._nearest, len(self._reporter.diagnostics)
        outer, guessing, changes = self._types_only, self._guessing, 0
        key = self._inflow(lets, at, frame)
        known = self._shapes.get(key, {})
        lasting: set[Diagnostic] | None = None  # misfits of all passes with a guess
        ever = {*known}
        self._types_only = True
        while True:
            names = self._named(lets, dead, at, frame, known)
            inferred = {name: self._builder.signal(index) for name in early if (index := names[name].index) is not None}
            if not self._guessing and (inferred.keys() == early or len(self._reporter.diagnostics) > reported):
                break
            changed = [name for name in inferred.keys() & known.keys() if inferred[name].shape != known[name].shape]
            if self._guessing:
                # The label has the guessed shape.
                misfits = {
                    replace(each, label="") for each in self._reporter.diagnostics[reported:] if each in self._misfits
                }
                lasting = misfits if lasting is None else lasting & misfits
            # A value whose shape grows may leave another one without a shape in every second pass.
            if inferred.keys() <= ever:
                changes += 1
                is_settled = inferred.keys() == known.keys() and not changed
                if is_settled and inferred.keys() == early:
                    self._forget(reported)
                    self._guessing, self._shapes[key] = guessing, known
                    break
                if is_settled or changes == MAX_ROUNDS:
                    unknown = set(early) - (inferred.keys() & known.keys())
                    first = next(name for name in names if name in (changed or unknown))
                    if not outer:  # Otherwise the enclosing scope may still determine the shape.
                        self._report_unknown_shape(names[first], known.get(first), lasting or set(), reported, frame)
                    break
            if self._guessing:
                self._forget(reported)
            known = inferred
            ever |= inferred.keys()
            self._restart(mark, nearest)
        self._types_only = outer
        self._guessing = self._guessing and outer
        return names

    def _report_unknown_shape(
        self,
        value: NamedValue,
        known: Signal | None,
        lasting: Collection[Diagnostic],
        reported: int,
        frame: CallFrame,
    ) -> None:
        """Report that the shape of a value cannot be inferred, or the layers that do not fit any guessed shape.

        Args:
            known: Signal of the value before the last pass, if any.
            lasting: Diagnostics of layers that do not fit in any pass.
            reported: Number of diagnostics before the first pass.
        """
        # Another error may be the cause. Errors of guessed shapes do not count.
        fresh = self._reporter.diagnostics[reported:]
        if any(diagnostic not in self._misfits for diagnostic in fresh):
            return
        if lasting:
            self._forget(reported)
            self._reporter.extend(sorted(lasting, key=lambda each: (each.span.start, each.message)))
            return
        name = value.defined.text
        if known is None:
            message = f"cannot infer the shape of '{name}': it depends only on itself, through delays"
            hint = f"add an input, e.g. ADD[id | {name}-DELAY]"
        else:
            message = f"the shape of '{name}' changes in every pass through the loop"
            layer = "FC8" if len(known.shape) == 1 else "c8k3"
            hint = f"end the loop with a layer of fixed width, e.g. CAT[id | {name}-DELAY]-{layer}"
        self._forget(reported)
        self._reporter.report("unknown-shape", message, value.defined, help=hint, path=frame.where("DELAY"))

    def _forget(self, reported: int) -> None:
        """Remove the diagnostics after the first ``reported`` ones, and the cached failures that caused them."""
        if len(self._reporter.diagnostics) > reported:
            self._reporter.take_back(reported)
            self._ops = {key: entry for key, entry in self._ops.items() if entry[0] is not None}
            self._blocks.forget_problems()
            self._read_lets.clear()

    def _restart(self, mark: BuilderMark, nearest: Activation | None) -> None:
        """Remove the nodes after a mark before another walk."""
        self._builder.cut(mark)
        self._nearest = nearest

    @staticmethod
    def _settled(inferred: Signal, fed: Signal) -> bool:
        """Return whether the inferred signal of a loop is covered by the assumed feedback."""
        return inferred.shape == fed.shape and fed.values in {inferred.values, REAL}

    def _first_fed(self, inferred: Signal) -> Signal:
        """Return the first assumption for feedback, from the signal without feedback."""
        return Signal(inferred.shape, inferred.values if self._widenings < MAX_WIDENINGS else REAL)

    def _widened(self, inferred: Signal, fed: Signal, round_: int) -> Signal:
        """Return the next assumption for feedback: the inferred signal, or real values after some rounds."""
        if fed.values in {inferred.values, REAL}:
            return Signal(inferred.shape, fed.values)
        self._widenings += 1
        return Signal(inferred.shape, inferred.values if round_ < MAX_ROUNDS else REAL)

    def _named(
        self,
        lets: tuple[Let, ...],
        dead: Collection[str],
        at: Place,
        frame: CallFrame,
        assumed: Mapping[str, Signal],
    ) -> dict[str, NamedValue]:
        """Create the nodes of named values once, with assumed signals of values that delays read before."""
        names = {**frame.names}
        for let in lets:
            name = let.name.text
            names.setdefault(name, NamedValue(let.name.span, assumed=assumed.get(name)))
        frame, keys = frame.with_names(names), value_keys(names)
        for let in lets:
            name = let.name.text
            if names[name].computed:  # A duplicate definition is reported elsewhere.
                continue
            mark, nearest = self._builder.mark(), self._nearest
            names[name].index = self.sequence(let.expression, at, frame.inside(PathStep("value", name, keys[name])))
            names[name].computed = True
            if name in dead:
                self._builder.cut(mark)
                self._nearest, names[name].index = nearest, None
        return names

    def _read(self, item: Item, name: str, following: Item | None, frame: CallFrame, *, first: bool) -> Place:
        """Return the place of a named value, or of the delay after a value that is computed later."""
        self._step(item.span, frame)
        value, path = frame.names[name], frame.where(name)
        if isinstance(item, Call) and (item.arguments or item.called):
            message, hint = f"'{name}' is a value and takes no arguments", f"write '{name}'"
            self._reporter.report("unknown-argument", message, item.span, help=hint, path=path)
            return None
        if first and value.computed:
            self._builder.understood = True
            return value.index
        # Only a delay can read a value that is computed later.
        if first and isinstance(following, Call) and is_delay(following):
            return self._read_delayed(following, value, frame)
        if first:
            message = f"'{name}' is read before it is defined"
            hint = f"read its value of the previous time-step with {name}-DELAY"
            if value.defined.line != item.span.line:
                hint = f"move line {value.defined.line} above this one, or {hint}"
        else:
            message = f"'{name}' is a value and must start a sequence"
            hint = f"start a sequence with it, e.g. {name}-c32k3, or merge it, e.g. CAT[ {name} | id ]"
        self._reporter.report("misplaced-name", message, item.span, help=hint, path=path)
        return None

    def _read_delayed(self, call: Call, value: NamedValue, frame: CallFrame) -> Place:
        """Create the delay of a value that is computed later, if its signal is known."""
        op = self._op(call, frame)
        if op is None:
            return None
        self._builder.understood = True
        if value.assumed is None:
            return None
        return self._delay(op, value.assumed, call.span, frame, value.delays)

    def _delay(self, op: Op, signal: Signal, span: Span, frame: CallFrame, delays: list[int]) -> int:
        """Create a delay of a value that is computed later, and add it to the delays of that value."""
        delay = self._builder.add_delay(frame.node_name(op.key), op, signal, frame.path, frame.site or span)
        self._builder.gather(delay, delays)
        return delay

    def _item(self, item: Item, at: Place, frame: CallFrame) -> Place:
        self._step(item.span, frame)
        match item:
            case Repeat():
                return self._repeat(item, at, frame)
            case MergeOf():
                return self._merge(item, at, frame)
            case Pointwise():
                op = self._op(item, frame)
                return None if op is None or at is None else self._add(op, (at,), item.span, item.span.text, frame)
            case Call():
                return self._call(item, at, frame)

    def _step(self, span: Span, frame: CallFrame) -> None:
        """Spend the budget for an item or a copy of a repeat."""
        # The path of an item is copied, so deeper items cost more.
        if not self._budget.spend(1 + len(frame.path) // PATH_PER_STEP):
            steps = f"the limit of {Budget.of(self._limits).left:,} steps for {self._limits.nodes:,} nodes"
            self._end(f"the expansion of the network exceeds {steps}", span, frame)

    # --- repeats -------------------------------------------------------------------------------------------

    def _repeat(self, repeat: Repeat, at: Place, frame: CallFrame) -> Place:
        copies = self._copies(repeat, frame)
        name = frame.name("repeat")
        for copy in range(1, copies + 1):
            self._step(repeat.span, frame)
            step = PathStep("repeat", "repeat", f"{name}.{copy}", copy, copies)
            before = at
            at = self.sequence(repeat.body, at, frame.inside(step))
            if at in {None, before}:
                break  # The other copies would repeat the error, or are empty as in {id}*9999.
        return at

    def _copies(self, repeat: Repeat, frame: CallFrame) -> int:
        if isinstance(repeat.count, Number):
            return int(repeat.count.value)
        span = repeat.count.span
        path = frame.where(span.text)
        try:
            copies = self._calls.reader(path, frame).evaluate_whole(repeat.count.formula)
        except InvalidText:
            return 1
        # A literal count is checked by the parser. This one depends on the arguments of the call.
        if copies == 0:
            hint = "use a count of at least 1"
            self._reporter.report("zero-count", "a repeat of 0 copies", span, help=hint, path=path)
        if copies > self._limits.repeat:
            message, hint = (
                f"{copies:,} copies exceed the limit of {self._limits.repeat:,}",
                "raise the limit with --limit repeat=N",
            )
            self._reporter.report("repeat-too-large", message, span, help=hint, path=path)
            raise ExpansionLimitExceeded
        return copies

    # --- merges --------------------------------------------------------------------------------------------

    def _merge(self, item: MergeOf, at: Place, frame: CallFrame) -> Place:
        plain = item.name.plain
        if plain in self._vocabulary.unread:
            self._unsure = True
            return None
        if self._encloses(plain or ""):
            return self._enclosing(item, at, frame)
        if self._arguments_in_brackets(item, frame):
            return None
        if plain is not None and plain in self._vocabulary.blocks:
            return self._block_of_operands(item, plain, at, frame)
        op = self._merge_op(item, frame)
        if isinstance(op, FeedbackSum):
            return self._loop(item, op, at, frame)
        if op is None and len(item.operands) == 1:
            self._unsure = True  # The operand may contain an activation, or may not be meant as an operand.
            return None
        # Walk the operands of an unknown merge too, to report their errors.
        steps = frame.operands((op or Merge).names(len(item.operands)))
        places = self._operands(item, steps, op.fits if op is not None else None, at, frame)
        known = next((index for index in places if index is not None), None)
        if op is None or known is None:
            return None
        if None in places:
            if not self._types_only:
                return None
            self._guessing = True
        inputs = tuple(known if index is None else index for index in places)
        return self._add(op, inputs, item.span, item.name.span.text, frame)

    def _encloses(self, name: str) -> bool:
        """Return whether a name is that of a layer with a body in brackets."""
        kind = self._vocabulary.neurons.find(name)
        return kind is not None and issubclass(kind, Op) and kind.encloses

    def _enclosing(self, item: MergeOf, at: Place, frame: CallFrame) -> Place:
        """Create the nodes of ``KIND[ body ]``: the op, the body, and the op that closes it."""
        text = item.name.span.text
        path = frame.where(text)
        body, *others = item.operands
        if others:
            message, hint = f"'{text}' requires 1 operand, got {len(item.operands)}", f"write {text}[ body ]"
            self._reporter.report("operand-count", message, item.span, help=hint, path=path)
            return None
        try:
            op = self._calls.reader(path, frame).instantiate(Call(item.name, item.arguments, span=item.name.span))
        except InvalidText:
            op = None
        start = self._add(op, (at,), item.name.span, text, frame) if isinstance(op, Op) and at is not None else None
        # The body is walked after an error too, to report its own errors.
        end = self.sequence(body, start, frame) if isinstance(body, Sequence) else None
        if end is None or at is None or not isinstance(op, Op):
            return None
        closing = op.closing(self._builder.signal(at))
        return end if closing is None else self._add(closing, (end,), item.span, text, frame)

    def _operands(
        self,
        item: MergeOf,
        steps: Iterable[PathStep],
        fits: Callable[[Signal, Signal], bool] | None,
        at: Place,
        frame: CallFrame,
    ) -> list[Place]:
        """Create the nodes of operands. ``id or X`` selects the alternative that fits the first operand."""
        places: list[Place] = []
        for operand, step in zip(item.operands, steps, strict=True):
            inside = frame.inside(step)
            if isinstance(operand, Alternative):
                # An identity shortcut does not fit a strided branch, even if the shapes are equal, as for a 1x1 input.
                strided = self._strided(at, places[0])
                places.append(self._alternative(operand, at, fits, places[0], strided, inside))
            else:
                places.append(self.sequence(operand, at, inside))
        return places

    def _strided(self, start: Place, end: Place) -> bool:
        """Return whether all paths between two places have a stride that no upsampling follows.

        A gate or another side operand does not make a branch strided if the rest of the branch has no stride.
        """
        if start is None or end is None:
            return False
        nodes, known = self._builder.nodes, self._strides.setdefault(start, {})
        between, pending = set[int](), [end]
        while pending:
            index = pending.pop()
            # A node that replaces an earlier one is not known.
            if index > start and index not in between and known.get(index, (None,))[0] is not nodes[index]:
                between.add(index)
                pending += [source for source in nodes[index].inputs if source < index]
        for index in sorted(between):
            node = nodes[index]
            # Values before the start, and constants, have no path from the start.
            inputs = [known[i][1] if i > start else False for i in node.inputs if start <= i < index]
            strides = [each for each in inputs if each is not None]
            known[index] = node, (node.op.strided or all(strides)) and not node.op.upsamples if strides else None
        return end > start and bool(known[end][1])

    def _loop(self, item: MergeOf, op: FeedbackSum, at: Place, frame: CallFrame) -> Place:
        """Create the nodes of a loop: the delay of its output, the feedback, the sum and the body."""
        (body, feedback), before = item.operands, self._nearest
        if self._lacks_input((at,), item.name.span, frame):
            return None
        inner = [frame.inside(step) for step in frame.operands(op.names(2), loop=True)]
        mark, reported = self._builder.mark(), len(self._reporter.diagnostics)
        outer, self._types_only = self._types_only, True
        # The delay needs the shape of the body's output, so the body is walked without feedback first.
        index = self.sequence(body, at, inner[0]) if isinstance(body, Sequence) else None
        self._types_only, self._guessing = outer, self._guessing and outer
        nearest = self._nearest  # In source order, the feedback follows the body.
        if index is None or at is None:
            self._operand(feedback, None, None, inner[1])
            return None
        if self._types_only:
            return index
        fed, name, delays = self._first_fed(self._builder.signal(index)), frame.node_name(Add.key), list[int]()
        for round_ in count(1):  # until the value range of the feedback does not change
            self._builder.cut(mark)
            self._nearest = nearest
            inner = [replace(each, ordinals=Counter(), taken=set()) for each in inner]
            delay = self._delay(Delay(), fed, item.name.span, inner[1], delays)
            feedback_place = self._operand(feedback, delay, at, inner[1])
            after, self._nearest = self._nearest, before
            total = None if feedback_place is None else self._sum(op, (at, feedback_place), item, frame, name)
            index = self.sequence(body, total, inner[0]) if isinstance(body, Sequence) else None
            self._nearest = after
            if index is None or len(self._reporter.diagnostics) > reported:
                return None
            inferred = self._builder.signal(index)
            if self._settled(inferred, fed):
                break
            fed = self._widened(inferred, fed, round_)
        self._builder.close(delays, index)
        return index

    def _sum(self, op: FeedbackSum, inputs: tuple[int, int], item: MergeOf, frame: CallFrame, name: str) -> Place:
        try:
            op.infer(*map(self._builder.signal, inputs))
        except ShapeMismatch as misfit:
            self._misfit(misfit, op, inputs, item.span, item.name.span.text, frame)
            return None
        return self._add(Add(), inputs, item.span, item.name.span.text, frame, name)

    def _operand(self, operand: Sequence | Alternative, at: Place, goes_with: Place, frame: CallFrame) -> Place:
        """Create the nodes of the feedback of a loop with the shape of its input, and return its place."""
        if isinstance(operand, Alternative):
            return self._alternative(operand, at, Merge.same_shape, goes_with, strided=False, frame=frame)
        return self.sequence(operand, at, frame)

    def _merge_op(self, item: MergeOf, frame: CallFrame) -> Merge | None:
        name, path = item.name, frame.where(item.name.span.text)
        text = name.plain or name.span.text
        kind = self._vocabulary.neurons.find(text)
        op: Merge | None = None
        if text == OWN_JOIN:
            if item.arguments:
                message, hint = f"'{OWN_JOIN}' takes no arguments", f"write {OWN_JOIN}[ … ]"
                self._reporter.report("unknown-argument", message, name.span, help=hint, path=path)
            op = frame.join
        elif kind is not None and issubclass(kind, Merge):
            call = Call(name, item.arguments, span=name.span)
            try:
                instance = self._calls.reader(path, frame).instantiate(call)
            except InvalidText:
                return None
            op = instance if isinstance(instance, Merge) else None
        elif text in frame.names:
            message, hint = f"'{text}' is a value and takes no operands", f"merge it, e.g. CAT[ {text} | id ]"
            self._reporter.report("unknown-argument", message, name.span, help=hint, path=path)
        elif text not in self._vocabulary.neurons.broken:
            merges = [*self._vocabulary.neurons.names(Merge), OWN_JOIN]
            enclosing = [name for name in self._vocabulary.neurons.names(Op) if self._encloses(name)]
            known = {*merges, *enclosing, *self._vocabulary.own}
            self._reporter.report(
                "wrong-kind" if kind is not None else "unknown-name",
                f"'{name.span.text}' is not a merge",
                name.span,
                path=path,
                **advice(text, known, name.span, f"expected one of: {', '.join(merges)}"),
            )
        if op is None or op.accepts(len(item.operands)):
            return op
        needed, hint = op.operand_count() or "at least two", ""
        operands = op.names(len(JOIN_OPERANDS))
        if needed == "at least two":
            hint = "a merge requires at least two operands: "
            operands = operands if operands == JOIN_OPERANDS else ("first", "second")
        self._reporter.report(
            "operand-count",
            f"'{name.span.text}' requires {needed} operands, got {len(item.operands)}",
            item.span,
            help=f"{hint}write {name.span.text}[ {' | '.join(operands)} ]",
            path=path,
        )
        return None

    def _arguments_in_brackets(self, item: MergeOf, frame: CallFrame) -> bool:
        """Report compact arguments of a block in brackets, ``My Block [c32]``, and return whether there are any."""
        operand, *others = item.operands
        calls = operand.items if isinstance(operand, Sequence) else ()
        inside = calls[0].span.text if len(calls) == 1 and isinstance(calls[0], Call) else ""
        name, key = item.name.span.text, item.name.plain or ""
        block = self._vocabulary.blocks.get(key)
        # Merges have upper-case names. Other names with compact arguments in brackets are probably those of blocks.
        is_kind = name.casefold() in {OWN_JOIN, *map(str.casefold, self._vocabulary.layers)}
        is_block = len(block.operands) != 1 if block else not is_kind and not name.isupper()
        if others or item.called or not is_block or not re.fullmatch(LETTERED, inside):
            return False
        edits = (
            Edit(Span(item.span.source, item.name.span.end, operand.span.start), " ("),
            Edit(Span(item.span.source, operand.span.end, item.span.end), ")"),
        )
        self._reporter.report(
            "operand-count",
            f"the arguments of '{name}' are in brackets",
            item.span,
            help=f"use parentheses for the arguments of a block: {name} ({inside})",
            path=frame.where(name),
            fixes=(Fix("use parentheses", edits, safe=False),),
        )
        return True

    def _alternative(
        self,
        operand: Alternative,
        at: Place,
        fits: Callable[[Signal, Signal], bool] | None,
        first: Place,
        strided: bool,  # noqa: FBT001 -- private
        frame: CallFrame,
    ) -> Place:
        """Create the nodes of the first alternative if it fits the first operand, else of the second."""
        if first is None or at is None or fits is None:
            self.sequence(operand.second, None, frame)  # only to report its errors
            return None
        mark, reported, nearest = self._builder.mark(), len(self._reporter.diagnostics), self._nearest
        index = self.sequence(operand.first, at, replace(frame, ordinals=Counter(), taken=set()))
        fresh = self._reporter.diagnostics[reported:]
        if any(diagnostic not in self._misfits for diagnostic in fresh):
            return None  # The first alternative has an error other than its shape.
        nodes = self._builder.nodes
        if index is not None and fits(nodes[first].output, nodes[index].output) and self._strided(at, index) == strided:
            return index
        self._reporter.take_back(reported)
        self._builder.cut(mark)
        self._nearest = nearest
        return self.sequence(operand.second, at, frame)

    # --- calls ---------------------------------------------------------------------------------------------

    def _call(self, call: Call, at: Place, frame: CallFrame) -> Place:
        plain = call.name.plain
        takes_any = plain == IDENTITY or plain in self._vocabulary.blocks
        if takes_any and self._lacks_input((at,), call.name.span, frame):
            return None
        if plain == IDENTITY:
            if call.arguments:
                path = frame.where(call.span.text)
                message, hint = "'id' takes no arguments", "write 'id'"
                self._reporter.report("unknown-argument", message, call.span, help=hint, path=path)
            return at
        if plain in self._vocabulary.unread:
            self._unsure = True
            return None
        if plain is not None and plain in self._vocabulary.blocks:
            return self._block(call, plain, at, frame)
        op = self._op(call, frame)
        if isinstance(op, Activation) and not (plain == OWN_NEURON and call.arguments):
            self._nearest = op  # Also after an error: the meaning of 'SN' is still known.
        if op is None or at is None:
            return None
        index = self._add(op, (at,), call.span, call.span.text, frame)
        if index is not None and isinstance(op, Activation) and plain != OWN_NEURON:
            self._builder.named.append(index)
        return index

    def _lacks_input(self, inputs: tuple[Place, ...], span: Span, frame: CallFrame) -> bool:
        """Report an item at the start of a sequence, if all inputs have names."""
        if self._root is None or self._root not in inputs:
            return False
        names = [f"'{node.name}'" for node in self._builder.nodes[1:] if isinstance(node.op, Input)]
        text = span.text
        message = f"'{text}' has no input: the inputs have names, and no name starts the sequence"
        hint = f"begin the sequence with {' or '.join(names[:MAX_LISTED])}"
        self._reporter.report("misplaced-name", message, span, help=hint, path=frame.where(text))
        return True

    def _op(self, call: Call | Pointwise, frame: CallFrame) -> Op | None:
        """Return the op of a call, resolved once for equal surroundings."""
        neuron, nearest = frame.neuron, self._nearest
        surroundings = frame.scope, id(neuron), id(nearest)
        # Equal calls share an op, but each call reports its own errors.
        key, alike = (id(call), *surroundings), (call, *surroundings)
        if key not in self._ops and alike in self._ops:
            self._ops[key] = self._ops[alike]
        elif key not in self._ops:
            self._budget.spend_on_call(len(call.span.text))
            try:
                if isinstance(call, Pointwise):
                    op = self._calls.pointwise(call, frame)
                else:
                    op = self._calls.op(call, self._calls.spell(call, frame), frame, nearest, unsure=self._unsure)
            except InvalidText:
                op = None
            self._ops[key] = (op, neuron, nearest)  # Keep references: CPython reuses the ids of deleted objects.
            if op is not None:
                self._ops[alike] = self._ops[key]
        op = self._ops[key][0]
        self._unsure = self._unsure or op is None
        self._builder.understood = self._builder.understood or op is not None
        return op

    def _block(self, call: Call, key: str, at: Place, frame: CallFrame) -> Place:
        definition = self._vocabulary.blocks[key]
        if len(definition.operands) > 1:
            self._refuse_operands(call, definition, frame)
            return None
        values = {word.text: NamedValue(word.span, at, computed=True) for word in definition.operands}
        return self._expand(call, key, definition, at, frame, frame.name(block_key(definition)), values)

    def _block_of_operands(self, item: MergeOf, key: str, at: Place, frame: CallFrame) -> Place:
        """Create the nodes of a block with operands in brackets, which are named values in the block."""
        definition = self._vocabulary.blocks[key]
        if len(item.operands) != len(definition.operands):
            self._refuse_operands(item, definition, frame)
            return None
        name, steps = frame.call(block_key(definition), [word.text for word in definition.operands])
        places = self._operands(item, steps, Merge.same_shape, at, frame)
        values: dict[str, NamedValue] = {}
        for word, index in zip(definition.operands, places, strict=True):
            values.setdefault(word.text, NamedValue(word.span, index, computed=True))
        return self._expand(item, key, definition, places[0], frame, name, values)

    def _refuse_operands(self, item: Call | MergeOf, definition: BlockDefinition, frame: CallFrame) -> None:
        title, count = block_title(definition), len(item.operands) if isinstance(item, MergeOf) else 0
        names = [word.text for word in definition.operands]
        arguments = f"({PLACEHOLDER})" if definition.parameters else ""
        blank = " " if arguments and " " in title else ""
        hint = f"write {title}{blank}{arguments}" + (f"[ {' | '.join(names)} ]" if names else "")
        needed = f"requires {len(names)} operand{'s' * (len(names) > 1)}, got {count}" if names else "takes no operands"
        message = f"'{title}' {needed}"
        path = frame.where(item.name.span.text)
        self._reporter.report("operand-count", message, item.span, help=hint, path=path)

    def _expand(
        self,
        call: Call | MergeOf,
        key: str,
        definition: BlockDefinition,
        at: Place,
        frame: CallFrame,
        name: str,
        values: Mapping[str, NamedValue],
    ) -> Place:
        """Create the nodes of a block that reads a place, its input or first operand."""
        self._builder.called.add(key)
        self._builder.understood = True
        before = None if at is None else self._builder.signal(at)
        if len(frame.calls) >= self._limits.nesting:
            message = f"block calls nested {len(frame.calls) + 1} deep exceed the limit of {self._limits.nesting}"
            hint, path = "raise the limit with --limit nesting=N", frame.where(call.span.text)
            self._reporter.report("nesting-too-deep", message, call.span, help=hint, path=path)
            raise ExpansionLimitExceeded
        try:
            binding = self._blocks.binding(call, key, definition, frame, self._nearest, before, self._budget)
        except InvalidText:
            return None
        if binding is None:
            return None
        if self._expanded is not None:
            if key in self._expanded:
                self._nearest, self._unsure = None, True  # The skipped block may contain an activation.
                return None
            self._expanded.add(key)
        own = key in self._vocabulary.own
        line = call.span.line if own and frame.site is None else 0
        nearest = self._nearest
        if definition.shared:
            self._nearest = None  # The meaning of 'SN' must be the same in each call.
        inner = self._blocks.frame(key, name, frame, binding, self._nearest, line)
        if definition.shared:
            self._builder.part_calls[inner.path] = frame.site or call.span
        if values:
            inner = inner.with_names(values)
        if frame.site is not None or own:
            index = self.scope(definition.lets, definition.expression, at, inner)
        else:
            with self._reporter.at(call.span):
                index = self.scope(definition.lets, definition.expression, at, replace(inner, site=call.span))
        if definition.shared:
            self._nearest = self._nearest or nearest
        return index

    def _add(self, op: Op, inputs: tuple[int, ...], span: Span, text: str, frame: CallFrame, name: str = "") -> Place:
        """Add a node, by default with the next unused name of its kind, and return its place, or report a misfit."""
        if self._lacks_input(inputs, span, frame):
            return None
        if len(self._builder.nodes) > self._limits.nodes:
            limit = self._limits.nodes
            self._end(f"a network of {limit + 1:,} nodes or more exceeds the limit of {limit:,}", span, frame)
        try:
            index = self._builder.add(name or frame.node_name(op.key), op, inputs, frame.path, frame.site or span)
        except ShapeMismatch as misfit:
            self._misfit(misfit, op, inputs, span, text, frame)
            return None
        return index

    def _misfit(
        self, misfit: ShapeMismatch, op: Op, inputs: tuple[int, ...], span: Span, text: str, frame: CallFrame
    ) -> None:
        """Report an op whose inputs have the wrong shape, and remember the diagnostics."""
        copy = next((step for step in reversed(frame.path) if step.kind == "repeat"), None)
        signal = self._builder.signal(inputs[0])
        label = f"input is [{', '.join(map(str, signal.shape))}]"
        if len(inputs) > 1:
            joins = isinstance(op, Join) and op.names(len(inputs)) == JOIN_OPERANDS
            label = "branch and shortcut differ" if joins else "incompatible operands"
        help_text = misfit.help
        if misfit.code == "wrong-rank" and self._is_input(inputs[0]):
            help_text = "use 'input CxHxW' for feature maps, e.g. --input 1x28x28, or FC for vectors"
        if copy is not None and copy.copy > 1 and misfit.code == "spatial-size-exhausted":
            help_text = f"use *{copy.copy - 1}, or a larger input"
        # _alternative() distinguishes these diagnostics from other errors.
        count = len(self._reporter.diagnostics)
        self._reporter.report(
            misfit.code,
            str(misfit),
            span,
            label=f"{copy}: {label}" if copy is not None else label,
            help=help_text,
            path=frame.where(text),
        )
        self._misfits.update(self._reporter.diagnostics[count:])

    def _is_input(self, index: int) -> bool:
        """Return whether a value still has the shape of the network's input."""
        nodes = self._builder.nodes
        while nodes[index].inputs and nodes[index].output.shape == nodes[nodes[index].inputs[0]].output.shape:
            index = nodes[index].inputs[0]
        return isinstance(nodes[index].op, Input)

    def _end(self, message: str, span: Span, frame: CallFrame) -> None:
        help_, path = "raise the limit with --limit nodes=N", frame.where(span.text[:40])
        self._reporter.report("network-too-large", message, span, help=help_, path=path)
        raise ExpansionLimitExceeded


class NodeCounter:
    """Counter of nodes without expansion, which counts each block once and multiplies.

    The result is a lower bound: a computed count of a repeat counts as 1, and the smaller alternative counts. The
    elaborator counts the nodes again during expansion.
    """

    def __init__(self, blocks: Mapping[str, BlockDefinition], inputs: Iterable[str] = ()) -> None:
        self._blocks, self._inputs = blocks, {*inputs}
        self._known: dict[str, int] = {}
        self._names: list[set[str]] = [set()]  # names of values in the enclosing scopes, which are not nodes

    def scope(self, lets: tuple[Let, ...], expression: Sequence) -> int:
        """Count the nodes of a file or a block, without unused values."""
        live = live_names(lets, expression) if lets else set()
        read = [let.expression for let in lets if let.name.text in live]
        inputs = self._inputs if len(self._names) == 1 else set()  # Blocks cannot read the inputs of the file.
        self._names.append({let.name.text for let in lets} | inputs)
        nodes = sum(map(self.sequence, (*read, expression)))
        self._names.pop()
        return nodes

    def sequence(self, sequence: Sequence) -> int:
        """Count the nodes of a sequence."""
        first, *rest = sequence.items
        named = value_name(first) in self._names[-1]
        return sum(map(self._item, rest if named else sequence.items))

    def _item(self, item: Item) -> int:
        match item:
            case Repeat(body=body, count=count):
                times = count.value if isinstance(count, Number) else 1
                return int(times) * self.sequence(body)
            case MergeOf(name=name, operands=operands):
                return self._block(name.plain or OWN_JOIN) + sum(map(self._operand, operands))
            case Call(name=name) if name.plain == IDENTITY:
                return 0
            case Call(name=name):
                return self._block(name.plain or OWN_JOIN)
            case Pointwise():
                return 1

    def _operand(self, operand: Sequence | Alternative) -> int:
        if isinstance(operand, Alternative):
            return min(self.sequence(operand.first), self.sequence(operand.second))
        return self.sequence(operand)

    def _block(self, key: str) -> int:
        if key not in self._blocks:
            return 1
        if key not in self._known:
            self._known[key] = 1  # End the recursion of a recursive block, which is reported elsewhere.
            block = self._blocks[key]
            self._known[key] = self.scope(block.lets, block.expression)
        return self._known[key]
