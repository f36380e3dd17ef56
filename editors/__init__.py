"""What editors need to know of the language."""
