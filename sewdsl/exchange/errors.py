"""Errors of import, export and weight conversion."""

from __future__ import annotations

from sewdsl.ir.node import Node
from sewdsl.user_error import UserError


class ExportError(UserError):
    """A network that cannot be written, or a library for it that is missing; the message says which, and why."""


class UnsupportedLayer(ExportError):
    """A layer that a format cannot express.

    Args:
        why: What speaks against it, in words that go on after its name: ``is a max pooling of real values, …``.
    """

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(f"{node.name} ({str(node.op).split('(', maxsplit=1)[0]}) {why}")
        self.node = node


class MissingLibrary(ExportError):
    """A library that is not installed.

    Args:
        library: Its name, as pip knows it.
    """

    def __init__(self, library: str) -> None:
        super().__init__(f"this needs {library}, which is not installed: pip install 'sewdsl[exchange]'")


class WeightsError(UserError):
    """Weights that cannot be read, or do not fit; the message says which, and why."""


class NoPlaceError(WeightsError):
    """A layer that a scheme has no key for.

    Args:
        why: What it is instead, in words that go on after its name.
    """

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(f"{node.name} ({str(node.op).split('(', maxsplit=1)[0]}) {why}")
