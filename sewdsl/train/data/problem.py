"""What is said of data that cannot be used."""

from __future__ import annotations


class DataError(Exception):
    """Data that is missing, not whole or damaged; the message says where it was looked for and what to do."""
