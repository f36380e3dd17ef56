"""Commands as typer builds them: their options, usage errors of one sentence each, and their help."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo, ParameterInfo

from sewdsl.cli.options import SpecOptions, exit_with_usage_error, join_choices, not_among
from sewdsl.cli.output import output_as_messages
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.plugins import PluginError
from sewdsl.terminal import echo

_CLICK_EXCEPTION: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)
"""click's, or that of the copy of click in newer typers."""
_WORDS = {int: "an integer", float: "a number", Path: "a path"}
_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)


class Command(TyperCommand):
    """A command whose usage errors say what is expected, what was found and which name may be intended."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return [_without_type(parameter) for parameter in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, or exit with a usage error in our words."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _CLICK_EXCEPTION as error:
            kind, parameter = type(error).__name__, getattr(error, "param", None)
            if kind == "NoSuchOption":
                self._no_such_option(str(getattr(error, "option_name", "")), ctx)
            if kind in {"BadParameter", "MissingParameter"} and parameter is not None:
                found = self.make_parser(ctx).parse_args(given)[0].get(parameter.name)
                self._bad_value(parameter, found if kind == "BadParameter" else None, ctx)
            if extra := _EXTRA.fullmatch(str(error)):
                exit_with_usage_error(
                    f"found '{extra[1][:40]}', expected no further argument", "quote text that has spaces", ctx
                )
            raise

    def _no_such_option(self, option: str, ctx: Any) -> NoReturn:
        key = resolve_key_alias(option)
        if key is not None and any(parameter.name == "settings" for parameter in self.params):
            exit_with_usage_error(
                f"there is no option {option}: a setting is changed by --set {key}=VALUE", context=ctx
            )
        _say_no_such_option(self.params, option, ctx)

    def _bad_value(self, parameter: Any, found: Any, ctx: Any) -> None:
        """Exit with what a parameter takes, if its declaration tells; nothing found means that it is missing."""
        callback: Any = self.callback
        hints = get_type_hints(callback, include_extras=True)
        if parameter.name not in hints:
            return  # what every command has, and typer says enough about
        declared, info = get_args(hints[parameter.name])[:2]  # Annotated: a type, and what typer is passed with it
        kind = next((each for each in get_args(declared) if NoneType in get_args(declared)), declared)
        name = parameter.metavar if isinstance(info, ArgumentInfo) else parameter.opts[0]
        choices = list(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()
        if found is None:
            exit_with_usage_error(f"{name} is missing{': ' if choices else ''}{join_choices(choices)}", context=ctx)
        written = " ".join(found) if isinstance(found, tuple | list) else str(found)
        if choices:
            not_among(name, choices, written, ctx)
        expected = "two numbers" if get_origin(kind) is tuple else _WORDS.get(kind)
        if expected is not None:
            exit_with_usage_error(f"{name} takes {expected}{_range(info)}, not '{written[:40]}'", context=ctx)


def _say_no_such_option(parameters: list[Any], option: str, ctx: Any) -> NoReturn:
    names = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
    exit_with_usage_error(f"there is no option {option}", did_you_mean(option, [*names, "--help"]), ctx)


def _without_type(parameter: Any) -> Any:
    """A parameter whose help has no type of Python: a switch takes no value, and the name of an argument says more."""
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.param_type_name == "argument" and not parameter.type_descriptor.is_choice:
        parameter.display_type_rich = lambda ctx: None  # noqa: ARG005 -- typer's
    return parameter


def _range(info: ParameterInfo) -> str:
    """Return the numbers that are allowed."""
    low, high = (
        f"{bound:,.15g}" if isinstance(bound, float) else f"{bound:,}" for bound in (info.min or 0, info.max or 0)
    )
    if info.max is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if info.min is not None else ""


class CommandGroup(TyperGroup):
    """Several commands, whose usage errors are printed as other messages are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return [_without_type(parameter) for parameter in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options of the group itself; an unknown one ends with the name that may be intended."""
        try:
            return super().parse_args(ctx, args)
        except _CLICK_EXCEPTION as error:
            if type(error).__name__ == "NoSuchOption":
                _say_no_such_option(self.params, str(getattr(error, "option_name", "")), ctx)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named first; with a usage error where there is none."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            exit_with_usage_error(f"there is no command '{args[0][:40]}'", did_you_mean(args[0], self.commands), ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command and exit with its code, or as a part of a program return it."""
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except _CLICK_EXCEPTION as error:
            _print(error)
            sys.exit(getattr(error, "exit_code", 2))
        except typer.Abort:
            raise KeyboardInterrupt from None
        sys.exit(code if isinstance(code, int) else 0)


def _print(error: Any) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # the help is printed already
    context = getattr(error, "ctx", None)
    if context is not None:
        echo(context.get_usage().strip(), err=True)
        echo(f"Try '{context.command_path} {context.help_option_names[0]}' for help.", err=True)
    ours = type(error).__name__ == "BadParameter" and error.param is None
    sentence = error.message if ours else error.format_message().strip().rstrip(".")
    echo(f"error: {sentence if ours else sentence[:1].lower() + sentence[1:]}", err=True)


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

    A parameter ``Annotated[SpecOptions, "input", "limit"]`` stands for these two options alone. What a plug-in prints
    goes to the standard error. One that cannot be used is a usage error, before anything is done.
    """
    parameters: list[inspect.Parameter] = []
    group, names = "", SpecOptions._fields
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind, *some = get_args(parameter.annotation) or (parameter.annotation,)
        if kind is SpecOptions:
            group, names = parameter.name, tuple(some) or names
            hints = get_type_hints(SpecOptions, include_extras=True)
            parameters += [parameter.replace(name=name, default=None, annotation=hints[name]) for name in names]
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
            options[group] = SpecOptions(**{name: options.pop(name) for name in names})
        command(**options)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
