"""Tasks of the worker: one module each, with a function ``run``."""
