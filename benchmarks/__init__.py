"""How fast and how small sewdsl is compared with its peers; ``python -m benchmarks``, see ``README.md``.

The process that is started never imports torch: each measurement is a process of its own.
"""
