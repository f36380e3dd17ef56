"""PyTorch runtime, independent of the language: layers over time, neurons, joins and kernels."""
