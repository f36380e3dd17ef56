"""Export formats.

They do not import each other.
"""
