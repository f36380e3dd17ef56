"""Syntax highlighting of ``.net`` files and layer strings with Pygments."""
