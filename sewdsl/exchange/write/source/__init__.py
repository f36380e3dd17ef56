"""Export as Python source: the parts shared by all dialects. Importing this package does not import PyTorch."""

from sewdsl.exchange.write.source.document import Dialect

__all__ = ["Dialect"]
