"""network -> text: what the compiler reads, written from the network itself."""

from __future__ import annotations

from sewdsl.notation.net import net
from sewdsl.notation.text import compact, written
from sewdsl.notation.unwritable import Unwritable

__all__ = ["Unwritable", "compact", "net", "written"]
