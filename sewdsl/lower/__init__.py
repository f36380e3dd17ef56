"""From a network to a torch module."""

from sewdsl.lower.build_module import lower
from sewdsl.lower.spiking_network import SpikingNetwork
from sewdsl.lower.stream import State, Stream

__all__ = ["SpikingNetwork", "State", "Stream", "lower"]
