"""``sewdsl targets``: chips, microcontrollers and compilers that ``sewdsl check --target`` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from sewdsl.cli.console import console, make_table
from sewdsl.cli.options import Json, argument, complete_target, exit_with_usage_error, join_choices
from sewdsl.cli.output import echo_json
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sewdsl.targets import Target


def read_target(name: str) -> Target:
    """Return a target by its name.

    Raises:
        typer.Exit: If the name is unknown.
    """
    from sewdsl.targets import TARGETS, find_target

    if (target := find_target(name)) is None:
        versions = [target for target in TARGETS if name and target.startswith(name.casefold())]
        hint = did_you_mean(name, TARGETS) or "run 'sewdsl targets' for a list"
        hint = f"use {join_choices(versions)}" if len(versions) > 1 else hint
        if name.startswith("mcu"):
            hint = "write mcu:256KB or mcu:flash=512KB,ram=128KB"
        exit_with_usage_error(f"unknown target '{name}'", hint)
    return target


def print_rows(rows: Sequence[Mapping[str, str | int]]) -> None:
    """Print the resources of each layer."""
    table = make_table()
    for column, value in (rows[0] if rows else {}).items():
        table.add_column(column, justify="right" if isinstance(value, int) else "left")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in row.values()))
    console().print(table)


def command(
    name: Annotated[
        str | None, argument("NAME", "Target to describe.", "list all", autocompletion=complete_target)
    ] = None,
    json_: Json = False,
) -> None:
    """List the targets of ``sewdsl check --target``, or print the limits and sources of one."""
    from sewdsl.targets import TARGETS

    targets = [*TARGETS.values()] if name is None else [TARGETS.get(name) or read_target(name)]
    if json_:
        echo_json(
            [
                {
                    "name": target.name,
                    "title": target.title,
                    "limits": [*target.limits],
                    "unknown": [*target.unknown],
                    "sources": [source._asdict() for source in target.sources],
                }
                for target in targets
            ]
        )
    elif name is None:
        width = max(map(len, TARGETS))
        echo("\n".join(f"{target.name:<{width}}  {target.title}" for target in targets))
    else:
        (target,) = targets
        lines = [f"{target.name}: {target.title}", "", "limits", *(f"- {limit}" for limit in target.limits)]
        lines += ["", "unknown", *(f"- {text}" for text in target.unknown), "", "sources"]
        echo("\n".join([*lines, *(f"- {source.title}\n  {source.address}" for source in target.sources)]))
