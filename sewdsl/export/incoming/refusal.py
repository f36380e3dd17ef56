"""What is said where another library's model has no place in the language."""

from __future__ import annotations

from sewdsl.export.refusal import ExportError


class ModelImportError(ExportError):  # noqa: N818 -- the model is as it should be: the language has no word for it
    """A model that cannot be read as a network; the message says which part, and why."""


class UnsupportedPart(ModelImportError):
    """A part of a model that has no place in the language.

    Args:
        name: The part, as its own library calls it: ``layer1.0.sn1``.
        kind: What it is there: ``LIF``, ``spikingjelly…neuron.QIFNode``.
        why: What stands against it, in words that go on after its name: ``leaks towards 0.1, …``.
    """

    def __init__(self, name: str, kind: str, why: str) -> None:
        super().__init__(f"{name or 'the model itself'} ({kind}) {why}")
        self.name = name
