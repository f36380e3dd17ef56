"""Tape of operations for the equations of neurons: normal form, value ranges and gradients, without PyTorch."""
