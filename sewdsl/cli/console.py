"""Where tables are printed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table

from sewdsl.terminal import escape_controls, is_terminal

if TYPE_CHECKING:
    from rich.segment import Segment
    from rich.text import Text

PIPE_WIDTH = 160
"""Columns of a table where the output is no terminal."""
MAX_WIDTH = 1 << 14
"""Columns of a table that is not to be fitted."""


class _Console(Console):
    """A console that escapes control characters in everything that it is given."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Return a string as rich has it, escaped before its width is taken."""
        return super().render_str(escape_controls(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the pieces of anything else, each escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape_controls(segment.text))


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough where there is none."""
    return _Console(highlight=False, markup=False, emoji=False, width=None if is_terminal() else PIPE_WIDTH)


def make_table(*, footer: bool = False) -> Table:
    """Return an empty table as commands print it, with a footer for totals if asked for."""
    return Table(header_style="bold", show_footer=footer, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def print_fitting(table: Callable[[Collection[str]], Table], droppable: Sequence[str], more: str = "--json") -> None:
    """Print a table without the columns for which the terminal is too narrow; a line below names them.

    A table that is too wide even so is printed as it is, and the terminal wraps its lines: no cell is cut.

    Args:
        table: Makes the table without the named columns.
        droppable: Columns that may be left out, the first of them first.
        more: Option that has all.
    """
    out = console()
    dropped: list[str] = []
    unlimited = out.options.update(width=MAX_WIDTH)
    while (width := out.measure(table(dropped), options=unlimited).minimum) > out.width and len(dropped) < len(
        droppable
    ):
        dropped.append(droppable[len(dropped)])
    out.width = max(out.width, width)
    out.print(table(dropped))
    if dropped:
        out.print(
            f"columns not shown at this width: {', '.join(dropped)}; use {more} for all", style="dim", soft_wrap=True
        )
