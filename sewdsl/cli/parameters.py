"""Parameters of commands: groups of options that are declared once, and ``--plugin``, which every command has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from sewdsl.cli.options import SpecOptions, exit_with_usage_error
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


def with_parameters(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options of a spec in the place of its ``SpecOptions``, and ``--plugin`` as its last.

    What a plug-in prints goes to the standard error. One that cannot be used is a usage error, before anything is done.

    Args:
        command: Function of the command, whose parameters typer makes options of.
    """
    parameters: list[inspect.Parameter] = []
    group = ""
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.annotation is SpecOptions:
            group = parameter.name
            hints = get_type_hints(SpecOptions, include_extras=True)
            parameters += [parameter.replace(name=name, default=None, annotation=hint) for name, hint in hints.items()]
        else:
            parameters.append(parameter)
    parameters.append(inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugin))

    @wraps(command)
    def run(plugin: list[str] | None = None, **options: Any) -> None:
        if plugin:
            from sewdsl.own_code import load_plugin

            try:
                with output_as_messages():
                    for file in plugin:
                        load_plugin(file)
            except PluginError as error:
                exit_with_usage_error(str(error))
        if group:
            options[group] = SpecOptions(**{name: options.pop(name) for name in SpecOptions._fields})
        command(**options)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
