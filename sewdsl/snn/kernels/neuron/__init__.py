"""Kernels of batch norm, neurons and join: one generator for all neurons."""
