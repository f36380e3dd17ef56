"""A file of plain PyTorch that makes a network."""

from sewdsl.export.python.target import source, target

__all__ = ["source", "target"]
