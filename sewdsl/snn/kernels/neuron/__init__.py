"""Kernels of batch norm, neurons and joins, generated for all neurons."""
