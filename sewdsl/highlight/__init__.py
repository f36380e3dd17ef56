"""Colours for ``.net`` files and compact strings wherever text is shown: Pygments here, editors in ``editors/``."""
