"""Static analysis of networks: residual blocks, operation counts, tables."""
