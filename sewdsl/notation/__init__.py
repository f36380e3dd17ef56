"""Conversion of networks to layer strings, ``.net`` files, LaTeX and TikZ."""

from __future__ import annotations

from sewdsl.notation.compact_text import body_items, compact_text
from sewdsl.notation.item_text import UnwritableNetwork
from sewdsl.notation.net_file import write_net

__all__ = ["UnwritableNetwork", "body_items", "compact_text", "write_net"]
