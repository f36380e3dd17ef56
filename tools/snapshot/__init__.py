"""Snapshots of the program's behaviour, to compare two commits.

``python -m tools.snapshot run OUT`` writes a folder of texts, one per network and aspect. ``compare OLD NEW`` prints
the differences between two such folders. The program uses only the command line and the names of ``sewdsl.__all__``, so
it also runs on commits with other modules.
"""
