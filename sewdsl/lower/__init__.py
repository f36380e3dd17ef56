"""From a network to a torch module."""

from sewdsl.lower.lowering import lower
from sewdsl.lower.module import SpikingNetwork
from sewdsl.lower.stream import State, Stream

__all__ = ["SpikingNetwork", "State", "Stream", "lower"]
