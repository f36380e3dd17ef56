"""Time and memory of sewdsl compared with other libraries, see ``README.md``.

``python -m benchmarks`` runs them. The main process never imports PyTorch: each measurement is a new process.
"""
