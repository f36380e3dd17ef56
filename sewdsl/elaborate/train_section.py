"""The ``train`` section: settings to a :class:`Recipe`, and aliases of its keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import field

from pydantic import BaseModel, SerializeAsAny

from sewdsl.analysis.named_parts import fold_parts, match_nodes, match_parameters
from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.network import Network
from sewdsl.ir.node import enclosing_parts
from sewdsl.ir.printed_values import parse_memory, parse_multiple
from sewdsl.ir.recipe import LISTS, Loss, LossTerm, Recipe, Transform
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.reporter import InvalidText, Reported, Reporter
from sewdsl.source import Span
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.suggestions import (
    advice,
    advise_on_kind,
    help_for_line,
    listed,
    names_elsewhere,
    nearest_name,
    rename,
)
from sewdsl.syntax.tree import Call, Number, Quantity, Section, Setting, Text, Word


def resolve_key_alias(name: str) -> str | None:
    """Return the key for an alias, e.g. ``train.optimizer.lr`` for ``--lr`` and ``train.lr``, or None."""
    word = name.removeprefix("train.").lstrip("-").replace("-", "_")
    own = word if word in SETTINGS else f"train.{word}" if word in Recipe.model_fields and word != "losses" else None
    return names_elsewhere("settings").get(word, own)


KEYS = tuple(name for name in Recipe.model_fields if name not in {"on", "losses"})
LOSS = "loss"
"""Key of the lines with the terms of the loss, which may be repeated."""
TARGET = "to"
"""Argument of a loss with its target, which can be another output."""
PARTS = {"freeze": "conv1 sew_block1", "lr": "fc1 10x"}
"""Keys whose values name layers and groups of the network, with examples."""


def read_train_section(section: Section, *, library: bool = False) -> Reported[Recipe | None]:
    """Read the recipe of a ``train`` section, or report all its errors and return None.

    Args:
        library: Whether the file has no network, so that the section can be incomplete.
    """
    reader = _RecipeReader(section, library)
    return reader.reporter.follow(reader.read)


class _LossLine(BaseModel):
    """Kind of a single ``loss`` line."""

    loss: SerializeAsAny[Loss]


@dataclass(frozen=True)
class _RecipeReader:
    section: Section
    library: bool
    reporter: Reporter = field(default_factory=Reporter)

    def read(self) -> Recipe | None:
        section, settings, wrong = self.section, dict[str, GivenArgument](), set[str]()
        lines = [setting for setting in section.settings if setting.key.text == LOSS]
        several = len(lines) > 1 or any(len(line.values) > 1 for line in lines)
        if several and (losses := self._losses(lines)):
            span = lines[0].span
            settings |= {"losses": GivenArgument(losses, span), LOSS: GivenArgument(losses[0].loss, span)}
        for setting in section.settings:
            if several and setting.key.text == LOSS:
                continue
            key, value = setting.key.text, None
            with suppress(InvalidText):
                value = self._value(setting) if key in KEYS else None
            if key not in KEYS:
                self.reporter.add(_describe_unknown(setting.key))
                wrong.add(nearest_name(key, KEYS) or key)
            elif key in settings or (key in wrong and value is None):
                span = setting.key.span
                self.reporter.report("duplicate-setting", f"duplicate setting '{key}'", span, help="remove one of them")
            elif value is None:
                wrong.add(key)
            else:
                settings[key] = value
        if section.on is None and not self.library:
            message, hint = "the recipe has no dataset", "add it, e.g. 'train on mnist5k { … }'"
            self.reporter.report("missing-argument", message, section.name.span, help=hint)
        settings["on"] = GivenArgument(section.on or "", section.span)
        # The defaults of a recipe are kinds.
        catalogue()
        # Do not report invalid settings again as missing. In a library, settings can be missing.
        reported = wrong | section.unread | (set(KEYS) - set(settings) if self.library else set())
        recipe = self.reporter.take(
            validate_arguments(Recipe, "the recipe", settings, section.name.span, reported=reported)
        )
        return recipe if section.on is not None else None

    def _value(self, setting: Setting) -> GivenArgument:
        """Return the value of a setting, or report that it is invalid and raise InvalidText."""
        if setting.key.text in LISTS:
            return self._list(setting)
        if setting.key.text in PARTS:
            return self._parts(setting)
        # A common cause is a space before a unit, as in 'memory 2 GB'.
        if len(setting.values) != 1:
            texts = " and ".join(f"'{value.span.text}'" for value in setting.values)
            message = f"'{setting.key.text}' requires one value, got {len(setting.values)}: {texts}"
            joined = "".join(value.span.text for value in setting.values)
            shown = joined if parse_memory(joined) or parse_multiple(joined) else "VALUE"
            hint = f"write '{setting.key.text} {shown}'"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)
        value = setting.values[0]
        return GivenArgument(ValueReader(self.reporter).read(value), value.span)

    def _losses(self, lines: Iterable[Setting]) -> tuple[LossTerm, ...]:
        terms = []
        for line in lines:
            *words, last = line.values
            factor = parse_multiple(last.text) if isinstance(last, Quantity) and words else None
            words = words if factor is not None else [*words, last]
            kinds = [value for value in words[-1:] if isinstance(value, Call)]
            names = [value.name.plain for value in words[:-1] if isinstance(value, Call) and not value.called]
            if not kinds or len(names) != len(words) - 1 or len(names) > 1 or factor == 0:
                decimal = last.text if isinstance(last, Number) else ""
                text = line.values[0].span.to(line.values[-1].span).text
                message = f"'loss' must be [OUTPUT] LOSS [FACTORx], got '{text}'"
                hint = "write e.g. 'loss CrossEntropy' or 'loss early CrossEntropy 0.3x'"
                hint = f"write the factor as {decimal}x" if decimal else hint
                self.reporter.report("invalid-argument", message, line.span, help=hint)
                continue
            with suppress(InvalidText):
                argument = GivenArgument(ValueReader(self.reporter).read(kinds[0]), kinds[0].span)
                loss = self.reporter.take(validate_arguments(_LossLine, "the recipe", {LOSS: argument}, kinds[0].span))
                if loss is not None:
                    terms.append(LossTerm(names[0] or "" if names else "", loss.loss, factor or 1.0))
        return tuple(terms) if not self.reporter.errors else ()

    def _list(self, setting: Setting) -> GivenArgument:
        """Return the values of a setting with several values. A single ``none`` is an empty list."""
        items = [ValueReader(self.reporter).read(value) for value in setting.values]
        span = setting.values[0].span.to(setting.values[-1].span)
        if setting.key.text == "augment":
            for value, item in zip(setting.values, items, strict=True):
                if not isinstance(item, Transform) and items != [None]:
                    names = sorted(name for name, kind in catalogue().items() if issubclass(kind, Transform))
                    near = advise_on_kind(str(item), names, value.span)
                    message = f"'augment' of the recipe requires transforms, got '{value.span.text}'"
                    raise self.reporter.refuse("invalid-argument", message, value.span, **near)
            return GivenArgument(() if items == [None] else tuple(items), span)
        return GivenArgument(None if items == [None] else tuple(items), span)

    def _parts(self, setting: Setting) -> GivenArgument:
        """Return names of layers and groups, with learning rates if the key is ``lr``. ``none`` is an empty list."""
        key, values = setting.key.text, setting.values
        texts = [value.text if isinstance(value, Text) else value.span.text for value in values]
        named = [isinstance(value, Text) or (isinstance(value, Call) and not value.called) for value in values]
        if texts == ["none"] and not isinstance(values[0], Text):
            return GivenArgument((), setting.span)
        if key == "freeze" and all(named):
            return GivenArgument(tuple(texts), setting.span)
        rates = [
            value.value if isinstance(value, Number) else value.text if isinstance(value, Quantity) else None
            for value in values[1::2]
        ]
        if key == "lr" and len(values) % 2 == 0 and all(named[::2]) and None not in rates:
            return GivenArgument(tuple(zip(texts[::2], rates, strict=True)), setting.span)
        hint = f"write '{key} {PARTS[key]}'"
        if key == "lr" and len(values) == 1 and isinstance(values[0], Number):
            # Without a matching span, the setting is an override of the command line.
            setting_of_all = f"optimizer …(lr={texts[0]})" if setting.key.span.text == key else "train.optimizer.lr"
            hint = f"set the learning rate of the network with '{setting_of_all}'; for a group, {hint}"
        text = values[0].span.to(values[-1].span).text
        expected = "layers and groups with their learning rates" if key == "lr" else "names of layers and groups"
        message = f"'{key}' requires {expected}, got '{text}'"
        raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)


def check_parts(network: Network, section: Section) -> Iterator[Diagnostic]:
    """Report names in ``freeze`` and ``lr`` that match nothing, or have no effect."""
    recipe = network.recipe
    if recipe is None:
        return
    required = {
        "delay_width": (any(node.op.learns_delays for node in network), "no layer learns delays"),
        "quantize": (any(node.op.on_grid for node in network), "no layer is a convolution or fully connected"),
    }
    for key, (has_effect, reason) in required.items():
        if getattr(recipe, key) is not None and not has_effect:
            line = next((each.span for each in section.settings if each.key.text == key), section.name.span)
            message = f"'{key}' has no effect: {reason}"
            yield Diagnostic("invalid-argument", message, line, help="remove it")
    if not (recipe.freeze or recipe.lr):
        return
    spans = {
        (value.text if isinstance(value, Text) else value.span.text): value.span
        for setting in section.settings
        if setting.key.text in PARTS
        for value in setting.values
    }
    learning = {index for index, node in enumerate(network.nodes) if network.parameters(node)}
    # 'freeze' patterns come first, so that 'lr' patterns of frozen layers can be reported.
    frozen: frozenset[int] = frozenset()
    for key, pattern in [*(("freeze", name) for name in recipe.freeze), *(("lr", name) for name, _ in recipe.lr)]:
        nodes, span = match_nodes(network, pattern), spans.get(pattern, section.name.span)
        if not nodes and match_parameters(network, pattern):
            continue
        if not nodes:
            yield unknown_part(network, pattern, span, learning)
        elif not nodes & learning:
            parts = listed(fold_parts(network, nodes, nodes))
            message = f"'{key} {pattern}' has no effect: no learnable parameters in {parts}"
            yield Diagnostic("invalid-argument", message, span, help="remove it")
        elif key == "lr" and nodes & learning <= frozen:
            message = f"'lr {pattern}' has no effect: 'freeze' covers all of it"
            yield Diagnostic("invalid-argument", message, span, help="remove one of them")
        frozen |= nodes if key == "freeze" else frozenset()
    if learning and learning <= frozen:
        message = "'freeze' covers all learnable parameters; nothing is left to train"
        hint = "remove a layer from 'freeze'"
        yield Diagnostic("invalid-argument", message, section.name.span, help=hint)


def unknown_part(network: Network, pattern: str, span: Span, layers: Collection[int]) -> Diagnostic:
    """Return the diagnostic for a pattern that matches nothing, which lists the layers at the indices."""
    # Further calls of a part have no weights.
    nodes = [node for node in network.layers if node.weights is None]
    known = {part for node in nodes for part in enclosing_parts(node.name)}
    head, dot, last = pattern.rpartition(".")
    if last == "*":
        known = {f"{part}.*" for part in known}
    elif dot:
        keys = {(node.name, name) for node in nodes for name in node.op.parameter_names()}
        known |= {f"{'*' if head == '*' else layer}.{name}" for layer, name in keys}
    near = advice(pattern, known, span, f"layers and groups: {listed(fold_parts(network, layers, layers))}")
    message = f"no layer or group matches '{pattern}'"
    return Diagnostic("unknown-name", message, span, **near)


def _describe_unknown(key: Word) -> Diagnostic:
    alias = resolve_key_alias(key.text) or ""
    name, _, argument = alias.removeprefix("train.").partition(".")
    similar = name if name in KEYS and not argument else nearest_name(key.text, KEYS)
    in_file = key.span.text == key.text  # On the command line, the span is that of the value.
    hint = f"expected one of: {', '.join(KEYS)}"
    if similar:
        hint = f"did you mean '{similar if in_file else f'train.{similar}'}'?"
    if name in KEYS and argument:
        similar, hint = None, f"write '{name} …({argument}=…)'" if in_file else f"did you mean '{alias}'?"
    if line := help_for_line(key.text):
        similar, hint = None, line
    if name == "on":
        similar, hint = None, "write the dataset after the name of the section: train on mnist5k { … }"
    return Diagnostic(
        "unknown-setting",
        f"unknown setting '{key.text}' of the recipe",
        key.span,
        help=hint,
        fixes=(rename(key.span, similar),) if similar and in_file else (),
    )
