"""How fast and how small sewdsl is beside its peers; ``python -m benchmarks``, see ``README.md``.

The process that is started never imports torch: each measurement is a process of its own.
"""
