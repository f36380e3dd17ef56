"""Trained networks in integers: int8 weights, integer membrane potentials, and proven ranges."""

from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.network import IntegerNetwork

__all__ = ["InputScaling", "IntegerFormat", "IntegerNetwork", "NoIntegerLaw", "build_integer_network"]
