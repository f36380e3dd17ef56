"""Neurons, and what stands in their place in networks that do not spike."""
