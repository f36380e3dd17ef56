"""What the worker can be asked to do: one module each, with a function ``run``."""
