"""Kernels of max pooling."""
