"""Table of names: the definition of each block, parameter, named value, neuron and variable that a source mentions.

The table follows the rules of the elaborator but does not require a network. It also covers blocks without calls,
sources with errors, and other files of a project. It is computed on first access.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from string import digits
from typing import Literal, NamedTuple

from sewdsl.elaborate.assembly import OUTPUTS, Assembly, input_name, setting_name
from sewdsl.elaborate.block_calls import block_key, block_title, title_key
from sewdsl.elaborate.compact_arguments import CompactError, split_arguments
from sewdsl.elaborate.init_lines import INIT, init_part, part_text
from sewdsl.elaborate.named_values import value_name
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.elaborate.train_section import LOSS, PARTS, TARGET
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import GIVEN_NAMES, INPUT
from sewdsl.syntax.suggestions import MAX_LENGTH


@dataclass(frozen=True)
class Meaning:
    """Definition that a name refers to."""

    family: Literal["block", "parameter", "value", "neuron", "variable"]
    """Type of the definition. ``variable`` is a parameter of a neuron, or a name that its equations define."""
    definition: tree.SyntaxNode
    """Syntax node of the definition. For an operand and a variable, the word."""
    scope: tree.SyntaxNode
    """Block, neuron or file that contains the definition. For a block and a neuron, the definition itself."""
    name: str
    span: Span

    @property
    def title(self) -> str:
        """Name of the defined block or neuron, or of the one that contains the definition."""
        match self.scope:
            case tree.BlockDefinition() as block:
                return block_title(block)
            case tree.NeuronDefinition(name=word):
                return word.text
            case _:
                return self.name

    @property
    def key(self) -> str:
        """Title without white space, which every source that refers to the definition contains."""
        return self.title.replace(" ", "")

    def is_same(self, other: Meaning) -> bool:
        """Return whether two meanings refer to the same definition, also if its file was read twice."""
        if self is other:
            return True
        alike = (self.name, self.span.start) == (other.name, other.span.start)
        return alike and Path(self.span.source.name).resolve() == Path(other.span.source.name).resolve()


class NameUse(NamedTuple):
    """Occurrence of a name in a source."""

    span: Span
    meaning: Meaning
    defines: bool = False
    """Whether the occurrence is the definition."""
    in_key: bool = False
    """Whether the occurrence is in the key of a layer, where the name of a block has another spelling: ``my_net`` in
    ``freeze my_net1``."""

    @property
    def name(self) -> str:
        """Name as defined."""
        return self.meaning.name

    def renamed(self, name: str) -> str:
        """Return the text of the occurrence with another name of the definition."""
        definition = self.meaning.definition
        is_block = (
            self.meaning.family == "block" and isinstance(definition, tree.BlockDefinition) and not definition.shared
        )
        return title_key(name) if self.in_key and is_block else name


class NameTable:
    """Names of one source.

    Args:
        assembly: Statements of the source and its used files. None if the source is nested too deep.
    """

    def __init__(self, document: tree.Document, assembly: Assembly | None, vocabulary: Vocabulary) -> None:
        self._document, self._blocks = document, vocabulary.blocks
        self._neurons = assembly.neurons if assembly is not None else {}
        # Keys of shipped blocks are not resolved.
        self._keys = {block_key(block): block for block in assembly.blocks.values()} if assembly is not None else {}
        self._entries: dict[int, tuple[Meaning, dict[str, Meaning]]] = {}

    @cached_property
    def uses(self) -> list[NameUse]:
        """All occurrences of names with a definition, in the order of the source."""
        return sorted(self._statements(), key=lambda use: use.span.start)

    def at(self, offset: int) -> NameUse | None:
        """Return the occurrence around or directly before an offset."""
        return next((use for use in self.uses if use.span.start <= offset <= use.span.end), None)

    def meaning(self, name: tree.SyntaxNode) -> Meaning | None:
        """Return the meaning of a name in the tree, or None for kinds, keywords and unknown names."""
        use = self.at(name.span.start)
        return use.meaning if use is not None and use.span == name.span else None

    def references(self, meaning: Meaning) -> Iterator[NameUse]:
        """Yield the occurrences that refer to a definition."""
        return (use for use in self.uses if use.meaning.is_same(meaning))

    def _statements(self) -> Iterator[NameUse]:
        values = scope_values(self._document)
        for statement in self._document.statements:
            match statement:
                case tree.BlockDefinition():
                    yield from self._block(statement)
                case tree.NeuronDefinition(name=name):
                    meaning, variables = self._entry(statement)
                    yield NameUse(name.span, meaning, defines=True)
                    for word in neuron_words(statement):
                        if (variable := variables.get(word.text)) is not None:
                            yield NameUse(word.span, variable, variable.span == word.span)
                case tree.Let():
                    yield from self._let(statement, self._document, values, {})
                case tree.Section():
                    yield from self._section(statement, values)
                case tree.Setting(key=key) if key.text == INIT and init_part(statement.values) is not None:
                    yield from self._key(statement.values[0])
                case tree.Expect(quantity=word) | tree.Claim(quantity=word) if word.text in values:
                    yield NameUse(word.span, values[word.text])
                case tree.Setting() if (own := setting_name(statement)) is not None and own.text in values:
                    meaning = values[own.text]
                    yield NameUse(own.span, meaning, defines=meaning.span == own.span)
                case _:
                    yield from self._part(statement, values, {})

    def _section(self, section: tree.Section, values: Mapping[str, Meaning]) -> Iterator[NameUse]:
        """Yield the names of layers and groups in a recipe, and the outputs in its losses."""
        for setting in section.settings:
            if setting.key.text in PARTS:
                for value in setting.values:
                    yield from self._key(value)
            elif setting.key.text == LOSS:
                yield from _outputs_in(setting, values)
            else:
                yield from self._part(setting, {}, {})

    def _key(self, value: tree.Value) -> Iterator[NameUse]:
        """Yield the names in the key of a layer or group, or in a pattern: ``Eye`` in ``Eye.*``."""
        text, start = part_text(value), int(isinstance(value, tree.Text))
        values = scope_values(self._document)
        steps = text.split(".") if isinstance(value, tree.Call | tree.Text) else []
        for step in steps:
            span, start = value.span.part(start, start + len(step)), start + len(step) + 1
            call = self._call_in_key(step)
            block, length, operand = call if call is not None else (None, 0, None)
            if step in values and isinstance(values[step].definition, tree.Let):
                yield NameUse(span, values[step], in_key=True)
            elif block is not None:
                yield NameUse(span.part(0, length), self._entry(block)[0], in_key=True)
                if operand is not None:
                    end = len(step)
                    yield NameUse(span.part(end - len(operand.text), end), _value(operand, operand, block))
            elif (name := step if step in self._inputs else step.rstrip(digits).rstrip("_")) in self._inputs:
                yield NameUse(span.part(0, len(name)), self._inputs[name])
            # Names in a block begin with its own values. The operands of a call are outside of the block.
            values = scope_values(block) if block is not None and operand is None else {}

    def _call_in_key(self, step: str) -> tuple[tree.BlockDefinition, int, tree.Word | None] | None:
        """Return the block in a step of a key, the length of its name there, and the operand of the call, if any."""
        if len(step) > MAX_LENGTH:
            return None
        for cut in (len(step), *(match.start() + 1 for match in re.finditer("[0-9]_", step))):
            call, operand = step[:cut], step[cut + 1 :]
            # The name of a block may end in digits, too.
            for end in range(len(call), len(call.rstrip(digits)) - 1, -1):
                block = self._keys.get(call[:end])
                # Only the first call of a part has no number.
                if block is None or (end == len(call) and not block.shared):
                    continue
                word = next((word for word in block.operands if word.text == operand), None)
                if word is not None or not operand:
                    return block, end, word
        return None

    @cached_property
    def _inputs(self) -> dict[str, Meaning]:
        """Inputs of neurons with several inputs by name, if only one neuron has the name."""
        heads = [neuron for neuron in self._neurons.values() if len(neuron.inputs) > 1]
        counts = Counter(word.text for neuron in heads for word in neuron.inputs)
        members = (self._entry(neuron)[1] for neuron in heads)
        return {name: meaning for names in members for name, meaning in names.items() if counts[name] == 1}

    def _block(self, block: tree.BlockDefinition) -> Iterator[NameUse]:
        (meaning, parameters), values = self._entry(block), scope_values(block)
        yield NameUse(block.name.span, meaning, defines=True)
        for parameter in block.parameters:
            span, own = parameter.span.part(0, len(parameter.name)), parameters[parameter.name]
            yield NameUse(span, own, own.definition is parameter)
        for word in block.operands:
            yield NameUse(word.span, _value(word, word, block), defines=True)
        for let in block.lets:
            yield from self._let(let, block, values, parameters)
        yield from self._part(block.expression, values, parameters)

    def _let(
        self, let: tree.Let, scope: tree.SyntaxNode, values: Mapping[str, Meaning], parameters: Mapping[str, Meaning]
    ) -> Iterator[NameUse]:
        yield NameUse(let.name.span, _value(let, let.name, scope), defines=True)
        yield from self._part(let.expression, values, parameters)

    def _part(
        self, part: tree.SyntaxNode, values: Mapping[str, Meaning], parameters: Mapping[str, Meaning]
    ) -> Iterator[NameUse]:
        """Yield the names in an expression or a statement."""
        reads: set[int] = set()  # ids of calls at positions where a named value can be read
        for node in tree.walk_syntax(part):
            match node:
                case tree.Sequence(items=items):
                    reads.add(id(items[0]))
                case tree.Setting(key=key) if key.text == OUTPUTS:
                    reads.update(map(id, node.values))
                case tree.Call() if id(node) in reads and value_name(node) in values:
                    yield NameUse(node.name.span, values[node.name.plain or ""])
                case tree.Call() | tree.MergeOf():
                    yield from self._call(node)
                case tree.Parameter(name=name) if name in parameters:
                    yield NameUse(node.span, parameters[name])

    def _call(self, call: tree.Call | tree.MergeOf) -> Iterator[NameUse]:
        """Yield the name of a called block or neuron, and the names of its arguments."""
        name = call.name.plain or ""
        if name in self._blocks:
            meaning, parameters = self._entry(self._blocks[name])
            yield NameUse(call.name.span, meaning)
            for argument in call.arguments:
                yield from _parameters_given(argument, parameters)
        # A kind in Python takes precedence over a shipped neuron of the same name.
        elif name in self._neurons or (name in shipped_neurons() and find(name) is None):
            neuron = self._neurons[name] if name in self._neurons else shipped_neurons()[name]
            meaning, variables = self._entry(neuron)
            yield NameUse(call.name.span, meaning)
            own = {parameter.name.text for parameter in neuron.parameters}
            for argument in call.arguments:
                if argument.name in own and argument.name in variables:
                    yield NameUse(argument.span.part(0, len(argument.name)), variables[argument.name])

    def _entry(self, definition: tree.BlockDefinition | tree.NeuronDefinition) -> tuple[Meaning, dict[str, Meaning]]:
        """Return the meaning of a block or a neuron, and the meanings of its members by name."""
        if id(definition) not in self._entries:
            if isinstance(definition, tree.BlockDefinition):
                title, span = block_title(definition), definition.name.span
                meaning = Meaning("block", definition, definition, title, span)
            else:
                word = definition.name
                meaning = Meaning("neuron", definition, definition, word.text, word.span)
            self._entries[id(definition)] = meaning, scope_members(definition)
        return self._entries[id(definition)]


def scope_values(scope: tree.SyntaxNode) -> dict[str, Meaning]:
    """Return the named values of a file or a block by name, without duplicates."""
    values: dict[str, Meaning] = {}
    parts: tuple[tree.SyntaxNode, ...] = ()
    if isinstance(scope, tree.Document):
        parts = scope.statements
    elif isinstance(scope, tree.BlockDefinition):
        parts = (*scope.operands, *scope.lets)
    for part in parts:
        word = part.name if isinstance(part, tree.Let) else input_name(part) if isinstance(part, tree.Setting) else part
        if isinstance(word, tree.Word):
            values.setdefault(word.text, _value(part, word, scope))
    return values


def _value(definition: tree.SyntaxNode, word: tree.Word, scope: tree.SyntaxNode) -> Meaning:
    return Meaning("value", definition, scope, word.text, word.span)


def scope_members(scope: tree.SyntaxNode) -> dict[str, Meaning]:
    """Return the parameters of a block, or the parameters and variables of a neuron."""
    members: dict[str, Meaning] = {}
    if isinstance(scope, tree.BlockDefinition):
        for each in scope.parameters:
            span = each.span.part(0, len(each.name))
            members.setdefault(each.name, Meaning("parameter", each, scope, each.name, span))
    elif isinstance(scope, tree.NeuronDefinition):
        # With names in brackets, x has no meaning of its own.
        ready_names = GIVEN_NAMES - {INPUT} if scope.inputs else GIVEN_NAMES
        for word in neuron_words(scope):
            if word.text not in ready_names:
                members.setdefault(word.text, Meaning("variable", word, scope, word.text, word.span))
    return members


def neuron_words(neuron: tree.NeuronDefinition) -> Iterator[tree.Word]:
    """Yield the parameters, inputs and variables of a neuron, in the order of the source."""
    yield from (parameter.name for parameter in neuron.parameters)
    yield from neuron.inputs
    yield from tree.names_in(neuron.equations)


def _outputs_in(loss: tree.Setting, values: Mapping[str, Meaning]) -> Iterator[NameUse]:
    """Yield the outputs in ``loss early KL(to=last)``."""
    for call in (value for value in loss.values if isinstance(value, tree.Call)):
        targets = (argument.value for argument in call.arguments if argument.name == TARGET)
        for name in (call, *(value for value in targets if isinstance(value, tree.Call))):
            if not name.called and (meaning := values.get(name.name.plain or "")) is not None:
                yield NameUse(name.name.span, meaning)


def _parameters_given(argument: tree.Argument, parameters: Mapping[str, Meaning]) -> Iterator[NameUse]:
    """Yield the names of a block's parameters in an argument: ``c`` and ``s`` of ``c32s2``, ``c`` of ``c=32``."""
    if argument.name is not None:
        if argument.name in parameters:
            yield NameUse(argument.span.part(0, len(argument.name)), parameters[argument.name])
        return
    parts = argument.value.name.parts if isinstance(argument.value, tree.Call) else ()
    for part in parts if isinstance(next(iter(parts), None), tree.Word) else ():
        if not isinstance(part, tree.Word):
            continue
        try:  # An interpolation is the value of the last letter before it.
            pieces = split_arguments(part.text if part is parts[-1] else f"{part.text}0")
        except CompactError:
            continue
        for piece in pieces:
            if piece.letter in parameters:
                span = part.span.part(piece.start, piece.start + len(piece.letter))
                yield NameUse(span, parameters[piece.letter])
