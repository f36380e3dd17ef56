"""The walk over an expression that creates the nodes, and the count of nodes that precedes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import count

from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.block_calls import BlockCalls, block_key, block_title
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.named_values import NamedValue, early_names, live_names, value_keys, value_name
from sewdsl.elaborate.node_builder import BuilderMark, Expansion, NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.node import PathStep
from sewdsl.ir.op import JOIN_OPERANDS, Activation, FeedbackSum, Join, Merge, Op, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal
from sewdsl.limits import Budget
from sewdsl.ops.input import Input
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.delay import Delay
from sewdsl.reporter import InvalidText
from sewdsl.source import Span
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.tree import Alternative, BlockDefinition, Call, Item, Let, MergeOf, Number, Repeat, Sequence

Place = int | None
"""Index of the node whose output flows on; None after something broken."""


MAX_ROUNDS = 8
"""How often a loop is walked before what it feeds back is taken for any real numbers."""
PATH_PER_STEP = 16
"""Steps of the way to an item that take another one of the budget."""
MAX_WIDENINGS = 500
"""How often, in a text, what is fed back may be found to be more than it was taken for; then it is real at once."""

PLACEHOLDER = "…"
"""Represents arguments in a hint."""


class ExpansionLimitExceeded(Exception):
    """Raised where the expansion passes a limit; reported. Nothing after it can be said."""


class Walker:
    """Walks one body.

    Args:
        calls: Finds the op of a call, knows what names mean, and reports; the limits are its reporter's.
        budget: Where the work is counted; None: as much as the limits allow.
        expanded: Blocks whose expressions need not be walked again; None: a block is walked wherever it is called.
    """

    def __init__(
        self,
        builder: NodeBuilder,
        calls: CallResolver,
        budget: Budget | None = None,
        expanded: set[str] | None = None,
    ) -> None:
        self._builder, self._calls, self._vocabulary = builder, calls, calls.vocabulary
        self._reporter, self._limits = calls.reporter, calls.reporter.limits
        self._blocks = BlockCalls(calls.default, self._reporter, calls.vocabulary.neurons)
        self._budget = budget or Budget.of(self._limits)
        self._expanded = expanded
        self._nearest: Activation | None = None
        self._unsure = False  # whether an activation may be where something is not understood
        self._ops: dict[tuple[object, ...], tuple[Op | None, Activation | None, Activation | None]] = {}
        self._misfits: set[Diagnostic] = set()
        self._types_only = False  # whether only shapes are looked for: what is fed back may be left out
        self._guessing = False  # whether one of them is guessed: then nothing is wrong yet
        self._widenings = 0
        self._shapes: dict[tuple[object, ...], dict[str, Signal]] = {}  # of named values, by what flows into them
        self._fed: dict[tuple[object, ...], dict[str, Signal]] = {}  # what is fed back in them, likewise
        self._read_lets: dict[int, tuple[Let, ...]] = {}  # those that something reads, by the expression that is given

    def sequence(self, sequence: Sequence, at: Place, frame: CallFrame) -> Place:
        """Makes the nodes of a sequence after a place, or after the named value that it begins with."""
        early = False  # whether it begins with a name that is read through the delay after it
        for number, item in enumerate(sequence.items):
            name = value_name(item) if frame.names else None
            before, begin = at, len(self._builder.nodes)
            if name is not None and name in frame.names:
                following = sequence.items[1] if number == 0 and len(sequence.items) > 1 else None
                at = before = self._read(item, name, following, frame, first=number == 0)
                early = number == 0 and at is not None and not frame.names[name].computed
            elif number == 1 and before is not None and early:
                begin = before
            else:
                at = self._item(item, at, frame)
                if at is None and self._guessing:
                    at = before
            if frame.site is None:  # nobody edits the library, and most items of a large network are in it
                visit = Expansion(item.span, frame.path, before, begin, len(self._builder.nodes), at)
                self._builder.visits.append(visit)
        return at

    def scope(self, lets: tuple[Let, ...], expression: Sequence, at: Place, frame: CallFrame) -> Place:
        """Makes the nodes of a file, or of a block: its named values in order, then what it gives.

        Args:
            at: What flows in: sequences that do not begin with a name begin there.
            frame: The surroundings of all; its names, those of operands, can be read too.
        """
        if not lets:
            return self.sequence(expression, at, frame)
        read, live = self._read_lets.get(id(expression)), set[str]()
        if read is None:  # for the first time, also what nothing reads is looked at
            live = live_names(lets, expression)
            self._read_lets[id(expression)] = tuple(let for let in lets if let.name.text in live)
        else:
            lets = read
        dead = set() if read is not None else {let.name.text for let in lets} - live
        return self.sequence(expression, at, frame.with_names(self._values(lets, dead, at, frame)))

    def named(
        self, lets: tuple[Let, ...], expression: Sequence, outputs: Iterable[Call], at: Place, frame: CallFrame
    ) -> list[Place]:
        """Makes the nodes of named values; the places of some of them."""
        dead = {let.name.text for let in lets} - live_names(lets, expression)
        names = self._values(lets, dead, at, frame)
        values = [names.get(call.name.plain or "") for call in outputs]
        return [None if value is None else value.place for value in values]

    def _values(
        self, lets: tuple[Let, ...], dead: Collection[str], at: Place, frame: CallFrame
    ) -> dict[str, NamedValue]:
        """Makes the nodes of named values, in order, and closes the loops in which they read each other through delays.

        What a delay gives has to have a type before what it delays is computed. So they are computed several times:
        first until all shapes are known, then with the ranges that were found, until these stay the same.

        Args:
            dead: Names of those that leave no nodes.
        """
        early = early_names(lets) - {*dead} if at is not None else set[str]()
        if not early:
            return self._named(lets, dead, at, frame, {})
        mark, nearest, said = self._builder.mark(), self._nearest, len(self._reporter.found)
        key = self._inflow(lets, at, frame)
        if self._types_only or key not in self._fed:
            names = self._shaped(lets, dead, at, frame, early)
            if self._types_only or len(self._reporter.found) > said:
                return names
            assumed = {name: self._first_fed(self._builder.signal(names[name].place or 0)) for name in early}
        else:
            assumed = self._fed[key]
        for round_ in count(1):
            self._again(mark, nearest)
            names = self._named(lets, dead, at, frame, assumed)
            if len(self._reporter.found) > said or any(names[name].place is None for name in early):
                return names
            found = {name: self._builder.signal(names[name].place or 0) for name in early}
            if all(self._settled(found[name], assumed[name]) for name in early):
                break
            assumed = {name: self._widened(found[name], assumed[name], round_) for name in early}
        self._fed[key] = assumed
        for name in early:
            self._builder.close(names[name].delays, names[name].place or 0)
        return names

    def _inflow(self, lets: tuple[Let, ...], at: Place, frame: CallFrame) -> tuple[object, ...]:
        """What the types of named values follow from: what they are, and the types of all that flows into them."""
        places = [at, *(value.place for value in frame.names.values())]
        return id(lets), frame.scope, *(None if place is None else self._builder.signal(place) for place in places)

    def _shaped(
        self, lets: tuple[Let, ...], dead: Collection[str], at: Place, frame: CallFrame, early: Collection[str]
    ) -> dict[str, NamedValue]:
        """Makes the nodes of named values whose shapes follow from each other, until all shapes are known.

        Where one operand of a merge is not known yet, it is taken to have the shape of the first known one, which is
        a guess. From there on, nothing is reported, and what does not fit passes on its input, until a pass gives the
        shapes that it began with.

        Args:
            dead: Names of those that leave no nodes.
            early: Names of those that delays read before they are computed.
        """
        mark, nearest, said = self._builder.mark(), self._nearest, len(self._reporter.found)
        outer, guessing, changes = self._types_only, self._guessing, 0
        key = self._inflow(lets, at, frame)
        known = self._shapes.get(key, {})
        self._types_only = True
        while True:
            names = self._named(lets, dead, at, frame, known)
            found = {name: self._builder.signal(place) for name in early if (place := names[name].place) is not None}
            if not self._guessing and (found.keys() == early or len(self._reporter.found) > said):
                break
            changed = [name for name in found.keys() & known.keys() if found[name].shape != known[name].shape]
            if found.keys() == known.keys():
                changes += 1
                if not changed and found.keys() == early:
                    self._forget(said)
                    self._guessing, self._shapes[key] = guessing, known
                    break
                if not changed or changes == MAX_ROUNDS:
                    first = next(name for name in names if name in (changed or early - found.keys()))
                    if not outer:  # else what is around it may still say more
                        self._report_unknown_shape(names[first], known.get(first), said, frame)
                    break
            if self._guessing:
                self._forget(said)
            known = found
            self._again(mark, nearest)
        self._types_only = outer
        self._guessing = self._guessing and outer
        return names

    def _report_unknown_shape(self, value: NamedValue, known: Signal | None, said: int, frame: CallFrame) -> None:
        """Reports that a value has no shape that it keeps, unless something else is reported, which is why.

        Args:
            known: Its type as the last pass began; None: it has none.
            said: How much was reported before the first pass; what does not fit in a guess alone is no reason.
        """
        fresh = self._reporter.found[said:]
        if any(diagnostic not in self._misfits for diagnostic in fresh):
            return
        name = value.defined.text
        if known is None:
            message = f"what '{name}' gives has no shape: it follows only from itself, through delays"
            hint = f"add something that flows in, as in ADD[id | {name}-DELAY]"
        else:
            message = f"the shape of '{name}' changes each time it flows back"
            layer = "FC8" if len(known.shape) == 1 else "c8k3"
            hint = f"end the cycle in a layer that states its width, as in CAT[id | {name}-DELAY]-{layer}"
        self._forget(said)
        self._reporter.report("unknown-shape", message, value.defined, help=hint, path=frame.where("DELAY"))

    def _forget(self, said: int) -> None:
        """Takes back what was reported in a guess: it is reported again where it holds without one."""
        if len(self._reporter.found) > said:
            self._reporter.take_back(said)
            self._ops = {key: made for key, made in self._ops.items() if made[0] is not None}
            self._blocks.forget_problems()
            self._read_lets.clear()

    def _again(self, mark: BuilderMark, nearest: Activation | None) -> None:
        """Takes back what was made, to make it once more."""
        self._builder.cut(mark)
        self._nearest = nearest

    @staticmethod
    def _settled(found: Signal, fed: Signal) -> bool:
        """Whether a loop gives what was taken for what it feeds back; real values allow for all."""
        return found.shape == fed.shape and fed.values in {found.values, REAL}

    def _first_fed(self, found: Signal) -> Signal:
        """What to take for what is fed back at first: what is found without it."""
        return Signal(found.shape, found.values if self._widenings < MAX_WIDENINGS else REAL)

    def _widened(self, found: Signal, fed: Signal, round_: int) -> Signal:
        """What to take next for what is fed back: what was found, and after a few times any real numbers."""
        if fed.values in {found.values, REAL}:
            return Signal(found.shape, fed.values)
        self._widenings += 1
        return Signal(found.shape, found.values if round_ < MAX_ROUNDS else REAL)

    def _named(
        self,
        lets: tuple[Let, ...],
        dead: Collection[str],
        at: Place,
        frame: CallFrame,
        assumed: Mapping[str, Signal],
    ) -> dict[str, NamedValue]:
        """Makes the nodes of named values once, with types for what delays read early."""
        names = {**frame.names}
        for let in lets:
            name = let.name.text
            names.setdefault(name, NamedValue(let.name.span, assumed=assumed.get(name)))
        frame, keys = frame.with_names(names), value_keys(names)
        for let in lets:
            name = let.name.text
            if names[name].computed:  # it is defined twice, which is reported elsewhere
                continue
            mark, nearest = self._builder.mark(), self._nearest
            names[name].place = self.sequence(let.expression, at, frame.inside(PathStep("value", name, keys[name])))
            names[name].computed = True
            if name in dead:
                self._builder.cut(mark)
                self._nearest, names[name].place = nearest, None
        return names

    def _read(self, item: Item, name: str, following: Item | None, frame: CallFrame, *, first: bool) -> Place:
        """The place of a named value; of one that is computed further down, that of the delay that follows."""
        self._step(item.span, frame)
        value, path = frame.names[name], frame.where(name)
        if isinstance(item, Call) and (item.arguments or item.called):
            message, hint = f"'{name}' names a value, which takes no arguments", f"write {name}"
            self._reporter.report("unknown-argument", message, item.span, help=hint, path=path)
            return None
        if first and value.computed:
            self._builder.understood = True
            return value.place
        if first and isinstance(following, Call) and following.name.plain == Delay.kind:
            return self._read_delayed(following, value, frame)
        if first:
            message = f"'{name}' is read before it is computed"
            hint = f"read it a time-step later: {name}-DELAY"
            if value.defined.line != item.span.line:
                hint = f"move line {value.defined.line} above this one, or {hint}"
        else:
            message = f"'{name}' names a value, which nothing flows into"
            hint = f"begin a sequence with it, as in {name}-c32k3, or join it to others, as in CAT[ {name} | id ]"
        self._reporter.report("misplaced-name", message, item.span, help=hint, path=path)
        return None

    def _read_delayed(self, call: Call, value: NamedValue, frame: CallFrame) -> Place:
        """The delay of a value that is computed further down; nowhere, as long as nothing is known of it."""
        op = self._op(call, frame)
        if op is None:
            return None
        self._builder.understood = True
        if value.assumed is None:
            return None
        return self._delay(op, value.assumed, call.span, frame, value.delays)

    def _delay(self, op: Op, signal: Signal, span: Span, frame: CallFrame, delays: list[int]) -> int:
        """The node of a delay whose value is computed further down, among the delays of that value."""
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
            case Call():
                return self._call(item, at, frame)

    def _step(self, span: Span, frame: CallFrame) -> None:
        """Counts an item, or a copy of a repeat; what is deep down takes longer."""
        if not self._budget.spend(1 + len(frame.path) // PATH_PER_STEP):
            steps = f"{Budget.of(self._limits).left:,} steps to write the network out"
            most = f"the most for a limit of {self._limits.nodes:,} nodes"
            self._end(f"it takes more than {steps}, {most}", span, frame)

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
                break  # the other copies would say the same, or be as empty as {id}*9999
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
        if copies == 0:
            hint = "repeat at least once"
            self._reporter.report("zero-count", "a repeat of 0 copies", span, help=hint, path=path)
        if copies > self._limits.repeat:
            message, hint = (
                f"{copies:,} copies, but the limit is {self._limits.repeat:,}",
                "raise it with --limit repeat=N",
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
        if plain is not None and plain in self._vocabulary.blocks:
            return self._block_of_operands(item, plain, at, frame)
        op = self._merge_op(item, frame)
        if isinstance(op, FeedbackSum):
            return self._loop(item, op, at, frame)
        steps = frame.operands((op or Merge).names(len(item.operands)))
        places = self._operands(item, steps, op.fits if op is not None else None, at, frame)
        known = next((place for place in places if place is not None), None)
        if op is None or known is None:
            return None
        if None in places:
            if not self._types_only:
                return None
            self._guessing = True
        inputs = tuple(known if place is None else place for place in places)
        return self._add(op, inputs, item.span, item.name.span.text, frame)

    def _operands(
        self,
        item: MergeOf,
        steps: Iterable[PathStep],
        fits: Callable[[Signal, Signal], bool] | None,
        at: Place,
        frame: CallFrame,
    ) -> list[Place]:
        """Makes the nodes of operands; of ``id or X``, the one that fits the first operand is taken."""
        places: list[Place] = []
        begin, strided = len(self._builder.nodes), False
        for operand, step in zip(item.operands, steps, strict=True):
            inside = frame.inside(step)
            if isinstance(operand, Alternative):
                places.append(self._alternative(operand, at, fits, places[0], strided, inside))
            else:
                places.append(self.sequence(operand, at, inside))
            if len(places) == 1:
                strided = any(node.op.strided for node in self._builder.nodes[begin:])
        return places

    def _loop(self, item: MergeOf, op: FeedbackSum, at: Place, frame: CallFrame) -> Place:
        """Makes the nodes of a loop: the delay of what its body gives, its feedback, the sum, its body.

        The body is walked first by itself, since what it gives has to be known before the delay; then feedback and
        body, until the range of values that is fed back stays the same.
        """
        (body, feedback), before = item.operands, self._nearest
        inner = [frame.inside(step) for step in frame.operands(op.names(2), loop=True)]
        mark, said = self._builder.mark(), len(self._reporter.found)
        outer, self._types_only = self._types_only, True
        place = self.sequence(body, at, inner[0]) if isinstance(body, Sequence) else None
        self._types_only, self._guessing = outer, self._guessing and outer
        nearest = self._nearest  # in the order of the text, the feedback comes after the body
        if place is None or at is None:
            self._operand(feedback, None, None, inner[1])
            return None
        if self._types_only:
            return place
        fed, name, delays = self._first_fed(self._builder.signal(place)), frame.node_name(Add.key), list[int]()
        for round_ in count(1):
            self._builder.cut(mark)
            self._nearest = nearest
            inner = [replace(each, ordinals=Counter(), taken=set()) for each in inner]
            delay = self._delay(Delay(), fed, item.name.span, inner[1], delays)
            given = self._operand(feedback, delay, at, inner[1])
            after, self._nearest = self._nearest, before
            total = None if given is None else self._sum(op, (at, given), item, frame, name)
            place = self.sequence(body, total, inner[0]) if isinstance(body, Sequence) else None
            self._nearest = after
            if place is None or len(self._reporter.found) > said:
                return None
            found = self._builder.signal(place)
            if self._settled(found, fed):
                break
            fed = self._widened(found, fed, round_)
        self._builder.close(delays, place)
        return place

    def _sum(self, op: FeedbackSum, inputs: tuple[int, int], item: MergeOf, frame: CallFrame, name: str) -> Place:
        """The sum that a loop begins with, of what flows in and of what the feedback gives."""
        try:
            op.infer(*map(self._builder.signal, inputs))
        except ShapeMismatch as misfit:
            self._misfit(misfit, op, inputs, item.span, item.name.span.text, frame)
            return None
        return self._add(Add(), inputs, item.span, item.name.span.text, frame, name)

    def _operand(self, operand: Sequence | Alternative, at: Place, goes_with: Place, frame: CallFrame) -> Place:
        """The place after the feedback of a loop, which has to give the shape that flows into the loop."""
        if isinstance(operand, Alternative):
            return self._alternative(operand, at, Merge.same_shape, goes_with, strided=False, frame=frame)
        return self.sequence(operand, at, frame)

    def _merge_op(self, item: MergeOf, frame: CallFrame) -> Merge | None:
        """What a merge computes; None where that is not known, or it takes another number of operands."""
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
                made = self._calls.reader(path, frame).instantiate(call)
            except InvalidText:
                return None
            op = made if isinstance(made, Merge) else None
        elif text in frame.names:
            message, hint = f"'{text}' names a value, which takes no operands", f"join it to others: CAT[ {text} | id ]"
            self._reporter.report("unknown-argument", message, name.span, help=hint, path=path)
        else:
            merges = [known for known, other in CATALOGUE.items() if issubclass(other, Merge)]
            self._reporter.report(
                "wrong-kind" if kind is not None else "unknown-name",
                f"'{name.span.text}' is not a merge",
                name.span,
                path=path,
                **advice(text, [*merges, OWN_JOIN], name.span, f"merges: {', '.join([*merges, OWN_JOIN])}"),
            )
        needed = op.operand_count() if op is not None else None
        if op is not None and needed is not None and len(item.operands) != needed:
            self._reporter.report(
                "operand-count",
                f"'{name.span.text}' takes {needed} operands, not {len(item.operands)}",
                item.span,
                help=f"write {name.span.text}[ {' | '.join(op.names(needed))} ]",
                path=path,
            )
            return None
        return op

    def _alternative(
        self,
        operand: Alternative,
        at: Place,
        fits: Callable[[Signal, Signal], bool] | None,
        first: Place,
        strided: bool,  # noqa: FBT001 -- private
        frame: CallFrame,
    ) -> Place:
        """Of two, the place of the one that goes with the first operand, and strides if that does."""
        if first is None or at is None or fits is None:
            self.sequence(operand.second, None, frame)
            return None
        mark, said, nearest = self._builder.mark(), len(self._reporter.found), self._nearest
        place = self.sequence(operand.first, at, replace(frame, ordinals=Counter(), taken=set()))
        fresh = self._reporter.found[said:]
        if any(diagnostic not in self._misfits for diagnostic in fresh):
            return None  # it is not that it does not fit: something is wrong with it
        nodes = self._builder.nodes
        if (
            place is not None
            and fits(nodes[first].output, nodes[place].output)
            and any(node.op.strided for node in nodes[mark.nodes :]) == strided
        ):
            return place
        self._reporter.take_back(said)
        self._builder.cut(mark)
        self._nearest = nearest
        return self.sequence(operand.second, at, frame)

    # --- calls ---------------------------------------------------------------------------------------------

    def _call(self, call: Call, at: Place, frame: CallFrame) -> Place:
        plain = call.name.plain
        if plain == IDENTITY:
            if call.arguments:
                path = frame.where(call.span.text)
                message, hint = "'id' takes no arguments", "write id"
                self._reporter.report("unknown-argument", message, call.span, help=hint, path=path)
            return at
        if plain in self._vocabulary.unread:
            self._unsure = True
            return None
        if plain is not None and plain in self._vocabulary.blocks:
            return self._block(call, plain, at, frame)
        op = self._op(call, frame)
        if isinstance(op, Activation) and not (plain == OWN_NEURON and call.arguments):
            self._nearest = op  # after something broken too: what 'SN' means is known all the same
        if op is None or at is None:
            return None
        made = self._add(op, (at,), call.span, call.span.text, frame)
        if made is not None and isinstance(op, Activation) and plain != OWN_NEURON:
            self._builder.named.append(made)
        return made

    def _op(self, call: Call, frame: CallFrame) -> Op | None:
        """The op of a call; asked once for each set of surroundings, however often a repeat comes by.

        Another call that is written in the same way has the same op, but what is wrong with it is said of each.
        """
        neuron, nearest = frame.neuron, self._nearest
        surroundings = frame.scope, id(neuron), id(nearest)
        key, alike = (id(call), *surroundings), (call, *surroundings)
        if key not in self._ops and alike in self._ops:
            self._ops[key] = self._ops[alike]
        elif key not in self._ops:
            self._budget.spend_on_call(len(call.span.text))
            try:
                name = self._calls.spell(call, frame)
                op = self._calls.op(call, name, frame, nearest, unsure=self._unsure)
            except InvalidText:
                op = None
            self._ops[key] = (op, neuron, nearest)  # kept, so that their ids are not given to others
            if op is not None:
                self._ops[alike] = self._ops[key]
        op = self._ops[key][0]
        self._unsure = self._unsure or op is None
        self._builder.understood = self._builder.understood or op is not None
        return op

    def _block(self, call: Call, key: str, at: Place, frame: CallFrame) -> Place:
        definition = self._vocabulary.blocks[key]
        if definition.operands:
            self._refuse_operands(call, definition, frame)
            return None
        return self._expand(call, key, definition, at, frame, frame.name(block_key(definition)), {})

    def _block_of_operands(self, item: MergeOf, key: str, at: Place, frame: CallFrame) -> Place:
        """Makes the nodes of a block of several operands, each of which is a named value in it."""
        definition = self._vocabulary.blocks[key]
        if len(item.operands) != len(definition.operands):
            self._refuse_operands(item, definition, frame)
            return None
        name, steps = frame.call(block_key(definition), [word.text for word in definition.operands])
        places = self._operands(item, steps, Merge.same_shape, at, frame)
        values: dict[str, NamedValue] = {}
        for word, place in zip(definition.operands, places, strict=True):
            values.setdefault(word.text, NamedValue(word.span, place, computed=True))
        return self._expand(item, key, definition, places[0], frame, name, values)

    def _refuse_operands(self, item: Call | MergeOf, definition: BlockDefinition, frame: CallFrame) -> None:
        title, count = block_title(definition), len(item.operands) if isinstance(item, MergeOf) else 0
        names, given = [word.text for word in definition.operands], f"({PLACEHOLDER})" if definition.parameters else ""
        blank = " " if given and " " in title else ""
        takes = f"takes {len(names)} operands" if names else "takes no operands"
        hint = f"write {title}{blank}{given}" + (f"[ {' | '.join(names)} ]" if names else "")
        message = f"{title} {takes}, not {count}" if names else f"{title} {takes}"
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
        """Makes the nodes of a block after a place: of several operands, after the first."""
        self._builder.called.add(key)
        self._builder.understood = True
        before = None if at is None else self._builder.signal(at)
        if len(frame.calls) >= self._limits.nesting:
            message = f"blocks call each other {len(frame.calls) + 1} deep, but the limit is {self._limits.nesting}"
            hint, path = "raise it with --limit nesting=N", frame.where(call.span.text)
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
                self._nearest, self._unsure = None, True  # there may be an activation in it
                return None
            self._expanded.add(key)
        own = key in self._vocabulary.own
        line = call.span.line if own and frame.site is None else 0
        inner = self._blocks.frame(key, name, frame, binding, self._nearest, line)
        if values:
            inner = inner.with_names(values)
        if frame.site is not None or own:
            return self.scope(definition.lets, definition.expression, at, inner)
        with self._reporter.at(call.span):
            return self.scope(definition.lets, definition.expression, at, replace(inner, site=call.span))

    def _add(self, op: Op, inputs: tuple[int, ...], span: Span, text: str, frame: CallFrame, name: str = "") -> Place:
        """The place after one more node, if it fits; unless it is given, its name is the next of its kind."""
        if len(self._builder.nodes) > self._limits.nodes:
            limit = self._limits.nodes
            self._end(f"the network would have {limit + 1:,} nodes or more, but the limit is {limit:,}", span, frame)
        try:
            index = self._builder.add(name or frame.node_name(op.key), op, inputs, frame.path, frame.site or span)
        except ShapeMismatch as misfit:
            self._misfit(misfit, op, inputs, span, text, frame)
            return None
        return index

    def _misfit(
        self, misfit: ShapeMismatch, op: Op, inputs: tuple[int, ...], span: Span, text: str, frame: CallFrame
    ) -> None:
        copy = next((step for step in reversed(frame.path) if step.kind == "repeat"), None)
        signal = self._builder.signal(inputs[0])
        one = f"input is [{', '.join(map(str, signal.shape))}]"
        joins = isinstance(op, Join) and op.names(len(inputs)) == JOIN_OPERANDS
        label = one if len(inputs) == 1 else "branch and shortcut differ" if joins else "the operands do not fit"
        help_text = misfit.help
        if misfit.code == "wrong-rank" and self._is_input(inputs[0]):
            help_text = "a map is given as 'input CxHxW', e.g. --input 1x28x28; the layer of vectors is FC"
        if copy is not None and copy.copy > 1 and misfit.code == "spatial-size-exhausted":
            lasts = copy.copy - 1
            help_text = (
                f"the input lasts for {lasts} {'copy' if lasts == 1 else 'copies'}; use *{lasts} or a larger input"
            )
        count = len(self._reporter.found)
        self._reporter.report(
            misfit.code,
            str(misfit),
            span,
            label=f"{copy}: {label}" if copy is not None else label,
            help=help_text,
            path=frame.where(text),
        )
        self._misfits.update(self._reporter.found[count:])

    def _is_input(self, place: int) -> bool:
        """Whether a value has the shape of the network's input because nothing before has another."""
        nodes = self._builder.nodes
        while nodes[place].inputs and nodes[place].output.shape == nodes[nodes[place].inputs[0]].output.shape:
            place = nodes[place].inputs[0]
        return isinstance(nodes[place].op, Input)

    def _end(self, message: str, span: Span, frame: CallFrame) -> None:
        help_, path = "raise the limit with --limit nodes=N", frame.where(span.text[:40])
        self._reporter.report("network-too-large", message, span, help=help_, path=path)
        raise ExpansionLimitExceeded


class NodeCounter:
    """Counts by multiplying; each block is counted once.

    What depends on a block's arguments counts once too, and of two alternatives the smaller, so that the result is a
    lower bound; the elaborator keeps a second count while it expands.
    """

    def __init__(self, blocks: Mapping[str, BlockDefinition]) -> None:
        self._blocks = blocks
        self._known: dict[str, int] = {}
        self._names: list[set[str]] = [set()]  # of the block that is counted: they are no nodes

    def scope(self, lets: tuple[Let, ...], expression: Sequence) -> int:
        """Nodes of a file or a block: of what it gives, and of the named values that this reads."""
        live = live_names(lets, expression) if lets else set()
        read = [let.expression for let in lets if let.name.text in live]
        self._names.append({let.name.text for let in lets})
        nodes = sum(map(self.sequence, (*read, expression)))
        self._names.pop()
        return nodes

    def sequence(self, sequence: Sequence) -> int:
        """Nodes of a sequence."""
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

    def _operand(self, operand: Sequence | Alternative) -> int:
        if isinstance(operand, Alternative):
            return min(self.sequence(operand.first), self.sequence(operand.second))
        return self.sequence(operand)

    def _block(self, key: str) -> int:
        if key not in self._blocks:
            return 1
        if key not in self._known:
            self._known[key] = 1  # a block that calls itself is refused elsewhere
            block = self._blocks[key]
            self._known[key] = self.scope(block.lets, block.expression)
        return self._known[key]
