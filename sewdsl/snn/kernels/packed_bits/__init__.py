"""Kernels that pack small integers into 1, 2, 4 or 8 bits."""
