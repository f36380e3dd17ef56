"""A file of SpikingJelly's layers that makes a network."""

from sewdsl.export.spikingjelly.target import source, target

__all__ = ["source", "target"]
