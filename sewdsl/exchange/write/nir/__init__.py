"""Networks as graphs of the Neuromorphic Intermediate Representation (NIR); see ``docs/nir.md``."""
