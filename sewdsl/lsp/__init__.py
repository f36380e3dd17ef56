"""Language server: the Language Server Protocol for the features of ``sewdsl.editing``."""
