"""Console for tables: its width, and escapes of control characters."""

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
"""Width of tables in characters if the output is not a terminal."""
MAX_WIDTH = 1 << 14
"""Width in characters for measuring a table without wrapping."""


class _Console(Console):
    """Console that escapes control characters, e.g. in names of networks."""

    def render_str(self, text: str, **kwargs: Any) -> Text:
        """Return rich text of an escaped string."""
        # Escape before rich measures the width: an escape is wider than its character.
        return super().render_str(escape_controls(text), **kwargs)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the escaped segments of a renderable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape_controls(segment.text))


def console() -> Console:
    """Return a console as wide as the terminal, or ``PIPE_WIDTH`` if the output is not a terminal."""
    return _Console(highlight=False, markup=False, emoji=False, width=None if is_terminal() else PIPE_WIDTH)


def make_table(*, footer: bool = False) -> Table:
    """Return an empty table in the style of all commands, with a row for totals if ``footer``."""
    return Table(header_style="bold", show_footer=footer, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def print_fitting(table: Callable[[Collection[str]], Table], droppable: Sequence[str], more: str = "--json") -> None:
    """Print a table, and omit columns if the terminal is too narrow. A line below lists the omitted columns.

    Cells are never cut: if the table is still too wide, the terminal wraps its lines.

    Args:
        table: Returns the table without the given columns.
        droppable: Columns to omit, in this order.
        more: Option that prints all columns.
    """
    out = console()
    dropped: list[str] = []
    # Measure at an unlimited width: otherwise rich reports the width of the terminal at most.
    unlimited = out.options.update(width=MAX_WIDTH)
    while (width := out.measure(table(dropped), options=unlimited).minimum) > out.width and len(dropped) < len(
        droppable
    ):
        dropped.append(droppable[len(dropped)])
    out.width = max(out.width, width)
    out.print(table(dropped))
    if dropped:
        out.print(f"omitted columns: {', '.join(dropped)}; use {more} for all", style="dim", soft_wrap=True)
