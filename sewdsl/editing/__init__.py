"""What an editor asks of a text: what stands here, what can stand here, where else it stands. Offsets, no protocol."""

from __future__ import annotations

from sewdsl.editing.view import View, view

__all__ = ["View", "view"]
