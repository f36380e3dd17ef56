"""The ``train`` section: from settings in the source to a :class:`Recipe`, with the aliases of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field

from sewdsl.analysis.named_parts import fold_parts, match_nodes, part_names
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.suggestions import advice, listed, nearest_name, rename
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import LISTS, Recipe, Transform
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.reporter import InvalidText, Reported, Reporter
from sewdsl.syntax.lexicon import SETTINGS
from sewdsl.syntax.tree import Call, Number, Quantity, Section, Setting, Text, Word

KEY_ALIASES = {
    **{name: f"train.{name}" for name in Recipe.model_fields},
    **{name: name for name in SETTINGS},
    "lr": "train.optimizer.lr",
    "learning_rate": "train.optimizer.lr",
    "batch_size": "train.batch",
    "dataset": "train.on",
    "tau": "neuron.tau",
    "surrogate": "neuron.surrogate",
}


def resolve_key_alias(name: str) -> str | None:
    """The key that a name or an option means, ``train.optimizer.lr`` for ``--lr`` and ``train.lr``; None: none."""
    return KEY_ALIASES.get(name.removeprefix("train.").lstrip("-").replace("-", "_"))


KEYS = tuple(name for name in Recipe.model_fields if name != "on")
PARTS = {"freeze": "conv1 sew_block1", "lr": "fc1 10x"}
"""Keys whose values name layers and parts of the network, and an example of each."""


def read_train_section(section: Section, *, library: bool = False) -> Reported[Recipe | None]:
    """The recipe of a ``train`` section; None where it has problems, of which all are said.

    Args:
        library: The section is of a file without a network, and need not be complete.
    """
    reader = _RecipeReader(section, library)
    return reader.reporter.follow(reader.read)


@dataclass(frozen=True)
class _RecipeReader:
    section: Section
    library: bool
    reporter: Reporter = field(default_factory=Reporter)

    def read(self) -> Recipe | None:
        section, given, wrong = self.section, dict[str, GivenArgument](), set[str]()
        for setting in section.settings:
            key, value = setting.key.text, None
            with suppress(InvalidText):
                value = self._value(setting)
            if key not in KEYS:
                self.reporter.add(_describe_unknown(setting.key))
                wrong.add(nearest_name(key, KEYS) or key)
            elif key in given or (key in wrong and value is None):
                span = setting.key.span
                self.reporter.report("duplicate-setting", f"'{key}' is set twice", span, help="keep one")
            elif value is None:
                wrong.add(key)
            else:
                given[key] = value
        if section.on is None and not self.library:
            message, hint = "the recipe does not say on which data set", "write 'train on mnist5k { … }'"
            self.reporter.report("missing-argument", message, section.name.span, help=hint)
        given["on"] = GivenArgument(section.on or "", section.span)
        said = wrong | (set(KEYS) - set(given) if self.library else set())
        made = self.reporter.take(validate_arguments(Recipe, "the recipe", given, section.name.span, said=said))
        return made if section.on is not None else None

    def _value(self, setting: Setting) -> GivenArgument:
        if setting.key.text in LISTS:
            return self._list(setting)
        if setting.key.text in PARTS:
            return self._parts(setting)
        if len(setting.values) != 1:
            texts = " and ".join(f"'{value.span.text}'" for value in setting.values)
            message = f"'{setting.key.text}' takes one value, and this reads as {len(setting.values)}: {texts}"
            hint = f"write '{setting.key.text} VALUE'"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)
        value = setting.values[0]
        return GivenArgument(ValueReader(self.reporter).read(value), value.span)

    def _list(self, setting: Setting) -> GivenArgument:
        """Several values; ``none`` alone is none of them."""
        found = [ValueReader(self.reporter).read(value) for value in setting.values]
        whole = setting.values[0].span.to(setting.values[-1].span)
        if setting.key.text == "augment":
            for value, made in zip(setting.values, found, strict=True):
                if not isinstance(made, Transform) and found != [None]:
                    names = sorted(name for name, kind in catalogue().items() if issubclass(kind, Transform))
                    near = advice(str(made), names, value.span, f"known: {', '.join(names)}")
                    message = f"'augment' of the recipe lists transforms, and '{value.span.text}' is none"
                    raise self.reporter.refuse("invalid-argument", message, value.span, **near)
            return GivenArgument(() if found == [None] else tuple(found), whole)
        return GivenArgument(None if found == [None] else tuple(found), whole)

    def _parts(self, setting: Setting) -> GivenArgument:
        """Names of layers and parts, each with a learning rate if the key is ``lr``; ``none``: there are none."""
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
            whole = f"optimizer …(lr={texts[0]})" if setting.key.span.text == key else "train.optimizer.lr"
            hint = f"the learning rate of all is the optimizer's, '{whole}'; for that of a part, {hint}"
        said = "layers and parts, each with its learning rate," if key == "lr" else "names of layers and parts,"
        message = f"'{key}' takes {said} and this is '{' '.join(texts)}'"
        raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)


def check_parts(network: Network, section: Section) -> Iterator[Diagnostic]:
    """What a recipe says of layers and parts that the network does not have, or that learn nothing there."""
    recipe = network.recipe
    if recipe is None or not (recipe.freeze or recipe.lr):
        return
    spans = {
        (value.text if isinstance(value, Text) else value.span.text): value.span
        for setting in section.settings
        if setting.key.text in PARTS
        for value in setting.values
    }
    learning = {index for index, node in enumerate(network.nodes) if network.parameters(node)}
    frozen: frozenset[int] = frozenset()
    for key, pattern in [*(("freeze", name) for name in recipe.freeze), *(("lr", name) for name, _ in recipe.lr)]:
        nodes, span = match_nodes(network, pattern), spans.get(pattern, section.name.span)
        if not nodes:
            known = sorted({*part_names(network)})
            near = advice(pattern, known, span, f"layers and parts: {listed(fold_parts(network, learning, learning))}")
            message = f"no layer or part of the network is called '{pattern}'"
            yield Diagnostic("unknown-name", Severity.ERROR, message, span, **near)
        elif not nodes & learning:
            message = f"'{key} {pattern}' has no effect: {listed(fold_parts(network, nodes, nodes))} learns nothing"
            yield Diagnostic("invalid-argument", Severity.ERROR, message, span, help="leave it out")
        elif key == "lr" and nodes & learning <= frozen:
            message = f"'lr {pattern}' has no effect: 'freeze' names all of it"
            yield Diagnostic("invalid-argument", Severity.ERROR, message, span, help="leave out one of them")
        frozen |= nodes if key == "freeze" else frozenset()
    if learning and learning <= frozen:
        message, hint = "'freeze' names all that learns, so that nothing is left to train", "leave a layer out of it"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, section.name.span, help=hint)


def _describe_unknown(key: Word) -> Diagnostic:
    """What is said of a key that no recipe has, and which is intended; on the command line, the value is marked."""
    spoken = resolve_key_alias(key.text) or ""
    name, _, argument = spoken.removeprefix("train.").partition(".")
    meant = name if name in KEYS and not argument else nearest_name(key.text, KEYS)
    written = key.span.text == key.text
    hint = f"did you mean '{meant if written else f'train.{meant}'}'?" if meant else f"its keys: {', '.join(KEYS)}"
    if name in KEYS and argument:
        meant, hint = None, f"write '{name} …({argument}=…)'" if written else f"did you mean '{spoken}'?"
    return Diagnostic(
        "unknown-setting",
        Severity.ERROR,
        f"the recipe has no '{key.text}'",
        key.span,
        help=hint,
        fixes=(rename(key.span, meant),) if meant and written else (),
    )
