"""``--plugin FILE.py``, which every command has: the file is imported before the command runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from sewdsl.cli.options import exit_with_usage_error
from sewdsl.cli.output import output_as_messages
from sewdsl.plugins import PluginError

Plugin = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="First import this Python file, with kinds, data sets or callbacks of your own; repeatable.",
    ),
]


def with_plugins(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the option added as its last.

    What a file prints goes to the standard error. One that cannot be used is a usage error, before anything is done.

    Args:
        command: The function of the command, whose parameters typer makes options of.
    """

    @wraps(command)
    def run(*args: Any, plugin: list[str] | None = None, **options: Any) -> None:
        if plugin:
            from sewdsl.own_code import load_plugin  # noqa: PLC0415 -- most commands import no file

            try:
                with output_as_messages():
                    for file in plugin:
                        load_plugin(file)
            except PluginError as error:
                exit_with_usage_error(str(error))
        command(*args, **options)

    own = inspect.signature(command, eval_str=True)
    added = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugin)
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "plugin": Plugin}
    return run
