"""The torch runtime, ignorant of the language: layers over time, neurons, joins, kernels."""
