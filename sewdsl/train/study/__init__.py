"""Studies: training and comparing the variants of a network."""
