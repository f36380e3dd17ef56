"""Kernels of convolutions: event-driven, and by Winograd's algorithm."""
