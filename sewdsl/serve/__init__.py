"""Live page: an editor with the diagram, the table and the diagnostics of its text."""
