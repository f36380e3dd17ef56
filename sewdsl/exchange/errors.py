"""Errors of import, export and weight conversion."""

from __future__ import annotations

from sewdsl.ir.node import Node
from sewdsl.plugins import missing_package
from sewdsl.user_error import UserError


class ExportError(UserError):
    """Failed export: the network cannot be expressed, or a library is missing."""


class UnsupportedLayer(ExportError):
    """Layer that a format cannot express, and the reason, e.g. ``is a max pooling of real values``."""

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(f"{node.name} ({str(node.op).split('(', maxsplit=1)[0]}) {why}")
        self.node = node


class MissingLibrary(ExportError):
    """Library that is not installed, by its name on PyPI."""

    def __init__(self, library: str) -> None:
        super().__init__(missing_package("this format", library))


class WeightsError(UserError):
    """Weights that cannot be read, or that do not fit a network."""


class MissingKeyError(WeightsError):
    """Layer without a key in a scheme, and the reason as a predicate."""

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(f"{node.name} ({str(node.op).split('(', maxsplit=1)[0]}) {why}")
