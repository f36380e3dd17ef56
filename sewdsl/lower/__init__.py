"""Lowering of networks to PyTorch modules."""

from sewdsl.lower.build_module import lower
from sewdsl.lower.spiking_network import SpikingNetwork, Stream
from sewdsl.lower.stream import State

__all__ = ["SpikingNetwork", "State", "Stream", "lower"]
