"""Header of a file: syntax nodes to :class:`Settings`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Literal, TypeVar

import sewdsl.ops.init_rules  # noqa: F401 -- settings contain the name of a rule, even if no layer is known
from sewdsl.diagnostics import Diagnostic
from sewdsl.elaborate.assembly import Assembly, named_settings, setting_name
from sewdsl.elaborate.init_lines import INIT, ZERO, read_part_init, read_rule, rule_names
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Join, ShapeMismatch
from sewdsl.ir.settings import InputSetting, Settings
from sewdsl.ops.joins import Add
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OF
from sewdsl.syntax.suggestions import NO_ADVICE, Advice, advice, advise_on_kind, nearest_name
from sewdsl.syntax.tree import Call, Number, Setting, Text, Value, Word

Family = TypeVar("Family", bound=Kind)

HEADER_CHOICES: dict[str, tuple[str, ...]] = {"encode": ("none", "direct"), "readout": ("mean", "sum", "last")}
RANKS = (1, 2, 3)
MIN_VALUES = 2
"""Smallest number of values of an input."""
_SEPARATED = re.compile(r"[0-9\s,;x×X*()\[\]]+")
"""Shape with any separators."""
EXPECTED = {
    "input": "a positive shape: CxHxW, CxL or F, e.g. 2x128x128, 2x700 or 784",
    "steps": "an integer of at least 1",
}
"""Descriptions of the values of numeric settings, for messages."""
EXPECTED_COUNT = f"a shape, 'of' and the number of values (at least {MIN_VALUES}), e.g. 128 of 30522"


class HeaderReader:
    """Reader of the header of one assembly."""

    def __init__(self, assembly: Assembly, reporter: Reporter, kinds: NeuronKinds | None = None) -> None:
        self._settings, self._reporter, self._kinds = assembly.settings, reporter, kinds or NeuronKinds()
        self._unread = assembly.unread | self._kinds.broken

    def name(self, default: str) -> str:
        """Return the name of the network."""
        setting = self._settings.get("network")
        if setting is None:
            return default
        values = setting.values
        if len(values) == 1 and isinstance(values[0], Text) and values[0].text.strip():
            return values[0].text
        self._wrong(setting, 'a name in quotes, e.g. network "7B-Net"')
        return default

    def settings(self) -> Settings | None:
        """Return the settings of the header with defaults, or None if the input is missing or invalid."""
        setting = self._settings.get("input")
        source, inputs = None if setting is None else self._source(setting), self._inputs()
        init = self._choices(INIT)
        steps = self._steps()
        rest: dict[str, Any] = {
            "steps": steps,
            "encode": (self._choices("encode") or ["none"])[0],
            "readout": (self._choices("readout") or ["mean"])[0],
            "neuron": self._over_steps(self.neuron(), steps),
            "join": self.join(),
            "init": self._rule(init),
            "part_init": self._reporter.take(read_part_init(self._settings)),
            "zero_init": ZERO in init,
        }
        if inputs:
            return (
                None if source is not None or None in inputs else Settings(inputs=tuple(filter(None, inputs)), **rest)
            )
        return None if source is None else Settings(input=source.shape, of=source.of, **rest)

    @property
    def input_words(self) -> list[Word]:
        """Names of the inputs, in source order."""
        return [word for setting in self._named_inputs.values() if (word := setting_name(setting)) is not None]

    @property
    def _named_inputs(self) -> dict[str, Setting]:
        return named_settings(self._settings, "input")

    def _inputs(self) -> list[InputSetting | None]:
        """Return the named inputs, with None for an invalid one, and report settings that do not fit them."""
        named = self._named_inputs
        unnamed = self._settings.get("input")
        if named and unnamed is not None:
            hint = "name all inputs, e.g. 'input left 1x28x28'"
            self._reporter.report(
                "invalid-argument", "'input' without a name next to named inputs", unnamed.span, help=hint
            )
        for name, setting in named_settings(self._settings, "encode").items():
            if name not in named:
                value = "".join(f" {value.span.text}" for value in setting.values[1:])
                unnamed_help = f"write 'encode{value}', or name the input: 'input {name} 1x28x28'"
                message = f"unknown input '{name}'"
                known = f"known inputs: {', '.join(named)}" if named else unnamed_help
                near = advice(name, named, setting.values[0].span, known)
                self._reporter.report("unknown-name", message, setting.values[0].span, **near)
        shared = (self._choices("encode") or ["none"])[0]
        inputs: list[InputSetting | None] = []
        for name, setting in named.items():
            source = self._source(replace(setting, values=setting.values[1:]))
            static = (self._choices(f"encode {name}") or [shared])[0] == "direct"
            encode: Literal["none", "direct"] = "direct" if static else "none"
            inputs.append(source and source._replace(name=name, encode=encode))
        return inputs

    def _rule(self, words: list[str]) -> str:
        """Return the canonical text of the rule of initial weights: the word of ``init`` other than ``zero``."""
        setting = self._settings.get(INIT)
        name = next((word for word in words if word != ZERO), None)
        if setting is None or name is None:
            return "default"
        rule = self._reporter.take(read_rule([setting.values[words.index(name)]]))
        return "default" if rule is None else str(rule)

    def neuron(self) -> Activation | None:
        """Return the meaning of ``SN``, or None if no neuron is set."""
        neuron = self._kind("neuron", Activation, "the name of a neuron, e.g. PLIF(tau=2.0)")
        # After an error, any neuron prevents consequential errors.
        if neuron is None and "neuron" in self._settings:
            neuron = IF()
        return neuron

    def _over_steps(self, neuron: Activation | None, steps: int) -> Activation | None:
        """Return a neuron for a number of time-steps, or report that it requires another number."""
        try:
            return neuron and neuron.over_steps(steps)
        except ShapeMismatch as misfit:
            span = self._settings["neuron"].span
            self._reporter.report(misfit.code, str(misfit), span, help=misfit.help)
            return IF()

    def join(self) -> Join:
        """Return the meaning of ``g``, ADD by default."""
        return self._kind("join", Join, "the name of a join, e.g. ADD") or Add()

    def _source(self, setting: Setting) -> InputSetting | None:
        """Return an input without its name, ``128`` or ``128 of 30522``, or report an invalid one."""
        size, *words = setting.values
        value = self._single(replace(setting, values=(size,)))
        shape = (value,) if isinstance(value, int) else value
        if not (isinstance(shape, tuple) and len(shape) in RANKS and all(d >= 1 for d in shape)):
            self._wrong(setting, EXPECTED["input"])
            return None
        match words:
            case []:
                return InputSetting("", shape)
            case [Call() as word, Number(value=int(count))] if word.span.text == OF and count >= MIN_VALUES:
                return InputSetting("", shape, of=count)
        counted = nearest_name(words[0].span.text, [OF]) is not None
        self._wrong(setting, EXPECTED_COUNT if counted else EXPECTED["input"])
        return None

    def _steps(self) -> int:
        setting = self._settings.get("steps")
        if setting is None:
            return 1
        value = self._single(setting)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self._wrong(setting, EXPECTED["steps"])
        return 1

    def _choices(self, key: str) -> list[str]:
        """Return the words after a key and its name, if any, and report invalid or repeated ones."""
        setting = self._settings.get(key)
        if setting is None:
            return []
        key = setting.key.text
        if setting_name(setting) is not None:
            setting = replace(setting, values=setting.values[1:])
        rules = rule_names() if key == INIT else []
        known = (*rules, ZERO) if key == INIT else HEADER_CHOICES[key]
        words = [self._word(value, rules) for value in setting.values]
        # 'init' accepts one rule together with zero. All other settings accept one word.
        several = len({*words} - {"default", ZERO}) > 1 if key == INIT else len(words) > 1
        bad = [word for word in words if word not in known]
        if bad or several or not words or len(set(words)) < len(words):
            together = " (zero can be combined with each of the others)" if key == INIT else ""
            # 'init conv1 zero' is not a rule of a layer.
            hint = "write 'init zero' for all residual blocks" if bad and ZERO in words else ""
            expected = f"{', '.join(known[:-1])} or {known[-1]}{together}"
            self._wrong(setting, expected, hint, unknown=(bad[0], known) if bad else None)
            return []
        return words

    def _word(self, value: Value, rules: Collection[str]) -> str:
        """Return a word, or the name of a rule, which can have arguments."""
        name = value.name.plain if isinstance(value, Call) else None
        takes_arguments = name in rules or (isinstance(value, Call) and not (value.called or value.arguments))
        return (name if takes_arguments else None) or value.span.text

    def _kind(self, key: str, family: type[Family], expected: str) -> Family | None:
        setting = self._settings.get(key)
        if setting is None:
            return None
        value = self._single(setting)
        if isinstance(value, family):
            return value
        if value is not None and str(value) not in self._unread:
            names = self._kinds.names(family)
            span = setting.values[0].span.to(setting.values[-1].span)
            self._reporter.add(describe_wrong(key, expected, span, advise_on_kind(str(value), names, span)))
        return None

    def _single(self, setting: Setting) -> Any:
        if len(setting.values) == 1:
            try:
                return ValueReader(self._reporter, kinds=self._kinds).read(setting.values[0])
            except InvalidText:
                return None
        return ()

    def _wrong(
        self, setting: Setting, expected: str, hint: str = "", unknown: tuple[str, Iterable[str]] | None = None
    ) -> None:
        """Report a setting with an invalid value. Suggest a known word for an unknown one."""
        spans = [value.span for value in setting.values]
        span = spans[0].to(spans[-1]) if spans else setting.span
        near = advice(*unknown, span, hint) if unknown else None
        self._reporter.add(describe_wrong(setting.key.text, expected, span, near or {"help": hint, "fixes": ()}))


def describe_wrong(key: str, expected: str, span: Span, hint: Advice = NO_ADVICE) -> Diagnostic:
    """Return the diagnostic for a setting with an invalid value, given a description of valid ones."""
    if key == "input" and not hint["help"]:
        lengths = re.findall("[0-9]+", span.text)  # a shape with other separators, e.g. ``2,32,32``
        is_shape = len(lengths) == max(RANKS) and all(map(int, lengths)) and _SEPARATED.fullmatch(span.text)
        shape = "x".join(lengths)
        text = f"write {shape}" if is_shape and shape != span.text else ""
        if re.fullmatch(r"\w+=\S+", span.text):
            text = f"set a named input with --set input.{span.text}"
        hint = {"help": text, "fixes": ()}
    label = f"got '{span.text}'"
    return Diagnostic("invalid-argument", f"'{key}' must be {expected}", span, label=label, **hint)
