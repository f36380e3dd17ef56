"""Trained networks in integers: int8 weights, integer membrane potentials, and proven ranges."""
