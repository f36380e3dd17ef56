"""What an editor asks of a text: what stands here, what can stand here, where else it stands. Offsets, no protocol."""

from __future__ import annotations

from sewdsl.editing.editor_view import EditorView, compile_for_editor

__all__ = ["EditorView", "compile_for_editor"]
