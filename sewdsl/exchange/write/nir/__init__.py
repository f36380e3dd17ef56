"""Export as a graph of the Neuromorphic Intermediate Representation (NIR), see ``docs/nir.md``."""
