"""Texts with a cursor in them, as ``‸``."""

from pathlib import Path

from sewdsl.editing import EditorView, compile_for_editor

CURSOR = "‸"
HEAD = """\
sewdsl 1
network "A"
input   2x32x32
steps   4
neuron  LIF(tau=3.0)
block   My Net(c=in, s=1) = c$(c)k3s$(s)-BN-SN
"""


def at_cursor(text: str, file: Path | None = None) -> tuple[EditorView, int]:
    """The text without its cursor, and where that was."""
    offset = text.index(CURSOR)
    return compile_for_editor(text.replace(CURSOR, ""), str(file or "x.net"), file), offset
