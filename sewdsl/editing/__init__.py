"""What an editor asks of a text: what is here, what can be here, where else it occurs. Offsets, no protocol."""

from __future__ import annotations

from sewdsl.editing.editor_view import EditorView, compile_for_editor

__all__ = ["EditorView", "compile_for_editor"]
