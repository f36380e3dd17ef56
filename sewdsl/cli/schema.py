"""``sewdsl schema``: JSON Schema of the ``--json`` output of a command."""

from __future__ import annotations

from typing import Annotated

from sewdsl.cli.options import argument, exit_with_usage_error
from sewdsl.cli.output import echo_json
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo


def complete_output(incomplete: str) -> list[str]:
    """Complete the name of a schema."""
    from sewdsl.cli.json_output import outputs  # Slow: pydantic is only needed for schemas.

    return [name for name in outputs() if name.startswith(incomplete)]


def command(
    name: Annotated[
        str | None,
        argument("NAME", "Schema to print, e.g. check or show-memory.", "list all", autocompletion=complete_output),
    ] = None,
) -> None:
    """Print the JSON Schema of the --json output of a command, or list all schemas."""
    from sewdsl.cli.json_output import make_schema, outputs

    outputs_by_name = outputs()
    if name is None:
        width = max(map(len, outputs_by_name))
        lines = (f"{output.name:{width}}  sewdsl {output.command} --json" for output in outputs_by_name.values())
        echo("\n".join(lines))
    elif name not in outputs_by_name:
        hint = did_you_mean(name, outputs_by_name) or "run 'sewdsl schema' for a list"
        exit_with_usage_error(f"unknown schema '{name}'; {hint}")
    else:
        echo_json(make_schema(outputs_by_name[name].kind))
