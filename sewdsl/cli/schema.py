"""``sewdsl schema``: what a command prints with ``--json``, as JSON Schema."""

from __future__ import annotations

from typing import Annotated

import typer

from sewdsl.cli.options import exit_with_usage_error
from sewdsl.cli.output import echo_json
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.terminal import echo


def complete_output(incomplete: str) -> list[str]:
    """Complete the name of an output."""
    from sewdsl.cli.json_output import outputs  # the types are not needed to print JSON

    return [name for name in outputs() if name.startswith(incomplete)]


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Schema to print, e.g. check or show-memory.",
            show_default="list all",
            autocompletion=complete_output,
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of the --json output of a command, or list all schemas."""
    from sewdsl.cli.json_output import make_schema, outputs

    known = outputs()
    if name is None:
        width = max(map(len, known))
        echo("\n".join(f"{each.name:{width}}  sewdsl {each.command} --json" for each in known.values()))
    elif name not in known:
        hint = did_you_mean(name, known) or "run 'sewdsl schema' for a list"
        exit_with_usage_error(f"unknown schema '{name}'; {hint}")
    else:
        echo_json(make_schema(known[name].kind))
