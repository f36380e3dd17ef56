"""From a network to a file of Python that makes it: what all dialects share. Nothing here needs torch."""

from sewdsl.exchange.write.source.document import Dialect

__all__ = ["Dialect"]
