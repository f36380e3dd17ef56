"""What is assumed where a text is silent: one note for each thing, at the first place that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from sewdsl.diagnostics import Diagnostics, Severity
from sewdsl.source import Span


@dataclass
class Assumptions:
    """The notes of one text."""

    diagnostics: Diagnostics
    _said: set[str] = field(default_factory=set)

    def say(self, message: str, span: Span, *, label: str, help: str = "") -> None:  # noqa: A002 -- the printed name
        """Notes an assumption, once however often it applies."""
        if message not in self._said:
            self._said.add(message)
            self.diagnostics.report("dialect-assumption", message, span, severity=Severity.NOTE, label=label, help=help)

    def padding(self, span: Span) -> None:
        """A convolution whose padding is not written."""
        self.say(
            "no padding is written: each convolution keeps its size",
            span,
            label="padding (k-1)/2",
            help="some papers pad nothing: --dialect 'he(padding=none)'; this is padding=same",
        )

    def norm(self, span: Span) -> None:
        """A convolution, in a text without a batch norm."""
        self.say(
            "no batch norm is written, so there is none",
            span,
            label="without batch norm, with a bias",
            help="many papers have one behind each convolution: --dialect 'he(norm=BN)'; this is norm=none",
        )

    def neurons(self, span: Span) -> None:
        """A layer that gets neurons, in a text without any."""
        self.say(
            "no neurons are written: they stand behind each convolution and each hidden layer",
            span,
            label="neurons behind this",
            help="some papers have them behind the pools: --dialect 'he(neurons=pool)' or neurons=both; "
            "this is neurons=conv",
        )

    def kind(self, span: Span) -> None:
        """A layer that gets neurons that the text does not name."""
        self.say("the neurons are not named: SN is LIF", span, label="LIF", help="say which with --neuron")

    def pool(self, span: Span) -> None:
        """A pool that does not say which it is."""
        self.say(
            f"'{span.text}' does not say whether it is an average or a maximum: it is read as an average",
            span,
            label="read as AP",
            help="say which with --dialect 'he(pool=MP)' or 'he(pool=AP)'",
        )

    def output(self, span: Span) -> None:
        """The last layer with weights, in a text that does not say that it has neurons."""
        self.say(
            "the last layer is the output, and has no neurons",
            span,
            label="gives a current for each class",
            help="with neurons: --dialect 'he(output=spikes)'; this is output=current. Some papers leave the output "
            "out of the text: 'he(classes=10)' adds it",
        )

    def no_output(self, span: Span) -> None:
        """The end of a text that has no layer for the classes."""
        self.say(
            "the text ends without a layer for the classes, and so does the network",
            span,
            label="the output",
            help="some papers leave it out: --dialect 'he(classes=10)' adds it",
        )

    def told(self, span: Span, what: str) -> None:
        """A word that says more than its layer, or means something that ours does not have."""
        self.say(f"'{span.text}': {what}", span, label="read as the nearest of ours")

    def features(self, span: Span) -> None:
        """A number in front of all layers."""
        self.say(
            f"the first number, {span.text}, is read as the input: a vector of {span.text} values",
            span,
            label=f"input {span.text}",
            help=f"write {span.text}FC where it is a layer",
        )

    def size(self, span: Span, shape: tuple[int, ...]) -> None:
        """A size of the input, of which it is not written which number is what."""
        read, channels = "x".join(map(str, shape)), "1 channel" if shape[0] == 1 else f"{shape[0]} channels"
        self.say(
            f"the input {span.text} is read as {channels} of {shape[1]}x{shape[2]}",
            span,
            label=f"input {read}",
            help=f"say which is what with --input CxHxW, e.g. --input {read}",
        )
