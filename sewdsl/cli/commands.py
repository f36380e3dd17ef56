"""Typer commands with shared options, help panels and usage errors of one sentence."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo, ParameterInfo

from sewdsl.cli.options import (
    HelpPanel,
    Plugin,
    SpecOptions,
    exit_with_invalid_choice,
    exit_with_usage_error,
    join_choices,
)
from sewdsl.cli.output import output_as_messages
from sewdsl.elaborate.train_section import resolve_key_alias
from sewdsl.plugins import PluginError
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo

_CLICK_EXCEPTION: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)
"""Base class of usage errors, in click or in typer's copy of click."""
_TYPE_NAMES = {int: "an integer", float: "a number", Path: "a path"}
_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
FORM_OPTIONS = ("--as", "--to", "--emit", "--format")
"""Names of the option that selects the form of the output, which differ between commands."""
MAX_SHOWN = 2**53
"""Largest upper limit of a number that the help prints. Larger ones are technical limits."""
MAX_QUOTED = 40
"""Characters of a wrong argument in a usage error."""


class Command(TyperCommand):
    """Command whose usage errors state the expected and the actual value, and suggest similar names."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters for the help."""
        return [_hide_python_type(parameter) for parameter in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, or exit with a usage error if they are wrong."""
        original_args = list(args)  # super().parse_args consumes `args`.
        try:
            return super().parse_args(ctx, args)
        except _CLICK_EXCEPTION as error:
            # Compare class names: newer typers contain a private copy of click.
            kind, parameter = type(error).__name__, getattr(error, "param", None)
            if kind == "NoSuchOption":
                self._exit_with_unknown_option(str(getattr(error, "option_name", "")), ctx)
            if kind == "BadOptionUsage":
                self._exit_with_missing_value(str(getattr(error, "option_name", "")), ctx)
            if kind in {"BadParameter", "MissingParameter"} and parameter is not None:
                # The error does not contain the value: parse again, which keeps values as text.
                value = self.make_parser(ctx).parse_args(original_args)[0].get(parameter.name)
                self._exit_with_bad_value(parameter, value if kind == "BadParameter" else None, ctx)
            if extra := _EXTRA.fullmatch(str(error)):
                exit_with_usage_error(
                    f"unexpected argument '{extra[1][:MAX_QUOTED]}'", "quote arguments that contain spaces", ctx
                )
            raise

    def _exit_with_unknown_option(self, option: str, ctx: Any) -> NoReturn:
        key = resolve_key_alias(option)
        if key is not None and any(parameter.name == "settings" for parameter in self.params):
            exit_with_usage_error(f"unknown option {option}; use --set {key}=VALUE", context=ctx)
        _exit_with_unknown_option(self.params, option, ctx)

    def _exit_with_missing_value(self, option: str, ctx: Any) -> None:
        """Exit with the values that an option requires, unless the option is a flag."""
        parameter: Any = next((each for each in self.params if option in each.opts), None)
        if parameter is not None and not parameter.is_flag:
            values = join_choices(self._declaration(parameter)[2]) or parameter.metavar
            count = f"{parameter.nargs} values" if parameter.nargs > 1 else "a value"
            exit_with_usage_error(f"{option} requires {count}{values and ': '}{values}", context=ctx)

    def _declaration(self, parameter: Any) -> tuple[Any, Any, Sequence[str]]:
        """Return the type, the information and the choices of a parameter."""
        callback: Any = self.callback
        hints = get_type_hints(callback, include_extras=True)
        declared, info = get_args(hints[parameter.name])[:2]  # Annotated[type, typer.Option(...)]
        kind = next((each for each in get_args(declared) if NoneType in get_args(declared)), declared)
        return kind, info, get_args(kind) if get_origin(kind) is Literal else ()

    def _exit_with_bad_value(self, parameter: Any, value: Any, ctx: Any) -> None:
        """Exit with the values that a wrong or missing (None) value must have, if the parameter declares them."""
        kind, info, choices = self._declaration(parameter)
        name = parameter.metavar if isinstance(info, ArgumentInfo) else parameter.opts[0]
        if value is None:
            exit_with_usage_error(f"{name} is required{': ' if choices else ''}{join_choices(choices)}", context=ctx)
        text = " ".join(value) if isinstance(value, tuple | list) else str(value)
        if choices:
            exit_with_invalid_choice(name, choices, text, ctx)
        expected = "two numbers" if get_origin(kind) is tuple else _TYPE_NAMES.get(kind)
        if expected is not None:
            exit_with_usage_error(f"{name} must be {expected}{_range(info)}, got '{text[:MAX_QUOTED]}'", context=ctx)


def _exit_with_unknown_option(parameters: list[Any], option: str, ctx: Any) -> NoReturn:
    names = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
    if option in FORM_OPTIONS and (same_role := [name for name in FORM_OPTIONS if name in names]):
        exit_with_usage_error(f"unknown option {option}", f"did you mean '{same_role[0]}'?", ctx)
    exit_with_usage_error(f"unknown option {option}", did_you_mean(option, [*names, "--help"]), ctx)


def _hide_python_type(parameter: Any) -> Any:
    """Remove types such as ``<bool>`` and ``<str>`` from the help of a parameter, and print choices as declared."""
    descriptor = parameter.type_descriptor
    if descriptor.is_choice and not descriptor.case_sensitive:
        # typer prints the choices of a case-insensitive option in lower case.
        parameter.metavar = f"<{'|'.join(map(str, descriptor.choices))}>"
    if (getattr(parameter, "max", None) or 0) > MAX_SHOWN:
        parameter._get_number_range_help_str = lambda: f"x>={parameter.min}"  # noqa: SLF001 -- typer has no option
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.param_type_name == "argument" and not parameter.type_descriptor.is_choice:
        parameter.display_type_rich = lambda ctx: None  # noqa: ARG005 -- typer calls it with `ctx`
    return parameter


def _range(info: ParameterInfo) -> str:
    """Format the allowed range of a number, or return an empty text if it is unbounded."""
    low, high = (
        f"{bound:,.15g}" if isinstance(bound, float) else f"{bound:,}" for bound in (info.min or 0, info.max or 0)
    )
    if info.max is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if info.min is not None else ""


class CommandGroup(TyperGroup):
    """Group of commands whose usage errors have the form of other messages."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters for the help."""
        return [_hide_python_type(parameter) for parameter in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options of the group, or exit with a usage error if one is unknown."""
        try:
            return super().parse_args(ctx, args)
        except _CLICK_EXCEPTION as error:
            if type(error).__name__ == "NoSuchOption":
                _exit_with_unknown_option(self.params, str(getattr(error, "option_name", "")), ctx)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command named by the first argument, or exit with a usage error if it is unknown."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            exit_with_usage_error(
                f"unknown command '{args[0][:MAX_QUOTED]}'", did_you_mean(args[0], self.commands), ctx
            )
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command and exit with its code, or return the code if ``standalone_mode`` is false."""
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except _CLICK_EXCEPTION as error:
            _print_usage_error(error)
            sys.exit(getattr(error, "exit_code", 2))
        except typer.Abort:
            # click turns Ctrl-C into Abort; `main` in sewdsl.__main__ exits with the code of the signal.
            raise KeyboardInterrupt from None
        sys.exit(code if isinstance(code, int) else 0)


def _print_usage_error(error: Any) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # typer has printed the help already.
    context = getattr(error, "ctx", None)
    if context is not None:
        echo(context.get_usage().strip(), err=True)
        echo(f"Try '{context.command_path} {context.help_option_names[0]}' for help.", err=True)
    # exit_with_usage_error raises BadParameter without a parameter; its text needs no clean-up.
    is_own_error = type(error).__name__ == "BadParameter" and error.param is None
    sentence = error.message if is_own_error else error.format_message().strip().rstrip(".")
    echo(f"error: {sentence if is_own_error else sentence[:1].lower() + sentence[1:]}", err=True)


def with_parameters(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with ``--plugin``, and with the options of its ``SpecOptions`` parameter.

    ``Annotated[SpecOptions, "input", "limit"]`` adds these two options only. Options are sorted by panel. Plugins are
    imported before the command runs: their output goes to standard error, and a failing import is a usage error.
    """
    parameters: list[inspect.Parameter] = []
    group, names = "", SpecOptions._fields
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind, *selected = get_args(parameter.annotation) or (parameter.annotation,)
        if kind is SpecOptions:
            group, names = parameter.name, tuple(selected) or names
            hints = get_type_hints(SpecOptions, include_extras=True)
            parameters += [parameter.replace(name=name, default=None, annotation=hints[name]) for name in names]
        else:
            parameters.append(parameter)
    parameters.append(inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugin))
    # The help prints panels in the order of their first options.
    parameters.sort(key=_panel_rank)

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

    # Typer reads the parameters of a command from its signature and annotations.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    # Typer keeps the line breaks of all paragraphs but the first.
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    run.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return run


def _panel_rank(parameter: inspect.Parameter) -> int:
    """Return the position of the panel of a parameter, or 0 for arguments and options without a panel."""
    panel = getattr(get_args(parameter.annotation)[1], "rich_help_panel", None)
    return 1 + [*HelpPanel].index(panel) if panel else 0
