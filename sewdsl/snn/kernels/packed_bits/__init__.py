"""Kernels that store whole numbers in a few bits."""
