"""The files of a run: written, read and found; without torch."""
