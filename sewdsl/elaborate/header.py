"""The header of a file: from settings as written to :class:`Settings`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.arguments import validate_arguments
from sewdsl.elaborate.assembly import Assembly
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.elaborate.suggestions import NO_ADVICE, Advice, advice
from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Join, ShapeMismatch
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.settings import NormalWeights, Settings
from sewdsl.ops.joins import Add
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.reporter import InvalidText, Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Setting, Text, Value

Family = TypeVar("Family", bound=Kind)

HEADER_CHOICES: dict[str, tuple[str, ...]] = {
    "encode": ("none", "direct"),
    "readout": ("mean", "sum", "last"),
    "init": ("default", "kaiming", "normal", "zero"),
}
RANKS = (1, 2, 3)
_SEPARATED = re.compile(r"[0-9\s,;x×X*()\[\]]+")
"""A shape, with whatever separates its lengths."""
EXPECTED = {
    "input": "a shape: CxHxW such as 2x128x128, CxL such as 2x700, or one number of features, each at least 1",
    "steps": "a number of time-steps, at least 1",
}
"""What settings take that are numbers."""


class HeaderReader:
    """Reads the header of one assembly."""

    def __init__(self, assembly: Assembly, reporter: Reporter, kinds: NeuronKinds | None = None) -> None:
        self._settings, self._reporter, self._kinds = assembly.settings, reporter, kinds or NeuronKinds()
        self._unread = assembly.unread | self._kinds.broken

    def name(self, default: str) -> str:
        """The network's name."""
        setting = self._settings.get("network")
        if setting is None:
            return default
        values = setting.values
        if len(values) == 1 and isinstance(values[0], Text) and values[0].text.strip():
            return values[0].text
        self._wrong(setting, 'a name in quotes, e.g. network "7B-Net"')
        return default

    def settings(self) -> Settings | None:
        """All of the header, defaults resolved; None where the input is missing or wrong."""
        shape = self._input()
        init = self._choices("init")
        steps = self._steps()
        rest: dict[str, Any] = {
            "steps": steps,
            "encode": (self._choices("encode") or ["none"])[0],
            "readout": (self._choices("readout") or ["mean"])[0],
            "neuron": self._over_steps(self.neuron(), steps),
            "join": self.join(),
            "init": self._scheme(init),
            "zero_init": "zero" in init,
        }
        return None if shape is None else Settings(input=shape, **rest)

    def _scheme(self, words: list[str]) -> str:
        """How weights are drawn: the word of ``init`` that is not ``zero``, with what is in its parentheses."""
        setting = self._settings.get("init")
        if setting is None or "normal" not in words:
            return "kaiming" if "kaiming" in words else "default"
        value = setting.values[words.index("normal")]
        given = {}
        if isinstance(value, Call) and value.arguments:
            if any(argument.name is None for argument in value.arguments):
                self._wrong(setting, "its deviation by name: normal(std=0.02)")
                return "default"
            try:
                given = ValueReader(self._reporter).read_arguments(value)
            except InvalidText:
                return "default"
        found = self._reporter.take(validate_arguments(NormalWeights, "'normal'", given, value.span))
        return "default" if found is None else f"normal(std={format_value(found.std)})"

    def neuron(self) -> Activation | None:
        """What ``SN`` means; where the setting is wrong, which is said, any neuron, so that nothing more is said."""
        neuron = self._kind("neuron", Activation, "a neuron such as PLIF(tau=2.0)")
        if neuron is None and "neuron" in self._settings:
            neuron = IF()
        return neuron

    def _over_steps(self, neuron: Activation | None, steps: int) -> Activation | None:
        """The neuron in a network of so many time-steps; one that is for another number, which is said, as it is."""
        try:
            return neuron and neuron.over_steps(steps)
        except ShapeMismatch as misfit:
            span = self._settings["neuron"].span
            self._reporter.report(misfit.code, str(misfit), span, help=misfit.help)
            return neuron

    def join(self) -> Join:
        """What ``g`` means; ADD unless stated."""
        return self._kind("join", Join, "a join such as ADD") or Add()

    def _input(self) -> tuple[int, ...] | None:
        setting = self._settings.get("input")
        if setting is None:
            return None
        value = self._single(setting)
        shape = (value,) if isinstance(value, int) else value
        good = isinstance(shape, tuple) and len(shape) in RANKS and all(d >= 1 for d in shape)
        if not good:
            self._wrong(setting, EXPECTED["input"])
        return shape if good else None

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
        """The words after a key, each one of its choices."""
        setting = self._settings.get(key)
        if setting is None:
            return []
        words = [self._word(value) for value in setting.values]
        several = len({*words} - {"default", "zero"}) > 1 if key == "init" else len(words) > 1
        bad = [word for word in words if word not in HEADER_CHOICES[key]]
        if bad or several or not words or len(set(words)) < len(words):
            together = " (zero goes with each of the others)" if key == "init" else ""
            self._wrong(
                setting,
                " or ".join(HEADER_CHOICES[key]) + together,
                meant=(bad[0], HEADER_CHOICES[key]) if bad else None,
            )
            return []
        return words

    def _word(self, value: Value) -> str:
        if not isinstance(value, Call):
            return value.span.text
        alone = value.name.plain == "normal" or not (value.called or value.arguments)
        return (value.name.plain if alone else None) or value.span.text

    def _kind(self, key: str, family: type[Family], wanted: str) -> Family | None:
        setting = self._settings.get(key)
        if setting is None:
            return None
        value = self._single(setting)
        if isinstance(value, family):
            return value
        if value is not None and str(value) not in self._unread:
            names = self._kinds.names(family)
            self._wrong(setting, wanted, f"known: {', '.join(names)}", meant=(str(value), names))
        return None

    def _single(self, setting: Setting) -> Any:
        if len(setting.values) == 1:
            try:
                return ValueReader(self._reporter, kinds=self._kinds).read(setting.values[0])
            except InvalidText:
                return None
        return ()

    def _wrong(
        self, setting: Setting, wanted: str, hint: str = "", meant: tuple[str, Iterable[str]] | None = None
    ) -> None:
        """Says that a setting takes something else, with advice for a word that is not known among those that are."""
        spans = [value.span for value in setting.values]
        span = spans[0].to(spans[-1]) if spans else setting.span
        near = advice(*meant, span, hint) if meant else None
        self._reporter.add(describe_wrong(setting.key.text, wanted, span, near or {"help": hint, "fixes": ()}))


def describe_wrong(key: str, wanted: str, span: Span, hint: Advice = NO_ADVICE) -> Diagnostic:
    """What is said of a setting that takes something else."""
    if key == "input" and not hint["help"]:
        lengths = re.findall("[0-9]+", span.text)  # written otherwise, as ``2,32,32``
        known = len(lengths) == max(RANKS) and all(map(int, lengths)) and _SEPARATED.fullmatch(span.text)
        shape = "x".join(lengths)
        hint = {"help": f"write {shape}" if known and shape != span.text else "", "fixes": ()}
    label = f"got '{span.text}'"
    return Diagnostic("invalid-argument", Severity.ERROR, f"'{key}' takes {wanted}", span, label=label, **hint)
