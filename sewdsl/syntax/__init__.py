"""Parser, syntax tree, printer and formatter of the language, independent of the available layers."""
