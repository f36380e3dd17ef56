"""Neurons, and what takes their place in networks that do not spike."""
