"""Syntax highlighting and extensions for editors."""
