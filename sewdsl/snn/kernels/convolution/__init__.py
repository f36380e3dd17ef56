"""Kernels of convolutions: by events, and by Winograd's algorithm."""
