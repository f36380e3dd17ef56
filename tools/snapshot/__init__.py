"""What the program does, written down so that two commits can be compared.

``python -m tools.snapshot run OUT`` writes a folder of texts, one for each network and aspect; ``compare OLD NEW`` says
where two such folders differ. Nothing here knows sewdsl from inside: only the command line and the names of
``sewdsl.__all__`` are used, so that one snapshot program runs on commits whose modules have other names.
"""
