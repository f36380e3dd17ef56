"""Export formats; they do not import each other."""
