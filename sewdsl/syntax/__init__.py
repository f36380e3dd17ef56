"""Text to tree and back: grammar, parser, tree, printer, formatter. Knows no layer by name."""
