"""Layers: what works on one time-step at a time."""
