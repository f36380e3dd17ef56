"""Where tables are printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType

from sewdsl.terminal import escape_controls, is_terminal

if TYPE_CHECKING:
    from rich.segment import Segment
    from rich.text import Text

PIPE_WIDTH = 160
"""Columns of a table where the output is no terminal."""


class _Console(Console):
    """A console that escapes control characters in everything that it is given."""

    def render_str(self, text: str, **how: Any) -> Text:
        """A string as rich has it, escaped before its width is taken."""
        return super().render_str(escape_controls(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of anything else, each escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape_controls(segment.text))


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough where there is none."""
    return _Console(highlight=False, markup=False, emoji=False, width=None if is_terminal() else PIPE_WIDTH)
