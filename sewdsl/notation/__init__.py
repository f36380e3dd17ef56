"""network -> text: what the compiler reads, written from the network itself."""

from __future__ import annotations

from sewdsl.notation.net import write_net
from sewdsl.notation.text import body_items, compact_text
from sewdsl.notation.unwritable import UnwritableNetwork

__all__ = ["UnwritableNetwork", "body_items", "compact_text", "write_net"]
