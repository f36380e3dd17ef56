"""What is measured is called so in logs and tables; torch-free, since tables of runs need the names alone."""

FIRING_RATE = "firing_rate/"
"""Before a layer's name: spikes per neuron, sample and time-step."""
GRADIENT_NORM = "gradient_norm/"
"""Before a layer's name, or ``total``: Euclidean norm of the gradient of the last batch."""
DEAD, SATURATED = 0.01, 0.9
"""Rates under the one or over the other are worth a warning: such a layer says little about its input."""
