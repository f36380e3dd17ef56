"""Neurons, and activations of networks without spikes."""
